// The connection to the service: the stream of states, orders, and the token, which lives in this tab only.

const KEPT = "fx-token";
const SILENT_MS = 25000; // the service says something every ten seconds
const REST_MS = [200, 500, 1000, 2000, 5000];

export const token = () => sessionStorage.getItem(KEPT);
export const keep = (value) => sessionStorage.setItem(KEPT, value);
export const forget = () => sessionStorage.removeItem(KEPT);

const headers = () => (token() ? { authorization: `Bearer ${token()}` } : {});

async function refusal(answer) {
  let detail = `HTTP ${answer.status}`;
  try {
    detail = (await answer.json()).detail || detail;
  } catch {
    // not JSON: the status has to do
  }
  return Object.assign(new Error(detail), { status: answer.status });
}

/** One request; the answer's JSON. Throws an Error with the service's own words and `status`. */
export async function call(method, path, body) {
  const options = { method, headers: headers(), cache: "no-store" };
  if (body !== undefined) {
    options.headers["content-type"] = "application/json";
    options.body = JSON.stringify(body);
  }
  let answer;
  try {
    answer = await fetch(path, options);
  } catch {
    throw new Error("the service does not answer; nothing is known to have changed");
  }
  if (!answer.ok) throw await refusal(answer);
  return answer.json();
}

async function* lines(reader) {
  const decoder = new TextDecoder();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    rest += decoder.decode(value, { stream: true });
    const parts = rest.split("\n");
    rest = parts.pop();
    yield* parts;
  }
}

async function once(onState, onUp) {
  const stop = new AbortController();
  let timer = setTimeout(() => stop.abort(), SILENT_MS);
  try {
    const answer = await fetch("/console/events", { headers: headers(), cache: "no-store", signal: stop.signal });
    if (!answer.ok) throw await refusal(answer);
    onUp();
    for await (const line of lines(answer.body.getReader())) {
      if (!line.startsWith("data:")) continue;
      clearTimeout(timer);
      timer = setTimeout(() => stop.abort(), SILENT_MS);
      onState(JSON.parse(line.slice(5)));
    }
  } finally {
    clearTimeout(timer);
    stop.abort();
  }
}

/** Follow the service for ever. Where it refuses (401, 403) `onRefused` gives a promise of when to try again. */
export async function follow({ onState, onUp, onDown, onRefused }) {
  let failed = 0;
  for (;;) {
    try {
      await once(onState, () => {
        failed = 0;
        onUp();
      });
      onDown("the service closed the connection");
    } catch (error) {
      if (error.status === 401 || error.status === 403) {
        await onRefused(error.message);
        failed = 0;
        continue;
      }
      onDown(error.name === "AbortError" ? "the service is silent" : error.message);
    }
    await new Promise((resume) => setTimeout(resume, REST_MS[Math.min(failed, REST_MS.length - 1)]));
    failed += 1;
  }
}
