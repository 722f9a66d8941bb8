// The dialog that every order passes: what will happen, an optional reason, yes or no.

const part = (id) => document.getElementById(id);

/** Ask; the answer is {reason, share}, or null where it was left. `share` is asked for where a number is given. */
export function ask({ title, text, yes, share }) {
  const dialog = part("ask");
  const form = part("ask-form");
  part("ask-title").textContent = title;
  part("ask-text").textContent = text;
  part("ask-yes").textContent = yes;
  part("reason").value = "";
  const wanted = share !== undefined;
  part("share-line").hidden = !wanted;
  part("share").required = wanted;
  part("share").disabled = !wanted;
  part("share").value = wanted ? String(share) : "";
  return new Promise((resolve) => {
    let answer = null;
    const leave = () => dialog.close();
    const agree = (event) => {
      event.preventDefault();
      answer = { reason: part("reason").value.trim(), share: wanted ? Number(part("share").value) : undefined };
      dialog.close();
    };
    const closed = () => {
      form.removeEventListener("submit", agree);
      part("ask-no").removeEventListener("click", leave);
      resolve(answer);
    };
    form.addEventListener("submit", agree);
    part("ask-no").addEventListener("click", leave);
    dialog.addEventListener("close", closed, { once: true });
    dialog.showModal();
    part(wanted ? "share" : "reason").focus();
  });
}
