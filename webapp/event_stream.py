"""Server-sent events from a reply's bytes; what kind of reply the bytes are, whatever their type says."""

import json
import re
from collections.abc import Callable, Iterator
from itertools import chain

from .llm_errors import Garbage
from .wording import say

# A carriage return at the very end may be the first half of a line end.
LINE_END = re.compile(b"\r\n|\n|\r(?!\n|$)")
FIELD = re.compile(rb"(?:data|event|id|retry)?:")
LONGEST_FIELD = 6  # bytes: "event:"
DONE = b"[DONE]"
BYTE_ORDER_MARK = b"\xef\xbb\xbf"

LARGEST = 200  # megabytes of one event, and of a reply in one piece: ten large images


def opened(pieces: Iterator[bytes], content_type: str) -> tuple[bool, Iterator[bytes]]:
    """Tell whether a reply is a stream of events, and return its bytes, all of them.

    By how it begins: there are proxies that send events as plain text, and servers that answer a request for a
    stream with one piece of JSON, or with a page to sign in.
    """
    said = "text/event-stream" in content_type
    taken: list[bytes] = []
    start = b""
    for piece in pieces:
        taken.append(piece)
        start = (start + piece[: 100 + LONGEST_FIELD]).removeprefix(BYTE_ORDER_MARK).lstrip()
        if len(start) >= (1 if said else LONGEST_FIELD):
            break
    is_stream = not start.startswith((b"{", b"[", b"<")) if said else bool(FIELD.match(start))
    return is_stream, chain(taken, pieces)


def events(pieces: Iterator[bytes], heard: Callable[[], None] = lambda: None) -> Iterator[list[bytes]]:
    """Yield the `data` of the server-sent events that each piece of bytes completes. Raises Garbage.

    See the HTML standard, 9.2.6. No JSON reply spreads over several `data` lines, so a line is an event; one that
    has no line end when the bytes end comes, too. `heard` is told of all that is neither a comment nor nothing.
    """
    unfinished: list[bytes] = []
    size = 0
    for piece in pieces:
        unfinished.append(piece)
        size += len(piece)
        if b"\n" in piece or b"\r" in piece:
            *lines, rest = LINE_END.split(b"".join(unfinished))
            unfinished, size = [rest] if rest else [], len(rest)
            found = [data for line in lines if (data := _data(line))]
            if found or rest[:1] not in (b":", b""):
                heard()
            yield found
        elif unfinished[0][:1] != b":":
            heard()
        check_size(size)
    data = _data(b"".join(unfinished))
    if data == DONE or _is_json(data):  # Half of an event is none: the bytes broke off in it.
        yield [data]


def _is_json(data: bytes) -> bool:
    try:
        json.loads(data)
    except (ValueError, RecursionError):
        return False
    return True


def _data(line: bytes) -> bytes:
    line = line.removeprefix(BYTE_ORDER_MARK)
    return line[5:].strip() if line.startswith(b"data:") else b""


def joined(pieces: Iterator[bytes], heard: Callable[[], None], taken: list[bytes]) -> bytes:
    """Return bytes as one piece, each of which goes into `taken` when it comes. Raises Garbage: they are too many.

    `heard` is told of all that is not white space.
    """
    size = 0
    for piece in pieces:
        taken.append(piece)
        size += len(piece)
        check_size(size)
        if piece.strip():
            heard()
    return b"".join(taken)


def check_size(size: int) -> None:
    if size > LARGEST * 2**20:
        raise Garbage(say("The endpoint sent more than {limit:,} MB in one piece.", limit=LARGEST))
