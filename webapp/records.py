"""Records as files in one folder, each with its expiry on the first line and JSON below.

FileSystemCache would do for the session alone, but it swallows a failed write and takes a damaged file
for a missing one, and either way a conversation would be gone without a word.
"""

import logging
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from time import sleep, time
from typing import Any

import msgspec
from cachelib.base import BaseCache

from .conversation import new_id
from .files import write_whole

log = logging.getLogger(__name__)

DAY = 86_400


class RecordFiles(BaseCache):
    """Records as files in one folder: flushed before they are named, so that a crash leaves the old or the new one.

    A write that fails raises OSError. A file that cannot be read as a record is set aside under
    `.damaged`, never overwritten.
    """

    def __init__(self, folder: Path, lifetime: int):
        super().__init__(lifetime)
        self.folder = folder
        self.lifetime = lifetime
        # How a write is done, which waits for the disk. A server whose requests share one thread puts
        # something here that waits in another one.
        self.off_loop: Callable[..., None] = lambda write, *arguments: write(*arguments)
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def get(self, key: str) -> Any:
        path = self._path(key)
        try:
            expiry, _, value = path.read_bytes().partition(b"\n")
        except FileNotFoundError:
            return None
        try:
            return msgspec.json.decode(value) if int(expiry) > time() else None
        except ValueError as error:
            self.set_aside(key, error)
            return None

    def set(self, key: str, value: Any, timeout: Any = None) -> bool:
        """Write a record that lives `timeout` seconds, or for the folder's lifetime."""
        self._write(key, msgspec.json.encode(value), int(self.lifetime if timeout is None else timeout))
        return True

    def _write(self, key: str, value: bytes, lifetime: int) -> None:
        self.off_loop(write_whole, self._path(key), b"%d\n" % (int(time()) + lifetime) + value)

    def renew(self, key: str) -> None:
        """Let a record's lifetime begin anew, once a day. Raises OSError."""
        try:
            expiry, _, value = self._path(key).read_bytes().partition(b"\n")
            left = int(expiry) - time()
        except (FileNotFoundError, ValueError):
            return  # Gone, or damaged: whoever reads it says so.
        if 0 < left < self.lifetime - DAY:
            self._write(key, value, self.lifetime)

    def has(self, key: str) -> bool:
        """Tell whether there is a record, be it one that was set aside."""
        path = self._path(key)
        return path.exists() or any(self.folder.glob(f"{path.name}.*"))

    def delete(self, key: str) -> bool:
        self._path(key).unlink(missing_ok=True)
        return True

    def remove_expired(self) -> None:
        """Delete the records whose time is over, and what a crash left half written."""
        for path in list(self.folder.iterdir()):
            sleep(0)  # Let requests go first.
            if _is_over(path):
                path.unlink(missing_ok=True)

    def _path(self, key: str) -> Path:
        # A key holds what came in a cookie; its hash is a safe file name and does not give it away.
        return self.folder / sha256(key.encode()).hexdigest()

    def set_aside(self, key: str, error: Exception) -> None:
        """Keep a record that cannot be used under another name, where nothing overwrites it."""
        path = self._path(key)
        aside = path.with_suffix(f".{new_id()}.damaged")
        path.rename(aside)
        log.error("A record could not be read (%s); it is kept as %s.", error, aside)


def _is_over(path: Path) -> bool:
    try:
        if path.name.startswith("new-"):
            return path.stat().st_mtime < time() - DAY
        with path.open("rb") as file:
            return int(file.readline()) <= time()
    except (OSError, ValueError):
        return False  # Gone, or damaged: it is set aside when somebody asks for it.
