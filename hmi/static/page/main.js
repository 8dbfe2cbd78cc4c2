// The page: takes the feed's messages, keeps the tags, and redraws what is in sight.

import { Attention } from "./attention.js";
import { Clock } from "./clock.js";
import { Connection } from "./connection.js";
import { Diagram } from "./diagram.js";
import { setData, setText } from "./dom.js";
import { Faceplate } from "./faceplate.js";
import { durationText, localText, utcText } from "./format.js";
import { Headline } from "./headline.js";
import { Tables } from "./tables.js";
import { Tags } from "./tags.js";
import { startTheme } from "./theme.js";
import { Totals } from "./totals.js";
import { Trends } from "./trends.js";

const TICK_MS = 250; // ages grow and values go stale without a message
const SLOW_TICKS = 4; // trends and the list of what is not normal: once a second

const clock = new Clock();
const tags = new Tags(clock);
const faceplate = new Faceplate();
const openFaceplate = (device, from) => faceplate.open(tags, device, from);
const link = { state: "connecting", retryAt: null };

let screen = null; // {parts, trends, attention}: what is drawn, once there is a first picture
let hello = null; // the last one
let isFirst = true; // the next message is the first of its connection that tells the time of values
let isDrawing = false;
let ticks = 0;

const connection = new Connection(onMessage, (state, retryAt) => {
  Object.assign(link, { state, retryAt });
  showLink();
});

function onMessage(message) {
  if (message.type === "hello") {
    hello = message;
    isFirst = true;
    return;
  }
  if (isFirst) clock.restart(); // not before: until the first snapshot is here, what is shown is as old as it was
  isFirst = false;
  clock.note(message);
  if (message.type === "snapshot") takeSnapshot(message);
  else if (message.type === "changes") tags.apply(message);
  if (!isDrawing) {
    isDrawing = true;
    requestAnimationFrame(() => {
      isDrawing = false;
      draw();
    });
  }
}

// A picture stays on the screen, marked stale, until the next is whole: only then does the site's table change.
function takeSnapshot(message) {
  const isOther = screen === null || hello.site.digest !== tags.digest;
  if (isOther) tags.load(hello);
  tags.apply(message);
  if (isOther) build();
}

function build() {
  if (faceplate.device !== null) faceplate.close();
  setText(document.getElementById("site-name"), hello.site.name);
  setText(document.getElementById("site-description"), hello.site.description);
  setText(document.getElementById("user"), `${hello.user} (${hello.role})`);
  document.title = `${hello.site.name} \u00b7 Tieline`;
  const totals = new Totals(tags);
  const diagram = new Diagram(tags, openFaceplate);
  screen = {
    parts: [new Headline(tags, totals), diagram, new Tables(tags, !document.getElementById("diagram").hidden), faceplate],
    trends: new Trends(tags, totals),
    attention: new Attention(tags, openFaceplate),
  };
  screen.attention.update();
}

function draw() {
  showLink();
  if (screen === null) return;
  for (const part of screen.parts) part.update();
}

function tick() {
  ticks += 1;
  draw();
  const now = clock.now();
  if (now !== null) {
    setText(document.getElementById("clock-utc"), `${utcText(now)} UTC`);
    setText(document.getElementById("clock-local"), localText(now));
  }
  if (screen === null || ticks % SLOW_TICKS) return;
  screen.trends.sample();
  screen.attention.update();
}

function showLink() {
  const isLive = screen !== null && clock.isLive();
  const text = document.getElementById("connection-text");
  const banner = document.getElementById("lost");
  const seconds = link.retryAt === null ? 0 : Math.max(0, Math.ceil((link.retryAt - performance.now()) / 1000));
  const effort = link.state === "waiting" ? `Connecting again in ${seconds} s.` : "Connecting.";
  setText(text, isLive && link.state === "open" ? "LIVE" : isLive ? "RECONNECTING" : screen === null ? "CONNECTING" : "LOST");
  setData(document.body, "feed", isLive ? "live" : screen === null ? "connecting" : "lost");
  banner.hidden = isLive || (screen === null && link.state !== "waiting");
  if (banner.hidden) return;
  const since = clock.asOf();
  const what = since === null ? "NO CONNECTION to the server" : `CONNECTION LOST \u2014 values as of ${utcText(since)} UTC`;
  setText(document.getElementById("lost-text"), what);
  const age = since === null ? "" : `\u00b7 ${durationText(clock.age())} ago. `;
  setText(document.getElementById("lost-effort"), `${age}${link.state === "open" ? "The server has fallen silent." : effort}`);
}

startTheme();
setInterval(tick, TICK_MS);
document.addEventListener("visibilitychange", draw);
addEventListener("online", () => connection.retry());
connection.open();
