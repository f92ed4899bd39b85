"""Reading the bytes of a chat reply: server-sent events to text, fast."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from .llm_errors import BrokenOff, Garbage, LLMError, from_stream, shown

# A carriage return at the very end may be the first half of a line end.
LINE_END = re.compile(b"\r\n|\n|\r(?!\n|$)")


@dataclass
class Reply:
    """What a reply says beside its text."""

    finish_reason: str | None = None
    usage: dict[str, Any] | None = None
    model: str = ""


class _Delta(msgspec.Struct):
    content: Any = None


class _Choice(msgspec.Struct):
    delta: _Delta | None = None
    finish_reason: str | None = None


class _Chunk(msgspec.Struct):
    choices: list[_Choice] | None = None
    usage: dict[str, Any] | None = None
    model: str | None = None
    error: Any = None


_decode = msgspec.json.Decoder(_Chunk).decode


def read(pieces: Iterator[bytes], content_type: str, reply: Reply) -> Iterator[str]:
    """Yield the text of a streamed reply, what arrives together as one piece. Fills in `reply`. Raises LLMError.

    The SDK's own objects cost three times the CPU a token and more (bench/reading.py), so its raw bytes are read.
    """
    if "text/event-stream" not in content_type:
        yield _whole(b"".join(pieces), content_type, reply)
        return
    done = False
    failure = None
    halves = _Halves()
    for payloads in _events(pieces):
        texts = []
        for payload in payloads:
            if done := payload == b"[DONE]":
                break
            try:
                texts.append(_take(_chunk(payload), reply))
            except LLMError as error:
                failure = error
                break
        # Text that came together with an error comes first.
        if text := halves.join("".join(texts)):
            yield text
        if failure:
            raise failure
        if done:
            break
    if rest := halves.rest():
        yield rest
    if not done and not reply.finish_reason:
        raise BrokenOff("The stream ended in the middle of the answer.")


def _events(pieces: Iterator[bytes]) -> Iterator[list[bytes]]:
    """Yield the `data` of the server-sent events that each piece of bytes completes.

    See the HTML standard, 9.2.6. No JSON reply spreads over several `data` lines, so a line is an event.
    """
    unfinished: list[bytes] = []
    for piece in pieces:
        unfinished.append(piece)
        if b"\n" in piece or b"\r" in piece:
            *lines, rest = LINE_END.split(b"".join(unfinished))
            unfinished = [rest]
            yield [line[5:].strip() for line in lines if line.startswith(b"data:")]
    rest = b"".join(unfinished)
    if rest.startswith(b"data:"):
        yield [rest[5:].strip()]


def _chunk(payload: bytes) -> _Chunk:
    try:
        return _decode(payload)
    except ValueError:
        pass
    try:
        # Lone halves of a surrogate pair, which some servers send apart, are no JSON to msgspec.
        return msgspec.convert(json.loads(payload), _Chunk)
    except (ValueError, RecursionError):
        told = shown(payload.decode(errors="replace"))
        raise Garbage(f"The stream holds something that is not the API's JSON: {told}") from None


def _take(chunk: _Chunk, reply: Reply) -> str:
    """Note what a chunk says about the call, and return its text."""
    if chunk.error:
        raise from_stream(chunk.error)
    reply.model = chunk.model or reply.model
    reply.usage = chunk.usage or reply.usage
    texts = []
    for choice in chunk.choices or []:
        reply.finish_reason = choice.finish_reason or reply.finish_reason
        if choice.delta and isinstance(choice.delta.content, str):
            texts.append(choice.delta.content)
    return "".join(texts)


def _whole(body: bytes, kind: str, reply: Reply) -> str:
    """Return the text of a reply that came in one piece although a stream was asked for."""
    try:
        whole = msgspec.json.decode(body)
        if error := whole.get("error"):
            raise from_stream(error)
        choice = whole["choices"][0]
        text = choice["message"]["content"] or ""
    except (ValueError, LookupError, TypeError, AttributeError):
        told = shown(body.decode(errors="replace")) or "nothing at all"
        raise Garbage(f"The endpoint did not answer as a chat API does ({kind or 'no type'}): {told}") from None
    reply.model = whole.get("model") or ""
    reply.usage = whole.get("usage")
    reply.finish_reason = choice.get("finish_reason") or "stop"
    return str(text)


class _Halves:
    """Joins a character's two surrogates that arrive in two chunks; a half that stays alone becomes U+FFFD."""

    def __init__(self) -> None:
        self._half = ""

    def join(self, text: str) -> str:
        text = self._half + text
        self._half = text[-1] if text and "\ud800" <= text[-1] <= "\udbff" else ""
        if self._half:
            text = text[:-1]
        return text if text.isascii() else _paired(text)

    def rest(self) -> str:
        return "\ufffd" if self._half else ""


def _paired(text: str) -> str:
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
