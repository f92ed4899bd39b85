"""The log: one line for each request, for each answer that ends and for whatever goes wrong, to the standard error.

It names what happened with ids, figures and names of ours, and holds no text that anybody typed or read. What
other packages log may hold a request: of theirs it takes the pattern without what would be filled in. An
exception's message may hold anything: of each it takes the kind and where it passed, and of an OSError what
the system says.
"""

import json
import logging
import re
import sys
import threading
import warnings
from contextvars import ContextVar
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from traceback import extract_tb
from types import TracebackType
from typing import Any

FORMS = ("text", "json")
OURS = "webapp"
LONGEST = 300  # characters of one value
FRAMES = 30  # of a trace, the innermost
CHAIN = 5  # exceptions that led to one another
ID = re.compile(r"[0-9a-f]{32}|[\w-]{22}", re.ASCII)
MODEL = re.compile(r"[\w./:@+-]{1,100}", re.ASCII)
PLAIN = re.compile(r"[\w./:<>@+,\[\]-]+", re.ASCII)
# Of texts that others put together before they log them, what may be said.
PUT_TOGETHER = {"Invalid request from ip=": "What was sent is no HTTP, and was refused."}

request_id: ContextVar[str] = ContextVar("request_id", default="")

log = logging.getLogger(__name__)


class Form(logging.Formatter):
    """A log record as one line: for people, or as one JSON object."""

    def __init__(self, form: str):
        super().__init__()
        self.as_json = form == "json"

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")[:-6] + "Z",
            "level": record.levelname.lower(),
            **_said(record),
        }
        if "id" not in line and (current := request_id.get()):
            line["id"] = current
        if record.exc_info and record.exc_info[1]:
            line["trace"] = trace_of(record.exc_info[1])
        return json.dumps(line) if self.as_json else _for_people(line)


def _said(record: logging.LogRecord) -> dict[str, Any]:
    """Return what a record says, by name."""
    fields: dict[str, Any] | None = getattr(record, "fields", None)
    if fields is not None:
        return {"event": record.msg} | fields
    from_us = record.name.split(".")[0] == OURS
    return {"event": "message", "from": record.name, "message": _ours(record) if from_us else _theirs(record)}


def _ours(record: logging.LogRecord) -> str:
    args = record.args if isinstance(record.args, tuple) else (record.args,)
    values = tuple(described(arg) if isinstance(arg, BaseException) else arg for arg in args or ())
    return shortened(record.msg % values if values else str(record.msg))


def _theirs(record: logging.LogRecord) -> str:
    """Return the pattern of another package's message with its numbers and names of signals filled in."""
    where = f"{Path(record.pathname).name}:{record.lineno} {record.funcName}"
    text = str(record.msg)
    if not (args := record.args if isinstance(record.args, tuple) else ()):
        told = next((said for beginning, said in PUT_TOGETHER.items() if text.startswith(beginning)), "")
        return f"{told} ({where})".lstrip()
    values = tuple(arg if isinstance(arg, int) or re.fullmatch("SIG[A-Z]+", str(arg)) else "…" for arg in args)
    try:
        return shortened(f"{re.sub('%[^%sd]*[sdrif]', '%s', text) % values} ({where})")
    except (TypeError, ValueError):
        return f"({where})"


def _for_people(line: dict[str, Any]) -> str:
    trace = line.pop("trace", ())
    said = [line.pop("time"), line.pop("level").upper(), line.pop("event")]
    said += [f"{name}={_word(value)}" for name, value in line.items() if value is not None]
    return "\n    ".join([" ".join(said), *trace])


def _word(value: Any) -> str:
    text = str(value)
    return text if PLAIN.fullmatch(text) else json.dumps(text, ensure_ascii=False)


def shortened(text: str) -> str:
    """Return a text on one line, without what a terminal would obey, and not too long."""
    printable = "".join(sign if sign.isprintable() else " " for sign in text[: LONGEST + 1])
    return printable if len(printable) <= LONGEST else f"{printable[:LONGEST]}…"


def described(error: BaseException) -> str:
    """Return what may be said of an exception: its kind, and what the system says of an OSError."""
    kind = type(error).__name__
    if not isinstance(error, OSError) or not isinstance(error.strerror, str):
        return kind
    path = f": {error.filename}" if isinstance(error.filename, str) else ""
    return shortened(f"{kind}: {error.strerror}{path}")


def trace_of(error: BaseException | None) -> list[str]:
    """Return an exception and those that led to it, each with where it passed, the innermost last."""
    lines: list[str] = []
    for _ in range(CHAIN):
        if error is None:
            break
        frames = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in extract_tb(error.__traceback__)]
        lines += [described(error), *(f"  at {frame}" for frame in frames[-FRAMES:])]
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return lines


class _Handler(logging.StreamHandler[Any]):
    def __init__(self, form: str):
        super().__init__(sys.stderr)
        self.setFormatter(Form(form))

    def filter(self, record: logging.LogRecord) -> bool:
        # Whatever level a variable of theirs asks for: below a warning, other packages tell of requests.
        return record.name.split(".")[0] == OURS or record.levelno >= logging.WARNING

    def handleError(self, record: logging.LogRecord) -> None:
        """Let a line go that cannot be written; the usual way would print all that was to be logged."""


def begin(form: str) -> None:
    """Let everything that this process has to say go through one handler: other packages' words and crashes, too."""
    root = logging.getLogger()
    root.handlers[:] = [_Handler(form)]
    root.setLevel(logging.WARNING)
    logging.getLogger(OURS).setLevel(logging.INFO)
    warnings.showwarning = _warned
    sys.excepthook = _crashed
    sys.unraisablehook = lambda info: _crashed(info.exc_type, info.exc_value, info.exc_traceback)
    threading.excepthook = lambda info: _crashed(info.exc_type, info.exc_value, info.exc_traceback)


def _warned(message: object, category: type[Warning], filename: str, lineno: int, *_: Any, **__: Any) -> None:
    # Without its text: pydantic's holds the values that it did not expect.
    log.warning("A %s at %s:%d.", category.__name__, filename, lineno)


def _crashed(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
    if error is not None and not issubclass(kind, SystemExit | KeyboardInterrupt):
        log.error("Something failed where nobody waited for it.", exc_info=(kind, error, trace))


def hub_failed(hub: Any, context: Any, kind: Any, error: Any, trace: Any) -> None:
    """Stand in for gevent's own print of what failed in a greenlet."""
    _crashed(kind, error, trace)


def safe_id(value: Any) -> str | None:
    """Return an id in the form that ours have; None for what is none."""
    return value if isinstance(value, str) and ID.fullmatch(value) else None


def safe_model(name: str) -> str | None:
    """Return the name of a model if it looks like one."""
    return name if MODEL.fullmatch(name) else None


def hashed(visitor: str) -> str | None:
    """Return a short name for a visitor, from which nobody learns their id."""
    return sha256(visitor.encode(errors="replace")).hexdigest()[:8] if visitor else None
