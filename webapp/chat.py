"""The pages of every mode: read, ask, stop, clear; and what every change of a conversation answers."""

from collections.abc import Callable
from typing import Any, cast

from flask import Blueprint, Response, current_app, g, redirect, render_template, request, stream_with_context, url_for
from werkzeug.exceptions import BadRequest
from werkzeug.wrappers import Response as WerkzeugResponse

from . import __version__, excerpt, following, store
from .allotment import allotted
from .answers import Answers
from .backend import Backend
from .conversation import Conversation, Mode, Refused, Turn, new_id
from .excerpt import Excerpt
from .files import Files
from .following import read_positions
from .forms import MULTIPART, URLENCODED, typed, unquoted
from .pictures import picture_name
from .question import BadQuestion, check_question
from .rates import Streams
from .request import PATHS
from .wording import say

blueprint = Blueprint("chat", __name__)

Reply = WerkzeugResponse | str | tuple[str, int] | tuple[str, int, dict[str, str]]


def answers() -> Answers:
    return cast(Answers, current_app.extensions["answers"])


def backend() -> Backend:
    return cast(Backend, current_app.extensions["backend"])


def files() -> Files:
    return cast(Files, current_app.extensions["files"])


def opened(conversation_id: str) -> Conversation:
    """Return the visitor's conversation with that id, as far as its pending answer has come."""
    return answers().live(store.loaded(conversation_id))


def wants_fragment() -> bool:
    """Tell whether htmx asks, and takes a fragment; a plain browser is sent to a page."""
    return "HX-Request" in request.headers


@blueprint.app_context_processor
def helpers() -> dict[str, object]:
    return {
        "backend": backend(),
        "answer_text": following.answer_text,
        "new_id": new_id,
        "page_url": page_url,
        "turn_url": turn_url,
        "unsaved": answers().settling.unsaved,
        "excerpt_of": excerpt_of,
        "path_of": path_of,
        "text_id": following.text_id,
        "shown_end": following.shown_end,
        "picture_name": picture_name,
        "positions_of": following.positions_of,
    }


PAGES: dict[Mode, str] = {"chat": "chat.page", "completion": "chat.completion", "image": "chat.images"}


def page_url(conversation: Conversation, **more: Any) -> str:
    """Return the address of the page that shows a conversation."""
    return url_for(PAGES[conversation.mode], **more)


def turn_url(conversation: Conversation, turn: Turn) -> str:
    """Return the address of a turn on the page that shows it, however old it is."""
    is_shown = turn in excerpt.end_of(conversation).turns
    return page_url(conversation, turns=None if is_shown else turn.id, _anchor=f"turn-{turn.id}")


def excerpt_of(conversation: Conversation, changed: Turn | None = None) -> Excerpt:
    """Return the turns that a page shows: the last ones, from `turns` on if it asks for more, and a changed one."""
    # Not of a recording's form, which may be too large to be read at all.
    sent = request.args if request.mimetype == MULTIPART else request.values
    asked = (sent.get("turns", ""), request.args.get("from", ""), changed.id if changed else "")
    found = excerpt.end_of(conversation, *asked)
    g.allotted = allotted(conversation.mode, found.turns, is_long=bool(asked[0]))
    return found


def path_of(conversation: Conversation) -> str:
    """Return the API's path that a conversation's questions go to."""
    return PATHS[conversation.mode]


@blueprint.get("/")
def page() -> str:
    return _own_page("chat")


@blueprint.get("/completion")
def completion() -> str:
    return _own_page("completion")


@blueprint.get("/images")
def images() -> str:
    return _own_page("image")


def _own_page(mode: Mode) -> str:
    backend().start()
    conversation = answers().live(store.own_conversation(mode))
    return _page(conversation, typed=_prompt_to_go_on_from(conversation))


def _prompt_to_go_on_from(conversation: Conversation) -> str:
    """Return a turn's prompt and what came of it, to be edited and sent as a new one; none that may not be sent."""
    try:
        text = conversation.turn(request.args.get("from", "")).whole_text
    except Refused:
        return ""
    return text if len(text) <= current_app.config["MAX_QUESTION_CHARS"] else ""


@blueprint.post("/conversations/<conversation_id>/ask")
def ask(conversation_id: str) -> Reply:
    def change(edited: Conversation) -> Turn:
        question = posted_question()  # First: it looks at the body's bytes, which the form then uses up.
        edited.single = edited.mode == "chat" and "single" in request.form
        return edited.ask(question, request.form.get("turn", ""), single=edited.single)

    return begin(conversation_id, change)


@blueprint.post("/conversations/<conversation_id>/stop")
def stop(conversation_id: str) -> Reply:
    conversation = opened(conversation_id)
    turn = conversation.pending
    answers().stop(conversation)
    # To htmx the answer's own stream brings the end, behind its last piece of text.
    return ("", 204) if wants_fragment() else _to_page(conversation, turn)


@blueprint.post("/conversations/<conversation_id>/clear")
def clear(conversation_id: str) -> Reply:
    conversation = opened(conversation_id)
    # Where no script asked, a page does.
    if not wants_fragment() and "confirmed" not in request.form:
        return redirect(url_for("chat.confirm_clear", conversation_id=conversation_id), code=303)
    conversation = answers().clear(conversation)
    return render_template("_anew.html", conversation=conversation) if wants_fragment() else _to_page(conversation)


@blueprint.get("/conversations/<conversation_id>/clear")
def confirm_clear(conversation_id: str) -> str:
    return render_template("clear.html", conversation=opened(conversation_id))


@blueprint.get("/conversations/<conversation_id>/turns")
def older(conversation_id: str) -> str:
    """Return the turns before the one that `before` names, and what leads to those before them."""
    conversation = opened(conversation_id)
    turns = excerpt.before(conversation, request.args.get("before", ""))
    g.allotted = allotted(conversation.mode, turns.turns, is_long=False)
    return render_template("_turns.html", conversation=conversation, excerpt=turns) if turns.turns else ""


@blueprint.get("/conversations/<conversation_id>/answers/<answer_id>/stream")
def stream(conversation_id: str, answer_id: str) -> Response:
    """Send an answer's text from a position on as server-sent events, then its end.

    The positions, in characters, are each event's id, and come back as `Last-Event-ID`. With `poll`
    the stream ends after what is there. Raises TooMany where somebody follows too many already.
    """
    conversation = opened(conversation_id)
    conversation.turn_of(answer_id)
    last = request.headers.get("Last-Event-ID", "")
    start = read_positions(last or request.args.get("after", ""))
    polled = "poll" in request.args
    left = store.watch()
    events = following.events(answers(), conversation, answer_id, start, left, again=bool(last), polled=polled)
    response = Response(
        stream_with_context(events),
        mimetype="text/event-stream",
        headers={"Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no"},
    )
    if request.method == "GET" and not polled:  # To HEAD nothing is streamed, and nothing tells of its end.
        streams: Streams = current_app.extensions["streams"]
        response.call_on_close(streams.open(conversation.owner))
    return response


@blueprint.get("/conversations/<conversation_id>/answers/<answer_id>/unsaved")
def unsaved(conversation_id: str, answer_id: str) -> Response:
    """Try once more to save an answer that the disk refused; 204 while it still does."""
    opened(conversation_id).find_answer(answer_id)
    return Response("", 204 if answers().settling.unsaved(answer_id) else 200)


@blueprint.get("/model")
def model() -> str:
    """Return the line that names a conversation's model, for a page that came before the name was known."""
    conversation_id = request.args.get("conversation")
    own = opened(conversation_id) if conversation_id else store.own_conversation()
    return render_template("_model.html", conversation=own)


@blueprint.get("/healthz")
def healthz() -> dict[str, str]:
    return {"status": "ok", "version": __version__}


def _page(conversation: Conversation, notice: str = "", typed: str = "") -> str:
    return render_template("page.html", conversation=conversation, notice=notice, typed=typed)


def begin(conversation_id: str, change: Callable[[Conversation], Turn]) -> Reply:
    """Make a change that lets the model answer, and show its turn; or say why not, with what was typed in the box."""
    try:
        conversation, turn = answers().begin(opened(conversation_id), change, request.remote_addr or "")
    except Refused as refusal:
        return refused(conversation_id, refusal)
    return changed(conversation, turn)


def changed(conversation: Conversation, turn: Turn, *, all_of_it: bool = False) -> Reply:
    """Show a turn that was changed, or the whole conversation where more than that turn was."""
    if wants_fragment():
        template = "_anew.html" if all_of_it else "_begun.html"
        return render_template(template, conversation=conversation, turn=turn)
    return _to_page(conversation, turn)


def refused(conversation_id: str, refusal: Refused) -> Reply:
    if wants_fragment():
        return render_template("_notice.html", message=str(refusal)), refusal.status, refusal.headers
    try:
        conversation = opened(conversation_id)
    except Refused:
        conversation = answers().live(store.own_conversation())
    return _page(conversation, str(refusal), typed(beside_file=True)), refusal.status, refusal.headers


def _to_page(conversation: Conversation, turn: Turn | None = None) -> WerkzeugResponse:
    return redirect(turn_url(conversation, turn) if turn else page_url(conversation), code=303)


def posted_question() -> str:
    """Return the question of the form that was posted. Raises Refused."""
    body = request.get_data(cache=True, parse_form_data=False)
    if request.mimetype == URLENCODED:
        body = unquoted(body)
    try:
        body.decode()
    except UnicodeDecodeError:
        raise _NotText from None
    if "question" not in request.form:
        raise BadQuestion(say("The form came without its question field. Reload the page and try again."))
    return check_question(request.form["question"], current_app.config["MAX_QUESTION_CHARS"])


class _NotText(BadQuestion):
    status = BadRequest.code

    def __init__(self) -> None:
        super().__init__(say("The question holds bytes that are not text in UTF-8. Paste it again from its source."))
