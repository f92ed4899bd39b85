"""Reading the bytes of a reply: server-sent events, or one JSON, to text as it comes."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

import msgspec

from .assembly import Assembly
from .event_stream import DONE, events, joined, opened
from .llm_errors import BrokenOff, Garbage, LLMError, error_in, from_stream, shown, whole_characters
from .redaction import Redaction
from .wording import say

# Where a piece of text belongs: to a choice, by its index, or to the reasoning before the first one.
Piece = tuple[int, str]
REASONING = -1
MOST_CHOICES = 8

LONGEST = 50_000_000  # characters of one reply's text; a model that never ends must not fill memory and disk
SIGNS = re.compile(rb'"(?:[^"\\]|\\.)*+"|[][{}]', re.DOTALL)  # of JSON: its strings, and what nests
DEEPEST = 100  # how deep a chunk's JSON may nest; what is kept of it is written by recursion


@dataclass
class Reply:
    """What a reply says beside its text, and the reply itself: `whole`, or what it is assembled from."""

    expected: int = 1  # choices that were asked for
    finish_reason: str | None = None
    finish_reasons: dict[int, str] = field(default_factory=dict)  # of the choices
    stop_sequence: str = ""
    refused: bool = False
    usage: dict[str, Any] | None = None
    model: str = ""
    whole: dict[str, Any] | None = None
    body: list[bytes] = field(default_factory=list)  # what came of a reply in one piece, until it is known to be one
    assembly: Assembly = field(default_factory=Assembly)
    redaction: Redaction = field(default_factory=Redaction)
    heard: float = field(default_factory=monotonic)  # when anything came last that is no mere sign of life
    _counts_apart: bool = False  # the last usage came in a chunk of its own

    @property
    def is_complete(self) -> bool:
        """Tell whether every choice has said why it ended."""
        choices = {index for index, _ in self.assembly.choices} | set(range(self.expected))
        return choices <= set(self.finish_reasons)

    def hear(self) -> None:
        self.heard = monotonic()

    def note(self, part: dict[str, Any]) -> None:
        """Take what a chunk, or a reply in one piece, says about the whole call."""
        if isinstance(model := part.get("model"), str) and model:
            self.model = _paired(model)
        if isinstance(usage := part.get("usage"), dict) and usage:
            usage = cleaned(usage)
            if self._counts_apart and part.get("choices") == []:
                usage = _with_completions_of(usage, self.usage or {})  # llama.cpp sends one for each choice.
            self._counts_apart = part.get("choices") == []
            self.usage = usage

    def note_choice(self, choice: dict[str, Any]) -> None:
        index = choice.get("index") or 0
        if isinstance(reason := choice.get("finish_reason"), str) and reason and isinstance(index, int):
            self.finish_reasons[index] = _paired(reason)
            self.finish_reason = self.finish_reasons.get(0)
        if index == 0 and isinstance(sequence := choice.get("stop_reason"), str):  # vLLM says which one it was.
            self.stop_sequence = _paired(sequence)


def read(pieces: Iterator[bytes], content_type: str, reply: Reply) -> Iterator[Piece]:
    """Yield the text of a reply, what arrives together as one piece. Fills in `reply`. Raises LLMError.

    The SDK's own objects cost three times the CPU a token and more (bench/reading.py), so its raw bytes are read.
    """
    is_stream, pieces = opened(pieces, content_type)
    came = (
        _streamed(pieces, reply) if is_stream else _whole(joined(pieces, reply.hear, reply.body), content_type, reply)
    )
    length = 0
    for channel, text in came:
        yield channel, text
        length += len(text)
        if length > LONGEST:
            raise BrokenOff(say("The answer is longer than {limit:,} characters.", limit=LONGEST))


def _streamed(pieces: Iterator[bytes], reply: Reply) -> Iterator[Piece]:
    done = False
    failure = None
    halves: dict[int, _Halves] = {}
    for payloads in events(pieces, reply.hear):
        came: list[Piece] = []
        for payload in payloads:
            if done := payload == DONE:
                break
            try:
                came += _take(_chunk(payload, reply.redaction), reply)
            except LLMError as error:
                failure = error
                break
        # Text that came together with an error comes first.
        for channel, text in _joined(came):
            if text := halves.setdefault(channel, _Halves()).join(text):
                yield channel, text
        if failure:
            raise failure
        if done:
            break
    for channel, half in halves.items():
        if rest := half.rest():
            yield channel, rest
    if not done and not reply.is_complete:
        raise BrokenOff(say("The stream ended in the middle of the answer."))


def _joined(came: list[Piece]) -> list[Piece]:
    """Join what belongs together, in the order in which each channel came first."""
    if len(came) < 2:
        return came
    texts: dict[int, list[str]] = {}
    for channel, text in came:
        texts.setdefault(channel, []).append(text)
    return [(channel, "".join(parts)) for channel, parts in texts.items()]


def _chunk(payload: bytes, redaction: Redaction) -> dict[str, Any]:
    try:
        chunk = _decoded(payload)
    except (ValueError, RecursionError):
        chunk = None
    if not isinstance(chunk, dict) or not isinstance(chunk.get("choices") or [], list):
        told = shown(redaction.bytes(payload).decode(errors="replace"))
        raise Garbage(say("The stream holds something that is not the API's JSON: {told}", told=told)) from None
    return chunk


def _decoded(body: bytes) -> Any:
    """Return the JSON in a body. Raises ValueError and RecursionError."""
    if body.count(b"[") + body.count(b"{") > DEEPEST and _depth(body) > DEEPEST:
        raise RecursionError
    try:
        return msgspec.json.decode(body)
    except ValueError:
        # Lone halves of a surrogate pair, which some servers send apart, are no JSON to msgspec.
        return json.loads(body)


def _depth(body: bytes) -> int:
    """Return how deep the JSON in a body nests."""
    depth = deepest = 0
    for sign in SIGNS.finditer(body):
        if sign.group() in b"[{":
            depth += 1
            deepest = max(deepest, depth)
        elif sign.group() in b"]}":
            depth -= 1
    return deepest


def _take(chunk: dict[str, Any], reply: Reply) -> list[Piece]:
    """Note what a chunk says about the call, and return its text."""
    _refuse_error(chunk, reply.redaction)
    reply.note(chunk)
    reply.assembly.add(chunk)
    came: list[Piece] = []
    for choice in chunk.get("choices") or ():
        if isinstance(choice, dict):
            reply.note_choice(choice)
            came += _texts(choice, choice.get("delta"), reply)
    return came


def _refuse_error(part: dict[str, Any], redaction: Redaction) -> None:
    """Raise the error that a chunk, or a reply in one piece, is or holds."""
    choices = part.get("choices")
    parts = [part, *(choices if isinstance(choices, list) else [])]  # OpenRouter says it in a choice, too.
    for one in parts:
        if isinstance(one, dict) and (error := one.get("error")):
            raise from_stream(redaction.json(error, redaction.told))
    if part.get("object") == "error":
        raise from_stream(redaction.json(part, redaction.told))


def _whole(body: bytes, kind: str, reply: Reply) -> Iterator[Piece]:
    """Yield the text of a reply that comes in one piece."""
    body = reply.redaction.bytes(body)
    try:
        whole = _decoded(body)
        _refuse_error(whole, reply.redaction)
        choices = [] if "data" in whole else [whole["choices"][0], *whole["choices"][1:]]
        came = []
        for choice in choices:
            reply.note_choice(choice)
            came += _texts(choice, choice.get("message"), reply)
        if choices and not reply.finish_reasons:
            reply.finish_reason = "stop"
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        raise Garbage(_not_the_api(kind, shown(whole_characters(body)))) from None
    reply.note(whole)
    reply.whole = whole
    reply.body.clear()
    for channel, text in _joined(came):
        if text:
            yield channel, _paired(text)


def _not_the_api(kind: str, told: str) -> str:
    kind, told = kind or say("no type"), told or say("nothing at all")
    return say("The endpoint did not answer as the API does ({kind}): {told}", kind=kind, told=told)


def _texts(choice: dict[str, Any], message: Any, reply: Reply) -> list[Piece]:
    """Return the texts of a choice: of a chat message (or a part of one), or of a plain completion."""
    index = choice.get("index") or 0
    if not isinstance(index, int) or not 0 <= index < MOST_CHOICES:
        return []
    if isinstance(text := choice.get("text"), str):
        return [(index, text)] if text else []
    if not isinstance(message, dict):
        return []
    came: list[Piece] = []
    if index == 0:
        thought = message.get("reasoning_content") or message.get("reasoning")
        if isinstance(thought, str) and thought:
            came.append((REASONING, thought))
    content = message.get("content")
    if isinstance(content, str):
        if content:
            came.append((index, content))
    elif isinstance(content, list):
        came += _parts(index, content)
    if isinstance(refusal := message.get("refusal"), str) and refusal:
        reply.refused = True
        came.append((index, refusal))
    return came


def _parts(index: int, parts: list[Any]) -> Iterator[Piece]:
    """Yield the texts of a content that comes in parts, as Mistral's reasoning models send it."""
    for part in parts:
        if not isinstance(part, dict):
            continue
        if isinstance(text := part.get("text"), str):
            yield index, text
        elif index == 0 and isinstance(thoughts := part.get("thinking"), list):
            yield from ((REASONING, text) for _, text in _parts(0, thoughts))


def model_objects(content: bytes) -> list[dict[str, Any]]:
    """Return the objects of a list of models, which some servers send bare. Raises LLMError."""
    try:
        listed = msgspec.json.decode(content)
    except ValueError:
        listed = None
    if isinstance(listed, dict) and ("data" in listed or "models" in listed):
        listed = listed.get("data") or listed.get("models") or []
    if not isinstance(listed, list):
        told = shown(whole_characters(content)) or "(nothing)"
        raise error_in(content) or Garbage(say("This is not a list of models: {told}", told=told))
    return [item for item in listed if isinstance(item, dict)]


def _with_completions_of(usage: dict[str, Any], earlier: dict[str, Any]) -> dict[str, Any]:
    counts = {
        name: (usage.get(name), earlier.get("completion_tokens")) for name in ("completion_tokens", "total_tokens")
    }
    return usage | {name: a + b for name, (a, b) in counts.items() if isinstance(a, int) and isinstance(b, int)}


def cleaned(value: Any) -> Any:
    """Return JSON with its surrogates paired, and those that stay alone as U+FFFD: as text that can be kept."""
    return json.loads(_paired(json.dumps(value, ensure_ascii=False)))


class _Halves:
    """Joins a character's two surrogates that arrive in two chunks; a half that stays alone becomes U+FFFD."""

    def __init__(self) -> None:
        self._half = ""

    def join(self, text: str) -> str:
        text = self._half + text
        self._half = text[-1] if text and "\ud800" <= text[-1] <= "\udbff" else ""
        if self._half:
            text = text[:-1]
        return _paired(text)

    def rest(self) -> str:
        return "\ufffd" if self._half else ""


def _paired(text: str) -> str:
    return text if text.isascii() else text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
