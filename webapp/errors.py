"""Every error that a person can meet, as a fragment for htmx or as a whole page."""

import logging

from flask import Flask, Response, current_app, render_template, request
from flask.globals import request_ctx
from werkzeug.exceptions import HTTPException

from .conversation import Refused
from .disk import reason_of
from .forms import typed
from .i18n import translated
from .store import FolderTaken
from .wording import say

log = logging.getLogger(__name__)

MESSAGES = {
    400: say("The browser (or proxy) sent a request that this server could not understand."),
    404: say("There is no such page."),
    405: say("This address takes only what a form sends."),
    413: say("That is more than can be sent at once. What you typed is still here; shorten it."),
}
# Without a script the page that the form was on is gone, and browsers keep no text of a page that no cache may keep.
TOO_LARGE = say(
    "That is more than can be sent at once, and it was not read. Take the text from where it comes from, and send it "
    "in parts; what you find in the box when you go back depends on the browser."
)
UNFORESEEN = say("Something went wrong here, on the server's side. Nothing that was saved is lost; the log says more.")


def init_app(app: Flask) -> None:
    app.register_error_handler(Refused, lambda error: _answer(str(error), error.status, error.headers))
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(FolderTaken, lambda error: _answer(str(error), 503))
    app.register_error_handler(OSError, _disk)
    app.register_error_handler(Exception, _unforeseen)


def _http(error: HTTPException) -> Response:
    if isinstance(cause := getattr(error, "original_exception", None), OSError):
        return _disk(cause)  # of the session, which is read before a view and written behind it
    message = MESSAGES.get(error.code or 500) or error.description or error.name
    if error.code == 413 and not _is_script():
        message = TOO_LARGE
    return _answer(message, error.code or 500)


def _disk(error: OSError) -> Response:
    log.exception("The data folder cannot be used.")
    return _answer(
        say(
            "The conversation cannot be saved or read: {reason}. What was saved before is kept; try again when the "
            "server's disk is well.",
            reason=reason_of(error),
        ),
        503,
    )


def _unforeseen(error: Exception) -> Response:
    if current_app.debug:
        raise error  # For the debugger.
    log.exception("A request failed in a way that nobody foresaw.")
    return _answer(UNFORESEEN, 500)


def _answer(message: str, status: int, headers: dict[str, str] | None = None) -> Response:
    # A script that shows it as text; or the host that was asked for is none, and a page has no addresses to lead to.
    if _wants_text() or request_ctx.url_adapter is None:
        return Response(translated(message), status, headers, mimetype="text/plain")
    # For htmx the fragment: the page it lands in still has what was typed.
    if "HX-Request" in request.headers:
        return Response(render_template("_notice.html", message=message), status, headers)
    kept = "" if status == 413 else typed()  # What was too large to be read has no fields.
    return Response(render_template("error.html", message=message, typed=kept, status=status), status, headers)


def _wants_text() -> bool:
    return request.accept_mimetypes.best == "text/plain"


def _is_script() -> bool:
    """Tell whether a script asks, which leaves the page as it is."""
    return "HX-Request" in request.headers or _wants_text()
