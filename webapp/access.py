"""Who may ask for what: one rule for every endpoint, and the access code.

What has no rule here does not exist for anybody.
"""

import hmac
import logging
from collections.abc import Mapping
from typing import Any, Literal, cast
from unicodedata import normalize
from urllib.parse import urlsplit

from flask import Flask, abort, current_app, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from . import store
from .chat import PAGES, Reply, answers, refused, wants_fragment
from .config import LOOPBACK
from .conversation import Unknown
from .forms import typed
from .i18n import translated
from .preferences import came_from
from .rates import TooMany
from .secret import proof_of
from .wording import Sentence, say

log = logging.getLogger(__name__)

# open: for everybody. visitor: what is the visitor's own, whoever that is. owner: its address names a conversation,
# and nobody but that one's owner may. With an access code, all but `open` is for those who signed in.
Rule = Literal["open", "visitor", "owner"]
RULES: Mapping[str, Rule] = {
    "static": "open",
    "current": "open",
    "chat.healthz": "open",
    "preferences.save": "open",
    "sign_in.page": "open",
    "sign_in.enter": "open",
    "sign_in.leave": "open",
    "chat.page": "visitor",
    "chat.completion": "visitor",
    "chat.images": "visitor",
    "chat.model": "visitor",
    "visitor.page": "visitor",
    "visitor.confirm": "visitor",
    "visitor.delete": "visitor",
    "visitor.deleted": "open",
    "models.page": "visitor",
    "models.table": "visitor",
    "models.refresh": "visitor",
    "models.use": "visitor",
    "chat.ask": "owner",
    "chat.stop": "owner",
    "chat.clear": "owner",
    "chat.confirm_clear": "owner",
    "chat.older": "owner",
    "chat.stream": "owner",
    "chat.unsaved": "owner",
    "turns.retry": "owner",
    "turns.resume": "owner",
    "turns.edit": "owner",
    "turns.question": "owner",
    "turns.ask_anew": "owner",
    "turns.show_version": "owner",
    "turns.show_answer": "owner",
    "turns.keep": "owner",
    "turns.leave_out": "owner",
    "turns.take_back": "owner",
    "panel.parameters": "owner",
    "panel.save": "owner",
    "inspector.exchange": "owner",
    "inspector.markdown": "owner",
    "inspector.part": "owner",
    "transfer.panel": "owner",
    "transfer.download": "owner",
    "transfer.take": "owner",
    "transfer.choices": "owner",
    "transfer.choose": "owner",
    "media.file": "owner",
    "meter.estimate": "owner",
    "speech.transcribe": "owner",
    "speech.read_aloud": "owner",
    "speech.listen": "owner",
}
# What somebody may send of whom nothing is kept then.
KEEPS_NOTHING = {"meter.estimate", "chat.stop", "models.refresh", "visitor.delete"}
LONGEST_CODE = 1000  # characters of what is typed that are looked at
# Where a page has its notices: what htmx asked for with no place of its own for a refusal goes there.
NOTICES = "#notice, #models-notice"
# Of these forms nothing is in a box after signing in: it is done in another tab, and they stay as they are.
STAY = {"panel.save", "turns.ask_anew", "transfer.take"}


class Door:
    """The access code, as a proof that is bound to this installation."""

    def __init__(self, code: str, secret: bytes):
        self._secret = secret
        self.proof = proof_of(_plain(code), self._secret)

    def opens(self, typed: str) -> bool:
        """Tell whether this is the code, in a time that says nothing about it."""
        return hmac.compare_digest(proof_of(_plain(typed[:LONGEST_CODE]), self._secret), self.proof)


def _plain(code: str) -> str:
    # What is copied has blanks around it, and keyboards write the same sign in several ways.
    return normalize("NFKC", code).strip()


def init_app(app: Flask) -> None:
    code: str | None = app.config["ACCESS_CODE"]
    app.extensions["door"] = Door(code, app.extensions["secret"]) if code else None
    app.before_request(check)
    app.context_processor(lambda: {"signs_in": door() is not None})
    if app.config["HOST"] not in LOOPBACK and not code:
        log.warning(
            "ALLOW_ANYONE=1, without ACCESS_CODE: whoever reaches this server asks the model at your expense. "
            "Visitors see their own conversations only."
        )


def door() -> Door | None:
    """Return what an access code opens; None where there is no code."""
    return cast(Door | None, current_app.extensions["door"])


def is_inside() -> bool:
    """Tell whether a visitor may see more than the sign-in page."""
    closed = door()
    return closed is None or store.signed_in(closed.proof)


def check() -> Reply | None:
    """Let through what its rule allows; runs before every request."""
    if request.endpoint is None:
        return None  # There is no such address, and nothing that could answer but errors.py.
    rule = RULES.get(request.endpoint)
    if rule is None:
        abort(404)
    if rule == "open":
        return None
    if not is_inside():
        return _sent_to_sign_in()
    conversation_id = (request.view_args or {}).get("conversation_id", "")
    try:
        if rule == "owner":
            store.require_own(conversation_id)
        if request.method == "POST" and request.endpoint not in KEEPS_NOTHING:
            count_newcomer()
            store.stay()
    except (Unknown, TooMany) as refusal:
        if request.method != "POST" or wants_fragment():
            raise
        return refused(conversation_id, refusal)  # The visitor's own page, with what was typed in its box.
    return None


def count_newcomer() -> None:
    """Count who sends something for the first time: of them something is kept from now on. Raises TooMany."""
    if store.is_newcomer():
        answers().rates.count_visitor(request.remote_addr or "")


# What those hear who have not signed in


def _sent_to_sign_in() -> Response | tuple[str, int, dict[str, str]]:
    if request.accept_mimetypes.best == "text/plain":  # A script that shows it as text.
        return translated(_what_was_refused()), 401, {"Content-Type": "text/plain"}
    if "HX-Request" in request.headers:
        url = _sign_in_url(request.headers.get("HX-Current-URL", ""))
        # These count where the element that asked has no `hx-status` of its own.
        headers = {"HX-Retarget": NOTICES, "HX-Reswap": "innerHTML", "HX-Reselect": ".notice"}
        shown = {"message": _what_was_refused(), "url": url, "beside": request.endpoint in STAY}
        return render_template("_signed_out.html", **shown), 401, headers
    if request.method in ("GET", "HEAD") and _is_navigation():
        return redirect(url_for("sign_in.page", back=_own_address()), code=303)
    return sign_in_page(back=_way(request.referrer or ""), typed=typed()), 401, {}


def _what_was_refused() -> Sentence:
    """Return what those hear in the page that they still have, who are not signed in any more."""
    if typed():
        return say("You are not signed in. What you typed is still here.")
    if request.endpoint == "chat.stop":
        return say("You are not signed in, so the answer was not stopped.")
    if request.method == "POST":
        return say("You are not signed in, so nothing was done.")
    if request.endpoint in PAGES.values():  # Asked for by the page itself, where it follows an answer, say.
        return say("You are not signed in. An answer that is being written goes on.")
    return say("You are not signed in.")


def sign_in_page(**shown: Any) -> str:
    """Return the page that asks for the code: `error`, `typed` and the address to go `back` to, as far as there are."""
    return render_template("sign_in.html", **shown)


def _is_navigation() -> bool:
    """Tell whether a page is asked for, and not what a page or a program fetches: those are told by the status."""
    accepted = request.headers.get("Accept", "text/html")
    return "text/html" in accepted


def _own_address() -> str | None:
    address = came_from()
    return None if address == "/" else address


def _sign_in_url(current: str) -> str:
    return url_for("sign_in.page", back=_way(current) or None)


def _way(address: str) -> str:
    """Return the path and the query of one of our pages' whole address, without the sub-path. The form checks it."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return ""
    path = parts.path.removeprefix(request.script_root) or "/"
    return f"{path}?{parts.query}" if parts.query else "" if path == "/" else path
