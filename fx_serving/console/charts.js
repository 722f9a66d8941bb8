// The last five minutes of each model as lines, and the same figures as a table.

import { h, number, s, table, time } from "./dom.js";

const WIDTH = 600;
const HEIGHT = 120;
const SPAN_MS = 300000;
const ROW_MS = 15000;
const SLOTS = ["blue", "green"];

const KINDS = [
  { key: "p99", title: "99th percentile of the answer time", unit: "ms", value: (slot) => slot.p99_ms },
  { key: "requests", title: "Requests a second", unit: "/s", value: (slot) => slot.requests },
  { key: "errors", title: "Errors a second", unit: "/s", value: (slot) => slot.errors },
];

/** The next round figure above. */
function above(value) {
  if (!(value > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= value);
}

function path(points, top) {
  let drawn = "";
  let joined = false;
  for (const [x, y] of points) {
    if (y === null || y === undefined) {
      joined = false;
      continue;
    }
    const place = `${x.toFixed(1)} ${(HEIGHT - (HEIGHT - 4) * Math.min(y / top, 1) - 2).toFixed(1)}`;
    drawn += joined ? `L${place}` : `M${place}l0.1 0`;
    joined = true;
  }
  return drawn;
}

const known = (values) => values.filter((value) => value !== null && value !== undefined);

/** One slot's points (time, value or null), its value in the newest second, and its largest. */
function series(samples, slot, value) {
  const end = Date.parse(samples[samples.length - 1].t);
  const points = samples
    .map((sample) => [end - Date.parse(sample.t), sample.slots[slot] ? value(sample.slots[slot]) : null])
    .filter(([age]) => age <= SPAN_MS)
    .map(([age, y]) => [WIDTH * (1 - age / SPAN_MS), y]);
  const values = known(points.map(([, y]) => y));
  const last = points[points.length - 1][1];
  return { slot, points, last, most: Math.max(0, ...values), any: values.length > 0 };
}

function chart(model, kind, samples) {
  const lines = SLOTS.map((slot) => series(samples, slot, kind.value)).filter((line) => line.any);
  const top = above(Math.max(0, ...lines.map((line) => line.most)));
  const figures = lines.map(
    (one) => `${one.slot}: now ${number(one.last)}, at most ${number(one.most)} ${kind.unit}`,
  );
  const label = `${kind.title} of ${model}, the last five minutes. ${figures.join("; ") || "No figures yet"}`;
  return h(
    "figure", { class: "chart", "data-key": `${model}-${kind.key}` },
    h("figcaption", null, h("b", null, kind.title), " ",
      lines.map((one) => h("span", { class: `legend ${one.slot}` }, `${one.slot} ${number(one.last)} ${kind.unit} `))),
    h("div", { class: "plot" },
      h("span", { class: "top" }, `${number(top, 3)} ${kind.unit}`),
      s("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": label },
        s("path", { class: "grid", d: `M0 2H${WIDTH}M0 ${HEIGHT / 2}H${WIDTH}M0 ${HEIGHT - 2}H${WIDTH}` }),
        lines.map((line) => s("path", { class: `line ${line.slot}`, d: path(line.points, top) })))),
    h("p", { class: "axis" }, h("span", null, "5 minutes ago"), h("span", null, "now")),
  );
}

/** Sums and worst values of fifteen seconds each, the newest first. */
function rows(samples) {
  const found = new Map();
  for (const sample of samples) {
    const begin = Math.floor(Date.parse(sample.t) / ROW_MS) * ROW_MS;
    for (const slot of SLOTS) {
      const one = sample.slots[slot];
      if (!one) continue;
      const key = `${begin} ${slot}`;
      const row = found.get(key) || { begin, slot, requests: 0, errors: 0, p99: null, weight: 0 };
      row.requests += one.requests;
      row.errors += one.errors;
      if (one.p99_ms !== null) row.p99 = Math.max(row.p99 || 0, one.p99_ms);
      row.weight = one.weight;
      found.set(key, row);
    }
  }
  return [...found.values()].sort((a, b) => b.begin - a.begin).map((row) =>
    h("tr", { "data-key": `${row.begin} ${row.slot}` },
      h("td", null, time(new Date(row.begin).toISOString())),
      h("td", null, row.slot),
      h("td", { class: "number" }, `${number(row.weight)} %`),
      h("td", { class: "number" }, number(row.requests, 0)),
      h("td", { class: "number" }, number(row.errors, 0)),
      h("td", { class: "number" }, number(row.p99)),
    ));
}

/** The charts of every model. */
export function charts(state) {
  const models = Object.keys(state.models).filter((model) => (state.series[model] || []).length);
  if (!models.length) return [h("p", null, "No figures yet.")];
  const columns = [
    ["From"], ["Slot"], ["Share", "number"], ["Requests", "number"], ["Errors", "number"], ["Highest p99 ms", "number"],
  ];
  return models.map((model) => {
    const samples = state.series[model];
    return h(
      "div", { class: "card", "data-key": model },
      h("h3", null, model),
      h("div", { class: "charts" }, KINDS.map((kind) => chart(model, kind, samples))),
      h("details", { "data-key": "twin" }, h("summary", null, "The same as a table"),
        table(`The last five minutes of ${model}`, columns, rows(samples), "rows")),
    );
  });
}
