// What the service has told so far, and what of it is worth saying aloud.

const SAMPLES = 300;
export const FINISHED = new Set(["succeeded", "rolled_back", "failed", "aborted", "superseded", "concluded"]);

export function empty() {
  return {
    caller: null, now: null, lease: null, models: {}, rollouts: {}, order: [], series: {}, health: null, drift: null,
    audit: [], problem: null,
  };
}

/** One line about a rollout, as it is said when it changes. */
export function summary(rollout) {
  const words = [`${rollout.model} version ${rollout.version}: ${rollout.state.replace("_", " ")}`];
  if (!FINISHED.has(rollout.state)) words.push(`${rollout.weight} % of the traffic`);
  if (rollout.paused) words.push("paused");
  if (rollout.awaiting) words.push(`waits for ${rollout.awaiting === "approval" ? "an approval" : "evidence"}`);
  return words.join(", ");
}

/** Take in an event; gives the new state, and what to say about it ("": nothing). A first event holds everything. */
export function merge(before, event) {
  const first = "caller" in event;
  const lease = before.lease;
  const state = first ? empty() : before;
  const said = [];
  for (const [id, rollout] of Object.entries(event.rollouts || {})) {
    const last = before.rollouts[id];
    if (last ? summary(last) !== summary(rollout) : !first) said.push(summary(rollout));
    state.rollouts[id] = rollout;
  }
  for (const [model, samples] of Object.entries(event.series || {})) {
    state.series[model] = [...(state.series[model] || []), ...samples].slice(-SAMPLES);
  }
  for (const name of ["caller", "now", "lease", "models", "order", "health", "drift", "audit", "problem"]) {
    if (name in event) state[name] = event[name];
  }
  for (const id of Object.keys(state.rollouts)) {
    if (!state.order.includes(id)) delete state.rollouts[id];
  }
  if (lease && lease !== state.lease) {
    said.push(state.lease === "held" ? "the controller is back" : "the controller is not seen: all traffic is on blue");
  }
  return [state, said.join(". ")];
}
