// The console: takes in what the service tells, shows it, and sends orders once they are confirmed.

import { ask } from "./ask.js";
import { charts } from "./charts.js";
import { show } from "./dom.js";
import { audit, chips, drift, health, traffic } from "./panels.js";
import { ORDERS, rollouts } from "./rollouts.js";
import { empty, merge } from "./state.js";
import { call, follow, forget, keep, token } from "./stream.js";

let state = empty();
let connected = false;
let checked = "";
const part = (id) => document.getElementById(id);

function say(text) {
  // The same again would be read out again.
  if (text && part("said").textContent !== text) part("said").textContent = text;
}

/** Where the button that was used is gone, stay at what it was for. */
function stay(pressed) {
  if (!pressed.isConnected) (part(`title-${pressed.dataset.id}`) || part("main")).focus({ preventScroll: true });
}

function complain(text) {
  part("trouble").textContent = text;
  part("trouble").hidden = !text;
}

function render() {
  const had = document.activeElement;
  show("chips", chips(state, connected));
  show("traffic", traffic(state));
  show("rollouts", rollouts(state));
  show("charts", charts(state));
  show("drift", drift(state));
  show("health", health(state));
  show("audit", audit(state, checked));
  part("forget").hidden = !token();
  if (had && had.dataset && had.dataset.order) stay(had);
}

function request({ order, id, model }, reason, share) {
  const body = reason ? { reason } : {};
  if (order === "restore") return call("POST", `/models/${encodeURIComponent(model)}/rollback`, body);
  if (order === "share") return call("PUT", "/traffic", { model, blue: 100 - share, green: share, ...body });
  return call("POST", `/rollouts/${encodeURIComponent(id)}/${order}`, body);
}

async function carryOut(pressed) {
  const { order, id, model } = pressed.dataset;
  const [name, text] = ORDERS[order];
  const rollout = state.rollouts[id];
  const about = rollout ? `${model} version ${rollout.version}` : model;
  const share = order === "share" ? rollout.weight : undefined;
  const answer = await ask({ title: `${name}: ${about}?`, text, yes: name, share });
  stay(pressed);
  if (!answer) return;
  complain("");
  try {
    await request({ order, id, model }, answer.reason, answer.share);
    say(`${name}: ${about}. Done.`);
  } catch (error) {
    complain(`${name}: ${about}: ${error.message}`);
  }
}

async function verify() {
  try {
    const found = await call("GET", "/audit/verify");
    checked = found.whole
      ? `The trail is whole: ${found.records} records.`
      : `The trail is broken at record ${found.seq}: ${found.why}`;
  } catch (error) {
    checked = error.message;
  }
  say(checked);
  render();
}

/** Ask for a token; resolves when one was given. */
function tokenWanted(why) {
  connected = false;
  forget();
  render();
  complain(why);
  part("token-form").hidden = false;
  part("token").focus();
  return new Promise((resume) => {
    part("token-form").addEventListener("submit", (event) => {
      event.preventDefault();
      keep(part("token").value.trim());
      part("token").value = "";
      part("token-form").hidden = true;
      complain("");
      resume();
    }, { once: true });
  });
}

document.addEventListener("click", (event) => {
  const pressed = event.target.closest("button");
  if (!pressed) return;
  if (pressed.dataset.order) carryOut(pressed);
  else if (pressed.id === "verify") verify();
  else if (pressed.id === "forget") {
    forget();
    location.reload();
  }
});

render();
follow({
  onState(event) {
    const [next, said] = merge(state, event);
    state = next;
    say(said);
    render();
  },
  onUp() {
    connected = true;
    complain("");
  },
  onDown(why) {
    say(`Not connected: ${why}. It is tried again.`);
    connected = false;
    render();
  },
  onRefused: tokenWanted,
});
