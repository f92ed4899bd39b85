// On the page after signing out and after deleting everything: what was typed here and not sent goes as well.

const left = /** @type {HTMLElement} */ (document.querySelector("[data-left]"));
try {
  // Once for each farewell: this page may be loaded again when somebody writes the next draft in another tab.
  if (sessionStorage.left !== left.dataset.left) {
    for (const key of Object.keys(sessionStorage)) if (/^(draft|place) /.test(key)) delete sessionStorage[key];
    if (left.dataset.everything) delete localStorage["single-keys"];
    sessionStorage.left = left.dataset.left;
    new BroadcastChannel("parley").postMessage(left.dataset.left);
  }
} catch {
  // A browser that keeps nothing.
}
