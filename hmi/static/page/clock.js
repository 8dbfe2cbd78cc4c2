// What time it is at the server, and how old what we know is.
//
// Every message carries the server's steady clock. The least delay seen says how the two steady clocks stand to each
// other; a message that comes later than that was held up on the way, and what it says is that much older.

export const STALE_AFTER_MS = 3000;
// Quartz drifts by up to 200 ppm between two machines. The least delay is forgotten at that rate and no faster: a
// connection that is 10 s behind would take 14 hours to look prompt.
const DRIFT = 0.0002;

export class Clock {
  restart() {
    this.offset = null; // server's steady clock less ours, ms
    this.notedAt = null;
    this.last = null;
  }

  constructor() {
    this.restart();
  }

  note(message) {
    const now = performance.now();
    const sample = message.uptime_ms - now;
    this.offset =
      this.offset === null ? sample : Math.max(sample, this.offset - DRIFT * (now - this.notedAt));
    this.notedAt = now;
    this.last = { uptime: message.uptime_ms, wall: message.server_time_ms, received: Date.now() };
  }

  // How long ago the server knew what we show, ms; Infinity before the first message.
  age() {
    if (this.last === null) return Infinity;
    const steady = performance.now() + this.offset - this.last.uptime;
    // A sleeping computer may stop its steady clock: the wall clock tells that it slept.
    return Math.max(0, steady, Date.now() - this.last.received);
  }

  isLive() {
    return this.age() <= STALE_AFTER_MS;
  }

  // The server's UTC, ms; null before the first message ever.
  now() {
    return this.last === null ? null : this.last.wall + this.age();
  }

  // The server's UTC of the last message, ms.
  asOf() {
    return this.last === null ? null : this.last.wall;
  }
}
