"""Deleting what somebody wants to be gone: what a disk refuses to let go of is tried again until it does."""

import logging
from collections.abc import Callable
from threading import Lock, Thread
from time import sleep

log = logging.getLogger(__name__)

AGAIN_EVERY = 60.0  # seconds


class Erasing:
    """What is left to be deleted, each by a name that a log may have, and by what deletes it."""

    def __init__(self) -> None:
        self._left: dict[str, Callable[[], object]] = {}
        self._guard = Lock()
        self._trying = False

    def erase(self, name: str, delete: Callable[[], object]) -> bool:
        """Delete something now; False where it cannot be yet. `delete` says so by False or an OSError."""
        if self._is_done(name, delete):
            return True
        with self._guard:
            self._left[name] = delete
            if self._trying:
                return False
            self._trying = True
        Thread(target=self._try_again, name="erase-again", daemon=True).start()
        return False

    def _is_done(self, name: str, delete: Callable[[], object]) -> bool:
        reason = "files are left"
        try:
            done = delete() is not False
        except OSError as error:
            done, reason = False, error.strerror or ""
        if not done and name not in self._left:
            log.error("Something could not be deleted, and is tried again (%s): %s", name, reason)
        if done and name in self._left:
            del self._left[name]
            log.warning("It is deleted now (%s).", name)
        return done

    def _try_again(self) -> None:
        while True:
            sleep(AGAIN_EVERY)
            for name, delete in list(self._left.items()):
                self._is_done(name, delete)
            with self._guard:
                if not self._left:
                    self._trying = False
                    return
