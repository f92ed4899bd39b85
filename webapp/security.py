"""What keeps others out of a visitor's page: headers, and the refusal of requests that other sites send."""

import re

from flask import Flask, Response, abort, current_app, request

from .config import LOOPBACK
from .proxy import ASKED
from .wording import say

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "connect-src 'self'",
        "img-src 'self' data:",
        "media-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
        # No script makes HTML or scripts of text, but htmx through the policy in static/guard.js.
        "require-trusted-types-for 'script'",
        "trusted-types parley",
    )
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    # Of what a page may ask a browser for, a recording is all that this one needs.
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=(), display-capture=(), usb=(), payment=()",
}
YEAR = 365 * 24 * 60 * 60  # seconds
# A host as it stands in an address: a name, or a number in brackets, and perhaps a port. Nothing else is looked into.
HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\[\]:/?#@\\%\s]+)(?::(\d{1,5}))?")
BYTES_PER_CHARACTER = 12  # of a form in which every character is four percent-encoded bytes
FORM_OVERHEAD = 10_000
LEAST_MEMORY = 2**18  # bytes; werkzeug's parser reads files in pieces of 2**16, which count as a field's memory


def init_app(app: Flask) -> None:
    """Hook in, and limit the size of what is accepted to the longest question."""
    limit = app.config["MAX_QUESTION_CHARS"] * BYTES_PER_CHARACTER + FORM_OVERHEAD
    app.config.update(MAX_CONTENT_LENGTH=limit, MAX_FORM_MEMORY_SIZE=max(limit, LEAST_MEMORY))
    app.before_request(refuse_other_names)
    app.before_request(refuse_other_sites)
    app.after_request(set_headers)


def refuse_other_names() -> None:
    """Refuse a request for a name that is not ours.

    A website whose name suddenly points to this machine (DNS rebinding) is the same site to a browser;
    only the name in `Host` tells.
    """
    allowed = current_app.config["ALLOWED_HOSTS"]
    if allowed is None and current_app.config["HOST"] not in LOOPBACK:
        return
    # Also behind a proxy on this machine: a page under another name could claim to be that proxy.
    for host in (request.host, request.environ.get(ASKED, request.host)):
        if (name := _name(host)) in (*LOOPBACK, *(allowed or ())):
            continue
        abort(403, say("This server does not answer to the name {name!r}. ALLOWED_HOSTS can add it.", name=name))


def refuse_other_sites() -> None:
    """Refuse a change that another site's page asks for.

    Browsers say where a request comes from in `Sec-Fetch-Site`, older ones in `Origin`; what says
    neither is no browser.
    """
    if request.method in ("GET", "HEAD", "OPTIONS"):
        return
    site = request.headers.get("Sec-Fetch-Site")
    origin = request.headers.get("Origin")
    if site not in (None, "same-origin", "none") or (site is None and origin is not None and not _is_ours(origin)):
        abort(
            403,
            say(
                "This request came from another site's page, and was refused. If that page is this one behind a proxy, "
                "ALLOWED_HOSTS can name it."
            ),
        )


def _is_ours(origin: str) -> bool:
    """Tell whether an origin is the host that was asked, or one that the owner named: a proxy may ask as another."""
    scheme, _, host = origin.partition("://")
    # What came over https was not asked for by a page that anybody on the way could have written.
    if scheme not in ("http", "https") or (request.is_secure and scheme == "http"):
        return False
    if (name := _name(host)) is None or name == _name(request.host):
        return host.lower() == request.host.lower()  # Another port is another's page.
    return name in (current_app.config["ALLOWED_HOSTS"] or ())


def _name(host: str) -> str | None:
    """Return a host's name without its port; None for what is no host."""
    match = HOST.fullmatch(host)
    return match[1].strip("[]").lower() if match else None


def set_headers(response: Response) -> Response:
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    # With `no-referrer` a browser hides a form's origin, too. So it is only for those that tell by `Sec-Fetch-Site`.
    told = "Sec-Fetch-Site" in request.headers
    response.headers.setdefault("Referrer-Policy", "no-referrer" if told else "same-origin")
    if request.is_secure and _name(request.host) != "localhost":  # There, it would bind whatever else runs on it.
        response.headers["Strict-Transport-Security"] = f"max-age={YEAR}"
    if response.mimetype == "text/html":
        # What a back button shows from a cache would be an old conversation.
        response.headers.setdefault("Cache-Control", "no-store")
    return response
