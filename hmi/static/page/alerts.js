// Which values need a look, and since when: by the rule that was declared with the tag (gateway/config/alert.py).

import { NO_VALUE, valueText } from "./format.js";

const VALUE = "{value}";
const AGAIN_MS = 30_000; // after the server could not be asked

export class Alerts {
  constructor(tags) {
    this.tags = tags;
    this.begun = new Map(); // by tag's name: {since, value}; since is null where nobody knows, undefined until it is asked
    this.calm = new Set(); // names of tags that have been as they should be: what begins now has begun before our eyes
  }

  // What is to be told of this tag, whose value is Good; null where all is well.
  of(tag) {
    if (tag.alert === null) return null;
    const { alert } = tag;
    if (!holds(alert, tag.value)) {
      this.begun.delete(tag.name);
      this.calm.add(tag.name);
      return null;
    }
    const since = this.since(tag);
    if (since === undefined) return null; // the answer comes in a moment
    if (since !== null) {
      const ageMs = Math.max(0, this.tags.clock.now() - since);
      if (ageMs < alert.after_s * 1000 || (alert.lasts_s > 0 && ageMs > alert.lasts_s * 1000)) return null;
    }
    return { text: this.text(tag), since, action: alert.do };
  }

  // What is to be told of this tag, which is Bad and was not always.
  ofBad(tag) {
    return tag.alert?.bad && tag.value !== null ? { text: tag.alert.bad, since: null, action: tag.alert.do } : null;
  }

  since(tag) {
    const known = this.begun.get(tag.name);
    const isNew = known === undefined || (tag.alert.lasts_s > 0 && known.value !== tag.value);
    if (!isNew) {
      if (known.since === undefined && performance.now() >= known.askAt) this.ask(tag, known);
      return known.since;
    }
    const wasSeen = known !== undefined || this.calm.has(tag.name);
    const entry = { since: wasSeen ? tag.source : undefined, value: tag.value, askAt: 0 };
    this.begun.set(tag.name, entry);
    if (!wasSeen) this.ask(tag, entry);
    return entry.since;
  }

  async ask(tag, entry) {
    entry.askAt = Infinity;
    try {
      const answer = await fetch(`/api/since?tag=${encodeURIComponent(tag.name)}`);
      entry.since = answer.ok ? (await answer.json()).since_ms : null;
    } catch {
      entry.askAt = performance.now() + AGAIN_MS; // the connection is lost
    }
  }

  text(tag) {
    const { alert } = tag;
    const hasStates = Object.keys(tag.states).length > 0;
    const shown = alert.says === VALUE && hasStates ? valueText(tag).toUpperCase() : valueText(tag);
    const words = !alert.words ? null : this.tags.byName.get(alert.words);
    const said = alert.says.replace(VALUE, shown === NO_VALUE ? "" : shown);
    return words?.value ? `${said}: ${words.value}` : said;
  }
}

export function holds(alert, value) {
  if (value === null) return false;
  if (typeof value === "string") return alert.text_but !== undefined && value !== "" && value !== alert.text_but;
  return (
    alert.values.some((one) => Number(one) === Number(value)) ||
    (alert.above !== undefined && value > alert.above) ||
    (alert.below !== undefined && value < alert.below)
  );
}
