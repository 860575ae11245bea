// What the states of a task, and of its live feed, are called on its page. The server has the same words.

import { FeedState } from "./feed.js";

export const STATES = { queued: "Waiting", running: "Running", succeeded: "Done", failed: "Failed", cancelled: "Cancelled" };
export const FEED_STATES = {
  [FeedState.CONNECTING]: "Connecting",
  [FeedState.LIVE]: "Live",
  [FeedState.POLLING]: "Updating every 2 s",
  [FeedState.OFFLINE]: "Connection lost, trying again",
  [FeedState.ENDED]: "Complete",
  [FeedState.MISSING]: "Gone",
};
