"""What is kept of a visitor: shown on a page, and deleted there."""

import logging
from datetime import UTC, datetime
from time import time

from flask import Blueprint, current_app, redirect, render_template, request, url_for
from msgspec import Struct
from werkzeug.wrappers import Response

from . import store
from .chat import PAGES, answers, files
from .conversation import Mode
from .meter import meter

log = logging.getLogger(__name__)

blueprint = Blueprint("visitor", __name__)

DAY = 86_400


class Kept(Struct):
    """What is kept of a visitor: conversations in which something was asked, questions, files, and their bytes."""

    conversations: int = 0
    questions: int = 0
    files: int = 0
    size: int = 0


@blueprint.get("/visitor")
def page() -> str:
    """Return the page that shows what is kept."""
    until = datetime.fromtimestamp(time() + current_app.config["SESSION_DAYS"] * DAY, UTC).date().isoformat()
    return render_template("visitor.html", kept=kept(), until=until)


@blueprint.get("/visitor/deleted")
def deleted() -> str:
    """Return the page that says what was deleted, by the counts of the query: nobody is known here any more."""
    counts = {name: max(0, request.args.get(name, 0, int)) for name in Kept.__struct_fields__}
    return render_template("visitor_deleted.html", deleted=Kept(**counts))


@blueprint.post("/visitor/delete")
def delete() -> Response:
    """Delete all that is kept of the visitor, now, and say what it was."""
    before = kept()
    owner, ids = store.visitor(), list(store.own_ids().values())
    named = _named_in(ids)
    # First of all: what is asked or settled in this moment finds nobody whose it is.
    answers().store.forget(owner)
    for conversation_id in ids:
        answers().store.delete(conversation_id, files().remove)
    answers().stop_all(owner)
    answers().logs.erase(named)  # of answers that broke off, or that the disk has not taken yet
    for conversation_id in ids:
        files().remove(conversation_id)
    meter().budget.forget(owner)
    store.end_session()
    counts = {name: getattr(before, name) for name in Kept.__struct_fields__}
    response = redirect(url_for("visitor.deleted", **counts), code=303)
    for name in ("language", "theme"):
        response.delete_cookie(name)
    return response


def _named_in(conversation_ids: list[str]) -> set[str]:
    """Return the ids of all answers of some conversations; none where that cannot be read, which keeps nothing here."""
    try:
        return {one for conversation_id in conversation_ids for one in answers().store.ids_in(conversation_id)}
    except OSError as error:
        log.error("Whose answers are deleted could not be read: %s", error.strerror)
        return set()


def kept() -> Kept:
    """Return what is kept of the visitor."""
    found = Kept()
    modes: tuple[Mode, ...] = tuple(PAGES)
    for mode in modes:
        conversation = store.peek(mode)
        sizes = files().sizes(conversation.id)
        turns = list(conversation.every_turn())
        found.conversations += bool(turns)
        found.questions += len(turns)
        found.files += len(sizes)
        found.size += sum(sizes) + answers().store.size(conversation.id)
    return found
