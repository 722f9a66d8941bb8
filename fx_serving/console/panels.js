// The panels around the rollouts: chips of the header, traffic, drift, health and the audit trail.

import { h, number, s, table, time } from "./dom.js";
import { button } from "./rollouts.js";

const chip = (name, good, text) => h("span", { class: `chip ${good ? "good" : "bad"}`, "data-key": name }, text);

/** How the page and the service are. */
export function chips(state, connected) {
  if (!state.caller) return [chip("link", connected, connected ? "connected" : "not connected")];
  const led = state.lease === "held";
  const status = state.health ? state.health.status : "unknown";
  return [
    chip("link", connected, connected ? "live" : "not connected; what is shown may be old"),
    chip("lease", led, led ? "controller leads" : "controller not seen: all on blue"),
    chip("health", status === "ok", `health ${status}`),
    h("span", { class: "chip", "data-key": "caller" }, `${state.caller.name} (${state.caller.role || "no role"})`),
  ];
}

function slotRow(name, slot) {
  return h("tr", { "data-key": name },
    h("th", { scope: "row" }, name),
    h("td", null, slot.version),
    h("td", { class: "number" }, `${number(slot.weight)} %`),
    h("td", { class: "number" }, number(slot.requests, 0)),
    h("td", { class: "number" }, number(slot.errors, 0)),
    h("td", { class: "number" }, number(slot.p99_ms)),
  );
}

function model(name, found, operator) {
  const { blue, green, standby } = found;
  const share = green ? green.weight : 0;
  const told = [
    blue ? `blue, version ${blue.version}, ${number(100 - share)} %` : "no version is deployed",
    green && `green, version ${green.version}, ${number(share)} %`,
  ];
  const said = `${name}: ${told.filter(Boolean).join("; ")}`;
  const rows = [blue && slotRow("blue", blue), green && slotRow("green", green)].filter(Boolean);
  const columns = [
    ["Slot"], ["Version"], ["Share", "number"], ["Requests", "number"], ["Errors", "number"], ["p99 ms", "number"],
  ];
  const only = green && green.instruments ? ` Green is given ${green.instruments.join(", ")} only.` : "";
  const shadow = green && green.shadow ? " Green also scores unseen what blue answers." : "";
  return h(
    "div", { class: "card", "data-key": name },
    h("h3", null, name),
    s("svg", { class: "split", viewBox: "0 0 100 4", preserveAspectRatio: "none", role: "img", "aria-label": said },
      s("rect", { class: "blue", x: 0, y: 0, width: blue ? 100 - share : 0, height: 4 }),
      s("rect", { class: "green", x: 100 - share, y: 0, width: share, height: 4 })),
    h("p", { class: "share", "data-key": "said" },
      h("span", { class: "legend blue" }, `blue ${number(100 - share)} %`), " ",
      green && h("span", { class: "legend green" }, `green ${number(share)} %`), only, shadow),
    table(`Traffic of ${name}`, columns, rows, "slots"),
    standby && h("p", { "data-key": "standby" }, `Version ${standby.version} is held ready`, standby.until && " until ",
      standby.until && time(standby.until), ". ",
      operator && button("restore", `${name} to version ${standby.version}`, { "data-model": name, "data-id": name })),
  );
}

/** Who gets which share. */
export function traffic(state) {
  const names = Object.keys(state.models);
  if (!names.length) {
    return [h("p", { "data-key": "none" }, "No model is deployed. Roll one out: fx rollout start MODEL VERSION")];
  }
  const operator = state.caller && state.caller.role === "operate";
  return names.map((name) => model(name, state.models[name], operator));
}

/** What monitoring last found. */
export function drift(state) {
  if (!state.drift) return [h("p", null, "Not known yet.")];
  const columns = [["Model"], ["Version"], ["Session"], ["Level"], ["Largest PSI", "number"], ["Most drifted"]];
  const rows = Object.entries(state.drift.models).map(([name, found]) => {
    const features = Object.entries(found.features || {}).filter(([, one]) => typeof one.psi === "number");
    const most = features.sort((a, b) => b[1].psi - a[1].psi).slice(0, 3);
    return h("tr", { "data-key": name },
      h("th", { scope: "row" }, name), h("td", null, found.version || "–"), h("td", null, found.session || "–"),
      h("td", null, h("span", { class: `badge ${found.level}` }, found.level || "–")),
      h("td", { class: "number" }, number(found.max_psi, 3)),
      h("td", { class: "why" }, most.map(([feature, one]) => `${feature} ${number(one.psi, 3)}`).join(", ") || "–"),
    );
  });
  return [
    state.drift.note && h("p", { class: "quiet", "data-key": "note" }, `${state.drift.note}.`),
    ...(state.drift.problems || []).map((problem) => h("p", { class: "bad" }, problem)),
    rows.length > 0 && table("Drift of each model", columns, rows, "table"),
  ];
}

/** Each component of the worker that this page talks to. */
export function health(state) {
  if (!state.health) return [h("p", null, "Not known yet.")];
  const rows = Object.entries(state.health.components).map(([name, part]) =>
    h("tr", { "data-key": name },
      h("th", { scope: "row" }, name.replace("_", " ")),
      h("td", null, h("span", { class: `badge ${part.status}` }, part.status)),
      h("td", { class: "why" }, part.reason || "–"),
    ));
  return [
    state.problem && h("p", { class: "bad", "data-key": "problem" }, state.problem),
    table("Health of each component", [["Component"], ["Status"], ["Why"]], rows, "table"),
  ];
}

/** The newest records, and a check of all of them. */
export function audit(state, checked) {
  const columns = [["No", "number"], ["At"], ["Who"], ["Model"], ["What"], ["Why"]];
  const rows = state.audit.map((record) =>
    h("tr", { "data-key": record.seq },
      h("td", { class: "number" }, record.seq),
      h("td", null, time(record.at)),
      h("td", null, record.actor || "–"),
      h("td", null, record.model || "–"),
      h("td", null, record.what),
      h("td", { class: "why" }, record.why,
        Object.keys(record.detail).length > 0 &&
          h("details", { "data-key": "figures" },
            h("summary", null, "Figures"), h("pre", null, JSON.stringify(record.detail, null, 1)))),
    ));
  return [
    h("p", { "data-key": "check" }, h("button", { type: "button", id: "verify" }, "Check the trail"), " ", checked),
    rows.length
      ? table("The newest records of the audit trail", columns, rows, "table")
      : h("p", { "data-key": "none" }, "No record yet."),
  ];
}
