// Dictation: a recording or an audio file becomes text in the box, for the person to correct. It is never sent by itself.
// Fetched by parley.js when it is first used. What it says stands in _dictation.html.

const dictation = /** @type {HTMLElement} */ (document.getElementById("dictation"));
const row = /** @type {HTMLElement} */ (dictation.querySelector(".dictation-row"));
const says = /** @type {HTMLElement} */ (dictation.querySelector(".dictation-says"));
const time = /** @type {HTMLElement} */ (dictation.querySelector(".dictation-time"));
const microphone = /** @type {HTMLButtonElement} */ (document.getElementById("microphone"));
const done = /** @type {HTMLButtonElement} */ (document.getElementById("dictation-done"));
const cancel = /** @type {HTMLButtonElement} */ (document.getElementById("dictation-cancel"));
const again = /** @type {HTMLButtonElement} */ (document.getElementById("dictation-again"));
const file = /** @type {HTMLInputElement} */ (document.getElementById("recording"));
const box = /** @type {HTMLTextAreaElement} */ (document.getElementById("question"));
const sentences = dictation.dataset;

const KINDS = ["audio/webm;codecs=opus", "audio/mp4", "audio/ogg;codecs=opus"];
const LIMIT = Number(sentences.limit);

/** @type {"idle" | "asking" | "recording" | "sending" | "failed"} */
let state = "idle";
/** What was recorded or chosen; kept until it has become words. @type {File | null} */
let audio = null;
/** @type {MediaRecorder | null} */
let recorder = null;
/** Ends what is under way; what comes after all is then ignored. */
let ending = new AbortController();
/** @type {number | undefined} */
let clock;

/**
 * Show a state.
 * @param {typeof state} next
 * @param {string} [sentence]
 */
function show(next, sentence = "") {
  const focused = document.activeElement;
  state = dictation.dataset.state = next;
  row.classList.toggle("unseen", next === "idle");
  says.textContent = sentence;
  done.hidden = time.hidden = next !== "recording";
  again.hidden = next !== "failed";
  cancel.hidden = next === "idle";
  microphone.setAttribute("aria-pressed", String(next === "recording"));
  if (next !== "recording") clearInterval(clock);
  // The focus does not go with a button.
  if (row.contains(focused) && focused?.matches("[hidden]")) (cancel.hidden ? box : cancel).focus();
}

/** Throw away what is under way or was kept. */
function stop() {
  ending.abort();
  audio = null;
  show("idle");
}

// --- Recording ---

async function record() {
  ending = new AbortController();
  const { signal } = ending;
  show("asking", sentences.asking);
  let stream;
  try {
    stream = await navigator.mediaDevices.getUserMedia({ audio: true });
  } catch (error) {
    if (!signal.aborted) show("failed", sentences[reason(/** @type {DOMException} */ (error))]);
    return;
  }
  const close = () => stream.getTracks().forEach((track) => track.stop());
  if (signal.aborted) close();
  else listen(stream, signal, close);
}

/** @param {DOMException} error */
function reason(error) {
  if (error.name === "NotAllowedError" || error.name === "SecurityError") return "denied";
  return error.name === "NotFoundError" || error.name === "OverconstrainedError" ? "missing" : "unusable";
}

/**
 * Record until somebody ends it, or until no more can be sent.
 * @param {MediaStream} stream
 * @param {AbortSignal} signal
 * @param {() => void} close
 */
function listen(stream, signal, close) {
  const mimeType = KINDS.find((kind) => MediaRecorder.isTypeSupported(kind));
  const recording = (recorder = new MediaRecorder(stream, { mimeType, audioBitsPerSecond: 48_000 }));
  /** @type {Blob[]} */
  const pieces = [];
  let size = 0;
  signal.addEventListener("abort", () => recording.state !== "inactive" && recording.stop());
  recording.addEventListener("dataavailable", ({ data }) => {
    pieces.push(data);
    size += data.size;
    if (size > 0.98 * LIMIT && recording.state === "recording") recording.stop();
  });
  recording.addEventListener("stop", () => {
    close();
    if (signal.aborted) return;
    const kind = (recording.mimeType || mimeType || "audio/webm").split(";")[0];
    const name = `recording.${kind.endsWith("mp4") ? "m4a" : kind.split("/")[1]}`;
    if (size) send(new File(pieces, name, { type: kind }));
    else show("failed", sentences.empty);
  });
  recording.start(1000); // Piece by piece, to know the size.
  const began = performance.now();
  const tick = () => {
    const seconds = Math.floor((performance.now() - began) / 1000);
    time.textContent = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
  };
  tick();
  clock = setInterval(tick, 250);
  show("recording", sentences.recording);
}

// --- Sending, and what comes back ---

/** @param {File} recorded */
async function send(recorded) {
  audio = recorded;
  if (recorded.size > LIMIT) {
    audio = null;
    show("failed", sentences.large);
    again.hidden = true;
    return;
  }
  ending = new AbortController();
  const { signal } = ending;
  show("sending", sentences.sending);
  const form = new FormData();
  form.append("audio", recorded);
  try {
    const response = await fetch(sentences.url ?? "", { method: "POST", body: form, headers: { "HX-Request": "true", Accept: "text/plain" }, signal });
    const text = await response.text();
    if (signal.aborted) return;
    if (response.ok) take(text);
    // What somebody else answers, a proxy say, is a page.
    else refused(response.status, response.headers.get("Content-Type")?.startsWith("text/plain") ? text : "");
  } catch {
    if (!signal.aborted) show("failed", sentences.unreachable);
  }
}

/**
 * Tell why a recording was not taken; one that never will be is not kept to try again.
 * @param {number} status
 * @param {string} message
 */
function refused(status, message) {
  if ([413, 415, 422].includes(status)) audio = null;
  show("failed", message || sentences.unreachable);
  again.hidden = !audio;
}

/**
 * Insert text at the caret, and keep what was typed.
 * @param {string} text
 */
function take(text) {
  audio = null;
  const at = box.selectionEnd;
  const before = space(box.value.slice(0, at), text);
  const after = space(text, box.value.slice(at));
  box.setRangeText(before + text + after, at, at, "end");
  box.dispatchEvent(new Event("input", { bubbles: true }));
  show("idle", sentences.done);
  if (!matchMedia("(pointer: coarse)").matches) box.focus();
}

/**
 * Return what goes between two texts: nothing beside a space, an opening bracket or Chinese.
 * @param {string} left
 * @param {string} right
 */
function space(left, right) {
  const dense = "\\p{Script=Han}\\p{Script=Hiragana}\\p{Script=Katakana}\\u3000-\\u303f\\uff00-\\uffef";
  const none = !left || !right || new RegExp(`[\\s\\p{Ps}“‘${dense}]$`, "u").test(left);
  return none || new RegExp(`^[\\s\\p{Pe}.,;:!?${dense}]`, "u").test(right) ? "" : " ";
}

// --- What a person does ---

microphone.addEventListener("click", () => {
  if (state === "recording") recorder?.stop();
  else if (state === "idle" || (state === "failed" && !audio)) record();
});
done.addEventListener("click", () => recorder?.stop());
cancel.addEventListener("click", stop);
again.addEventListener("click", () => (audio ? send(audio) : record()));
file.addEventListener("change", () => {
  const chosen = file.files?.[0];
  file.value = "";
  if (!chosen) return;
  ending.abort();
  send(chosen);
});
document.addEventListener("keydown", (event) => {
  const meant = event.key === "Escape" && !event.isComposing && !document.querySelector("dialog[open]");
  // A recording that could not be sent is thrown away by its button alone.
  if (meant && state !== "idle" && !(state === "failed" && audio)) stop();
});
// With a question on its way, what a refused file's message said is of no use any more.
box.form?.addEventListener("submit", () => state === "failed" && !audio && stop());
addEventListener("beforeunload", (event) => {
  if (state === "recording" || audio) event.preventDefault();
});
