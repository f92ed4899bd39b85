"""Taking a conversation along as a file, and bringing one in."""

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from hashlib import sha256
from io import BytesIO
from typing import Any

import msgspec
from flask import Blueprint, Response, abort, current_app, redirect, render_template, request, send_file, url_for
from werkzeug.exceptions import RequestEntityTooLarge

from . import store
from .candidate import KINDS, MAX_MB, BadImport, Candidate, TooLarge, add, counted
from .chat import Reply, answers, backend, files, opened, page_url, path_of, wants_fragment
from .choices import Choice, chosen, forget, forget_old, gone, keep, listed
from .conversation import ID, Conversation, Refused, Unknown, new_id
from .exchange import load
from .export import Sending, filename, to_json, to_markdown
from .forms import allow_file
from .i18n import translated
from .importing import read
from .llm import known_parameters
from .notebook import to_notebook
from .parameters import read as read_fields
from .parameters import request_fields, shown
from .wording import say

blueprint = Blueprint("transfer", __name__)

FORM_OVERHEAD = 100_000  # bytes of a form around its file
DRAINED = 4  # times the limit: how much of a file that is too large is still taken, so that the browser hears why


@blueprint.get("/conversations/<conversation_id>/export")
def panel(conversation_id: str) -> str:
    conversation = opened(conversation_id)
    forget_old(files(), conversation.id)
    return _page(conversation, added=request.args.get("added", 0, int), skipped=_skipped_of_address())


@blueprint.get("/conversations/<conversation_id>/export/<kind>")
def download(conversation_id: str, kind: str) -> Response:
    """Return the conversation as a file: `markdown`, `json` or `notebook`."""
    conversation = opened(conversation_id)
    sending = _sending(conversation)
    if kind == "markdown":
        content, ending, mimetype = to_markdown(conversation, sending, translated).encode(), "md", "text/markdown"
    elif kind == "json":
        exchanges = partial(load, files(), conversation.id)
        content, ending, mimetype = to_json(conversation, sending, exchanges), "json", "application/json"
    elif kind == "notebook":
        known = known_parameters(path_of(conversation))
        content, ending, mimetype = (
            to_notebook(conversation, sending, known, translated),
            "ipynb",
            "application/x-ipynb+json",
        )
    else:
        abort(404)
    name = filename(conversation, ending)
    response = send_file(BytesIO(content), mimetype, as_attachment=True, download_name=name, max_age=0)
    response.headers["Cache-Control"] = "no-store"
    return response


@blueprint.post("/conversations/<conversation_id>/import")
def take(conversation_id: str) -> Reply:
    """Import the conversation of a file, or let the person choose among several."""
    conversation = opened(conversation_id)

    def imported() -> Reply:
        content = [_upload()]  # Not under a name of its own: who reads it lets go of it on the way.
        import_id = _import_id(request.form.get("import", ""), content[0])
        _count(conversation, len(content[0]))
        found = read(content.pop(), _limit())
        if len(found.packed) == 1:
            return _add(conversation, found.packed.pop().opened(), import_id, found.skipped)
        offered = keep(files(), conversation.id, import_id, found.packed, partial(_take_room, conversation))
        if wants_fragment():
            context = _choices(conversation, import_id, offered, found.skipped)
            return render_template("_import_choices.html", **context)
        address = url_for(
            "transfer.choices", conversation_id=conversation.id, import_id=import_id, **_in_address(found.skipped)
        )
        return redirect(address, code=303)

    return _answered(conversation, imported)


@blueprint.get("/conversations/<conversation_id>/import/<import_id>")
def choices(conversation_id: str, import_id: str) -> str:
    """Return the page on which one of a file's conversations is chosen."""
    conversation = opened(conversation_id)
    offered = listed(files(), conversation.id, import_id)
    return render_template("transfer.html", **_choices(conversation, import_id, offered, _skipped_of_address()))


@blueprint.post("/conversations/<conversation_id>/import/<import_id>")
def choose(conversation_id: str, import_id: str) -> Reply:
    """Import the chosen one of a file's conversations."""
    conversation = opened(conversation_id)

    def imported() -> Reply:
        number = request.form.get("choice", -1, int)
        first_id = f"{import_id}-{number}"
        try:
            candidate = chosen(files(), conversation.id, import_id, number)
        except Unknown:
            return _added_already(opened(conversation_id), first_id)
        return _add(conversation, candidate, first_id, Counter())

    return _answered(conversation, imported)


def _answered(conversation: Conversation, change: Callable[[], Reply]) -> Reply:
    """Return what a change answers, or why it was refused, on the page that it came from."""
    try:
        return change()
    except Refused as refusal:
        if wants_fragment():
            return render_template("_notice.html", message=str(refusal)), refusal.status, refusal.headers
        return _page(conversation, notice=str(refusal)), refusal.status, refusal.headers


def _add(conversation: Conversation, candidate: Candidate, first_id: str, skipped: Counter[str]) -> Reply:
    _check_parameters(candidate)
    size = len(msgspec.json.encode(candidate))
    answers().room.check_record(conversation.id, size)
    _take_room(conversation, size)
    with store.editing(conversation.id) as edited:
        skipped = skipped + add(edited, candidate, first_id)
        answers().room.check_turns(edited)
    forget(files(), conversation.id)
    added = len(candidate.turns)
    if wants_fragment():
        return render_template("_imported.html", **_panel(answers().live(edited), added=added, skipped=skipped))
    address = url_for("transfer.panel", conversation_id=conversation.id, added=added, **_in_address(skipped))
    return redirect(address, code=303)


def _count(conversation: Conversation, size: int) -> None:
    answers().rates.count_import(conversation.owner, request.remote_addr or "", size)


def _take_room(conversation: Conversation, size: int) -> None:
    """Count bytes that are about to be kept. Raises NoRoom, DiskFull and TooMany."""
    answers().room.check_size(store.own_ids().values(), size)
    _count(conversation, size)


def _added_already(conversation: Conversation, first_id: str) -> Reply:
    """Show a conversation that has a choice: its form came twice. Raises Unknown for one that was not made."""
    if not any(turn.id == first_id for turn in conversation.every_turn()):
        raise gone()
    if wants_fragment():
        return render_template("_imported.html", **_panel(conversation))
    return redirect(page_url(conversation), code=303)


def _check_parameters(candidate: Candidate) -> None:
    """Leave a candidate the parameters that could have been set here, too, and count the others."""
    given = candidate.parameters
    values, errors = read_fields(candidate.mode, shown(candidate.mode, given))
    candidate.parameters = {name: value for name, value in values.items() if name not in errors}
    dropped = len(given) - len(candidate.parameters)
    candidate.skipped["parameters"] = candidate.skipped.get("parameters", 0) + max(dropped, 0)


# What the pages show


def _page(conversation: Conversation, notice: str = "", added: int = 0, skipped: Counter[str] | None = None) -> str:
    return render_template("transfer.html", **_panel(conversation, notice, added, skipped))


def _panel(
    conversation: Conversation, notice: str = "", added: int = 0, skipped: Counter[str] | None = None
) -> dict[str, object]:
    return {
        "conversation": conversation,
        "back": page_url(conversation),
        "notice": notice,
        "added": added,
        "skipped": counted(skipped or Counter()),
        "import_id": new_id(),
        "megabytes": current_app.config["MAX_IMPORT_MB"],
        "largest": MAX_MB,
    }


def _choices(
    conversation: Conversation, import_id: str, offered: list[Choice], skipped: Counter[str]
) -> dict[str, object]:
    context = {"conversation": conversation, "back": page_url(conversation), "import_id": import_id}
    return context | {"choices": offered, "skipped": counted(skipped)}


@blueprint.app_template_filter("day")
def day(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d")


# A plain browser is sent to the page that says what was done: what was skipped goes with its address.


def _in_address(skipped: Counter[str]) -> dict[str, Any]:
    return {kind: count for kind, count in skipped.items() if count}


def _skipped_of_address() -> Counter[str]:
    return Counter({kind: request.args.get(kind, 0, int) for kind in KINDS})


# What is exported


def _sending(conversation: Conversation) -> Sending:
    model = backend().model(conversation) or _last_model(conversation)
    return Sending(
        model=model,
        system_prompt=backend().system_prompt(conversation),
        fields=request_fields(conversation.mode, conversation.parameters, model),
        base_url=None if backend().local else current_app.config["OPENAI_BASE_URL"],
    )


def _last_model(conversation: Conversation) -> str:
    return next((turn.answer.model for turn in reversed(conversation.turns) if turn.answer.model), "")


# What is imported


def _limit() -> int:
    return int(current_app.config["MAX_IMPORT_MB"]) * 2**20


def _upload() -> bytes:
    """Return the file of the form that was posted. Raises BadImport and TooLarge."""
    allow_file(_limit() + FORM_OVERHEAD)
    try:
        file = request.files.get("file")
    except RequestEntityTooLarge:
        _drain()
        raise TooLarge(
            say(
                "The file is larger than {limit:,} MB. The owner of this server can raise MAX_IMPORT_MB. "
                "Of ChatGPT's archive, its conversations.json alone is enough.",
                limit=current_app.config["MAX_IMPORT_MB"],
            )
        ) from None
    if file is None or not file.filename:
        raise BadImport(say("Choose a file first."))
    content: bytes = file.read()
    return content


def _drain() -> None:
    """Take the rest of a body that is too large: a browser that still sends would not read the answer."""
    left = min(request.content_length or 0, DRAINED * _limit())
    while left > 0 and (piece := request.environ["wsgi.input"].read(min(left, 2**16))):
        left -= len(piece)


def _import_id(given: str, content: bytes) -> str:
    """Return the id of an import. The same form is the same import only with the same file: one can go back to it."""
    return sha256(b"%s:%s" % (given.encode(), content)).hexdigest()[:32] if ID.fullmatch(given) else new_id()
