"""A disk on which what lies below a folder fails, by the system's own calls."""

import errno
import os
from contextlib import contextmanager
from pathlib import Path

FAULTS = {"full": errno.ENOSPC, "read-only": errno.EROFS, "no permission": errno.EACCES, "broken": errno.EIO}
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


class Disk:
    """The data folder's disk, on which everything below a folder may fail; the calls are the system's own."""

    def __init__(self, folder, monkeypatch):
        self.folder = os.fspath(folder)
        self.error = None
        self.reading = False  # fails, too
        self.where = ""
        self.failed = 0
        self.files = {}
        for name in ("open", "write", "fsync", "mkdir", "unlink", "rename", "replace"):
            self._wrap(name, monkeypatch)
        for name in ("read_bytes", "open"):
            self._wrap_reading(name, monkeypatch)

    @contextmanager
    def fails(self, fault, where="", reading=False):
        """Let every change below `where` fail, and reading, too, if that is wanted."""
        self.error, self.where, self.reading, self.failed = FAULTS[fault], os.path.join(self.folder, where), reading, 0
        yield self
        self.error = None

    def _wrap_reading(self, name, monkeypatch):
        real = getattr(Path, name)

        def read(path, *rest, **more):
            self._fail(path, reading=True)
            return real(path, *rest, **more)

        monkeypatch.setattr(Path, name, read)

    def _wrap(self, name, monkeypatch):
        real = getattr(os, name)

        def call(first, *rest, **more):
            if name == "open":
                flags = rest[0] if rest else more["flags"]
                self._fail(first, reading=not flags & WRITING)
                number = real(first, *rest, **more)
                self.files[number] = os.fspath(first)
                return number
            if isinstance(first, int):
                first_name = self.files.get(first, "")
                # A descriptor's number is soon another's.
                if first_name and os.path.realpath(f"/proc/self/fd/{first}").startswith(self.folder):
                    self._fail(first_name)
            elif name in ("rename", "replace"):
                self._fail(first)
                self._fail(rest[0])
            elif name != "unlink" or self.error != errno.ENOSPC:  # A full disk lets things go.
                within = more.get("dir_fd")
                self._fail(first if within is None else os.path.join(os.readlink(f"/proc/self/fd/{within}"), first))
            return real(first, *rest, **more)

        monkeypatch.setattr(os, name, call)

    def _fail(self, path, reading=False):
        if self.error and (self.reading or not reading) and os.fspath(path).startswith(self.where):
            self.failed += 1
            raise OSError(self.error, os.strerror(self.error), path)
