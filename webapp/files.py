"""The files that belong to a conversation: images, speech, the exchanges with the endpoint.

They live and end with their conversation; who may read that may read them.
"""

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from time import time

from .conversation import Unknown, new_id

NAME = re.compile(r"[A-Za-z0-9_-]{1,80}(\.[a-z0-9]{1,12}){0,2}")
GONE = "That file is not here any more."


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that after a crash or a loss of power the old or the new one is there, whole. Raises OSError."""
    new = path.with_name(f"new-{new_id()}")
    try:
        with open(new, "xb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
    except BaseException:
        new.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def older(folder: Path, seconds: float) -> list[Path]:
    """Return what lies in a folder and was not changed for so long."""
    return [path for path in folder.iterdir() if _age(path) > seconds]


def _age(path: Path) -> float:
    try:
        return time() - path.stat().st_mtime
    except FileNotFoundError:
        return 0  # It went meanwhile.


class Files:
    """A folder of files for each conversation."""

    def __init__(self, folder: Path):
        self.folder = folder
        # How a write is done, as with the records.
        self.off_loop: Callable[..., None] = lambda write, *arguments: write(*arguments)
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def path(self, conversation_id: str, name: str) -> Path:
        """Return where a file is or would be. Raises Unknown for a name that no file of ours has."""
        if not NAME.fullmatch(name) or not NAME.fullmatch(conversation_id):
            raise Unknown(GONE)
        return self.folder / conversation_id / name

    def write(self, conversation_id: str, name: str, content: bytes, *, durable: bool = True) -> None:
        """Write a file; one that is not durable may be lost, or be lost in part, in a crash. Raises OSError."""
        path = self.path(conversation_id, name)
        path.parent.mkdir(exist_ok=True, mode=0o700)
        if durable:
            self.off_loop(write_whole, path, content)
        else:
            path.write_bytes(content)

    def read(self, conversation_id: str, name: str) -> bytes:
        """Return a file's content. Raises Unknown where there is none."""
        try:
            return self.path(conversation_id, name).read_bytes()
        except FileNotFoundError:
            raise Unknown(GONE) from None

    def remove_of(self, conversation_id: str, answer_id: str) -> None:
        """Remove the files of one answer, whose names begin with its id."""
        for path in self.path(conversation_id, answer_id).parent.glob(f"{answer_id}*"):
            path.unlink(missing_ok=True)

    def untouched(self, seconds: float) -> list[str]:
        """Return the conversations in whose folders nothing was written for so long."""
        return [path.name for path in older(self.folder, seconds) if NAME.fullmatch(path.name)]

    def remove(self, conversation_id: str) -> None:
        """Remove all files of a conversation."""
        shutil.rmtree(self.path(conversation_id, "x").parent, ignore_errors=True)
