"""Sentences for people: written in English, and said in the reader's language where they are shown."""

from typing import Any


class Sentence(str):
    """A sentence in English that still knows the message and the values it was made of."""

    message: str
    values: dict[str, Any]


def say(message: str, **values: Any) -> Sentence:
    """Return a message with its values put in, as by `str.format`.

    The message itself is what a translation is looked up by, so it must be a literal.
    """
    sentence = Sentence(message.format(**values))
    sentence.message, sentence.values = message, values
    return sentence
