"""Signing in with the access code, and out."""

from typing import cast

from flask import Blueprint, Flask, current_app, make_response, redirect, render_template, request, url_for

from . import store
from .access import count_newcomer, door, is_inside, sign_in_page
from .chat import PAGES, Reply, answers
from .conversation import Mode
from .farewell import farewell, forget_farewell, say_farewell
from .preferences import way_back
from .rates import TooMany, Tries
from .wording import say

blueprint = Blueprint("sign_in", __name__)


def init_app(app: Flask) -> None:
    app.extensions["tries"] = Tries()
    app.register_blueprint(blueprint)


@blueprint.get("/sign-in")
def page() -> Reply:
    back = request.args.get("back", "")
    return redirect(way_back(back), code=303) if is_inside() else sign_in_page(back=back, left=farewell("signed out"))


@blueprint.post("/sign-in")
def enter() -> Reply:
    """Let in who knows the code, and go on where they were; what they had typed comes into the box."""
    back, typed, code = (request.form.get(name, "") for name in ("back", "typed", "code"))
    shown = {"back": back, "typed": typed.replace("\r\n", "\n")}
    if (closed := door()) is None:
        return redirect(way_back(back), code=303)
    if not code.strip():
        return sign_in_page(**shown, error=say("Type the access code.")), 422
    tries = cast(Tries, current_app.extensions["tries"])
    try:
        if not tries.attempt(request.remote_addr or "", lambda: closed.opens(code)):
            return sign_in_page(**shown, error=say("That is not the access code.")), 401
        count_newcomer()
    except TooMany as refusal:
        return sign_in_page(**shown, error=str(refusal)), refusal.status, refusal.headers
    store.sign_in(closed.proof)
    page = make_response(_with(shown["typed"], way_back(back))) if typed else redirect(way_back(back), code=303)
    return forget_farewell(page)


@blueprint.post("/sign-out")
def leave() -> Reply:
    """Sign out. What is being answered goes on, and is there when the visitor signs in again."""
    store.sign_out()
    if not door():
        return redirect(url_for("chat.page"), code=303)
    return say_farewell(redirect(url_for("sign_in.page"), code=303), "signed out")


def _with(typed: str, address: str) -> str:
    """Return the page at an address of ours, or the first one, with a text in its box that was typed before."""
    path = address.partition("?")[0]
    mode: Mode = next((mode for mode, endpoint in PAGES.items() if url_for(endpoint) == path), "chat")
    conversation = answers().live(store.own_conversation(mode))
    return render_template("page.html", conversation=conversation, notice="", typed=typed)
