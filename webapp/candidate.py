"""A conversation that was found in a file, before it becomes part of one of ours.

Whatever a file holds, a candidate is of our own types, and its texts can be read, sent and saved.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import msgspec
from msgspec import Struct

from .conversation import Answer, Busy, Conversation, Mode, Refused, Status, Turn
from .question import UNREADABLE
from .wording import Sentence, say, say_many

# Of one conversation; its page holds all of them.
MAX_TURNS = 5_000
MAX_MB = 10
MAX_DEPTH = 40
LATEST = 32_503_680_000.0  # the year 3000, in seconds

# What is not taken over, in words for a number of it.
KINDS: dict[str, Callable[[int], Sentence]] = {
    "system": lambda number: say_many("{number:,} system message", "{number:,} system messages", number),
    "tool": lambda number: say_many(
        "{number:,} message to or from a tool", "{number:,} messages to and from tools", number
    ),
    "hidden": lambda number: say_many("{number:,} hidden message", "{number:,} hidden messages", number),
    "version": lambda number: say_many(
        "{number:,} message of another version",
        "{number:,} messages of other versions (edited questions, other answers)",
        number,
    ),
    "attachment": lambda number: say_many(
        "{number:,} attachment", "{number:,} attachments (images, audio, files)", number
    ),
    "picture": lambda number: say_many(
        "{number:,} image, which the file does not hold", "{number:,} images, which the file does not hold", number
    ),
    "exchange": lambda number: say_many(
        "{number:,} request with its reply", "{number:,} requests with their replies", number
    ),
    "beyond": lambda number: say_many(
        "{number:,} answer, choice or image more than one question can have",
        "{number:,} answers, choices or images more than one question can have",
        number,
    ),
    "orphan": lambda number: say_many(
        "{number:,} answer without a question", "{number:,} answers without a question", number
    ),
    "unknown": lambda number: say_many(
        "{number:,} entry of an unknown kind", "{number:,} entries of an unknown kind", number
    ),
    "empty": lambda number: say_many(
        "{number:,} conversation without messages", "{number:,} conversations without messages", number
    ),
    "parameters": lambda number: say_many(
        "{number:,} parameter or system prompt of the file",
        "{number:,} parameters and system prompts of the file",
        number,
    ),
}

MODES: dict[Mode, Sentence] = {"chat": say("chat"), "completion": say("completion"), "image": say("image")}

# The question where there was an image or a file and no text: its answer has to belong to one.
NO_TEXT = "(no text)"


class BadImport(Refused):
    """A file that cannot be imported."""


class TooLarge(BadImport):
    status = 413


class Candidate(Struct):
    """A conversation of a file. `skipped` counts what was not taken over, by the names of KINDS."""

    title: str = ""
    mode: Mode = "chat"
    created: float = 0.0
    turns: list[Turn] = []
    parameters: dict[str, Any] = {}
    skipped: dict[str, int] = {}
    set_aside: dict[str, list[Turn]] = {}


class Packed(NamedTuple):
    """A candidate as it is kept, and what is told of it: so a large file has no more in memory than it is long."""

    title: str
    created: float
    questions: int
    content: bytes

    def opened(self) -> Candidate:
        """Return the candidate as it will be read again once it is saved. Raises BadImport where that cannot be."""
        try:
            return msgspec.json.decode(self.content, type=Candidate)
        except (ValueError, RecursionError) as error:
            raise _unkeepable(error) from None


class Line(NamedTuple):
    """One thing that a user or an assistant said."""

    role: str
    text: str
    reasoning: str = ""
    model: str = ""
    time: float | None = None
    status: Status = "done"
    finish_reason: str | None = None


def turns_of(lines: Iterable[Line], skipped: Counter[str]) -> list[Turn]:
    """Return questions with their answers; what an assistant says in several pieces is one answer."""
    turns: list[Turn] = []
    for line in lines:
        if line.role == "user":
            answer = Answer(status="stopped")
            answer.started = answer.started if line.time is None else line.time
            answer.ended = answer.started
            turns.append(Turn(line.text, answers=[answer]))
        elif turns:
            _go_on(turns[-1].answer, line)
        else:
            skipped["orphan"] += 1
    return turns


def _go_on(answer: Answer, line: Line) -> None:
    answer.text = "\n\n".join(filter(None, (answer.text, line.text)))
    answer.reasoning = "\n\n".join(filter(None, (answer.reasoning, line.reasoning)))
    answer.model = line.model or answer.model
    answer.ended = answer.ended if line.time is None else line.time
    if line.text:
        answer.status, answer.finish_reason = line.status, line.finish_reason


def packed(candidate: Candidate) -> Packed:
    """Return a candidate as it is kept. Raises BadImport where that cannot be."""
    try:
        content = msgspec.json.encode(candidate)
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise _unkeepable(error) from None
    title = candidate.title or (_beginning(candidate.turns[0].question) if candidate.turns else "")
    return Packed(title, candidate.created, len(candidate.turns), content)


def _unkeepable(error: Exception) -> BadImport:
    return BadImport(say("The file holds something that cannot be kept: {error}.", error=str(error)))


def _beginning(question: str) -> str:
    return question if len(question) <= 80 else f"{question[:79]}…"


def add(conversation: Conversation, candidate: Candidate, first_id: str) -> Counter[str]:
    """Append a candidate's turns to a conversation; return what was skipped.

    The first of them gets `first_id`: a conversation that has a turn of that id has them all already. The
    candidate's parameters are taken over by a conversation that is still empty and has none.
    Raises Busy and BadImport, and then has changed nothing.
    """
    skipped = Counter(candidate.skipped)
    if any(turn.id == first_id for turn in conversation.every_turn()):
        return skipped
    _check(conversation, candidate)
    if candidate.parameters and not conversation.turns and not conversation.parameters:
        conversation.parameters = candidate.parameters
    elif candidate.parameters != conversation.parameters:
        skipped["parameters"] += len(candidate.parameters)
    first = candidate.turns[0]
    first.versions = [first_id if version == first.id else version for version in first.versions]
    first.id = first_id
    conversation.turns += candidate.turns
    conversation.set_aside |= candidate.set_aside
    return skipped


def _check(conversation: Conversation, candidate: Candidate) -> None:
    """Raise Busy or BadImport where a conversation cannot take a candidate."""
    if conversation.pending:
        raise Busy
    if candidate.mode != conversation.mode:
        raise BadImport(
            say(
                "That conversation is one of the mode {theirs}, and this is one of the mode {ours}. Import it there.",
                theirs=MODES[candidate.mode],
                ours=MODES[conversation.mode],
            )
        )
    if (count := len(candidate.turns) + sum(map(len, candidate.set_aside.values()))) > MAX_TURNS:
        raise TooLarge(
            say(
                "That conversation has {count:,} questions; up to {limit:,} can be imported. Split the file, and "
                "import its parts one after the other.",
                count=count,
                limit=MAX_TURNS,
            )
        )
    if (size := len(msgspec.json.encode(candidate)) / 2**20) > MAX_MB:
        raise TooLarge(
            say(
                "That conversation has {size:,.0f} MB; up to {limit} can be imported. Split the file, and import its "
                "parts one after the other.",
                size=size,
                limit=MAX_MB,
            )
        )


def counted(skipped: Counter[str]) -> list[str]:
    """Return in words what was skipped, one phrase for each kind."""
    return [words(count) for kind, words in KINDS.items() if (count := skipped[kind]) > 0]


# What a file holds, as what it should be


def clean(text: str) -> str:
    """Return a text that can be read and saved: control characters and halves of characters become U+FFFD."""
    return UNREADABLE.sub("\ufffd", text.replace("\r\n", "\n").replace("\r", "\n"))


def cleaned(value: Any, depth: int = 0) -> Any:
    """Return a value of JSON whose texts are all clean. Raises BadImport where it is nested too deeply."""
    if depth > MAX_DEPTH:
        raise BadImport(say("The file is nested more than {limit} levels deep; no export is.", limit=MAX_DEPTH))
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, list):
        return [cleaned(one, depth + 1) for one in value]
    if isinstance(value, dict):
        return {clean(str(name)): cleaned(one, depth + 1) for name, one in value.items()}
    return value


def text(value: Any) -> str:
    return clean(value).strip("\n") if isinstance(value, str) else ""


def one_line(value: Any, limit: int = 120) -> str:
    words = " ".join(text(value).split())
    return words if len(words) <= limit else f"{words[: limit - 1]}…"


def mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def sequence(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def moment(value: Any) -> float | None:
    """Return a time in seconds; some exports count milliseconds."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return None
    seconds = float(value) / 1000 if value > LATEST else float(value)
    return seconds if 0 < seconds < LATEST else None
