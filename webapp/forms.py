"""Forms as they are posted, read within bounds of memory and time, whatever somebody sends in place of one.

werkzeug's own parser bounds neither how many fields an urlencoded form has nor what its escapes become on the way: six
megabytes of percent signs took one gigabyte.
"""

from io import BytesIO
from typing import IO, Any
from urllib.parse import unquote_to_bytes

from flask import Flask, Request, current_app, request
from werkzeug.datastructures import MultiDict
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.formparser import FormDataParser

URLENCODED = "application/x-www-form-urlencoded"
MOST_FIELDS = 200  # The largest form of ours has some forty.
MOST_PARTS_WITH_FILE = 20  # each of which may be as long as a question
AT_ONCE = 2**16  # bytes; what is unquoted in one go becomes an object for each of its escapes
STRAY = 1000  # percent signs that may stand for themselves; browsers write none of those
MULTIPART = "multipart/form-data"
PATIENCE = 4  # times the largest file that may be sent: so much is read of a form whose fields are given back
MEGABYTE = 2**20
FILES = ("MAX_IMPORT_MB", "MAX_AUDIO_MB")
# Fields that nobody typed, or that must not stand in a page.
UNSHOWN = {"turn", "turns", "part", "import", "choice", "version", "answer", "answer_id", "confirmed", "default"}
UNSHOWN |= {"single", "back", "code", "mode", "language", "theme"}


class Parser(FormDataParser):
    """Reads forms; raises RequestEntityTooLarge for what no form of ours is."""

    def parse(
        self, stream: IO[bytes], mimetype: str, content_length: int | None, options: dict[str, str] | None = None
    ) -> tuple[IO[bytes], MultiDict[str, str], MultiDict[str, Any]]:
        if mimetype != URLENCODED:
            return super().parse(stream, mimetype, content_length, options)
        body = bytearray()
        while piece := stream.read(AT_ONCE):  # It may return less than there is.
            body += piece
            if self.max_form_memory_size is not None and len(body) > self.max_form_memory_size:
                raise RequestEntityTooLarge
        return BytesIO(), self.cls(_fields(bytes(body))), self.cls()


class BoundedRequest(Request):
    """A request whose forms are read by Parser."""

    form_data_parser_class = Parser


def init_app(app: Flask) -> None:
    """Limit the number of fields; proxy.py's class of requests is one of ours."""
    app.config["MAX_FORM_PARTS"] = MOST_FIELDS


def allow_file(most: int) -> None:
    """Let the form that is asked for bring a file along, of so many bytes in all."""
    request.max_form_parts = MOST_PARTS_WITH_FILE
    request.max_content_length = most


def typed(*, beside_file: bool = False) -> str:
    """Return what came in a form that is refused: the question, else every field that was filled in.

    Empty where the form is larger than may be read; `beside_file`, a file is read along with it, because a browser
    that still sends it would not hear why.
    """
    if beside_file and request.mimetype == MULTIPART:
        allow_file(PATIENCE * MEGABYTE * max(current_app.config[name] for name in FILES))
    try:
        form = request.form
    except RequestEntityTooLarge:
        return ""
    if question := form.get("question") or form.get("typed"):
        return question
    return "\n".join(f"{name}: {value}" for name, value in form.items() if value.strip() and name not in UNSHOWN)


def unquoted(body: bytes) -> bytes:
    """Return what a form's bytes stand for. Raises RequestEntityTooLarge where they are hardly anything but escapes."""
    if body.count(b"%") * 3 > len(body) + STRAY:
        raise RequestEntityTooLarge
    pieces = []
    start = 0
    while start < len(body):
        end = start + AT_ONCE
        escape = body.rfind(b"%", max(start, end - 2), end)
        end = escape if start < escape else end  # Not in the middle of one.
        pieces.append(unquote_to_bytes(body[start:end]))
        start = end
    return b"".join(pieces)


def _fields(body: bytes) -> list[tuple[str, str]]:
    if body.count(b"&") >= MOST_FIELDS:
        raise RequestEntityTooLarge
    pairs = (field.partition(b"=") for field in body.split(b"&") if field)
    return [(_text(name), _text(value)) for name, _, value in pairs]


def _text(written: bytes) -> str:
    return unquoted(written.replace(b"+", b" ")).decode(errors="replace")
