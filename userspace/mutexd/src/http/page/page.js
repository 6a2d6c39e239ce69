// SPDX-License-Identifier: MIT OR Apache-2.0
// The live page: shows what the stream of events tells. Text comes into the page as text only.
"use strict";

const byId = (id) => document.getElementById(id);
const POINTS = 300;
let points = [];
let problem = null;
// The last glance and the last slow answers that were not shown yet.
const latest = new Map();
let paused = false;

// Text with what is invisible or reorders text escaped, as mutexctl shows it.
const INVISIBLE = /[\p{Cc}\p{Default_Ignorable_Code_Point}\u2028\u2029\ufff9-\ufffb]/gu;
const printable = (text) => text.replace(INVISIBLE, (character) => `\\u{${character.codePointAt(0).toString(16)}}`);

function element(name, content, className) {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (content !== undefined) made.append(typeof content === "string" ? printable(content) : content);
  return made;
}

function svg(name, attributes) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

// 1234567 is "1.23 M".
function scaled(number, units, step) {
  let unit = 0;
  while (number >= step && unit + 1 < units.length) { number /= step; unit += 1; }
  const digits = unit === 0 ? (Number.isInteger(number) ? 0 : 1) : number < 10 ? 2 : number < 100 ? 1 : 0;
  return `${number.toFixed(digits)} ${units[unit]}`.trim();
}
const count = (number) => scaled(number, ["", "k", "M", "G", "T", "P"], 1000);
const size = (bytes) => scaled(bytes, ["B", "kB", "MB", "GB", "TB", "PB"], 1000);
const rate = (bytes) => `${size(bytes)}/s`;
const duration = (ns) => ns ? scaled(ns, ["ns", "µs", "ms", "s"], 1000) : "–";
const moment = (ns) => new Date(ns / 1e6).toLocaleTimeString();
const end = (address, port) => !port ? address : address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
const process = (one) => one.command ? `${one.command} (${one.pid})` : one.pid ? String(one.pid) : "–";

function rows(body, list, cells, numbersFrom) {
  const made = list.map((one) => {
    const row = element("tr");
    cells(one).forEach((cell, index) => row.append(element("td", cell, index >= numbersFrom ? "n" : "")));
    return row;
  });
  if (!made.length) {
    const cell = element("td", "none", "none");
    cell.colSpan = body.parentElement.tHead.rows[0].cells.length;
    const row = element("tr");
    row.append(cell);
    made.push(row);
  }
  body.replaceChildren(...made);
}

function tiles(last) {
  const shown = [
    ["Received", rate(last.received_bytes_per_second), `${size(last.received_bytes)} in all`],
    ["Sent", rate(last.sent_bytes_per_second), `${size(last.sent_bytes)} in all`],
    ["Packets", `${count(last.packets_per_second)}/s`, `${count(last.packets)} in all`],
    ["Connections", count(last.connections_active)],
    ["New connections", `${count(last.connections_per_second)}/s`, `${count(last.connections_total)} in all`],
    ["Sockets", count(last.fds_active)],
    ["Sent again", `${count(last.retransmitted_packets_per_second)}/s`],
    ["Losses", `${count(last.losses_per_second)}/s`],
    ["Errors", `${count(last.errors_per_second)}/s`],
  ];
  byId("tiles").replaceChildren(...shown.map(([name, value, total]) => {
    const tile = element("div", element("span", name), "tile");
    tile.append(element("strong", value));
    if (total) tile.append(element("small", total));
    return tile;
  }));
}

// Points in the order of their times. A stream that begins again repeats some, and after the clock was set back
// those that are later than now are none.
function take(more) {
  for (const point of more) {
    while (points.length && points[points.length - 1].time_ns >= point.time_ns) points.pop();
    points.push(point);
  }
  points = points.slice(-POINTS);
}

// The points in runs without a gap: where a point does not follow on the one before it (the module was loaded
// anew, the clock was set forward), or comes much later than usual, nothing is drawn in between.
function runs() {
  const durations = points.map((point) => point.duration_ns).sort((one, other) => one - other);
  const usual = durations[Math.floor(durations.length / 2)];
  const found = [];
  points.forEach((point, at) => {
    const passed = at ? point.time_ns - points[at - 1].time_ns : Infinity;
    const isNext = passed - point.duration_ns <= Math.max(1e8, point.duration_ns / 2);
    if (isNext && passed <= Math.max(3 * usual, 1e9)) found[found.length - 1].push(point);
    else found.push([point]);
  });
  return found;
}

function plot(place, lines, show) {
  const width = 1000, height = 100;
  const most = Math.max(1, ...lines.flatMap((line) => points.map((point) => point[line])));
  const picture = svg("svg", { viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", role: "img" });
  picture.setAttribute("aria-label", `the last ${points.length} samples; the largest is ${show(most)}`);
  picture.append(svg("line", { x1: 0, y1: height, x2: width, y2: height }), svg("line", { x1: 0, y1: 0, x2: width, y2: 0 }));
  const first = points[0].time_ns, span = Math.max(1, points[points.length - 1].time_ns - first);
  const placeOf = (point, line) =>
    `${(width * (point.time_ns - first) / span).toFixed(1)},${(height * (1 - point[line] / most)).toFixed(1)}`;
  lines.forEach((line, index) => {
    for (const run of runs()) {
      const path = run.map((point) => placeOf(point, line));
      // A point between two gaps is a dot.
      if (path.length === 1) picture.append(svg("polyline", { class: `${"abc"[index]} dot`, points: `${path[0]} ${path[0]}` }));
      else picture.append(svg("polyline", { class: "abc"[index], points: path.join(" ") }));
    }
  });
  const axis = element("div", element("span", moment(points[0].time_ns)), "axis");
  axis.append(element("span", moment(points[points.length - 1].time_ns)));
  place.replaceChildren(element("span", show(most), "most"), picture, axis);
}

function showPoints() {
  say(problem || "live", Boolean(problem));
  if (!points.length) return;
  tiles(points[points.length - 1]);
  plot(byId("bytes-plot"), ["received_bytes_per_second", "sent_bytes_per_second", "forwarded_bytes_per_second"], rate);
  plot(byId("packets-plot"), ["packets_per_second", "retransmitted_packets_per_second", "losses_per_second"],
    (number) => `${count(number)}/s`);
}

function showGlance(glance) {
  rows(byId("process-rows"), glance.processes, (one) => [process(one), rate(one.rate_in), rate(one.rate_out),
    size(one.received_bytes), size(one.sent_bytes), count(one.connections)], 1);
  rows(byId("connection-rows"), glance.connections, (one) => [process(one), `${one.protocol} ${one.state}`,
    end(one.local_address, one.local_port), end(one.remote_address, one.remote_port), rate(one.rate_in), rate(one.rate_out),
    size(one.received_bytes), size(one.sent_bytes), duration(one.latency_average_ns), count(one.retransmitted_packets),
    count(one.losses)], 4);
  const latency = glance.latency;
  byId("latency-words").textContent = latency.samples
    ? `Of ${count(latency.samples)} samples, half took at most ${duration(latency.p50_ns)}, 95 % at most ` +
      `${duration(latency.p95_ns)}, 99 % at most ${duration(latency.p99_ns)}.`
    : "There is no sample yet.";
  const all = latency.buckets.reduce((sum, bucket) => sum + bucket.samples, 0);
  rows(byId("latency-rows"), latency.buckets, (bucket) => {
    const bar = element("meter");
    bar.max = all || 1;
    bar.value = bucket.samples;
    bar.setAttribute("aria-label", `${(100 * bucket.samples / (all || 1)).toFixed(1)} %`);
    return [duration(bucket.to_ns), bar, count(bucket.samples)];
  }, 2);
  list(byId("alert-list"), glance.alerts.map((alert) => worded(alert.severity, alert.message, alert.time_ns)));
  list(byId("drop-list"), glance.drops.map((drop) => element("li", `${drop.reason}: ${count(drop.losses)} lost, ${count(drop.packets - drop.losses)} discarded`)));
}

function list(place, items) {
  place.replaceChildren(...(items.length ? items : [element("li", "none", "none")]));
}

function worded(word, text, ns) {
  const item = element("li", element("span", word, `word ${word}`));
  if (ns) item.append(" ", element("time", moment(ns)));
  item.append(` ${printable(text)}`);
  return item;
}

// The round trips of the last pings as a small curve; what was lost is a gap.
function pings(newest) {
  const most = Math.max(1, ...newest.map((ping) => ping.rtt_ns ?? 0));
  const picture = svg("svg", { class: "small", viewBox: "0 0 100 20", preserveAspectRatio: "none", role: "img" });
  const answered = newest.filter((ping) => ping.rtt_ns !== null).length;
  picture.setAttribute("aria-label", `${answered} of ${newest.length} answered, in at most ${duration(most)}`);
  const step = 100 / Math.max(1, newest.length - 1);
  let path = [];
  const draw = () => { if (path.length) picture.append(svg("polyline", { class: "a", points: path.join(" ") })); path = []; };
  newest.forEach((ping, at) => {
    if (ping.rtt_ns === null) draw();
    else path.push(`${(at * step).toFixed(1)},${(20 * (1 - ping.rtt_ns / most)).toFixed(1)}`);
  });
  draw();
  return picture;
}

const SLOW = {
  "health": ({ parts }) => list(byId("health-list"), parts.map((one) => worded(one.state, `${one.part}: ${one.message}`))),
  "peers": ({ peers }) => rows(byId("peer-rows"), peers, (one) => [one.name || one.address || one.public_key.slice(0, 12),
    one.interface, one.connected ? "connected" : "not connected", size(one.received_bytes), size(one.sent_bytes),
    duration(one.pings.avg_ns), duration(one.pings.p99_ns),
    one.pings.loss === null ? "–" : `${(100 * one.pings.loss).toFixed(1)} %`, pings(one.pings.newest)], 3),
  "diagnostics/events?last=20": ({ events }) => list(byId("diagnostics-list"),
    events.slice().reverse().map((one) => worded(one.severity, `${one.component}: ${one.message}`, one.time_ns))),
};

// What comes during a pause is kept, and shown when it is over.
function showUnlessPaused(name, show, content) {
  if (!paused) return show(content);
  latest.set(name, () => show(content));
  say("paused", false);
}

// What changes slowly is asked for now and then.
async function showSlow() {
  for (const [path, show] of Object.entries(SLOW)) {
    try {
      const answer = await fetch(`api/v1/${path}`);
      if (answer.ok) showUnlessPaused(path, show, await answer.json());
    } catch {
      // The state above says that nobody answers.
    }
  }
}

function say(told, isBad) {
  const state = byId("state"), text = printable(told);
  if (state.textContent !== text) state.textContent = text;
  state.classList.toggle("bad", isBad);
}

// Who may look, may do so for a while, and until mutexd ends.
async function sayIfRefused() {
  try {
    const { status } = await fetch("api/v1/health");
    if (status === 401 || status === 403) say("mutexd wants to know who looks: run mutexctl page", true);
  } catch {
    // Nobody answers, which is said already.
  }
}

function listen() {
  const stream = new EventSource("api/v1/stream");
  const on = (name, show) => stream.addEventListener(name, (event) => show(JSON.parse(event.data)));
  stream.addEventListener("open", showSlow);
  stream.addEventListener("error", () => {
    say("mutexd does not answer; trying again", true);
    if (stream.readyState === EventSource.CLOSED) {
      sayIfRefused();
      setTimeout(listen, 5000);
    }
  });
  on("points", (told) => {
    take(told.points);
    problem = told.problem;
    showUnlessPaused("points", showPoints);
  });
  on("glance", (glance) => showUnlessPaused("glance", showGlance, glance));
}

byId("pause").addEventListener("click", () => {
  paused = !paused;
  byId("pause").setAttribute("aria-pressed", String(paused));
  if (paused) return say("paused", false);
  const waiting = [...latest.values()];
  latest.clear();
  waiting.forEach((show) => show());
});
byId("scheme").addEventListener("click", () => {
  const root = document.documentElement;
  const isDark = root.dataset.scheme
    ? root.dataset.scheme === "dark"
    : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.scheme = isDark ? "light" : "dark";
});
setInterval(showSlow, 10000);
listen();
