// What HTML and htmx cannot do on their own: keys, focus, scrolling, and telling the other tabs.
// Loaded at the end of the page, after htmx; without it every form still works.

const composer = /** @type {HTMLFormElement} */ (document.getElementById("composer"));
const question = /** @type {HTMLTextAreaElement} */ (document.getElementById("question"));
const notice = /** @type {HTMLElement} */ (document.getElementById("notice"));
const panel = /** @type {HTMLDialogElement} */ (document.getElementById("panel"));
const panelBody = /** @type {HTMLElement} */ (document.getElementById("panel-body"));
const touch = matchMedia("(pointer: coarse)");

document.documentElement.classList.add("scripted");

// --- Writing ---

question.addEventListener("keydown", (event) => {
  // The Enter that picks an input method's candidate is no send: `isComposing` says so, and in Safari,
  // where the composition has just ended, only keyCode 229 does.
  if (event.key !== "Enter" || event.shiftKey || event.isComposing || event.keyCode === 229) return;
  if (touch.matches) return; // A phone's return key is a new line; Send is the button.
  event.preventDefault();
  composer.requestSubmit();
});

// A draft outlives a reload, in this tab.
const draft = `draft ${composer.action}`;
question.value ||= sessionStorage.getItem(draft) ?? "";
question.addEventListener("input", () => {
  sessionStorage.setItem(draft, question.value);
  notice.replaceChildren();
});

// What stands in the box already is estimated as if it had just been typed.
addEventListener("load", () => question.value && !notice.hasChildNodes() && question.dispatchEvent(new Event("input")));

/** Let the box grow with its text, where CSS alone does not (`field-sizing`). */
function grow() {
  if (CSS.supports("field-sizing", "content")) return;
  question.style.height = "auto";
  question.style.height = `${question.scrollHeight}px`;
}
question.addEventListener("input", grow);

// --- Sending ---

let sent = "";
// What changes nothing in the conversation, such as reading aloud. Not by the event's target: where the element that
// asked is gone by the time of the answer, as an estimate's is when a turn ends, the event is the document's.
const aside = (/** @type {any} */ event) => event.detail.ctx?.sourceElement?.matches("[data-aside]");

composer.addEventListener("htmx:config:request", (event) => {
  if (event.target === composer) sent = question.value;
});

composer.addEventListener("htmx:after:request", (/** @type {any} */ event) => {
  if (event.target !== composer || event.detail.ctx.response.status >= 400) return;
  // What was typed while the question was on its way stays.
  if (question.value.startsWith(sent)) question.value = question.value.slice(sent.length);
  sessionStorage.setItem(draft, question.value);
  grow();
  atEnd = true;
});

document.addEventListener("htmx:after:request", (/** @type {any} */ event) => {
  const { request, response } = event.detail.ctx;
  if (request.method === "POST" && response.status < 400 && !aside(event)) tell();
});

document.addEventListener("htmx:after:swap", (/** @type {any} */ event) => {
  if (event.detail.ctx.request?.method !== "POST" || panel.open) return;
  // The focus that a button took with it goes to what took its place.
  if (aside(event)) document.activeElement === document.body && event.target.querySelector?.("audio")?.focus({ preventScroll: true });
  // On a phone the focus would bring the keyboard back, over the answer.
  else if (!touch.matches && !inTurn(event.detail.ctx.sourceElement)) question.focus();
});

/** Tell whether a button changed its own turn without a question, and keep the focus there. */
function inTurn(/** @type {Element | undefined} */ source) {
  const turn = source?.getAttribute("action")?.match(/turns\/([^/]+)\/(keep|leave-out|take-back)/)?.[1];
  if (turn) document.querySelector(`#turn-${CSS.escape(turn)} .outcome-actions :is(button, a)`)?.focus({ preventScroll: true });
  return Boolean(turn);
}

document.addEventListener("htmx:error", (/** @type {any} */ event) => {
  if (event.detail.ctx?.sourceElement?.id === "estimate") return; // It comes again with the next letter.
  if (event.detail.ctx?.request.method === "POST" && !event.detail.ctx.response) {
    const note = /** @type {HTMLTemplateElement} */ (document.getElementById("unreachable"));
    // Over the page, the panel has a place of its own for it.
    (panelBody.querySelector(".panel-notice") ?? notice).replaceChildren(note.content.cloneNode(true));
  }
});

// The box keeps the focus that would go with Stop.
document.addEventListener("htmx:before:swap", (/** @type {any} */ event) => {
  const goes = event.detail.tasks.some((/** @type {any} */ task) => task.target?.id === "actions");
  if (goes && document.activeElement?.id === "stop") question.focus();
});

// --- The panel ---

document.addEventListener("htmx:after:swap", () => {
  // What a form in the panel did is done when the answer empties it.
  if (panel.open && !panelBody.firstElementChild) panel.close();
  else if (!panel.open && panelBody.firstElementChild) {
    document.querySelectorAll("[popover]").forEach((/** @type {any} */ one) => one.hidePopover());
    panel.showModal();
  }
});
panel.addEventListener("close", () => panelBody.replaceChildren());
panel.addEventListener("click", (event) => event.target === panel && mayLeave(event) && panel.close()); // beside it

// A form with `data-unsaved` is left only knowingly once something was typed into it.
let typed = /** @type {HTMLElement | null} */ (null);
panelBody.addEventListener("input", (event) => {
  typed = /** @type {HTMLElement} */ (event.target).closest("[data-unsaved]");
});
/** @param {Event} event */
function mayLeave(event) {
  const leave = !typed || !panelBody.firstElementChild || confirm(typed.dataset.unsaved);
  if (!leave) event.preventDefault();
  return leave;
}
panel.addEventListener("cancel", mayLeave); // Esc
panel.querySelector(".panel-close")?.addEventListener("submit", mayLeave);
panel.addEventListener("close", () => (typed = null));

// --- Copying ---

// Told to those who hear the page. One in the panel, too: while that is open, nothing outside of it is read.
for (const place of [document.body, panel]) {
  const teller = document.createElement("p");
  teller.className = "unseen told";
  teller.role = "status";
  place.append(teller);
}

/** Copy the way that also a page over plain http can, which has no clipboard: from a box with the text, selected. */
function copyFromBox(/** @type {string} */ text, /** @type {Element} */ place) {
  const box = document.createElement("textarea");
  const before = /** @type {HTMLElement | null} */ (document.activeElement);
  box.value = text;
  box.readOnly = true; // No keyboard on a phone.
  box.className = "unseen";
  place.append(box);
  box.focus({ preventScroll: true });
  box.select();
  const copied = document.execCommand("copy");
  box.remove();
  before?.focus({ preventScroll: true });
  return copied;
}

document.addEventListener("click", async (event) => {
  const button = /** @type {Element} */ (event.target).closest?.("button.copy");
  const source = button instanceof HTMLButtonElement && document.getElementById(button.dataset.copy ?? "");
  if (!source) return;
  const place = button.closest("dialog") ?? document.body;
  const text = source.textContent ?? "";
  // Without a permission, or while another window has the focus, the clipboard refuses.
  const copied = (await navigator.clipboard?.writeText(text).then(() => true, () => false)) || copyFromBox(text, place);
  if (!copied) getSelection()?.selectAllChildren(source);
  const said = (copied ? button.dataset.copied : button.dataset.notCopied) ?? "";
  const teller = /** @type {HTMLElement} */ (place.querySelector(":scope > .told"));
  button.dataset.label ??= button.textContent ?? "";
  button.textContent = teller.textContent = said;
  setTimeout(() => {
    button.textContent = button.dataset.label ?? "";
    teller.textContent = "";
  }, 2000);
});

// --- A lost connection ---

document.addEventListener("htmx:sse:error", (/** @type {any} */ event) => {
  if (!event.target.matches?.(".following")) return; // It is gone from the page; the event is the document's then.
  event.target.dataset.followed ??= event.target.textContent;
  event.target.textContent = event.target.dataset.lost;
});
// The extension connects again only where it was connected once; a first connection that fails is begun anew.
document.addEventListener("htmx:error", (/** @type {any} */ event) => {
  if (!event.target.matches?.(".following")) return;
  const fresh = event.target.cloneNode(true);
  fresh.dataset.followed ??= fresh.textContent;
  fresh.textContent = fresh.dataset.lost;
  event.target.replaceWith(fresh);
  setTimeout(() => htmx.process(fresh), 500);
});
document.addEventListener("htmx:sse:after:connection", (/** @type {any} */ event) => {
  if (!event.target.dataset?.followed) return;
  event.target.textContent = event.target.dataset.followed;
  notice.replaceChildren();
});

// --- Other tabs ---

const tabs = new BroadcastChannel("parley");
const tell = () => tabs.postMessage("changed");
const reload = () =>
  htmx.ajax("GET", location.pathname, {
    target: "#conversation",
    select: "#conversation",
    selectOOB: "#actions,#parameters-line,#totals,#estimate,#model",
    swap: "outerHTML",
  });

tabs.addEventListener("message", reload);
addEventListener("pageshow", (event) => event.persisted && reload());

// An answer that cannot be followed any more (cleared in another browser, say) is shown as it is now.
for (const name of ["htmx:sse:error", "htmx:response:error"]) {
  document.addEventListener(name, (/** @type {any} */ event) => {
    const status = event.detail.status ?? event.detail.ctx?.response.status;
    if (event.target.matches?.(".following") && status === 404) reload();
  });
}

// --- Scrolling: the page follows the answer only while the reader is at its end ---

let atEnd = true;
let lastY = 0;
const end = () => scrollTo({ top: document.documentElement.scrollHeight });

addEventListener("scroll", () => {
  // Only a reader scrolls up; text that grew since the last scroll leaves the end behind, too.
  if (innerHeight + scrollY >= document.documentElement.scrollHeight - 48) atEnd = true;
  else if (scrollY < lastY) atEnd = false;
  lastY = scrollY;
}, { passive: true });
new ResizeObserver(() => atEnd && end()).observe(document.body);

grow();
end();
