// What stands between htmx and the page: a second wall, for text that the server failed to escape.

htmx.registerExtension("guard", {
  // The one policy that may make HTML of text. Whatever would run or load something comes out as text.
  init: (api) => api.initSecurity((globalThis.trustedTypes ?? { createPolicy: (name, rules) => rules }).createPolicy("parley", {
    createHTML: (html) => html.replace(/<(?=\/?(script|iframe|frame|object|embed|applet|base|link|meta|style)\b)/gi, "&lt;"),
  })),
  // What a model wrote has no say: htmx itself honours hx-ignore, its extensions do not.
  htmx_before_process: (root) => {
    const found = document.evaluate("descendant::*[@hx-ignore]/descendant::node()/@*[starts-with(name(), 'hx-') or starts-with(name(), 'data-hx-') or starts-with(name(), 'sse-')]", root, null, 7, null);
    for (let i = found.snapshotLength; i--;) found.snapshotItem(i).ownerElement.removeAttributeNode(found.snapshotItem(i));
  },
});
