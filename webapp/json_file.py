"""The JSON of a file that somebody sent: found entry by entry, and within bounds of memory and time.

A few bytes of JSON may stand for an object of a hundred, so that what is in a file is counted before it is read:
24 million numbers in 48 MB took 1.8 GB and a minute.
"""

import codecs
import json
import re
from typing import Any

import msgspec

from .candidate import BadImport, TooLarge
from .wording import say

# Of a whole file, and of one conversation in it: signs that begin or divide something.
MOST_COMMAS = 2_500_000
MOST_COMMAS_OF_ONE = 1_000_000
MOST_BRACKETS_OF_ONE = 200_000
LARGEST_ONE = 30 * 2**20  # bytes; what is kept of it is at most a third
MOST_QUOTES = 2_000_000  # and backslashes, up to which texts are looked for
MOST_HALVES = 100_000
LENIENT = 8 * 2**20  # bytes; the parser that takes everything would stop all others for long

TOO_MANY = say(
    "The file holds more entries than any export that Parley can import. Split it, or import fewer conversations at "
    "once."
)
NO_JSON = say("This is not a JSON file.")

# Half a character, without its other half. `\\ud800` in a text, an escaped backslash, looks the same.
HALF = re.compile(
    rb"\\u[dD](?:[89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F])"
    rb"|[c-fC-F][0-9a-fA-F]{2}(?<!\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}))"
)
STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"', re.DOTALL)
BEFORE = 64  # bytes that are looked at for backslashes


def entries(document: bytes) -> tuple[list[Any], bool]:
    """Return a list's entries, unread, or else the only object; and whether it was a list. Raises BadImport."""
    checked = _whole_characters(_as_utf8(document))
    del document  # The one that was sent is as large.
    if checked.count(b",") > MOST_COMMAS:
        raise TooLarge(TOO_MANY)
    try:
        # To find where the entries end takes a tenth of the time that nobody else would be served in.
        return msgspec.json.decode(checked, type=list[msgspec.Raw]), True
    except ValueError:
        whole = _decoded(checked)
    return (whole, True) if isinstance(whole, list) else ([whole], False)


def opened(entry: Any) -> Any:
    """Return what an entry holds. Raises BadImport."""
    if not isinstance(entry, msgspec.Raw):
        return entry
    if len(memoryview(entry)) > LARGEST_ONE:
        raise TooLarge(TOO_MANY)  # before there is a copy of it
    return _decoded(bytes(entry))


def _as_utf8(document: bytes) -> bytes:
    if document.startswith(codecs.BOM_UTF8):
        return document.removeprefix(codecs.BOM_UTF8)
    encoding = json.detect_encoding(document[:4])
    if encoding == "utf-8":
        return document
    try:
        return document.decode(encoding, "surrogatepass").encode(errors="replace")
    except ValueError:
        raise BadImport(NO_JSON) from None


def _whole_characters(document: bytes) -> bytes | bytearray:
    r"""Return JSON with `\ufffd` for each half of a character, which the strict parser takes no other way."""
    if HALF.search(document) is None:
        return document
    mended = bytearray(document)  # In its place: the one is as long as the other.
    for number, match in enumerate(HALF.finditer(document)):
        if number == MOST_HALVES:
            raise BadImport(NO_JSON)
        before = document[max(0, match.start() - BEFORE) : match.start()]
        if (len(before) - len(before.rstrip(b"\\"))) % 2 == 0:
            mended[match.start() : match.end()] = rb"\ufffd"
    return mended


def check_together(entries: list[Any]) -> None:
    """Raise TooLarge where entries are more than one conversation."""
    sizes, commas, brackets = zip(*map(_size, entries), strict=True)
    _check(sum(sizes), sum(commas), sum(brackets))


def _size(entry: Any) -> tuple[int, int, int]:
    return _measured(bytes(entry)) if isinstance(entry, msgspec.Raw) else (0, 0, 0)


def _measured(document: bytes | bytearray) -> tuple[int, int, int]:
    """Return the bytes of a document, and the commas and brackets in it: outside of its texts where it has many."""
    size, commas, brackets = len(document), document.count(b","), _brackets(document)
    many = commas > MOST_COMMAS_OF_ONE or brackets > MOST_BRACKETS_OF_ONE
    if many and document.count(b'"') + document.count(b"\\") < MOST_QUOTES:
        document = STRING.sub(b"", document)
        commas, brackets = document.count(b","), _brackets(document)
    return size, commas, brackets


def _brackets(document: bytes | bytearray) -> int:
    return document.count(b"{") + document.count(b"[")


def _check(size: int, commas: int, brackets: int) -> None:
    if size > LARGEST_ONE or commas > MOST_COMMAS_OF_ONE or brackets > MOST_BRACKETS_OF_ONE:
        raise TooLarge(TOO_MANY)


def _decoded(document: bytes | bytearray) -> Any:
    _check(*_measured(document))
    try:
        return msgspec.json.decode(document)
    except ValueError:
        pass
    try:
        return _leniently(document)
    except json.JSONDecodeError as error:
        raise BadImport(
            say(
                "This is not a JSON file; what is wrong begins at line {line:,}, column {column:,}.",
                line=error.lineno,
                column=error.colno,
            )
        ) from None
    except ValueError:
        raise BadImport(NO_JSON) from None


def _leniently(document: bytes | bytearray) -> Any:
    """Return what Python's parser reads, which is slower, and takes NaN and halves of characters. Raises ValueError."""
    if len(document) > LENIENT:
        raise ValueError
    return json.loads(document)
