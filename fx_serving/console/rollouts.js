// Rollouts: the running ones as cards with steps, gates and buttons, the finished ones as a table.

import { h, number, percent, table, time } from "./dom.js";
import { FINISHED } from "./state.js";

const LIVE = new Set(["canary", "baking"]);
const GATES = {
  errors: ["errors", (value) => percent(value, 2)],
  p99: ["99th percentile", (value) => (value === null ? "–" : `${number(value)} ms`)],
  latency_ratio: ["slower than blue", (value) => (value === null ? "–" : `${number(value, 2)} x`)],
  distribution: ["predictions shifted", (value) => number(value, 3)],
  sharpe: ["Sharpe drop", (value) => percent(value)],
  brier: ["Brier rise", (value) => number(value, 4)],
};
export const ORDERS = {
  pause: ["Pause", "It goes no further and the traffic stays as it is. A failing gate still takes the traffic back."],
  resume: ["Resume", "It goes on: the running step begins anew, with its own share."],
  approve: ["Approve", "The step that waits for this begins."],
  promote: ["Promote", "What is left of the steps is skipped: the candidate answers everything from now on."],
  share: ["Set share", "The traffic is split by hand and the rollout pauses."],
  abort: ["Abort", "The rollout ends and all traffic goes back to the deployed version."],
  rollback: ["Roll back", "All traffic goes to the version before."],
  restore: ["Go back", "The version before answers everything again, at once."],
};

/** What may be ordered of a rollout now. */
export function possible(rollout, models) {
  const { state, paused } = rollout;
  if (FINISHED.has(state)) {
    const now = models[rollout.model];
    const held = now && now.standby && now.blue && now.blue.version === rollout.version;
    return state === "succeeded" && held && now.standby.version === rollout.from_version ? ["rollback"] : [];
  }
  const may = [];
  if (rollout.awaiting === "approval") may.push("approve");
  if (paused) may.push("resume");
  else if (state !== "finalizing") may.push("pause");
  if (LIVE.has(state) && !rollout.dry_run) may.push("share", "promote");
  if (state !== "finalizing") may.push("abort");
  if (LIVE.has(state) || (state === "finalizing" && rollout.from_version)) may.push("rollback");
  return may;
}

/** A button that asks first; `about` names what it is for to those who do not see where it stands. */
export function button(order, about, attributes) {
  const [name] = ORDERS[order];
  const strong = order === "approve" || order === "resume";
  return h(
    "button",
    {
      type: "button", "data-order": order, "data-key": `${order}-${about}`, "aria-label": `${name}: ${about}`,
      class: strong ? "strong" : null, ...attributes,
    },
    name,
  );
}

const buttons = (rollout, state) => {
  const may = state.caller && state.caller.role === "operate" ? possible(rollout, state.models) : [];
  const about = `${rollout.model} version ${rollout.version}`;
  return may.map((order) => button(order, about, { "data-id": rollout.id, "data-model": rollout.model }));
};

const words = (text) => text.replace("_", " ");

const waits = (rollout) => `waits for ${rollout.awaiting === "approval" ? "an approval" : "evidence"}`;

function badges(rollout) {
  return [
    h("span", { class: `badge ${rollout.state}` }, words(rollout.state)),
    rollout.paused && h("span", { class: "badge waiting" }, "paused"),
    rollout.awaiting && h("span", { class: "badge waiting" }, waits(rollout)),
    rollout.kind === "ab" && h("span", { class: "badge" }, "experiment"),
    rollout.dry_run && h("span", { class: "badge" }, "dry run"),
  ];
}

/** The policy's steps as a line: those behind, the running one, those to come. */
function ladder(rollout) {
  if (rollout.kind === "ab" || rollout.dry_run || !rollout.from_version) return null;
  const passed = rollout.steps.filter((step) => step.outcome === "passed").length;
  const items = rollout.policy.steps.map((step, index) => {
    const running = index === passed && LIVE.has(rollout.state);
    const done = index < passed || rollout.state === "finalizing" || rollout.state === "succeeded";
    const what = done ? "passed" : running ? "now" : step.approval ? "needs approval" : "to come";
    const list = Array.isArray(step.instruments) ? step.instruments.join(", ") : `${step.instruments} instruments`;
    const on = step.instruments && list;
    return h(
      "li", { class: done ? "done" : running ? "now" : null, "aria-current": running ? "step" : null },
      h("b", null, `${number(step.weight)} %`), h("small", null, what), on && h("small", null, on),
    );
  });
  return h("ol", { class: "ladder", "aria-label": "Steps", "data-key": "ladder" }, items);
}

function steps(rollout) {
  const columns = [
    ["Share", "number"], ["Instruments"], ["Began"], ["Not over before"], ["Requests", "number"], ["Errors", "number"],
    ["p99 ms", "number"], ["Outcome"],
  ];
  const rows = rollout.steps.map((step) =>
    h("tr", null,
      h("td", { class: "number" }, `${number(step.weight)} %`),
      h("td", null, step.instruments ? step.instruments.join(", ") : "all"),
      h("td", null, time(step.started_at)),
      h("td", null, step.ended_at ? "–" : time(step.ends_not_before)),
      h("td", { class: "number" }, `${number(step.requests, 0)} (needs ${number(step.min_requests, 0)})`),
      h("td", { class: "number" }, `${number(step.errors, 0)} (${percent(step.error_rate, 2)})`),
      h("td", { class: "number" }, number(step.p99_ms)),
      h("td", null, step.outcome ? words(step.outcome) : "running"),
    ));
  const caption = `Evidence of each step of ${rollout.model} ${rollout.version}`;
  return rows.length ? table(caption, columns, rows, "steps") : null;
}

function gates(rollout) {
  const columns = [["Gate"], ["Verdict"], ["Value", "number"], ["Limit", "number"], ["Samples", "number"], ["Why"]];
  const rows = rollout.gates.map((gate) => {
    const needed = gate.needed ? ` (needs ${number(gate.needed, 0)})` : "";
    const [name, form] = GATES[gate.gate] || [gate.gate, (value) => number(value, 3)];
    return h("tr", null,
      h("th", { scope: "row" }, name),
      h("td", null, h("span", { class: `badge ${gate.verdict}` }, gate.verdict)),
      h("td", { class: "number" }, form(gate.value)),
      h("td", { class: "number" }, form(gate.limit)),
      h("td", { class: "number" }, number(gate.n, 0) + needed),
      h("td", { class: "why" }, gate.why),
    );
  });
  return rows.length ? table(`Gates of ${rollout.model} ${rollout.version}`, columns, rows, "gates") : null;
}

function history(rollout) {
  const items = rollout.events.map((event) =>
    h("li", null, time(event.at), " ", h("b", null, event.what), ` by ${event.actor}: ${event.why}`));
  const summary = h("summary", null, `History (${items.length})`);
  return h("details", { "data-key": "history" }, summary, h("ol", { class: "history" }, items));
}

function suite(rollout) {
  if (!rollout.suite) return null;
  const { passed, total, failures } = rollout.suite;
  return h("p", { "data-key": "suite" }, `Smoke test: ${passed} of ${total} cases passed.`,
    failures.length > 0 && h("ul", null, failures.map((failure) => h("li", null, failure))));
}

function verdict(rollout) {
  if (!rollout.verdict) return null;
  const { winner, why } = rollout.verdict;
  return h("p", { "data-key": "verdict" }, h("b", null, `Verdict: ${winner || "none"}. `), why || "");
}

function card(rollout, state) {
  const title = `title-${rollout.id}`;
  return h(
    "article", { class: "card", "data-key": rollout.id, "aria-labelledby": title },
    h("h3", { id: title, tabindex: -1 },
      `${rollout.model}: version ${rollout.from_version || "none"} to ${rollout.version} `, badges(rollout)),
    h("p", { class: "quiet" }, `${number(rollout.weight)} % of the traffic. Begun `, time(rollout.created_at),
      ` by ${rollout.actor}. Rollout ${rollout.id}.`),
    ladder(rollout),
    h("div", { class: "buttons", "data-key": "buttons" }, buttons(rollout, state)),
    suite(rollout),
    h("h4", { "data-key": "gates-title" }, "Gates"),
    gates(rollout) || h("p", { class: "quiet", "data-key": "no-gates" }, "Nothing to judge yet."),
    h("h4", { "data-key": "steps-title" }, "Steps"),
    steps(rollout) || h("p", { class: "quiet", "data-key": "no-steps" }, "No step has begun."),
    verdict(rollout),
    history(rollout),
  );
}

function finished(list, state) {
  if (!list.length) return null;
  const columns = [["Model"], ["Version"], ["State"], ["Ended"], ["Why"], ["Order"]];
  const rows = list.map((rollout) =>
    h("tr", { "data-key": rollout.id },
      h("td", null, rollout.model),
      h("td", null, `${rollout.from_version || "none"} to ${rollout.version}`),
      h("td", null, badges(rollout)),
      h("td", null, time(rollout.finished_at)),
      h("td", { class: "why" }, rollout.reason || "", verdict(rollout), history(rollout)),
      h("td", null, buttons(rollout, state)),
    ));
  return [h("h3", { "data-key": "finished-title" }, "Finished"), table("Finished rollouts", columns, rows, "finished")];
}

/** Everything about rollouts. */
export function rollouts(state) {
  const all = state.order.map((id) => state.rollouts[id]).filter(Boolean);
  const running = all.filter((rollout) => !FINISHED.has(rollout.state));
  return [
    !running.length && h("p", { "data-key": "none" }, "No rollout runs. Start one: fx rollout start MODEL VERSION"),
    running.map((rollout) => card(rollout, state)),
    finished(all.filter((rollout) => FINISHED.has(rollout.state)), state),
  ];
}
