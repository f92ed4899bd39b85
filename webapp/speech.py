"""Dictation and reading aloud: a recording becomes text in the box, an answer becomes sound."""

import re
from collections.abc import Mapping
from functools import partial
from os import SEEK_END
from typing import cast

from flask import Blueprint, Response, current_app, redirect, render_template, request, url_for
from werkzeug.exceptions import RequestEntityTooLarge

from . import store
from .audio import Audio, BadRecording
from .chat import Reply, answers, opened, wants_fragment
from .conversation import Answer, Busy, Conversation, Refused
from .forms import MEGABYTE, PATIENCE, allow_file
from .spoken import LONGEST, has_code, is_cut
from .wording import say

blueprint = Blueprint("speech", __name__)

# After these, and after Chinese and Japanese, words follow without a space.
NO_SPACE_AFTER = re.compile(r"[\s(\[{“‘\u3000-\u30ff\u3400-\u9fff\uff00-\uffef]\Z")


class TooLarge(Refused):
    status = 413


def audio() -> Audio:
    return cast(Audio, current_app.extensions["audio"])


@blueprint.app_template_global()
def largest_recording() -> int:
    """Return the limit for a recording, in bytes."""
    return int(current_app.config["MAX_AUDIO_MB"]) * MEGABYTE


@blueprint.post("/conversations/<conversation_id>/transcribe")
def transcribe(conversation_id: str) -> Reply:
    """Put a recording into words: as mere text to the script, and otherwise in the page's box.

    It goes to the chat's model only when the person sends it.
    """
    allow_file(PATIENCE * largest_recording() + current_app.config["MAX_CONTENT_LENGTH"])
    form: Mapping[str, str] = {}
    try:
        form = _form()
        text = _transcription(opened(conversation_id))
    except Refused as refusal:
        if wants_fragment():
            raise
        return _page(conversation_id, form, notice=str(refusal)), refusal.status, refusal.headers
    if wants_fragment():
        return Response(text, mimetype="text/plain")
    return _page(conversation_id, form, said=text)


@blueprint.post("/conversations/<conversation_id>/answers/<answer_id>/speech")
def read_aloud(conversation_id: str, answer_id: str) -> Reply:
    """Let a part of an answer be read aloud: the one that `part` names, or the first."""
    conversation, answer = _settled(conversation_id, answer_id)
    number = request.form.get("part", "")
    part = int(number) if number.isascii() and number.isdigit() and len(number) < 5 else 1
    still_there = partial(_settled, conversation_id, answer_id)
    audio().speech(conversation, answer.text, part, still_there, request.remote_addr or "")
    if wants_fragment():
        return _player("_player.html", conversation, answer, part)
    page = url_for("speech.listen", conversation_id=conversation.id, answer_id=answer_id, _anchor=f"part-{part}")
    return redirect(page, code=303)


@blueprint.get("/conversations/<conversation_id>/answers/<answer_id>/speech")
def listen(conversation_id: str, answer_id: str) -> str:
    """Return the page that plays what of an answer was read aloud, for browsers without a script."""
    return _player("listen.html", *_settled(conversation_id, answer_id))


def _page(conversation_id: str, form: Mapping[str, str], said: str = "", notice: str = "") -> str:
    """Return the conversation's page with its form as it was posted, and what was said behind what was typed."""
    try:
        conversation = opened(conversation_id)
        conversation.single = "single" in form
    except Refused:
        conversation = answers().live(store.own_conversation())
    typed = joined(form.get("question", "").replace("\r\n", "\n"), said)
    return render_template("page.html", conversation=conversation, notice=notice, typed=typed)


def _player(template: str, conversation: Conversation, answer: Answer, part: int = 0) -> str:
    return render_template(
        template,
        conversation=conversation,
        answer=answer,
        part=part,
        spoken=audio().spoken(conversation.id, answer.text),
        code_left_out=has_code(answer.text),
        read_up_to=LONGEST if is_cut(answer.text) else 0,
    )


def _settled(conversation_id: str, answer_id: str) -> tuple[Conversation, Answer]:
    """Return an answer that is complete, and its conversation. Raises Refused."""
    conversation = opened(conversation_id)
    _, answer = conversation.find_answer(answer_id)
    if answer.status == "pending":
        raise Busy
    return conversation, answer


def _form() -> Mapping[str, str]:
    """Return the fields beside the recording. Raises TooLarge."""
    try:
        return request.form
    except RequestEntityTooLarge:
        raise TooLarge(
            say(
                "That recording is much too large; up to {limit:,} MB can be sent. Send it in parts. "
                "What you typed is on the page you came from.",
                limit=current_app.config["MAX_AUDIO_MB"],
            )
        ) from None


def _transcription(conversation: Conversation) -> str:
    upload = request.files.get("audio")
    if upload is None or not upload.filename:
        raise BadRecording(say("Choose an audio file first."))
    size = upload.seek(0, SEEK_END)
    if size > largest_recording():
        raise TooLarge(
            say(
                "That recording has {size:,.1f} MB; up to {limit:,} MB can be sent. Send it in parts.",
                size=size / MEGABYTE,
                limit=current_app.config["MAX_AUDIO_MB"],
            )
        )
    upload.seek(0)
    return audio().transcription(
        conversation,
        upload.filename,
        upload.mimetype,
        upload.read(),
        lambda: store.loaded(conversation.id),
        request.remote_addr or "",
    )


def joined(typed: str, said: str) -> str:
    """Return what was typed with what was said behind it."""
    space = "" if not (typed and said) or NO_SPACE_AFTER.search(typed) or NO_SPACE_AFTER.search(said[0]) else " "
    return f"{typed}{space}{said}"
