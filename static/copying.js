// Copying: answers as Markdown or as they are shown, and the text of any element, over plain http, too.
// Fetched by parley.js when a `button.copy` is about to be pressed.

const words = /** @type {HTMLElement} */ (document.getElementById("words")).dataset;
const composer = /** @type {HTMLFormElement} */ (document.getElementById("composer"));

/** Texts by their kinds; they may still be on their way. @typedef {Record<string, string | Promise<string>>} Kinds */

/**
 * Copy texts, and tell whether it was done. What cannot be copied is selected.
 * @param {Kinds} kinds
 * @param {Element} source
 */
async function copy(kinds, source) {
  try {
    // Begun at once, with texts that come later: Safari wants it within the click.
    const blobs = Object.entries(kinds).map(([type, text]) => [type, Promise.resolve(text).then((text) => new Blob([text], { type }))]);
    await navigator.clipboard.write([new ClipboardItem(Object.fromEntries(blobs))]);
    return true;
  } catch {
    // A page over plain http has no clipboard; one without a permission or the focus is refused.
  }
  const texts = await Promise.all(Object.entries(kinds).map(async ([type, text]) => [type, await text])).catch(() => []);
  getSelection()?.selectAllChildren(source);
  if (!texts.length || !copyByCommand(texts)) return false;
  getSelection()?.removeAllRanges();
  return true;
}

/** Copy the way that was there before the clipboard. */
function copyByCommand(/** @type {string[][]} */ texts) {
  let copied = false;
  const put = (/** @type {ClipboardEvent} */ event) => {
    for (const [type, text] of texts) event.clipboardData?.setData(type, text);
    event.preventDefault();
    event.stopImmediatePropagation();
    copied = true;
  };
  document.addEventListener("copy", put, true);
  const done = document.execCommand("copy");
  document.removeEventListener("copy", put, true);
  return done && copied;
}

/** Return a text that the page does not hold, or not all of. */
async function fetched(/** @type {string} */ url) {
  const response = await fetch(url);
  if (!response.ok) throw new Error(response.statusText);
  return response.text();
}

/** Return what stands on the page, without the titles of code, a language and a button; with what says that it is not all. */
function shown(/** @type {HTMLElement} */ source) {
  const copy = /** @type {HTMLElement} */ (source.cloneNode(true));
  copy.querySelectorAll(".code-title, button").forEach((one) => one.remove());
  const rest = source.nextElementSibling?.matches(".rest") ? source.nextElementSibling.firstChild?.textContent?.trim() : "";
  const text = /** @type {any} */ (window).textOf(source);
  if (!rest) return { "text/plain": text, "text/html": copy.innerHTML };
  copy.append(document.createElement("p"));
  /** @type {Element} */ (copy.lastElementChild).textContent = rest;
  return { "text/plain": `${text}\n\n${rest}`, "text/html": copy.innerHTML };
}

document.addEventListener("click", async (event) => {
  const button = /** @type {Element} */ (event.target).closest?.("button.copy");
  if (!(button instanceof HTMLButtonElement)) return;
  const answer = button.dataset.copy ? null : button.closest(".answer");
  const source = answer
    ? answer.querySelector(".kept .text") ?? answer.querySelector(".text")
    : document.getElementById(button.dataset.copy ?? "");
  if (!(source instanceof HTMLElement)) return;
  /** @type {Kinds} */
  let kinds = { "text/plain": button.dataset.whole ? fetched(button.dataset.whole) : source.textContent ?? "" };
  const markdown = () => fetched(composer.action.replace(/ask$/, `answers/${answer?.id.replace("answer-", "")}/markdown`));
  if (answer) kinds = button.matches(".copy-shown") ? shown(source) : { "text/plain": markdown() };
  const copied = await copy(kinds, source);
  button.dataset.label ??= button.textContent ?? "";
  // As wide as before, so that its neighbours stay; its padding has room for the word, though not for the sentence.
  if (copied) Object.assign(button.style, { width: `${button.getBoundingClientRect().width}px`, paddingInline: "0", whiteSpace: "nowrap" });
  button.textContent = (copied ? words.copied : words.notCopied) ?? "";
  document.dispatchEvent(new CustomEvent("parley:say", { detail: button.textContent }));
  setTimeout(() => {
    button.textContent = button.dataset.label ?? "";
    Object.assign(button.style, { width: "", paddingInline: "", whiteSpace: "" });
  }, 2000);
});
