"""A conversation as a file to take along: as JSON and as a readable transcript, and what the file is called."""

import re
import unicodedata
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any, NamedTuple

import msgspec

from . import __version__
from .config import public_url
from .conversation import Answer, Conversation, Message, Picture, Turn
from .exchange import Exchange, pretty
from .wording import plain, say

FORMAT = 2  # of the JSON; a later one that this version could not read gets a higher number
NOTE = (
    "messages is the system prompt and the whole history: every question that has an answer and is not left out. "
    "Where that is more than the model's context window holds, Parley sends only the newer turns of it with the next "
    "question. turns is the whole record of what is shown. Where a question was edited, versions has the places of its "
    "other versions in other_versions, from 0, each with all that came after it, and null for the one that is shown. "
    "Of each request, messages and prompt are left out, since they repeat what came before."
)
REPEATED = ("messages", "prompt")
FENCE = re.compile(r" {0,3}(`{3,}|~{3,})(.*)")


BY_STATUS: dict[str, str] = {
    "pending": say("Still being written when this was exported."),
    "stopped": say("Stopped."),
    "interrupted": say("Interrupted: the server was stopped while this answer was being written."),
}
BY_REASON: dict[str, str] = {
    "length": say("Cut off at the limit of tokens for one answer."),
    "content_filter": say("Cut off by the provider's content filter."),
}

# Says a sentence of ours in somebody's language.
Words = Callable[[str], str]


class Sending(NamedTuple):
    """How a conversation's questions are sent. `fields` is what a request has beside model and messages."""

    model: str
    system_prompt: str
    fields: dict[str, Any]
    base_url: str | None  # None for the local model, whose address is nobody else's


def messages(conversation: Conversation, system_prompt: str) -> list[Message]:
    """Return the system prompt and the whole history, whether or not a context window takes it all.

    Nothing for the modes that send no messages.
    """
    if conversation.mode != "chat":
        return []
    *history, _ = conversation.messages(Turn("", answers=[Answer()]), system_prompt, prefill=False)
    return history


def title(conversation: Conversation, in_words: Words = plain) -> str:
    """Return the beginning of the first question, on one line."""
    words = " ".join(conversation.turns[0].question.split()) if conversation.turns else ""
    return (words if len(words) <= 60 else f"{words[:59]}…") or in_words(say("Conversation"))


def filename(conversation: Conversation, ending: str) -> str:
    """Return a name that every file system takes: the day, and the beginning of the first question."""
    words = re.sub(r"[\W_]+", "-", unicodedata.normalize("NFC", title(conversation))[:48]).strip("-") or "conversation"
    day = _moment(conversation.turns[0].answers[0].started if conversation.turns else conversation.created)[:10]
    return f"{day}-{words}.{ending}"


# JSON


def to_json(conversation: Conversation, sending: Sending, exchanges: Callable[[str], list[Exchange]]) -> bytes:
    """Return the whole conversation as JSON, but for its owner. `exchanges` is asked with each answer's id."""
    places = {turn_id: place for place, turn_id in enumerate(conversation.set_aside)}
    turn = partial(_turn, exchanges=exchanges, places=places)
    document = {
        "parley": {"version": __version__, "format": FORMAT, "note": NOTE},
        "title": title(conversation),
        "mode": conversation.mode,
        "created": conversation.created,
        "model": sending.model,
        "messages": messages(conversation, sending.system_prompt),
        "parameters": conversation.parameters,
        "turns": [turn(one) for one in conversation.turns],
        "other_versions": [[turn(one) for one in tail] for tail in conversation.set_aside.values()],
    }
    if not conversation.set_aside:
        del document["other_versions"]
    return pretty(document).encode() + b"\n"


def _turn(turn: Turn, exchanges: Callable[[str], list[Exchange]], places: dict[str, int]) -> dict[str, Any]:
    record: dict[str, Any] = msgspec.to_builtins(turn)
    del record["id"]
    if turn.versions:
        record["versions"] = [places.get(version) for version in turn.versions]
    for answer in record["answers"]:
        answer.setdefault("status", "pending")
        if kept := exchanges(answer.pop("id")):
            answer["exchanges"] = [_exchange(one) for one in kept]
    return record


def _exchange(exchange: Exchange) -> dict[str, Any]:
    record: dict[str, Any] = msgspec.to_builtins(exchange)
    record["base_url"] = public_url(exchange.base_url)
    record["request"] = {name: value for name, value in exchange.request.items() if name not in REPEATED}
    return record


# Markdown


def to_markdown(conversation: Conversation, sending: Sending, in_words: Words = plain) -> str:
    """Return a transcript for people; `in_words` says a sentence in their language."""
    models = {turn.answer.model for turn in conversation.turns if turn.answer.model}
    about = [_moment(conversation.created), ", ".join(sorted(models)) or sending.model]
    about.append(in_words(say("exported from Parley")))
    parts = [f"# {_inline(title(conversation, in_words))}", " · ".join(filter(None, about))]
    if sending.system_prompt and conversation.mode == "chat":
        parts += [in_words(say("System prompt:")), _quoted(sending.system_prompt)]
    for number, turn in enumerate(conversation.turns, 1):
        parts += _turn_parts(number, turn, in_words)
    return "\n\n".join(parts) + "\n"


def _turn_parts(number: int, turn: Turn, in_words: Words) -> list[str]:
    parts = [f"## {in_words(say('Question {number}', number=number))}", _quoted(turn.question)]
    if turn.single:
        parts.append(f"*{in_words(say('Sent on its own, without the conversation before it.'))}*")
    if turn.left_out:
        parts.append(f"*{in_words(say('Left out: not sent with later questions.'))}*")
    parts.append(f"### {' · '.join([in_words(say('Answer')), *_about(turn.answer)])}")
    return parts + _answer_parts(turn.answer, in_words)


def _about(answer: Answer) -> list[str]:
    return [part for part in (_inline(answer.model), _moment(answer.ended or answer.started)) if part]


def _answer_parts(answer: Answer, in_words: Words) -> list[str]:
    parts = _folded(in_words(say("Reasoning")), [_closed(answer.reasoning)]) if answer.reasoning else []
    if answer.text:
        parts.append(_closed(answer.text))
    parts += [_picture(number, picture, in_words) for number, picture in enumerate(answer.pictures, 1)]
    for index, choice in enumerate(answer.choices):
        if index != answer.kept and choice:
            of = say("Choice {number} of {count}, not kept", number=index + 1, count=len(answer.choices))
            parts += _folded(in_words(of), [_closed(choice)])
    if ending := _ending(answer):
        parts.append(f"*{in_words(ending)}*")
    if answer.failure:
        parts.append(_quoted(in_words(answer.failure.sentence)))
    return parts


def _ending(answer: Answer) -> str:
    """Return in words how an answer ended, where that was not its own end."""
    if answer.failure:
        status = answer.failure.status
        return say("Failed (HTTP {status}):", status=status) if status else say("Failed:")
    return BY_STATUS.get(answer.status) or BY_REASON.get(answer.finish_reason or "", "")


def _picture(number: int, picture: Picture, in_words: Words) -> str:
    name = in_words(say("image {number}", number=number))
    if picture.url:
        url = re.sub(r"[\s<>\\]", "", picture.url)
        line = f"- [{name}](<{url}>)"
    else:
        line = f"- {name}: `{picture.file}`"
    return f"{line}: {_inline(picture.revised_prompt)}" if picture.revised_prompt else line


def _folded(summary: str, parts: list[str]) -> list[str]:
    return [f"<details>\n<summary>{summary}</summary>", *parts, "</details>"]


def _quoted(text: str) -> str:
    return "\n".join(f"> {line}".rstrip() for line in text.split("\n"))


def _inline(text: str) -> str:
    """Return a text on one line whose signs mean nothing in Markdown."""
    return re.sub(r"([\\`*_\[\]<>#|~])", r"\\\1", " ".join(text.split()))


def _closed(text: str) -> str:
    """Return a text as it is; a block of code that was cut off in the middle is closed, or it would go on behind it."""
    fence = ""
    for line in text.split("\n"):
        found = FENCE.fullmatch(line)
        if found and not fence:
            fence = found[1]
        elif found and found[1].startswith(fence) and not found[2].strip():
            fence = ""
    return f"{text}\n{fence}" if fence else text


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")
