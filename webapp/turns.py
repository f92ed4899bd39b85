"""What can be done with a turn: ask again or in other words, go on, show another version, keep, leave out."""

from collections.abc import Callable

from flask import Blueprint, render_template, request

from . import store
from .chat import Reply, answers, begin, changed, opened, posted_question, refused, turn_url, wants_fragment
from .conversation import Conversation, Refused, Turn

blueprint = Blueprint("turns", __name__, url_prefix="/conversations/<conversation_id>/turns/<turn_id>")


@blueprint.post("/retry")
def retry(conversation_id: str, turn_id: str) -> Reply:
    return begin(conversation_id, lambda edited: edited.retry(turn_id, _shown()))


@blueprint.post("/continue")
def resume(conversation_id: str, turn_id: str) -> Reply:
    return begin(conversation_id, lambda edited: edited.resume(turn_id, _shown()))


@blueprint.get("/edit")
def edit(conversation_id: str, turn_id: str) -> str:
    """Return the page to edit a question on; with a script, its form takes the question's place."""
    conversation = opened(conversation_id)
    turn = conversation.turn(turn_id)
    return _form(conversation, turn, turn.question)


@blueprint.get("/question")
def question(conversation_id: str, turn_id: str) -> str:
    """Return a turn's question as it stands in the conversation, to take the place of the form."""
    conversation = opened(conversation_id)
    return render_template("_question.html", conversation=conversation, turn=conversation.turn(turn_id), again=True)


@blueprint.post("/edit")
def ask_anew(conversation_id: str, turn_id: str) -> Reply:
    """Ask a question anew in other words; what it was is kept as another version."""

    def change(edited: Conversation) -> Turn:
        return edited.edit(turn_id, posted_question(), request.form.get("turn", ""))

    try:
        conversation, turn = answers().begin(opened(conversation_id), change, request.remote_addr or "")
    except Refused as refusal:
        return _edit_refused(conversation_id, turn_id, refusal)
    return changed(conversation, turn, all_of_it=True)


@blueprint.post("/version")
def show_version(conversation_id: str, turn_id: str) -> Reply:
    """Show another version of a question, `version` from 1, with all that came after it."""
    return _edit(conversation_id, lambda edited: edited.show_version(turn_id, _number("version")), all_of_it=True)


@blueprint.post("/answer")
def show_answer(conversation_id: str, turn_id: str) -> Reply:
    """Show another answer to a question, `answer` from 1, and let it be the one that counts."""
    return _edit(conversation_id, lambda edited: edited.show_answer(turn_id, _number("answer")))


@blueprint.post("/keep/<int:index>")
def keep(conversation_id: str, turn_id: str, index: int) -> Reply:
    return _edit(conversation_id, lambda edited: edited.keep(turn_id, index, _shown()))


@blueprint.post("/leave-out")
def leave_out(conversation_id: str, turn_id: str) -> Reply:
    return _edit(conversation_id, lambda edited: edited.leave_out(turn_id, True))


@blueprint.post("/take-back")
def take_back(conversation_id: str, turn_id: str) -> Reply:
    return _edit(conversation_id, lambda edited: edited.leave_out(turn_id, False))


def _edit(conversation_id: str, change: Callable[[Conversation], Turn], *, all_of_it: bool = False) -> Reply:
    """Make a change that asks nothing, and show it."""
    try:
        with store.editing(conversation_id) as edited:
            turn = change(edited)
    except Refused as refusal:
        return refused(conversation_id, refusal)
    return changed(answers().live(edited), turn, all_of_it=all_of_it)


def _edit_refused(conversation_id: str, turn_id: str, refusal: Refused) -> Reply:
    """Say why a question was not asked anew, beside the form with what was typed."""
    if wants_fragment():
        return refused(conversation_id, refusal)
    try:
        conversation = opened(conversation_id)
        turn = conversation.turn(turn_id)
    except Refused:
        return refused(conversation_id, refusal)
    return _form(conversation, turn, request.form.get("question", ""), str(refusal)), refusal.status, refusal.headers


def _form(conversation: Conversation, turn: Turn, typed: str, notice: str = "") -> str:
    back = turn_url(conversation, turn)
    return render_template("edit.html", conversation=conversation, turn=turn, typed=typed, notice=notice, back=back)


def _shown() -> str:
    """Return the id of the answer that was shown where a form was; empty where the form does not say."""
    return request.form.get("answer_id", "")


def _number(field: str) -> int:
    """Return the number that a form names, from 1; 0 where it names none."""
    return request.form.get(field, 0, int)
