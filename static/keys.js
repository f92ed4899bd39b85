// The list of keys, whose buttons work by click and, while it is open, by a letter.
// Fetched by parley.js when it is first opened.

const keys = /** @type {HTMLDialogElement} */ (document.getElementById("keys"));
const single = /** @type {HTMLInputElement} */ (document.getElementById("single-keys"));

single.checked = localStorage.getItem("single-keys") !== "off";
single.addEventListener("change", () => localStorage.setItem("single-keys", single.checked ? "on" : "off"));

document.addEventListener("click", (event) => {
  const target = /** @type {HTMLElement} */ (event.target);
  if (target.closest(".opens-keys")) keys.showModal();
  else if (target === keys) keys.close(); // beside it
});

keys.addEventListener("click", (event) => {
  const { presses } = /** @type {HTMLElement} */ (event.target).dataset;
  if (!presses) return;
  keys.close();
  const meant = Array.from(document.querySelectorAll(presses)).at(-1);
  if (meant instanceof HTMLTextAreaElement) meant.focus();
  else if (meant instanceof HTMLElement) meant.click();
});

keys.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey || event.isComposing || !/^[a-z]$/i.test(event.key)) return;
  const button = keys.querySelector(`[aria-keyshortcuts="${event.key.toLowerCase()}"]`);
  if (!(button instanceof HTMLElement)) return;
  event.preventDefault(); // The letter is not for the box.
  button.click();
});
