"""Sentences for people: written in English, and said in the reader's language where they are shown."""

from collections.abc import Callable
from typing import Any


class Sentence(str):
    """A sentence in English that still knows the message and the values it was made of."""

    message: str
    values: dict[str, Any]

    def __str__(self) -> str:
        return self  # So that `str(error)` is still a sentence, and can be said in another language.

    def changed(self, change: Callable[[str], str]) -> "Sentence":
        """Return the sentence with a change made to each text in it, as where a secret is taken out."""
        values = {name: change(value) if type(value) is str else value for name, value in self.values.items()}
        return _sentence(change(plain(self)), self.message, values)


def say(message: str, **values: Any) -> Sentence:
    """Return a message with its values put in, as by `str.format`.

    The message itself is what a translation is looked up by, so it must be a literal.
    """
    return _sentence(message.format(**values), message, values)


def say_many(one: str, many: str, number: int, **values: Any) -> Sentence:
    """Return the message for a number of things, which is in it as `number`; a translation is looked up by `many`."""
    values["number"] = number
    return _sentence((one if number == 1 else many).format(**values), many, values)


def capitalized(sentence: Sentence) -> Sentence:
    """Return a sentence with a capital letter at the beginning, as English wants it."""
    return _sentence(f"{sentence[:1].upper()}{sentence[1:]}", sentence.message, sentence.values)


def plain(text: str) -> str:
    """Return a text as a mere text, in English, as records can hold it."""
    return text[:]


def _sentence(text: str, message: str, values: dict[str, Any]) -> Sentence:
    sentence = Sentence(text)
    sentence.message, sentence.values = message, values
    return sentence
