"""Taking secrets out of what an endpoint sends back: some providers repeat the key that they were called with."""

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from .wording import Sentence

SHORTEST = 16  # characters; a placeholder such as "ollama" is no secret, and is a word that answers hold
HARMLESS = 4  # characters of a secret's beginning that are shown while nobody knows yet whether the rest follows
MARK = "[key]"


class Redaction:
    """Takes secrets out of texts, JSON, bytes and streams; short ones only out of what is told of a failure."""

    def __init__(self, secrets: Iterable[str] = ()):
        self._all = sorted({secret for secret in secrets if secret}, key=len, reverse=True)
        self._long = [secret for secret in self._all if len(secret) >= SHORTEST]
        self._escaped = [(re.compile(_escaped(secret).encode()), MARK.encode()) for secret in self._long]

    def told(self, text: str) -> str:
        """Return what is told of a failure, without any secret. A sentence stays one."""
        if isinstance(text, Sentence):
            return text.changed(self.told)
        for secret in self._all:
            text = text.replace(secret, MARK)
        return self.text(text)

    def text(self, text: str) -> str:
        """Return a whole text without secrets, nor most of one at its end, as of a text that was cut off."""
        for secret in self._long:
            stream = _Stream(secret)
            text = stream.add(text) + stream.rest()
        return text

    def json(self, value: Any, change: Callable[[str], str] | None = None) -> Any:
        """Return JSON with a change made to each text in it; by default without secrets."""
        change = change or self.text
        match value:
            case str():
                return change(value)
            case dict():
                return {self.json(name, change): self.json(part, change) for name, part in value.items()}
            case list():
                return [self.json(part, change) for part in value]
        return value

    def bytes(self, content: bytes) -> bytes:
        """Return the body of a reply without secrets, be they written with JSON's escapes; most of it is not copied."""
        for secret in self._long:
            content = content.replace(secret.encode(), MARK.encode())
        if b"\\" in content and content.lstrip()[:1] in (b"{", b"[", b'"'):
            for pattern, mark in self._escaped:
                content = pattern.sub(mark, content)
        return content

    def stream(self, pieces: Iterable[tuple[int, str]]) -> Iterator[tuple[int, str]]:
        """Yield pieces of text by their channels, without secrets, also where one is spread over several pieces.

        Held back is nothing but the beginning of a secret, from its fifth character on.
        """
        if not self._long:
            yield from pieces
            return
        channels: dict[int, list[_Stream]] = {}
        try:
            for channel, text in pieces:
                if channel not in channels:
                    channels[channel] = [_Stream(secret) for secret in self._long]
                for stream in channels[channel]:
                    text = stream.add(text)
                if text:
                    yield channel, text
        except Exception:
            yield from _rests(channels)  # What came before it broke off counts.
            raise
        yield from _rests(channels)


def _rests(channels: "dict[int, list[_Stream]]") -> Iterator[tuple[int, str]]:
    for channel, streams in channels.items():
        rest = ""
        for stream in streams:
            rest = stream.add(rest) + stream.rest()
        if rest:
            yield channel, rest


def _escaped(secret: str) -> str:
    """Return a pattern for a secret in JSON, each of whose characters may be written as an escape."""
    return "".join(
        rf"(?:{re.escape(sign)}|\\{re.escape(sign)}|\\u00(?i:{ord(sign):02x}))"
        if not sign.isalnum()
        else rf"(?:{sign}|\\u00(?i:{ord(sign):02x}))"
        for sign in secret
    )


class _Stream:
    """Takes one secret out of a text that comes in pieces."""

    def __init__(self, secret: str):
        self._secret = secret
        self._beginning = ""  # The end of what came, where it is a beginning of the secret,
        self._out = 0  # and how much of that was given out.

    def add(self, text: str) -> str:
        """Take the next piece of text, and return what can be shown of it."""
        secret = self._secret
        if not self._beginning and secret[:2] not in text and text[-1:] != secret[0]:
            return text  # as nearly always
        whole, out = self._beginning + text, self._out
        if secret in whole:
            if whole.startswith(secret):
                out = 0  # Its first characters are out already, and the mark follows them.
            whole = whole.replace(secret, MARK)
        self._beginning = beginning = self._begun(whole)
        self._out = max(min(len(beginning), HARMLESS), out - (len(whole) - len(beginning)))
        return whole[out : len(whole) - len(beginning) + self._out]

    def rest(self) -> str:
        """Return what is to be shown of what was held back, now that nothing follows."""
        held = self._beginning[self._out :]
        long = len(self._beginning) >= SHORTEST
        self._beginning, self._out = "", 0
        return MARK if long and held else held

    def _begun(self, text: str) -> str:
        """Return the longest end of a text that is a beginning of the secret, but not the whole of it."""
        at = text.find(self._secret[0], max(0, len(text) - len(self._secret) + 1))
        while at >= 0:
            if self._secret.startswith(text[at:]):
                return text[at:]
            at = text.find(self._secret[0], at + 1)
        return ""
