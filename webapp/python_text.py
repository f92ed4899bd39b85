"""Values of JSON as Python source."""

import unicodedata
from typing import Any

from .exchange import pretty

WIDTH = 88  # columns, as Black and Ruff lay code out
LAID_OUT = 100_000  # characters; a longer text, which nobody reads in code, is one literal and not one for each line


def literal(value: Any, indent: int = 0, used: int = 0) -> str:
    """Return JSON's values as Python, laid out as Black does.

    The first line stands behind `indent` spaces and `used` more columns, which include what follows it.
    """
    flat = _flat(value, WIDTH - indent - used)
    if flat is not None:
        return flat
    inner, end = " " * (indent + 4), " " * indent
    match value:
        case dict() if value:
            names = {_string(key): part for key, part in value.items()}
            items = [f"{name}: {literal(part, indent + 4, _columns(name) + 3)}" for name, part in names.items()]
            return "{\n" + "".join(f"{inner}{item},\n" for item in items) + end + "}"
        case list() if value:
            return "[\n" + "".join(f"{inner}{literal(part, indent + 4, 1)},\n" for part in value) + end + "]"
        case str() if "\n" in value[:-1] and len(value) <= LAID_OUT:
            return "(\n" + "".join(f"{inner}{_string(line)}\n" for line in _lines(value)) + end + ")"
        case str():
            return _string(value)
    return repr(value)


def _flat(value: Any, room: int) -> str | None:
    """Return a value on one line, or None where the line is too short for it; looks no further than it must."""
    match value:
        case str():
            if len(value) > room:
                return None
            text = _string(value)
        case dict() | list():
            parts, left = [], room
            for item in value.items() if isinstance(value, dict) else value:
                key, part = item if isinstance(value, dict) else (None, item)
                name = "" if key is None else f"{_string(key)}: "
                flat = _flat(part, left)
                if flat is None or (left := left - len(name) - len(flat)) < 0:
                    return None
                parts.append(name + flat)
            text = ", ".join(parts)
            text = f"{{{text}}}" if isinstance(value, dict) else f"[{text}]"
        case _:
            text = repr(value)
    return text if _columns(text) <= room else None


def _columns(text: str) -> int:
    return len(text) if text.isascii() else sum(1 + (unicodedata.east_asian_width(sign) in "WF") for sign in text)


def _lines(text: str) -> list[str]:
    lines = [f"{line}\n" for line in text.split("\n")]
    return [*lines[:-1], lines[-1][:-1]] if lines[-1] != "\n" else lines[:-1]


def _string(text: str) -> str:
    """Return a string literal; JSON's own escapes mean the same in Python."""
    escaped = pretty(text)
    if text.count('"') <= text.count("'"):
        return escaped
    return "'" + escaped[1:-1].replace(r"\"", '"').replace("'", r"\'") + "'"
