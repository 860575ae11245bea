// A list that grows while one reads it: it follows its end, until the reader scrolls up.

import { setText } from "./dom.js";

export class GrowingList {
  /** @param {HTMLElement} root with [data-lines], [data-count], [data-empty] and the button [data-follow] */
  constructor(root) {
    this.list = root.querySelector("[data-lines]");
    this.counter = root.querySelector("[data-count]");
    this.empty = root.querySelector("[data-empty]");
    this.followButton = root.querySelector("[data-follow]");
    this.follow(true);
    this.followButton.addEventListener("click", () => this.follow(!this.following));
    this.list.addEventListener("scroll", () => this.noticeScroll(), { passive: true });
  }

  follow(following) {
    this.following = following;
    this.followButton.setAttribute("aria-pressed", String(following));
    setText(this.followButton, following ? "Following" : "Follow");
    if (following) this.toEnd();
  }

  toEnd() {
    this.list.scrollTop = this.list.scrollHeight;
    this.lastTop = this.list.scrollTop;
  }

  // Scrolling up means "let me read"; coming back to the end means "go on".
  noticeScroll() {
    const { scrollTop, scrollHeight, clientHeight } = this.list;
    const atEnd = scrollHeight - scrollTop - clientHeight < 8;
    if (this.following && scrollTop < this.lastTop - 8 && !atEnd) this.follow(false);
    else if (!this.following && atEnd && scrollTop > this.lastTop) this.follow(true);
    this.lastTop = scrollTop;
  }
}
