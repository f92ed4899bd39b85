"""What is kept of a visitor: shown on a page, and deleted there."""

import logging
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import partial
from time import time
from typing import Literal

from flask import Blueprint, current_app, redirect, render_template, url_for
from msgspec import Struct
from msgspec.structs import asdict
from werkzeug.wrappers import Response

from . import store
from .chat import PAGES, Reply, answers, files
from .conversation import Mode
from .erasing import Erasing
from .farewell import farewell, say_farewell
from .files import PACKED
from .i18n import gettext, translated
from .media import TYPES
from .meter import meter
from .wording import say, say_many

blueprint = Blueprint("visitor", __name__)

log = logging.getLogger(__name__)

DAY = 86_400
LATER = store.SLACK + 1  # days beyond SESSION_DAYS by which all is gone: the sweep comes once a day


class Kept(Struct):
    """What is kept of a visitor: conversations in which something was asked, questions, files by kind, all bytes."""

    conversations: int = 0
    questions: int = 0
    images: int = 0
    sounds: int = 0
    requests: int = 0
    others: int = 0
    size: int = 0

    def add(self, other: "Kept") -> None:
        for name in self.__struct_fields__:
            setattr(self, name, getattr(self, name) + getattr(other, name))


@blueprint.get("/visitor")
def page() -> str:
    """Return the page that shows what is kept."""
    days = current_app.config["SESSION_DAYS"] + LATER
    until = datetime.fromtimestamp(time() + days * DAY, UTC).date().isoformat()
    return render_template("visitor.html", kept=kept(), until=until)


@blueprint.get("/visitor/delete")
def confirm() -> str:
    """Return the page that asks first."""
    return render_template("visitor_delete.html", kept=kept())


@blueprint.get("/visitor/deleted")
def deleted() -> Reply:
    """Return the page that says what was deleted a moment ago; without that, what is kept now."""
    left = farewell("deleted")
    if not left:
        return redirect(url_for("visitor.page"), code=303)
    deleted = Kept(**{name: left.get(name, 0) for name in Kept.__struct_fields__})
    return render_template("visitor_deleted.html", deleted=deleted, left=left, parts_left=left.get("parts_left", 0))


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
    told = asdict(gone) | {"parts_left": left}
    response = say_farewell(redirect(url_for("visitor.deleted"), code=303), "deleted", **told)
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
    turns = list(conversation.every_turn())
    size = sum(files().sizes(conversation.id)) + answers().store.size(conversation.id)
    found = Kept(conversations=bool(turns), questions=len(turns), size=size)
    for file in files().names(conversation.id):
        kind = _kind(file)
        setattr(found, kind, getattr(found, kind) + 1)
    return found


def _kind(name: str) -> Literal["images", "sounds", "requests", "others"]:
    if name.endswith(PACKED):
        return "requests"
    kind = TYPES.get(name.rpartition(".")[2], "").partition("/")[0]
    return "images" if kind == "image" else "sounds" if kind == "audio" else "others"


@blueprint.app_template_filter("named")
def named(kept: Kept) -> str:
    """Return in words what is kept; nothing where nothing is that has a name."""
    conversations = say_many("{number} conversation", "{number} conversations", kept.conversations)
    questions = say_many("{number} question", "{number} questions", kept.questions)
    counted = (
        (kept.conversations, say("{conversations} with {questions}", conversations=conversations, questions=questions)),
        (
            kept.requests,
            say_many("{number} request with its reply", "{number} requests with their replies", kept.requests),
        ),
        (kept.images, say_many("{number} image", "{number} images", kept.images)),
        (kept.sounds, say_many("{number} sound", "{number} sounds", kept.sounds)),
        (kept.others, say_many("{number} other file", "{number} other files", kept.others)),
    )
    return gettext(", ").join(translated(words) for count, words in counted if count)


@blueprint.app_template_filter("bytes")
def size_of(number: int) -> str:
    """Return a number of bytes as people read it, with a space that does not break."""
    if number < 1_000_000:
        return f"{max(1, round(number / 1000))}\N{NO-BREAK SPACE}KB"
    return f"{number / 1_000_000:,.1f}\N{NO-BREAK SPACE}MB"
