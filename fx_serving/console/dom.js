// Building elements, and bringing what is shown in line with them without losing focus, scrolling or open details.

const SVG = "http://www.w3.org/2000/svg";

function make(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    element.setAttribute(name, value === true ? "" : String(value));
  }
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false || child === "") continue;
    element.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
  return element;
}

/** An HTML element. Text is never parsed as HTML. */
export const h = (tag, attributes, ...children) => make(document.createElement(tag), attributes, children);

/** An SVG element. */
export const s = (tag, attributes, ...children) => make(document.createElementNS(SVG, tag), attributes, children);

function patch(have, want) {
  if (have.nodeType === Node.TEXT_NODE) {
    if (have.nodeValue !== want.nodeValue) have.nodeValue = want.nodeValue;
    return;
  }
  for (const { name, value } of want.attributes) {
    if (have.getAttribute(name) !== value) have.setAttribute(name, value);
  }
  for (const { name } of [...have.attributes]) {
    // Whether a <details> is open is the reader's affair.
    if (!want.hasAttribute(name) && name !== "open") have.removeAttribute(name);
  }
  morph(have, [...want.childNodes]);
}

/** Make the children of `parent` equal to `wanted`, keeping those that are there (found by data-key, else by place). */
export function morph(parent, wanted) {
  const keyed = new Map();
  for (const child of parent.childNodes) {
    if (child.dataset && child.dataset.key) keyed.set(child.dataset.key, child);
  }
  // What goes is taken out first, so that what stays need not be moved: a moved element loses the focus.
  const kept = new Set(wanted.map((want) => want.dataset && want.dataset.key));
  for (const [key, child] of keyed) {
    if (!kept.has(key)) child.remove();
  }
  let place = parent.firstChild;
  for (const want of wanted) {
    const key = want.dataset && want.dataset.key;
    let have = key ? keyed.get(key) : place;
    if (have && (have.nodeName !== want.nodeName || (!key && have.dataset && have.dataset.key))) have = null;
    if (!have) {
      parent.insertBefore(want, place);
      continue;
    }
    if (have === place) place = place.nextSibling;
    else parent.insertBefore(have, place);
    patch(have, want);
  }
  while (place) {
    const gone = place;
    place = place.nextSibling;
    gone.remove();
  }
}

/** Show these nodes in the element with that id. */
export function show(id, ...nodes) {
  morph(document.getElementById(id), nodes.flat(Infinity).filter(Boolean));
}

/** A table in a box that scrolls by itself; columns are [title, kind] with kind "number" or nothing. */
export function table(caption, columns, rows, key) {
  const head = h("tr", null, columns.map(([title, kind]) => h("th", { scope: "col", class: kind }, title)));
  return h(
    "div", { class: "scroll", tabindex: 0, role: "region", "aria-label": caption, "data-key": key },
    h("table", null, h("caption", { class: "unseen" }, caption), h("thead", null, head), h("tbody", null, rows)),
  );
}

export const number = (value, digits = 1) =>
  value === null || value === undefined ? "–" : Number(value).toLocaleString("en", { maximumFractionDigits: digits });

export const percent = (value, digits = 1) =>
  value === null || value === undefined ? "–" : `${number(value * 100, digits)} %`;

/** A time of the service as the reader's clock shows it; the whole of it in the title. */
export function time(text) {
  if (!text) return "–";
  const at = new Date(text);
  const day = at.toDateString() === new Date().toDateString() ? "" : `${at.toLocaleDateString("en-CA")} `;
  const said = day + at.toLocaleTimeString("en-GB");
  return h("time", { datetime: text, title: text }, said);
}
