"""A parameter's value from the text of its field. What cannot be used raises ValueError, whose Sentence says why."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from .json_text import parse_object
from .parameter import MAX_STOP_CHARS, MAX_STOPS, Parameter
from .question import UNREADABLE
from .wording import Sentence, say

# The box that is ticked to send none of a text whose default is not nothing.
NOTHING = "{}_none"

NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
COMMA = re.compile("[+-]?[0-9]+,[0-9]+")
WHOLE = re.compile(r"[+-]?[0-9]{1,20}")
MOST_LINES = 1_000  # of a field that takes a few; what is longer is not taken apart
ESCAPES = {"\\\\": "\\", "\\n": "\n", "\\r": "\r", "\\t": "\t"}


def typed(parameter: Parameter, form: Mapping[str, str]) -> Any:
    """Return the value that a form has for a parameter; None where its field is empty. Raises ValueError."""
    text = form.get(parameter.name, "").replace("\r\n", "\n").replace("\r", "\n")
    if parameter.may_be_nothing and form.get(NOTHING.format(parameter.name)):
        if text.strip():
            raise ValueError(say("either a text, or none: empty the field or untick the box."))
        return ""
    return READERS[parameter.kind](parameter, text) if text.strip() else None


def _number(parameter: Parameter, text: str) -> int | float:
    text = text.strip()
    if not NUMBER.fullmatch(text):
        raise ValueError(_no_number(parameter, text))
    number = float(text)
    if not parameter.low <= number <= parameter.high:
        raise ValueError(say("{allowed}; {typed} is out of range.", allowed=parameter.allowed, typed=excerpt(text)))
    return int(text) if WHOLE.fullmatch(text) else number


def _whole(parameter: Parameter, text: str) -> int:
    text = text.strip()
    if re.fullmatch("[+-]?[0-9]+", text) is None:
        raise ValueError(_no_whole_number(parameter, text))
    if not WHOLE.fullmatch(text) or not parameter.low <= int(text) <= parameter.high:
        raise ValueError(say("{allowed}; {typed} is out of range.", allowed=parameter.allowed, typed=excerpt(text)))
    return int(text)


def _string(parameter: Parameter, text: str) -> str:
    text = text if parameter.rows > 1 else text.strip()
    if len(text) > parameter.limit:
        raise ValueError(say("{allowed}; this has {length:,}.", allowed=parameter.allowed, length=len(text)))
    return _readable(text, "\n" if parameter.rows > 1 else "")


def _choice(parameter: Parameter, text: str) -> str:
    text = text.strip()
    if parameter.other:
        text = text.lower().replace("×", "x").replace(" ", "")
    if text not in parameter.choices and not (parameter.other and re.fullmatch(parameter.other, text)):
        raise ValueError(say("{allowed}; {typed} is none of these.", allowed=parameter.allowed, typed=excerpt(text)))
    return text


def _lines(parameter: Parameter, text: str) -> list[str]:
    count = text.count("\n")
    lines = [line for line in text.split("\n", MOST_LINES) if line.strip()]
    if count > MOST_LINES or len(lines) > MAX_STOPS:
        raise ValueError(
            say("{allowed}; these are {count:,}.", allowed=parameter.allowed, count=max(count, len(lines)))
        )
    return [_stop(line) for line in lines]


def _stop(line: str) -> str:
    stop = re.sub(r"\\[\\nrt]", lambda found: ESCAPES[found.group()], _readable(line))
    if len(stop) > MAX_STOP_CHARS:
        raise ValueError(
            say(
                "up to {limit} characters each; {typed} has {length:,}.",
                limit=MAX_STOP_CHARS,
                typed=excerpt(line),
                length=len(stop),
            )
        )
    return stop


def _json(parameter: Parameter, text: str) -> dict[str, Any]:
    return parse_object(text)


def _yes_or_no(parameter: Parameter, text: str) -> bool:
    if text.strip() not in ("yes", "no"):
        raise ValueError(say("{allowed}; {typed} is neither.", allowed=parameter.allowed, typed=excerpt(text)))
    return text.strip() == "yes"


READERS: dict[str, Callable[[Parameter, str], Any]] = {
    "number": _number,
    "whole": _whole,
    "text": _string,
    "choice": _choice,
    "lines": _lines,
    "json": _json,
    "yes-no": _yes_or_no,
}


def _readable(text: str, line_end: str = "\n") -> str:
    found = UNREADABLE.search(text) or (None if line_end else re.search("\n", text))
    if found:
        raise ValueError(
            say(
                "text without control characters; character {place:,} is U+{code:04X}.",
                place=found.start() + 1,
                code=ord(found.group()),
            )
        )
    return text


def excerpt(text: str) -> str:
    """Return the beginning of a text, on one line."""
    text = " ".join(text[:1_000].split())
    return text if len(text) <= 40 else f"{text[:40]}…"


# Where digits or a comma are those of another way of writing, it says what helps.


def _no_number(parameter: Parameter, text: str) -> Sentence:
    told = {"allowed": parameter.allowed, "typed": excerpt(text)}
    if COMMA.fullmatch(text):
        return say("{allowed}; {typed} is not a number: write {right}.", **told, right=text.replace(",", "."))
    if _has_other_digits(text):
        return say("{allowed}; {typed} is not a number: write it in the digits 0 to 9.", **told)
    return say("{allowed}; {typed} is not a number.", **told)


def _no_whole_number(parameter: Parameter, text: str) -> Sentence:
    told = {"allowed": parameter.allowed, "typed": excerpt(text)}
    if COMMA.fullmatch(text):
        return say("{allowed}; {typed} is not a whole number: write {right}.", **told, right=text.replace(",", "."))
    if _has_other_digits(text):
        return say("{allowed}; {typed} is not a whole number: write it in the digits 0 to 9.", **told)
    return say("{allowed}; {typed} is not a whole number.", **told)


def _has_other_digits(text: str) -> bool:
    return any(sign.isdigit() and not sign.isascii() for sign in text)
