"""A lock for each name, that goes when nobody holds it or waits for it any more."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from weakref import WeakValueDictionary


class Locks:
    """Locks by name."""

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[str, _Lock] = WeakValueDictionary()
        self._guard = Lock()

    @contextmanager
    def held(self, name: str) -> Iterator[None]:
        """Let one at a time do what is done under a name."""
        with self._guard:
            lock = self._locks.setdefault(name, _Lock())
        with lock.held:
            yield


class _Lock:
    """A lock that a WeakValueDictionary can hold."""

    def __init__(self) -> None:
        self.held = Lock()
