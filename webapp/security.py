"""What keeps others out of a visitor's page: headers, and the refusal of requests that other sites send."""

from urllib.parse import urlsplit

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
    )
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    # Nobody else learns it. With `no-referrer` browsers hide a form's origin, too, which refuse_other_sites looks at.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
PAGE_HEADERS = {
    # Of what a page may ask a browser for, a recording is all that this one needs.
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=(), display-capture=(), usb=(), payment=()",
    "Cross-Origin-Opener-Policy": "same-origin",
}
BYTES_PER_CHARACTER = 12  # of a form in which every character is four percent-encoded bytes
FORM_OVERHEAD = 10_000


def init_app(app: Flask) -> None:
    """Hook in, and limit the size of what is accepted to the longest question."""
    limit = app.config["MAX_QUESTION_CHARS"] * BYTES_PER_CHARACTER + FORM_OVERHEAD
    app.config.update(MAX_CONTENT_LENGTH=limit, MAX_FORM_MEMORY_SIZE=limit)
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
    host = origin.partition("//")[2]
    return host == request.host or _name(host) in (current_app.config["ALLOWED_HOSTS"] or ())


def _name(host: str) -> str | None:
    """Return a host's name without its port; None for what is no host."""
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None


def set_headers(response: Response) -> Response:
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    if response.mimetype == "text/html":
        for name, value in PAGE_HEADERS.items():
            response.headers.setdefault(name, value)
        # What a back button shows from a cache would be an old conversation.
        response.headers.setdefault("Cache-Control", "no-store")
    return response
