"""What is kept of a visitor: shown on a page, and deleted there."""

import logging
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import partial
from time import time

from flask import Blueprint, current_app, redirect, render_template, request, url_for
from msgspec import Struct
from werkzeug.wrappers import Response

from . import store
from .chat import PAGES, answers, files
from .conversation import Mode
from .erasing import Erasing
from .meter import meter

blueprint = Blueprint("visitor", __name__)

log = logging.getLogger(__name__)

DAY = 86_400


class Kept(Struct):
    """What is kept of a visitor: conversations in which something was asked, questions, files, and their bytes."""

    conversations: int = 0
    questions: int = 0
    files: int = 0
    size: int = 0

    def add(self, other: "Kept") -> None:
        for name in self.__struct_fields__:
            setattr(self, name, getattr(self, name) + getattr(other, name))


@blueprint.get("/visitor")
def page() -> str:
    """Return the page that shows what is kept."""
    until = datetime.fromtimestamp(time() + current_app.config["SESSION_DAYS"] * DAY, UTC).date().isoformat()
    return render_template("visitor.html", kept=kept(), until=until)


@blueprint.get("/visitor/deleted")
def deleted() -> str:
    """Return the page that says what was deleted, by the counts of the query: nobody is known here any more."""
    counts = {name: max(0, request.args.get(name, 0, int)) for name in Kept.__struct_fields__}
    return render_template(
        "visitor_deleted.html", deleted=Kept(**counts), left=max(0, request.args.get("left", 0, int))
    )


@blueprint.post("/visitor/delete")
def delete() -> Response:
    """Delete all that is kept of the visitor, now, and say what it was. What cannot be is counted and tried again."""
    owner, ids = store.visitor(), store.own_ids()
    known = {mode: _kept_of(mode) for mode in ids}
    named = _named_in(ids.values())
    # First of all: what is asked or settled in this moment finds nobody whose it is.
    answers().store.forget(owner)
    gone, left = Kept(), 0
    for mode, conversation_id in ids.items():
        if _erased(f"conversation {conversation_id}", partial(answers().store.delete, conversation_id, files().erase)):
            gone.add(known[mode])
        else:
            left += 1
    answers().stop_all(owner)
    # Of answers that broke off, or that the disk has not taken yet.
    left += not _erased(f"logs of {owner[:8]}", partial(answers().logs.erase, named))
    for conversation_id in ids.values():
        _erased(f"files of {conversation_id}", partial(files().erase, conversation_id))
    left += not _erased(f"budget of {owner[:8]}", partial(meter().budget.forget, owner))
    left += not store.end_session(_erased)
    counts = {name: getattr(gone, name) for name in Kept.__struct_fields__} | ({"left": left} if left else {})
    response = redirect(url_for("visitor.deleted", **counts), code=303)
    for name in ("language", "theme"):
        response.delete_cookie(name)
    return response


def _erased(name: str, remove: Callable[[], object]) -> bool:
    erasing: Erasing = current_app.extensions["erasing"]
    return erasing.erase(name, remove)


def _kept_of(mode: Mode) -> Kept:
    """Return what is kept of a conversation; nothing where that cannot be read, which keeps nobody from deleting it."""
    try:
        return kept_of(mode)
    except OSError as error:
        log.error("What is deleted could not be read before: %s", error.strerror)
        return Kept()


def _named_in(conversation_ids: Iterable[str]) -> set[str]:
    """Return the ids of all answers of some conversations; none where that cannot be read, which keeps nothing here."""
    try:
        return {one for conversation_id in conversation_ids for one in answers().store.ids_in(conversation_id)}
    except OSError as error:
        log.error("Whose answers are deleted could not be read: %s", error.strerror)
        return set()


def kept() -> Kept:
    """Return what is kept of the visitor."""
    found = Kept()
    for mode in PAGES:
        found.add(kept_of(mode))
    return found


def kept_of(mode: Mode) -> Kept:
    """Return what is kept of the visitor's conversation of a mode."""
    conversation = store.peek(mode)
    sizes = files().sizes(conversation.id)
    turns = list(conversation.every_turn())
    size = sum(sizes) + answers().store.size(conversation.id)
    return Kept(bool(turns), len(turns), len(sizes), size)
