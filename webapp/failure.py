"""Why an answer failed, as it is kept in a conversation's record."""

from typing import Any

from msgspec import Struct

from .wording import Sentence, plain, say


class Failure(Struct, omit_defaults=True):
    """Why an answer failed: the provider's own message or a sentence of ours, and what is known about it.

    `kind` is the name of the LLMError; `retry_after` is in seconds. A sentence of ours is kept in English, and
    beside it what it was made of, so that every reader can have it in their language.
    """

    kind: str
    message: str
    status: int | None = None
    retry_after: float | None = None
    said: str = ""
    values: dict[str, Any] = {}

    @property
    def sentence(self) -> str:
        try:
            return say(self.said, **self.values) if self.said else self.message
        except (LookupError, TypeError, ValueError, AttributeError):
            return self.message  # The record is not as we wrote it.


def failure_of(error: Exception, kind: str, status: int | None = None, retry_after: float | None = None) -> Failure:
    """Return what is kept of an error."""
    text = str(error)
    if isinstance(text, Sentence):
        values = {name: plain(value) if isinstance(value, str) else value for name, value in text.values.items()}
        return Failure(kind, plain(text), status, retry_after, text.message, values)
    return Failure(kind, text, status, retry_after)
