"""Records as files in one folder, each with its expiry on the first line and JSON below.

FileSystemCache would do for the session alone, but it swallows a failed write and takes a damaged file
for a missing one, and either way a conversation would be gone without a word.
"""

import logging
import re
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from time import time
from typing import Any, Literal, TypeVar, get_args, overload

import msgspec
from cachelib.base import BaseCache

from .conversation import new_id
from .files import HALF, OffLoop, Removal, at_once, decoded, each, flush_removal, keep_private, slices, write_whole
from .locks import Locks

log = logging.getLogger(__name__)

DAY = 86_400
ID = re.compile(rb'"id":"([\w-]{22})"')  # of a turn or an answer, in a record of any format, damaged or not
T = TypeVar("T")
Ids = set[str]

# Why a record lies beside its place, where nothing overwrites it.
Aside = Literal["damaged", "newer"]


class Damaged(Exception):
    """A record cannot be used; `name` is what its file is called from now on."""

    def __init__(self, name: str):
        super().__init__(name)
        self.name = name


class RecordFiles(BaseCache):
    """Records as files in one folder: flushed before they are named, so that a crash leaves the old or the new one.

    A write that fails raises OSError. A file that cannot be read as a record is set aside under
    `.damaged`, never overwritten.
    """

    def __init__(self, folder: Path, lifetime: int):
        super().__init__(lifetime)
        self.folder = folder
        self.lifetime = lifetime
        self.off_loop: OffLoop = at_once
        self._locks = Locks()
        keep_private(folder)

    def get(self, key: str) -> Any:
        """Return a record's value; None where there is none that can be read."""
        try:
            return self.read(key)
        except Damaged:
            return None

    def get_as(self, key: str, kind: type[T]) -> T | None:
        """Return a record's value as one of a kind; None where there is none that can be read."""
        try:
            return self.read(key, kind)
        except Damaged:
            return None

    @overload
    def read(self, key: str) -> Any: ...

    @overload
    def read(self, key: str, kind: type[T]) -> T | None: ...

    def read(self, key: str, kind: Any = Any) -> Any:
        """Return a record's value; None where there is none. Raises Damaged, and OSError."""
        try:
            return self._value(key, kind)
        except ValueError:
            pass
        with self._locks.held(self._path(key).name):  # Somebody else may have set it aside by now, and begun anew.
            try:
                return self._value(key, kind)
            except ValueError as error:
                raise Damaged(self.set_aside(key, error)) from None

    def _value(self, key: str, kind: Any) -> Any:
        try:
            expiry, _, value = self._path(key).read_bytes().partition(b"\n")
        except FileNotFoundError:
            return None
        return decoded(value, kind) if int(expiry) > time() else None

    def set(self, key: str, value: Any, timeout: Any = None) -> bool:
        """Write a record that lives `timeout` seconds, or for the folder's lifetime."""
        self._write(key, msgspec.json.encode(value), int(self.lifetime if timeout is None else timeout))
        return True

    def _write(self, key: str, value: bytes, lifetime: int) -> None:
        path = self._path(key)
        with self._locks.held(path.name):
            self.off_loop(write_whole, path, b"%d\n" % (int(time()) + lifetime) + value)

    def renew(self, key: str) -> None:
        """Let a record's lifetime begin anew, once a day; who may change it meanwhile must not. Raises OSError."""
        try:
            expiry, _, value = self._path(key).read_bytes().partition(b"\n")
            left = int(expiry) - time()
        except (FileNotFoundError, ValueError):
            return  # Gone, or damaged: who reads it says so.
        if 0 < left < self.lifetime - DAY:
            self._write(key, value, self.lifetime)

    def has(self, key: str) -> bool:
        """Tell whether there is a record, be it one that was set aside."""
        return self._path(key).exists() or any(self.aside(key, why) for why in ("damaged", "newer"))

    def size(self, key: str) -> int:
        """Return a record's size in bytes; 0 where there is none."""
        try:
            return self._path(key).stat().st_size
        except FileNotFoundError:
            return 0

    def delete(self, key: str) -> bool:
        """Delete a record, and whatever was set aside in its place, for good. Raises OSError."""
        self.off_loop(_delete, self._path(key))
        return True

    def ids_in(self, key: str) -> Ids:
        """Return the ids that a record names, and what was set aside in its place. Raises OSError."""
        return self.off_loop(lambda: _ids_in(_with_asides(self._path(key))))  # type: ignore[no-any-return]

    def named_anywhere(self, ids: Ids) -> Ids:
        """Return those of some ids that any record names, be it one that was set aside. Raises OSError."""
        named: Ids = set()
        for paths in slices(self.folder, self.off_loop):
            named |= ids & self.off_loop(_ids_in, paths)
        return named

    def remove_expired(self) -> None:
        """Delete the records whose time is over, and what a crash left half written."""
        removal = Removal()
        for paths in slices(self.folder, self.off_loop):
            for path in self.off_loop(lambda some: [one for one in some if self._is_over(one)], paths):
                with self._locks.held(path.name):  # It may be written just now.
                    self.off_loop(self._remove_if_over, path, removal)
        removal.tell()

    def _remove_if_over(self, path: Path, removal: Removal) -> None:
        if self._is_over(path):
            removal.remove(path)

    def _is_over(self, path: Path) -> bool:
        try:
            if path.name.startswith(HALF):
                return path.stat().st_mtime < time() - DAY
            if path.suffix == ".damaged":
                return path.stat().st_mtime < time() - self.lifetime
            with path.open("rb") as file:
                return int(file.readline(20)) <= time()
        except (OSError, ValueError):
            return False  # Gone, or damaged: it is set aside when somebody asks for it.

    def _path(self, key: str) -> Path:
        # A key holds what came in a cookie; its hash is a safe file name and does not give it away.
        return self.folder / sha256(key.encode()).hexdigest()

    def set_aside(self, key: str, reason: object, why: Aside = "damaged") -> str:
        """Keep a record that cannot be used under another name, where nothing overwrites it, and return that.

        The last one has the plain name. So it ends last, and where there is none, there is no earlier one either.
        """
        path = self._path(key)
        aside = path.with_suffix(f".{why}")
        if aside.exists():
            aside.rename(path.with_suffix(f".{new_id()}.{why}"))
        path.rename(aside)
        log.error("A record could not be used (%s); it is kept as %s.", reason, aside)
        return aside.name

    def aside(self, key: str, why: Aside) -> str:
        """Return the name of the file that a record was set aside as; empty where it was not."""
        path = self._path(key).with_suffix(f".{why}")
        return path.name if path.exists() else ""

    def read_aside(self, key: str, why: Aside) -> Any:
        """Return the value of a record that was set aside; None where it cannot be read."""
        try:
            return decoded(self._path(key).with_suffix(f".{why}").read_bytes().partition(b"\n")[2], object)
        except (OSError, ValueError):
            return None

    def delete_aside(self, key: str, why: Aside) -> None:
        self._path(key).with_suffix(f".{why}").unlink(missing_ok=True)


def _with_asides(path: Path) -> list[Path]:
    """Return a record's file and those set aside in its place; the folder is only looked through if there is one."""
    if not any(path.with_suffix(f".{why}").exists() for why in get_args(Aside)):
        return [path]
    return [path, *(other for other in each(path.parent) if other.name.startswith(f"{path.name}."))]


def _ids_in(paths: list[Path]) -> Ids:
    ids: Ids = set()
    for path in paths:
        with suppress(FileNotFoundError):
            ids.update(found.decode() for found in ID.findall(path.read_bytes()))
    return ids


def _delete(path: Path) -> None:
    for one in _with_asides(path):
        one.unlink(missing_ok=True)
    flush_removal(path.parent)
