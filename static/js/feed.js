// Brings the messages of one task to the page: over the WebSocket where that works, by asking where it does not.
// Each message is handed on exactly once and in order: whichever way is used goes on after the last id seen.
// Only one way is open at a time.

const POLL_EVERY_MS = 1500;
const CONNECT_WITHIN_MS = 3000;
const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 15000;

export const FeedState = Object.freeze({
  CONNECTING: "connecting",
  LIVE: "live",
  POLLING: "polling",
  OFFLINE: "offline",
  ENDED: "ended",
  MISSING: "missing",
});

export class Feed {
  /**
   * @param {string} socketUrl address of this task's WebSocket, without a query
   * @param {string} eventsUrl address of the events for polling, without a query
   * @param {(event: string, args: any[]) => void} onMessage
   * @param {(state: string) => void} onState
   */
  constructor({ socketUrl, eventsUrl, token, onMessage, onState }) {
    Object.assign(this, { socketUrl, eventsUrl, token, onMessage, onState });
    this.last = "0-0";
    this.ended = false;
  }

  /** Follow the task to its end. */
  async run() {
    let pause = FIRST_PAUSE_MS;
    while (!this.ended) {
      const opened = await this.overSocket();
      if (this.ended) return;
      pause = opened ? FIRST_PAUSE_MS : Math.min(pause * 2, LONGEST_PAUSE_MS);
      await this.byPolling(pause);
    }
  }

  /** Use a socket until it closes; whether it ever opened. */
  overSocket() {
    return new Promise((resolve) => {
      let opened = false;
      let socket;
      try {
        socket = new WebSocket(`${this.socketUrl}?${this.query()}`);
      } catch {
        resolve(false);
        return;
      }
      const timeout = window.setTimeout(() => socket.close(), CONNECT_WITHIN_MS);
      const end = () => {
        window.clearTimeout(timeout);
        // A closed socket may still hold messages; they come again on the next way.
        socket.onmessage = null;
        resolve(opened);
      };
      socket.onopen = () => {
        opened = true;
        window.clearTimeout(timeout);
        socket.send(JSON.stringify(["user_ready", []]));
        this.onState(FeedState.LIVE);
      };
      socket.onmessage = ({ data }) => {
        this.take(JSON.parse(data));
        if (this.ended) socket.close();
      };
      socket.onclose = end;
    });
  }

  /** Ask for new messages again and again for some time. */
  async byPolling(milliseconds) {
    const until = Date.now() + milliseconds;
    do {
      try {
        const response = await fetch(`${this.eventsUrl}?${this.query()}`);
        if (response.status === 404) {
          this.end(FeedState.MISSING);
          return;
        }
        if (!response.ok) throw new Error(String(response.status));
        const body = await response.json();
        this.onState(FeedState.POLLING);
        for (const message of body.messages) this.take(message);
        // There is more than one answer holds: it is asked for at once.
        if (body.more && !this.ended) continue;
      } catch {
        this.onState(FeedState.OFFLINE);
      }
      if (this.ended) return;
      await sleep(Math.min(POLL_EVERY_MS, Math.max(0, until - Date.now())));
    } while (Date.now() < until);
  }

  take([event, args, id]) {
    if (id) this.last = id;
    this.onMessage(event, args);
    if (event === "done") this.end(FeedState.ENDED);
    if (event === "task_status") this.end(FeedState.MISSING);
  }

  end(state) {
    this.ended = true;
    this.onState(state);
  }

  query() {
    const query = new URLSearchParams({ after: this.last });
    if (this.token) query.set("token", this.token);
    return query;
  }
}

function sleep(milliseconds) {
  return new Promise((resolve) => window.setTimeout(resolve, milliseconds));
}
