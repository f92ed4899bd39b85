"""The files that belong to a conversation: images, speech, the exchanges with the endpoint.

They live and end with their conversation; who may read that may read them.
"""

import logging
import os
import re
import shutil
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from time import time
from typing import Any, TypeVar

import msgspec

from .conversation import Unknown, new_id
from .wording import say

log = logging.getLogger(__name__)

NAME = re.compile(r"[A-Za-z0-9_-]{1,80}(\.[a-z0-9]{1,12}){0,2}")
# Exchanges lie packed in their file. The first character of JSON is never that of what is packed.
PACKED = ".exchanges.json"
PACKED_START = b"x"
HALF = "new-"  # what the names of files begin with that are being written
T = TypeVar("T")
SLICE = 100  # entries of a folder that are looked at in one go
GONE = say("That file is not here any more.")

# How something is done that waits for the disk. A server whose requests share one thread has it done in another one.
OffLoop = Callable[..., Any]


def at_once(function: Callable[..., Any], *arguments: Any) -> Any:
    """Do something that waits for the disk here and now: the `OffLoop` of whoever has a thread of their own."""
    return function(*arguments)


def write_whole(path: Path, content: bytes | bytearray, *, durable: bool = True) -> None:
    """Write a file so that who reads it finds the old or the new one, whole. Raises OSError.

    So it is after a crash or a loss of power, too, if it is durable.
    """
    new = path.with_name(f"{HALF}{new_id()}")
    try:
        with open(new, "xb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
            file.write(content)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        new.replace(path)
    except BaseException:
        new.unlink(missing_ok=True)
        raise
    if durable:
        flush_folder(path.parent)


def decoded(content: bytes, kind: type[T]) -> T:
    """Return what JSON of ours holds. Raises ValueError for what lies in its place, however deep it nests."""
    try:
        return msgspec.json.decode(content, type=kind)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def make_folder(path: Path) -> None:
    """Make a folder for its owner alone, and those above it, so that a loss of power leaves them. Raises OSError."""
    if path.is_dir():
        return
    make_folder(path.parent)
    path.mkdir(exist_ok=True, mode=0o700)
    flush_folder(path.parent)


def keep_private(folder: Path) -> None:
    """Make a folder that only its owner can open, or let it be one. Raises OSError."""
    make_folder(folder)
    if folder.stat().st_mode & 0o077:
        with suppress(PermissionError):  # Somebody else's, who lets us write: as it is in some containers.
            folder.chmod(0o700)


def flush_folder(path: Path) -> None:
    """Flush the names in a folder to the disk. Raises OSError."""
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def flush_removal(folder: Path) -> None:
    """Flush that something is gone from a folder; else a loss of power could bring it back."""
    with suppress(OSError):  # It is gone for everybody, and the system writes so in a moment.
        flush_folder(folder)


def each(folder: Path) -> Iterator[Path]:
    """Yield what lies in a folder, without reading all of a large one at once."""
    with os.scandir(folder) as entries:
        for entry in entries:
            yield Path(entry.path)


def slices(folder: Path, off_loop: OffLoop) -> Iterator[list[Path]]:
    """Yield what lies in a folder, some of it at a time. Raises OSError."""
    entries = each(folder)
    while some := off_loop(lambda: list(islice(entries, SLICE))):
        yield some


def older(paths: Iterable[Path], seconds: float) -> list[Path]:
    """Return those of some files that were not changed for so long."""
    return [path for path in paths if _age(path) > seconds]


def _age(path: Path) -> float:
    try:
        return time() - path.stat().st_mtime
    except OSError:
        return 0  # It went meanwhile, or nobody can tell.


class Removal:
    """Removes files one by one; those that cannot be are left, and told of in one line."""

    def __init__(self) -> None:
        self._left = 0
        self._first: OSError | None = None

    def remove(self, path: Path) -> None:
        with self.noting():
            path.unlink(missing_ok=True)

    @contextmanager
    def noting(self) -> Iterator[None]:
        """Note an OSError, and go on behind what raised it."""
        try:
            yield
        except OSError as error:
            self._left += 1
            self._first = self._first or error

    def tell(self) -> None:
        """Log what could not be removed, if there is any."""
        if self._first:
            log.error(
                "Files that are out of date could not be removed (%d), and are tried again. The first is %s: %s",
                self._left,
                self._first.filename,
                self._first.strerror,
            )


def _write(path: Path, content: bytes | bytearray, durable: bool) -> None:
    if path.name.endswith(PACKED):
        content = zlib.compress(content, level=1)
    make_folder(path.parent)
    try:
        write_whole(path, content, durable=durable)
    except FileNotFoundError:  # The folder was cleared away in that moment.
        make_folder(path.parent)
        write_whole(path, content, durable=durable)


def _unpacked(content: bytes, name: str) -> bytes:
    """Return a file's content as it was given; a file of an earlier time was not packed."""
    if not (name.endswith(PACKED) and content.startswith(PACKED_START)):
        return content
    try:
        return zlib.decompress(content)
    except zlib.error:
        return content  # Damaged: whoever reads it finds no JSON in it.


class Files:
    """A folder of files for each conversation."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.off_loop: OffLoop = at_once
        keep_private(folder)

    def path(self, conversation_id: str, name: str) -> Path:
        """Return where a file is or would be. Raises Unknown for a name that no file of ours has."""
        if not NAME.fullmatch(name) or not NAME.fullmatch(conversation_id):
            raise Unknown(GONE)
        return self.folder / conversation_id / name

    def write(self, conversation_id: str, name: str, content: bytes | bytearray, *, durable: bool = True) -> None:
        """Write a file; one that is not durable may be lost, or be lost in part, in a crash. Raises OSError."""
        path = self.path(conversation_id, name)
        # To pack a long conversation's request takes as long as to flush it to the disk.
        self.off_loop(_write, path, content, durable)

    def has(self, conversation_id: str, name: str) -> bool:
        """Tell whether there is a file, as far as anybody can tell."""
        try:
            return self.path(conversation_id, name).exists()
        except OSError as error:
            log.error("The files of a conversation cannot be looked at: %s", error.strerror)
            return False

    def read(self, conversation_id: str, name: str) -> bytes:
        """Return a file's content. Raises Unknown where there is none."""
        try:
            return _unpacked(self.path(conversation_id, name).read_bytes(), name)
        except FileNotFoundError:
            raise Unknown(GONE) from None

    def remove_of(self, conversation_id: str, answer_id: str) -> None:
        """Remove the files of one answer, whose names begin with its id; what cannot be goes with its conversation."""
        try:
            for path in self.path(conversation_id, answer_id).parent.glob(f"{answer_id}*"):
                path.unlink(missing_ok=True)
        except OSError as error:
            log.error("The files %s* of a conversation could not be removed: %s", answer_id, error.strerror)

    def sizes(self, conversation_id: str) -> list[int]:
        """Return the size of each file of a conversation, in bytes."""
        try:
            with os.scandir(self.path(conversation_id, "x").parent) as entries:
                return [entry.stat().st_size for entry in entries]
        except FileNotFoundError:
            return []

    def names(self, conversation_id: str) -> list[str]:
        """Return the names of a conversation's files."""
        folder = self.path(conversation_id, "x").parent
        return [path.name for path in folder.iterdir()] if folder.is_dir() else []

    def remove(self, conversation_id: str, names: Iterable[str] | None = None) -> bool:
        """Remove files of a conversation, all where none is named, and the folder if none is left; False if one is."""
        folder = self.path(conversation_id, "x").parent
        if not (removed := self.off_loop(_remove, folder, names)):
            log.error("The files in %s could not be removed.", folder)
        return bool(removed)

    def erase(self, conversation_id: str) -> bool:
        """Remove all files of a conversation, without a word of it; False if one is left."""
        return bool(self.off_loop(_remove, self.path(conversation_id, "x").parent, None))


def _remove(folder: Path, names: Iterable[str] | None) -> bool:
    """Remove files of a folder, all where none is named; False where one is left that goes with its conversation."""
    if names is None:
        shutil.rmtree(folder, ignore_errors=True)
        flush_removal(folder.parent)
        return not folder.exists()
    kept = [name for name in names if not _removed(folder / name)]
    with suppress(OSError):
        folder.rmdir()
    return not kept


def _removed(path: Path) -> bool:
    try:
        path.unlink(missing_ok=True)
    except OSError:
        return False
    return True
