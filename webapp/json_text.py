"""JSON that a person typed: read strictly, and with a message that says what is wrong and where."""

import json
from typing import Any, NoReturn

MAX_TYPED_CHARS = 100_000
MAX_CHARS = 20_000  # without white space
MAX_DEPTH = 40
MAX_DIGITS = 20  # of a whole number; one of 64 bits has no more


def parse_object(text: str) -> dict[str, Any]:
    """Return the JSON object that a text holds, fit for a request. Raises ValueError, worded for the person."""
    if len(text) > MAX_TYPED_CHARS:
        raise ValueError(f"one JSON object of up to {MAX_TYPED_CHARS:,} characters; this has {len(text):,}")
    try:
        value = json.loads(
            text, parse_int=_whole, parse_float=_number, parse_constant=_no_constant, object_pairs_hook=_object
        )
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON at line {error.lineno}, column {error.colno}: {error.msg}") from None
    except RecursionError:
        raise ValueError(_too_deep()) from None
    if not isinstance(value, dict):
        raise ValueError(f'one JSON object, {{"name": value, …}}; this is {_kind(value)}')
    _check(value)
    return value


def _check(value: dict[str, Any]) -> None:
    if _depth(value) > MAX_DEPTH:
        raise ValueError(_too_deep())
    size = len(compact(value))
    if size > MAX_CHARS:
        raise ValueError(f"up to {MAX_CHARS:,} characters of JSON without white space; this has {size:,}")
    try:
        compact(value).encode()
    except UnicodeEncodeError as error:
        raise ValueError(
            f"text that UTF-8 can carry; \\u{ord(error.object[error.start]):04x} is half a character"
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
        raise ValueError(f"numbers of at most 64 bits; {_excerpt(digits)} is larger")
    return int(digits)


def _number(digits: str) -> float:
    if (number := float(digits)) in (float("inf"), float("-inf")):
        raise ValueError(f"numbers that a computer can hold; {_excerpt(digits)} is too large")
    return number


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"JSON has no {name}; write a number, or null")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for name, item in pairs:
        if name in value:
            raise ValueError(f'each name once in an object; "{_excerpt(name)}" is there twice')
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
    return f"at most {MAX_DEPTH} objects and arrays within each other; this goes deeper"


def _kind(value: object) -> str:
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    return "a string" if isinstance(value, str) else "an array" if isinstance(value, list) else "a number"


def _excerpt(text: str) -> str:
    return text if len(text) <= MAX_DIGITS else f"{text[:MAX_DIGITS]}…"
