"""JSON that a person typed: read strictly, and with a message that says what is wrong and where."""

import json
from typing import Any, NoReturn

from .wording import say

MAX_TYPED_CHARS = 100_000
MAX_CHARS = 20_000  # without white space
MAX_DEPTH = 40
MAX_DIGITS = 20  # of a whole number; one of 64 bits has no more

# The messages of Python's parser.
WRONG = {
    sentence.message: sentence
    for sentence in (
        say("Expecting value"),
        say("Expecting property name enclosed in double quotes"),
        say("Expecting ':' delimiter"),
        say("Expecting ',' delimiter"),
        say("Extra data"),
        say("Unterminated string starting at"),
        say("Invalid control character at"),
        say("Invalid \\escape"),
        say("Invalid \\uXXXX escape"),
        say("Illegal trailing comma before end of object"),
        say("Illegal trailing comma before end of array"),
    )
}


def parse_object(text: str) -> dict[str, Any]:
    """Return the JSON object that a text holds, fit for a request. Raises ValueError, worded for the person."""
    if len(text) > MAX_TYPED_CHARS:
        raise ValueError(
            say(
                "one JSON object of up to {limit:,} characters; this has {length:,}.",
                limit=MAX_TYPED_CHARS,
                length=len(text),
            )
        )
    try:
        value = json.loads(
            text, parse_int=_whole, parse_float=_number, parse_constant=_no_constant, object_pairs_hook=_object
        )
    except json.JSONDecodeError as error:
        told = {"line": error.lineno, "column": error.colno, "reason": WRONG.get(error.msg, error.msg)}
        raise ValueError(say("not JSON at line {line}, column {column}: {reason}.", **told)) from None
    except RecursionError:
        raise ValueError(_too_deep()) from None
    if not isinstance(value, dict):
        raise ValueError(say('one JSON object, {{"name": value, …}}; this is {kind}.', kind=_kind(value)))
    _check(value)
    return value


def _check(value: dict[str, Any]) -> None:
    if _depth(value) > MAX_DEPTH:
        raise ValueError(_too_deep())
    size = len(compact(value))
    if size > MAX_CHARS:
        raise ValueError(
            say(
                "up to {limit:,} characters of JSON without white space; this has {length:,}.",
                limit=MAX_CHARS,
                length=size,
            )
        )
    try:
        compact(value).encode()
    except UnicodeEncodeError as error:
        raise ValueError(
            say("text that UTF-8 can carry; \\u{code:04x} is half a character.", code=ord(error.object[error.start]))
        ) from None


def compact(value: object) -> str:
    """Return a value as JSON in its shortest form."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def pretty(value: object) -> str:
    """Return a value as JSON for a person to read and to edit."""
    text = json.dumps(value, ensure_ascii=False, indent=2)
    return text if len(text) <= MAX_TYPED_CHARS else compact(value)


def _whole(digits: str) -> int:
    if len(digits) > MAX_DIGITS or not -(2**63) <= int(digits) < 2**64:
        raise ValueError(say("numbers of at most 64 bits; {number} is larger.", number=_excerpt(digits)))
    return int(digits)


def _number(digits: str) -> float:
    if (number := float(digits)) in (float("inf"), float("-inf")):
        raise ValueError(say("numbers that a computer can hold; {number} is too large.", number=_excerpt(digits)))
    return number


def _no_constant(name: str) -> NoReturn:
    raise ValueError(say("JSON has no {name}; write a number, or null.", name=name))


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for name, item in pairs:
        if name in value:
            raise ValueError(say('each name once in an object; "{name}" is there twice.', name=_excerpt(name)))
        value[name] = item
    return value


def _depth(value: object) -> int:
    """Return how many objects and arrays stand within each other, level by level."""
    depth, level = 0, [value]
    while level := [one for one in level if isinstance(one, (dict, list))]:
        depth += 1
        level = [item for one in level for item in (one.values() if isinstance(one, dict) else one)]
    return depth


def _too_deep() -> str:
    return say("at most {limit} objects and arrays within each other; this goes deeper.", limit=MAX_DEPTH)


def _kind(value: object) -> str:
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, str):
        return say("a string")
    return say("an array") if isinstance(value, list) else say("a number")


def _excerpt(text: str) -> str:
    return text if len(text) <= MAX_DIGITS else f"{text[:MAX_DIGITS]}…"
