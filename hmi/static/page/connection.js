// The WebSocket to the feed: opened, watched, and opened again with back-off; on to the sign-in page when signed out.

import { STALE_AFTER_MS } from "./clock.js";

const FIRST_RETRY_MS = 500;
const LONGEST_RETRY_MS = 10_000; // an operator waits no longer than this after the server is back
const SILENCE_MS = 2 * STALE_AFTER_MS; // a link that says nothing for so long is dead, whatever TCP thinks
const CLOSE_SESSION_ENDED = 4401;

export class Connection {
  constructor(onMessage, onState) {
    this.onMessage = onMessage;
    this.onState = onState; // (state, retryAt) with state connecting | open | waiting
    this.failures = 0;
    this.socket = null;
    this.timer = null;
    this.silence = null;
  }

  open() {
    clearTimeout(this.timer);
    this.timer = null;
    this.onState("connecting", null);
    const address = new URL("/api/feed", location.href);
    address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    const socket = new WebSocket(address);
    this.socket = socket;
    socket.addEventListener("message", (event) => {
      if (socket !== this.socket) return;
      this.listen();
      const message = JSON.parse(event.data);
      if (message.type === "snapshot") {
        this.failures = 0;
        this.onState("open", null);
      }
      this.onMessage(message);
    });
    socket.addEventListener("close", (event) => {
      if (socket === this.socket) this.lost(event.code);
    });
    this.listen();
  }

  // Connect now instead of at the end of the back-off.
  retry() {
    if (this.timer !== null) this.open();
  }

  listen() {
    clearTimeout(this.silence);
    this.silence = setTimeout(() => {
      const socket = this.socket;
      this.lost(null);
      socket.close();
    }, SILENCE_MS);
  }

  async lost(code) {
    clearTimeout(this.silence);
    this.socket = null;
    if (code === CLOSE_SESSION_ENDED || (await isSignedOut())) {
      location.assign("/sign-in");
      return;
    }
    const cap = Math.min(LONGEST_RETRY_MS, FIRST_RETRY_MS * 2 ** this.failures);
    const wait = cap * (0.5 + Math.random() / 2); // so that 20 screens do not come back in one instant
    this.failures += 1;
    this.onState("waiting", performance.now() + wait);
    this.timer = setTimeout(() => this.open(), wait);
  }
}

// A refused WebSocket does not tell its script why: ask.
async function isSignedOut() {
  try {
    const answer = await fetch("/api/session", { cache: "no-store", signal: AbortSignal.timeout(STALE_AFTER_MS) });
    return answer.status === 401;
  } catch {
    return false; // no server at all: keep trying
  }
}
