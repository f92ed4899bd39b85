"""One of our modules in a process of its own, which is talked to over one socket and ends with whoever started it.

`subprocess` forks in Python, under gevent at any rate, and what happens between fork and exec there may hang where
other threads run. `posix_spawn` does both in C. Waiting is reading from the socket, which lets other greenlets run.
"""

import logging
import os
import signal
import socket
import sys
from pathlib import Path
from threading import Lock
from time import sleep

log = logging.getLogger(__name__)

ROOT = Path(__file__).parent.parent

# All that it gets of our environment, which may hold keys under any name.
INHERITED = {"PATH", "HOME", "LANG", "LANGUAGE", "TMPDIR", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"}
INHERITED |= {"PYTHONHOME", "PYTHONPATH", "PYTHONUTF8", "PYTHONDONTWRITEBYTECODE"}


class Child:
    """A module that runs; its standard input and output are the other end of our socket. Raises OSError.

    It is to end when its input does: a parent that dies, however it dies, then takes it along.
    """

    def __init__(self, module: str, log_file: Path):
        self._guard = Lock()
        self._ended = False
        self._socket, theirs = socket.socketpair()
        os.set_blocking(theirs.fileno(), True)  # gevent's are not, and the child waits as everybody does.
        errors = _opened(log_file)
        try:
            self._pid = os.posix_spawn(
                sys.executable,
                [sys.executable, "-m", module],
                environment(),
                file_actions=[
                    *((os.POSIX_SPAWN_CLOSE, number) for number in _inheritable()),
                    (os.POSIX_SPAWN_DUP2, theirs.fileno(), 0),
                    (os.POSIX_SPAWN_DUP2, theirs.fileno(), 1),
                    (os.POSIX_SPAWN_DUP2, errors, 2),
                ],
                setsigdef=[signal.SIGPIPE, signal.SIGXFSZ],  # which Python has set to be ignored
            )
        except BaseException:
            self._socket.close()
            raise
        finally:
            theirs.close()
            os.close(errors)
        self._output = self._socket.makefile("rb")

    def tell(self, line: bytes) -> None:
        """Write a line to its input. Raises OSError where it has ended."""
        self._socket.sendall(line + b"\n")

    def hear(self) -> bytes:
        """Return the next line of its output; empty where it has ended. Raises OSError."""
        return self._output.readline()

    def hear_end(self) -> None:
        """Return once its output has ended."""
        try:
            while self._output.read1():
                pass
        except OSError:
            pass  # It ended with something unread.

    def wait(self) -> int | None:
        """Return its exit code once it has ended; negative for the signal that ended it."""
        self.hear_end()
        self._output.close()
        self._socket.close()
        while True:
            with self._guard:
                try:
                    pid, status = os.waitpid(self._pid, os.WNOHANG)
                except ChildProcessError:
                    self._ended = True
                    return None
                if pid:
                    self._ended = True
                    return os.waitstatus_to_exitcode(status)
            sleep(0.01)  # Its files are closed a moment before it is gone.

    def kill(self) -> None:
        with self._guard:  # What has ended may have left its number to another process.
            if not self._ended:
                os.kill(self._pid, signal.SIGKILL)


def environment() -> dict[str, str]:
    """Return what a child gets of our environment, and where it finds its module, wherever we were started."""
    kept = {name: value for name, value in os.environ.items() if name in INHERITED or name.startswith("LC_")}
    path = [str(ROOT), *filter(None, [kept.get("PYTHONPATH")])]
    return kept | {"PYTHONPATH": os.pathsep.join(path), "PYTHONSAFEPATH": "1"}


def _opened(log_file: Path) -> int:
    """Open a log, or nothing where the disk has no place for one: what is to be logged is worth more than its log."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    try:
        return os.open(log_file, flags, 0o600)
    except OSError as error:
        log.warning("%s cannot be written: %s.", log_file, error.strerror)
        return os.open(os.devnull, os.O_WRONLY)


def _inheritable() -> list[int]:
    """Return the open files that a new program would get, beside the first three."""
    found = []
    for name in os.listdir("/dev/fd"):
        try:
            if (number := int(name)) > 2 and os.get_inheritable(number):
                found.append(number)
        except OSError:
            pass  # The listing's own, which is closed by now.
    return found
