"""The pages and fragments of a chat: read it, ask, stop, retry, continue, clear."""

from collections.abc import Callable, Iterator
from typing import cast
from urllib.parse import unquote_to_bytes

from flask import Blueprint, Response, current_app, redirect, render_template, request, stream_with_context, url_for
from werkzeug.exceptions import BadRequest
from werkzeug.wrappers import Response as WerkzeugResponse

from . import __version__, store
from .answers import Answers
from .backend import Backend
from .conversation import BadQuestion, Conversation, Refused, Turn, check_question, new_id
from .markdown import render

blueprint = Blueprint("chat", __name__)

Reply = WerkzeugResponse | str | tuple[str, int]


def answers() -> Answers:
    return cast(Answers, current_app.extensions["answers"])


def backend() -> Backend:
    return cast(Backend, current_app.extensions["backend"])


def opened(conversation_id: str) -> Conversation:
    """Return the visitor's conversation with that id, as far as its pending answer has come."""
    return answers().live(store.current().load(conversation_id, store.visitor()))


def wants_fragment() -> bool:
    """Tell whether htmx asks, and takes a fragment; a plain browser is sent to a page."""
    return "HX-Request" in request.headers


@blueprint.app_context_processor
def helpers() -> dict[str, object]:
    return {"backend": backend(), "render_answer": render, "new_id": new_id}


@blueprint.get("/")
def page() -> str:
    backend().start()
    return _page(answers().live(store.own_conversation()))


@blueprint.post("/conversations/<conversation_id>/ask")
def ask(conversation_id: str) -> Reply:
    return _begin(conversation_id, lambda edited: edited.ask(_question(), request.form.get("turn", "")))


@blueprint.post("/conversations/<conversation_id>/turns/<turn_id>/retry")
def retry(conversation_id: str, turn_id: str) -> Reply:
    return _begin(conversation_id, lambda edited: edited.retry(turn_id))


@blueprint.post("/conversations/<conversation_id>/turns/<turn_id>/continue")
def resume(conversation_id: str, turn_id: str) -> Reply:
    return _begin(conversation_id, lambda edited: edited.resume(turn_id))


@blueprint.post("/conversations/<conversation_id>/stop")
def stop(conversation_id: str) -> Reply:
    conversation = opened(conversation_id)
    turn = conversation.pending
    answers().stop(conversation)
    # To htmx the answer's own stream brings the end, behind its last piece of text.
    return ("", 204) if wants_fragment() else _to_page(turn)


@blueprint.post("/conversations/<conversation_id>/clear")
def clear(conversation_id: str) -> Reply:
    conversation = opened(conversation_id)
    # Where no script asked, a page does.
    if not wants_fragment() and "confirmed" not in request.form:
        return redirect(url_for("chat.confirm_clear", conversation_id=conversation_id), code=303)
    conversation = answers().clear(conversation)
    return render_template("_cleared.html", conversation=conversation) if wants_fragment() else _to_page()


@blueprint.get("/conversations/<conversation_id>/clear")
def confirm_clear(conversation_id: str) -> str:
    return render_template("clear.html", conversation=opened(conversation_id))


@blueprint.get("/conversations/<conversation_id>/answers/<answer_id>/stream")
def stream(conversation_id: str, answer_id: str) -> Response:
    """Send an answer's text from a position on as server-sent events, then its end.

    The position, in characters, is each event's id, and comes back as `Last-Event-ID`.
    """
    opened(conversation_id).turn_of(answer_id)
    position = request.headers.get("Last-Event-ID") or request.args.get("after", "")
    start = int(position) if position.isascii() and position.isdigit() else 0
    return Response(
        stream_with_context(_events(conversation_id, answer_id, start)),
        mimetype="text/event-stream",
        headers={"Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no"},
    )


@blueprint.get("/model")
def model() -> str:
    """Return the line that names the model, for a page that came before the name was known."""
    return render_template("_model.html")


@blueprint.get("/healthz")
def healthz() -> dict[str, str]:
    return {"status": "ok", "version": __version__}


def _events(conversation_id: str, answer_id: str, start: int) -> Iterator[str]:
    position = start
    for position, piece in answers().follow(answer_id, start):
        if piece:
            yield _event(render_template("_piece.html", answer_id=answer_id, text=piece), position)
        else:
            yield ": heartbeat\n\n"
    try:
        conversation = opened(conversation_id)
        turn = conversation.turn_of(answer_id)
    except Refused:
        yield "event: end\ndata:\n\n"  # Cleared meanwhile; whoever cleared it has told the page.
        return
    if rest := turn.answer.text[position:]:
        position += len(rest)
        yield _event(render_template("_piece.html", answer_id=answer_id, text=rest), position)
    yield _event(render_template("_settled.html", conversation=conversation, turn=turn), position)
    yield "event: end\ndata:\n\n"


def _event(html: str, position: int) -> str:
    data = "".join(f"data: {line}\n" for line in html.split("\n"))
    return f"id: {position}\n{data}\n"


def _page(conversation: Conversation, notice: str = "", typed: str = "") -> str:
    return render_template("page.html", conversation=conversation, notice=notice, typed=typed)


def _begin(conversation_id: str, change: Callable[[Conversation], Turn]) -> Reply:
    """Make a change that lets the model answer, and show its turn; or say why not, with what was typed in the box."""
    try:
        conversation, turn = answers().begin(opened(conversation_id), change)
    except Refused as refusal:
        if wants_fragment():
            return render_template("_notice.html", message=str(refusal)), refusal.status
        own = answers().live(store.own_conversation())
        return _page(own, notice=str(refusal), typed=request.form.get("question", "")), refusal.status
    return render_template("_begun.html", conversation=conversation, turn=turn) if wants_fragment() else _to_page(turn)


def _to_page(turn: Turn | None = None) -> WerkzeugResponse:
    return redirect(url_for("chat.page", _anchor=f"turn-{turn.id}" if turn else None), code=303)


def _question() -> str:
    """Return the question of the form that was posted. Raises Refused."""
    body = request.get_data(cache=True, parse_form_data=False)
    if request.mimetype == "application/x-www-form-urlencoded":
        body = unquote_to_bytes(body)
    try:
        body.decode()
    except UnicodeDecodeError:
        raise _NotText from None
    if "question" not in request.form:
        raise BadQuestion("The form came without its question field. Reload the page and try again.")
    return check_question(request.form["question"], current_app.config["MAX_QUESTION_CHARS"])


class _NotText(BadQuestion):
    status = BadRequest.code

    def __init__(self) -> None:
        super().__init__("The question holds bytes that are not text in UTF-8. Paste it again from its source.")
