// What HTML and htmx cannot do on their own: keys, focus, scrolling, and telling the other tabs.
// Loaded after htmx; without it every form still works.

/** @returns {any} an element that the page has, of the type it is taken for */
const byId = (/** @type {string} */ id) => document.getElementById(id);
/** @type {HTMLFormElement} */ const composer = byId("composer");
/** @type {HTMLTextAreaElement} */ const question = byId("question");
/** @type {HTMLElement} */ const notice = byId("notice");
/** @type {HTMLDialogElement} */ const panel = byId("panel");
/** @type {HTMLElement} */ const panelBody = byId("panel-body");
const touch = matchMedia("(pointer: coarse)");
/** @type {(name: string, act: (event: any) => unknown) => void} */
const on = (name, act) => document.addEventListener(name, act);

document.documentElement.classList.add("scripted");

/** @returns {any} what a browser keeps; nothing beyond this page where it is told to keep nothing */
function kept(/** @type {"sessionStorage" | "localStorage"} */ where) {
  try {
    return window[where];
  } catch {
    return {};
  }
}
const tab = kept("sessionStorage");

// --- Writing ---

/** Tell whether a key is an input method's; Safari, where the composition has just ended, says so by 229 alone. */
const composing = (/** @type {KeyboardEvent} */ event) => event.isComposing || event.keyCode === 229;

document.addEventListener("keydown", (event) => {
  const { target: field, key, shiftKey, ctrlKey, metaKey } = /** @type {any} */ (event);
  if (key !== "Enter") return;
  if (composing(event)) {
    event.stopImmediatePropagation(); // It picks a candidate, in whatever field; nothing is sent,
    if (field.matches("input")) event.preventDefault(); // not by the browser either.
  } else if (field.dataset.enter && !shiftKey && (!touch.matches || ctrlKey || metaKey)) {
    event.preventDefault(); // A phone's return key is a new line; Send is the button.
    field.form.requestSubmit();
  }
}, true);

// A draft outlives a reload, in this tab, until the server has taken it. An edited question has its own.
// By the page and not the conversation: where that is gone, what was typed is not.
const draftOf = (/** @type {HTMLTextAreaElement} */ field) => `draft ${field === question ? location.pathname : field.form?.action}`;
function keepDraft(/** @type {HTMLTextAreaElement} */ field) {
  if (field.value) tab[draftOf(field)] = field.value;
  else delete tab[draftOf(field)];
}
question.value ||= tab[draftOf(question)] ?? "";
on("focusin", ({ target }) => {
  if (target === question || !target.dataset?.enter) return;
  target.value = tab[draftOf(target)] ?? target.value;
  if (target.autofocus) target.setSelectionRange(target.value.length, target.value.length);
  target.autofocus = false; // Who comes back finds the caret where it was.
});
on("input", ({ target }) => target.dataset.enter && keepDraft(target));
on("click", ({ target }) => {
  const field = target.matches?.(".cancel") && writtenIn(target.closest("form"));
  if (field) delete tab[draftOf(field)]; // Given up.
});
question.addEventListener("input", () => notice.replaceChildren());

// What stands in the box already is estimated as if it had just been typed; by each new place for it, too.
let place = byId("estimate");
const estimate = () => question.value && !notice.hasChildNodes() && question.dispatchEvent(new Event("input"));
addEventListener("load", estimate);
on("htmx:after:swap", () => place !== (place = byId("estimate")) && estimate());

/** Let the box grow with its text where CSS does not. */
function grow() {
  if (CSS.supports("field-sizing", "content")) return;
  question.style.height = "auto";
  question.style.height = `${question.scrollHeight}px`;
}
question.addEventListener("input", grow);

// Safari's keyboard covers the page.
for (const name of ["resize", "scroll"]) visualViewport?.addEventListener(name, () => {
  const { height, offsetTop, scale } = /** @type {VisualViewport} */ (visualViewport);
  document.body.style.setProperty("--keyboard", scale > 1 ? "0px" : `${Math.max(0, innerHeight - height - offsetTop)}px`);
});

// --- Sending ---

let sent = "";
// What changes nothing in the conversation, such as reading aloud. The event's target is the document where what asked is gone.
const aside = (/** @type {any} */ event) => event.detail.ctx?.sourceElement?.matches("[data-aside]");

const writtenIn = (/** @type {any} */ form) => form.matches?.("form") && form.querySelector("textarea[data-enter]");

on("htmx:config:request", ({ target }) => (sent = writtenIn(target)?.value ?? sent));

on("htmx:after:request", (event) => {
  const field = writtenIn(event.target);
  const { response, text } = event.detail.ctx;
  // Others may answer in the server's place; what was taken comes back as a turn.
  if (!field || response.status >= 400 || !text.includes('id="turn-')) return;
  // What was typed while the question was on its way stays.
  if (field.value.startsWith(sent)) field.value = field.value.slice(sent.length);
  keepDraft(field);
  grow();
  following = true;
});

on("htmx:after:request", (event) => {
  const { request, response } = event.detail.ctx;
  if (request.method === "POST" && response.status < 400 && !aside(event)) tell();
});

on("htmx:after:swap", (event) => {
  if (event.detail.ctx.request?.method !== "POST" || panel.open) return;
  // The focus that a button took with it goes to what took its place.
  if (aside(event)) document.activeElement === document.body && event.target.querySelector?.("audio")?.focus({ preventScroll: true });
  // On a phone the focus would bring the keyboard back, over the answer.
  else if (!inTurn(event.detail.ctx.request) && !touch.matches) question.focus();
});

/** What takes the place of a button that changes a turn without a question. @type {Record<string, string>} */
const successors = { keep: ".kept .choice-kept", "leave-out": ".take-back", "take-back": ".leave-out", answer: "", version: "" };
const changed = (/** @type {any} */ request) =>
  request?.action?.match(`turns/([^/]+)/(${Object.keys(successors).join("|")})`) ?? [];

/** Tell whether a button changed a turn without a question, and keep the focus there. */
function inTurn(/** @type {any} */ request) {
  const [, turn, change] = changed(request);
  if (!turn) return false;
  // A pager's buttons have ids; one that leads no further gives the focus to the other.
  const id = request.submitter?.id;
  const there = id ? `#${id}:enabled, #${id}:disabled ~ button, button:has(~ #${id}:disabled)` : `#turn-${turn} ${successors[change]}`;
  /** @type {HTMLElement | null} */ (document.querySelector(there))?.focus({ preventScroll: true });
  return true;
}

on("htmx:error", (event) => {
  if (event.detail.ctx?.sourceElement?.id === "estimate") return; // It comes again with the next letter.
  if (event.detail.ctx?.request.method === "POST" && !event.detail.ctx.response) unreachable();
});
function unreachable() {
  (panelBody.querySelector(".panel-notice") ?? notice).replaceChildren(byId("unreachable").content.cloneNode(true));
}

// The box keeps the focus that would go with Stop.
on("htmx:before:swap", (event) => {
  const goes = event.detail.tasks.some((/** @type {any} */ task) => task.target?.id === "actions");
  if (goes && document.activeElement?.id === "stop") question.focus();
});

// --- The panel ---

on("htmx:after:swap", () => {
  // What a form in the panel did is done when the answer empties it.
  if (panel.open && !panelBody.firstElementChild) panel.close();
  else if (!panel.open && panelBody.firstElementChild) {
    panel.showModal();
    history.pushState("panel", ""); // The browser's Back closes it.
  }
});
panel.addEventListener("close", () => {
  panelBody.replaceChildren();
  if (history.state === "panel") history.back();
});
addEventListener("popstate", (event) => {
  if (panel.open && mayLeave(event)) panel.close();
  else if (panel.open) history.pushState("panel", "");
});
history.scrollRestoration = "manual"; // Going back from a panel leaves the page where it is.
if (history.state === "panel") history.back(); // Loaded again, the page is without it.
panel.addEventListener("click", (event) => event.target === panel && mayLeave(event) && panel.close()); // beside it

// A form with `data-unsaved` is left only knowingly once it was typed into.
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
addEventListener("beforeunload", (event) => typed && panelBody.firstElementChild && event.preventDefault());

// --- Saying ---

const words = byId("words").dataset;

function say(text = "") {
  const teller = document.querySelector("dialog[open] > .told") ?? document.querySelector("body > .told");
  if (teller) teller.textContent = teller.textContent === text ? `${text} ` : text; // The same is said once more.
}
on("parley:say", (event) => say(event.detail));

const title = document.title;
let answering = "";
let reminder = 0;

/** Say that an answer has begun or ended, and show it in the tab. */
function watch() {
  if (!answering === !document.getElementById("stop")) return;
  const answer = document.getElementById(answering);
  answering = answering ? "" : document.querySelector(".answer[aria-busy]")?.id ?? "";
  document.title = answering ? `… ${title}` : title;
  clearInterval(reminder);
  if (answering) {
    say(words.answering);
    reminder = setInterval(remind, 15_000);
  } else if (answer) say(spoken(answer));
}

/** Return what stands in an element, without the titles of code: its language, and a button. Others use it, too. */
function textOf(/** @type {HTMLElement} */ element) {
  element.classList.add("untitled"); // Hidden, they keep their places, so that nothing moves.
  const text = element.innerText;
  element.classList.remove("untitled");
  return text;
}

/** Return what is said of an answer that has ended; of a failure, which is an alert, only behind a panel. */
function spoken(/** @type {HTMLElement} */ answer) {
  const parts = (/** @type {string} */ kind) => Array.from(/** @type {NodeListOf<HTMLElement>} */ (answer.querySelectorAll(kind)), textOf);
  let text = answer.dataset.status === "done" ? parts(".text, .pictures-count").join("\n") : "";
  const count = text.match(/\p{Script=Han}|[^\s\p{Script=Han}]+/gu)?.length;
  const long = parts(".text + .rest").join(" ") || words.long.replace("{n}", count);
  if (text.length > 1000) text = `${text.slice(0, 1000)}… ${long}`;
  return [text, ...parts(panel.open ? ".failure, .ending" : ".ending")].join("\n");
}

async function remind() {
  if (!document.hidden) return say(words.still);
  // A hidden tab has let go of its stream.
  const url = composer.action.replace(/ask$/, `answers/${answering.slice(7)}/markdown`);
  const complete = await fetch(url, { method: "HEAD" }).then(({ status }) => status === 200, () => false);
  if (complete && document.hidden) document.title = `● ${title}`;
}
on("visibilitychange", () => (document.title = answering ? `… ${title}` : title));
on("htmx:after:swap", watch);
watch();

// --- Keys, beside those of keys.js ---

on("keydown", (event) => {
  const { key, ctrlKey, target } = event;
  const open = document.querySelector("dialog[open], :popover-open, header details[open]");
  if (open || composing(event) || event.altKey || event.metaKey) return;
  const bare = !ctrlKey && !target.matches("input, textarea, select, audio") && kept("localStorage")["single-keys"] !== "off";
  if (key === "Escape") {
    const edited = target.closest(".turn form")?.querySelector(".cancel");
    if (!/asking|recording|sending/.test(dictation?.dataset.state)) (edited ?? byId("stop"))?.click();
  } else if (key === "ArrowUp" && target === question && !question.value) {
    byId("conversation").querySelector(".turn:last-of-type .edit")?.click();
  } else if ((key === "/" && ctrlKey) || (key === "?" && bare)) {
    event.preventDefault();
    byId("keys-button").click();
  }
});

// --- A lost connection ---

on("htmx:sse:error", (event) => {
  if (!event.target.matches?.(".following")) return;
  event.target.dataset.followed ??= event.target.textContent;
  event.target.textContent = event.target.dataset.lost;
});
// A first connection that fails is begun anew; later ones are the extension's.
on("htmx:error", (event) => {
  if (!event.target.matches?.(".following")) return;
  const fresh = event.target.cloneNode(true);
  fresh.dataset.followed ??= fresh.textContent;
  fresh.textContent = fresh.dataset.lost;
  event.target.replaceWith(fresh);
  setTimeout(() => htmx.process(fresh), 500);
});
on("htmx:sse:after:connection", (event) => {
  if (!event.target.dataset?.followed) return;
  event.target.textContent = event.target.dataset.followed;
  notice.replaceChildren();
});

// Something on the way may hold the stream back. Then _polling.html asks, and nothing else must bring the same text.
on("htmx:before:request", (event) => {
  const stream = event.target.matches?.(".polling") && event.target.previousElementSibling;
  if (!stream || !stream.hasAttribute("hx-sse:connect")) return;
  htmx.trigger(stream, "htmx:abort");
  const label = stream.cloneNode(true);
  label.removeAttribute("hx-sse:connect");
  stream.replaceWith(label);
});

// --- Other tabs ---

const tabs = new BroadcastChannel("parley");
const tell = () => tabs.postMessage("changed");
const first = () => document.querySelector(".turn");
const reload = (/** @type {string | undefined} */ from = first()?.id) =>
  htmx.ajax("GET", `${location.pathname}?turns=${from?.slice(5) ?? ""}`, {
    target: "#conversation",
    select: "#conversation",
    selectOOB: "#actions,#parameters-line,#totals,#estimate,#model",
    swap: "outerHTML",
  }).then(() => {
    // Of another visitor: who deleted all is somebody new. What leads to the old conversation is all over the page.
    if (!byId("parameters-line").querySelector("a").href.startsWith(composer.action.replace(/ask$/, ""))) location.reload();
  });

tabs.addEventListener("message", ({ data }) => {
  if (data === "changed") return reload();
  // Signed out, or all deleted: what was typed here is of somebody who is gone. farewell.js need not do it once more.
  tab.left = data;
  for (const key of Object.keys(tab)) if (key.startsWith("draft ")) delete tab[key];
  following = true; // No place to come back to.
  location.reload();
});
addEventListener("pageshow", (event) => event.persisted && reload());

/** Follow no answer any more, and have no Stop for it. */
function letGo() {
  document.querySelectorAll(".following, .polling, #stop").forEach((one) => one.remove());
  watch();
}
// Whoever follows has signed out or deleted all, or the turn was cleared: the page is shown as it is now.
on("parley:gone", () => {
  letGo();
  reload();
});
for (const name of ["htmx:sse:error", "htmx:response:error"]) {
  document.addEventListener(name, (/** @type {any} */ event) => {
    const status = event.detail.status ?? event.detail.ctx?.response.status;
    if (!event.target.matches?.(".following, .polling")) return;
    // Signed out: it is told once, where the page is asked for.
    if (status === 401) letGo();
    if (status === 401 || status === 404) reload();
  });
}

// --- What is read stays where it is: where older turns come in above it, or a turn is changed ---

on("htmx:before:swap", ({ detail: { ctx } }) => {
  const [, turn, change] = changed(ctx.request);
  if (turn) following = false;
  // A turn's other version is another turn; its pager has the same id.
  const read = change === "version" ? ctx.request.submitter?.form.id : turn ? `turn-${turn}` : ctx.sourceElement?.matches?.("#older a") && first()?.id;
  if (!read) return;
  const { style } = document.documentElement;
  const top = byId(read)?.getBoundingClientRect().top;
  style.overflowAnchor = "none"; // Some browsers would do it as well, but not at the top or for a new element, and Safari does not.
  // Before anything of it is painted, which htmx's own event after the swap is not.
  const observer = new MutationObserver(() => {
    scrollBy({ top: byId(read)?.getBoundingClientRect().top - top, behavior: "instant" });
    lastY = scrollY;
  });
  observer.observe(/** @type {Element} */ (document.querySelector("main")), { childList: true, subtree: true });
  // A refusal changes nothing there.
  requestAnimationFrame(() => {
    observer.disconnect();
    style.overflowAnchor = "";
  });
});

// --- Scrolling: the page follows the answer only while the reader is at its end ---

/** @type {HTMLButtonElement} */ const jump = byId("to-end");
let following = !!first() && !byId(location.hash.slice(1))?.matches(".turn, .answer"); // Not by `:target`, which may come later.
let held = false; // by a finger, or by the mouse that selects
let lastY = 0;
let lastAway = 0;
const away = () => document.documentElement.scrollHeight - innerHeight - scrollY;

// In the middle of a conversation, an answer that is asked for again may be all in sight.
const goesOnBelow = () => byId(answering)?.getBoundingClientRect().bottom > Math.min(innerHeight, composer.getBoundingClientRect().top);

// An empty page is read from its top; the browser's own autofocus would go down to the box, before or after this.
if (!first()) {
  question.focus({ preventScroll: true });
  scrollTo({ top: 0 });
}
let filled = !!first();
on("htmx:after:swap", () => {
  if (filled && !first()) scrollTo({ top: 0 });
  filled = !!first();
});

function settle() {
  if (following && !held && first()) {
    scrollTo({ top: document.documentElement.scrollHeight });
    lastY = scrollY; // Its event may come after a reader's.
  }
  const now = away();
  if (now < 8) jump.classList.remove("news");
  else if (now > lastAway + 8 && scrollY === lastY && goesOnBelow()) jump.classList.add("news");
  jump.hidden = now < 48 || !(now > innerHeight || jump.matches(".news"));
  lastAway = now;
}

addEventListener("scroll", () => {
  // Only a reader scrolls up, by whatever means; or the end came up, where text went.
  if (scrollY < lastY) following = away() < 2;
  else if (away() < 8) following = true;
  lastY = scrollY;
  lastAway = away();
  settle();
}, { passive: true });
// At once: following would undo the first step of a smooth movement.
addEventListener("wheel", (event) => event.deltaY < 0 && scrollY > 0 && (following = false), { passive: true });
on("keydown", (event) => {
  if (/^(PageUp|Home|ArrowUp)$/.test(event.key) && scrollY > 0) following = false;
});
for (const name of ["pointerdown", "touchmove"]) document.querySelector("main")?.addEventListener(name, () => (held = true), { passive: true });
for (const name of ["pointerup", "pointercancel", "touchend", "touchcancel"]) addEventListener(name, () => {
  if (held) following &&= away() < 48;
  held = false;
});
jump.addEventListener("click", () => {
  following = true;
  settle();
  if (!touch.matches) question.focus({ preventScroll: true });
});
new ResizeObserver(settle).observe(document.body);

// A reader above the end finds the place again after a reload, and after a choice of language or theme, which is one.
const placeKey = `place ${location.pathname}${location.search}`;
const sinceBefore = JSON.parse(tab[placeKey] ?? "null");
function goBack() {
  const turn = byId(sinceBefore.id);
  following &&= !turn;
  if (turn) scrollBy({ top: turn.getBoundingClientRect().top - sinceBefore.top, behavior: "instant" });
  return turn;
}
// Older turns had come in; they come in again.
if (sinceBefore && !location.hash && !goBack()) addEventListener("load", () => reload(sinceBefore.id).then(goBack));
delete tab[placeKey]; // Once: a place that has gone is not looked for again.
addEventListener("pagehide", () => {
  const turn = Array.from(document.querySelectorAll(".turn")).find((one) => one.getBoundingClientRect().bottom > 0);
  if (turn && !following) tab[placeKey] = JSON.stringify({ id: turn.id, top: turn.getBoundingClientRect().top });
});
on("submit", ({ target }) => target.matches(".preferences") && (tab.focus = "menu-button"));
byId(tab.focus ?? "")?.focus();
delete tab.focus;

// --- Scripts that are fetched when they are first needed: dictation, copying ---

const dictation = byId("dictation");
if (dictation) {
  dictation.hidden = false;
  // Over plain http browsers give no microphone; a file can be sent all the same.
  byId("microphone").hidden = !navigator.mediaDevices?.getUserMedia || !("MediaRecorder" in window);
}
const ready = new Set();
for (const name of ["pointerdown", "focusin", "click", "change"]) document.addEventListener(name, async (/** @type {any} */ { target, type }) => {
  const script = target.closest?.("button.copy") ? words.copying : target.closest?.("[data-script]")?.dataset.script;
  if (!script || ready.has(script)) return;
  await import(script).then(() => ready.add(script), unreachable);
  // What was done before it came.
  if (ready.has(script) && type === "click") target.closest("button")?.click();
  if (ready.has(script) && type === "change") target.dispatchEvent(new Event(type));
}, true);

grow();
settle();
