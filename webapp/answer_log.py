"""Answer logs: files that are only ever appended to while an answer is written, and so survive a `kill -9`.

Each channel of an answer (see `reply.Piece`) has one. What was written is flushed to the disk about once a second,
in a real thread where there are greenlets, so that a loss of power takes about a second of text.
"""

import logging
import os
from collections.abc import Callable
from pathlib import Path
from threading import Lock, Thread
from time import monotonic, sleep

import msgspec

from .conversation import Answer
from .files import OffLoop, at_once, decoded, each, flush_folder, flush_removal, keep_private, write_whole
from .reply import MOST_CHOICES, REASONING

log = logging.getLogger(__name__)

CHANNELS = range(REASONING, MOST_CHOICES)
FLUSHED_EVERY = 1.0  # seconds
TRIED_EVERY = 1.0  # seconds, while a log cannot be written
_flush = getattr(os, "fdatasync", os.fsync)  # macOS has the one alone


class Logs:
    """The answer logs of one folder."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.off_loop: OffLoop = at_once
        self._guard = Lock()
        self._written: set[AnswerLog] = set()  # since they were last flushed
        self._flushing = False
        self._failing = False
        keep_private(folder)

    def path(self, answer_id: str, channel: int = 0) -> Path:
        return self.folder / (f"{answer_id}.log" if channel == 0 else f"{answer_id}.{channel}.log")

    def of(self, answer_id: str, channel: int) -> "AnswerLog":
        return AnswerLog(self.path(answer_id, channel), self._flush_soon)

    def read(self, answer_id: str, channel: int) -> str:
        """Return the text that a log kept; nothing where there is none. Raises OSError."""
        try:
            content = self.path(answer_id, channel).read_bytes()
        except FileNotFoundError:
            return ""
        # A process killed in the middle of a write may leave half a character, a loss of power zeros at the end.
        return content.rstrip(b"\0").decode(errors="ignore")

    def remove(self, answer_id: str) -> None:
        """Remove the logs of an answer that its record has; where they cannot be, they go when they are too old."""
        try:
            for channel in CHANNELS:
                self.path(answer_id, channel).unlink(missing_ok=True)
            self._settled(answer_id).unlink(missing_ok=True)
        except OSError as error:
            log.error("The log of answer %s could not be removed: %s", answer_id, error.strerror)

    def erase(self, answer_ids: set[str]) -> None:
        """Remove whatever is kept of answers, for good. Raises OSError."""
        self.off_loop(_erase, self.folder, answer_ids)

    def keep(self, answer: Answer) -> None:
        """Keep a settled answer that its record could not take, as far as there is room for it."""
        try:
            self.off_loop(write_whole, self._settled(answer.id), msgspec.json.encode(answer))
        except (OSError, ValueError, TypeError, OverflowError, RecursionError) as error:
            log.error("Nor could what else is known of it be kept: %s", type(error).__name__)

    def kept(self, answer_id: str) -> Answer | None:
        """Return a settled answer that its record could not take. Raises OSError."""
        try:
            answer = decoded(self._settled(answer_id).read_bytes(), Answer)
        except FileNotFoundError:
            return None
        except ValueError:
            aside = self._settled(answer_id).with_suffix(".damaged")
            log.error("What is kept of answer %s beside its log cannot be read; it is kept as %s.", answer_id, aside)
            self._settled(answer_id).replace(aside)
            return None
        return answer if answer.id == answer_id and answer.status != "pending" else None

    def _settled(self, answer_id: str) -> Path:
        return self.folder / f"{answer_id}.settled.json"

    def _flush_soon(self, written: "AnswerLog") -> None:
        with self._guard:
            self._written.add(written)
            if self._flushing:
                return
            self._flushing = True
        Thread(target=self._flush, name="flush", daemon=True).start()

    def _flush(self) -> None:
        while True:
            sleep(FLUSHED_EVERY)
            with self._guard:
                written, self._written = self._written, set()
                if not written:
                    self._flushing = False
                    return
            files = [(one, file) for one in written if (file := one.to_flush()) is not None]
            left, error = self.off_loop(_flush_files, files, self.folder)
            with self._guard:
                self._written.update(left)
            if error and not self._failing:
                log.error("Answer logs cannot be flushed to the disk, which is tried again: %s", error.strerror)
            self._failing = error is not None


def _erase(folder: Path, answer_ids: set[str]) -> None:
    for path in each(folder):
        if path.name.partition(".")[0] in answer_ids:
            path.unlink(missing_ok=True)
    flush_removal(folder)


def _flush_files(files: list[tuple["AnswerLog", int]], folder: Path) -> tuple[list["AnswerLog"], OSError | None]:
    """Flush and close files; return the logs of those that could not be flushed, and why."""
    left, reason = [], None
    for written, file in files:
        try:
            _flush(file)
        except OSError as error:  # It keeps no other from it.
            left.append(written)
            reason = error
        finally:
            os.close(file)
    try:
        flush_folder(folder)  # which has the names of new ones
    except OSError as error:
        return [written for written, _ in files], error
    return left, reason


class AnswerLog:
    """The log of one channel.

    A disk that fails does not end an answer, whose text is in memory: what could not be written is written with
    the next piece, so that the log is always a beginning of the text.
    """

    def __init__(self, path: Path, wrote: Callable[["AnswerLog"], None]):
        self._path = path
        self._wrote = wrote
        self._waiting = bytearray()  # grows in place: on a full disk all of a long answer waits
        self._file: int | None = None
        self._flushed = True
        self._failed = 0.0  # when it last could not be written
        self.append("")

    def append(self, text: str) -> None:
        self._waiting += text.encode()
        if not self._failed or monotonic() - self._failed >= TRIED_EVERY:
            self._write()

    def _write(self) -> None:
        try:
            if self._file is None:
                self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            while self._waiting:
                del self._waiting[: os.write(self._file, self._waiting)]
        except OSError as error:
            if not self._failed:
                log.error(
                    "%s cannot be written, and what comes is kept in memory alone: %s", self._path, error.strerror
                )
            self._failed = monotonic()
            return
        self._failed = 0.0
        if self._flushed:
            self._flushed = False
            self._wrote(self)

    def to_flush(self) -> int | None:
        """Return its file, for the caller to flush and to close; None once it is closed."""
        self._flushed = True
        try:
            return None if self._file is None else os.dup(self._file)
        except OSError:
            return None  # Closed in this moment: its text is on the way into the record.

    def close(self) -> None:
        self._write()  # One more try.
        file, self._file = self._file, None
        if file is not None:
            try:
                os.close(file)
            except OSError as error:
                log.error("%s cannot be written: %s", self._path, error.strerror)
