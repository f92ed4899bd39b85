"""The sessions as they are kept: of who has only looked there is nothing, because their id says by itself whose it is.

Programs bring no cookie back, and many people send nothing. An id of ours, which nobody else can make, stands for
the whole session until there is something to be kept.
"""

import hmac
import logging
import secrets
from contextlib import suppress
from time import time
from typing import Any
from weakref import WeakValueDictionary

from cachelib.base import BaseCache

from .locks import Locks
from .records import DAY, RecordFiles

log = logging.getLogger(__name__)

PREFIX = "session:"  # of a session's key among the records
RANDOM = 24  # bytes of an id that nobody can guess
SIGNATURE = 32  # hexadecimal digits of an id that nobody else can make


class Watched:
    """A session that somebody watches while a long reply is on its way: whether it was left meanwhile."""

    left = False


class Sessions(BaseCache):
    """The sessions' records, by their keys."""

    def __init__(self, records: RecordFiles, secret: bytes):
        super().__init__()
        self._records = records
        self._secret = secret
        # Weak, so that each is forgotten with the last reply that watches it.
        self._watched: WeakValueDictionary[str, Watched] = WeakValueDictionary()
        self._locks = Locks()
        self._left: dict[str, float] = {}  # the keys that nobody is known by any more, and since when

    def get(self, key: str) -> Any:
        record = self._records.get_as(key, dict[str, Any])
        if record is not None and not _is_session(record):
            with suppress(FileNotFoundError):  # Another request was faster.
                self._records.set_aside(key, "it is no session's")
            record = None
        return self.told(key.removeprefix(PREFIX)) if record is None else record

    def set(self, key: str, value: Any, timeout: Any = None) -> bool:
        if value == self.told(key.removeprefix(PREFIX)):
            return True
        with self._locks.held(key):
            if key in self._left:
                return False  # By a request that was on its way when the session got another id.
            try:
                return self._records.set(key, value, timeout)
            except OSError as error:
                if self.get(key) is None:
                    raise
                # What is there still says who it is: who may read must not be kept from it.
                log.error("A session could not be written again: %s", error.strerror)
                return False

    def delete(self, key: str) -> bool:
        self._tell(key.removeprefix(PREFIX))
        try:
            return self._records.delete(key)
        except OSError as error:  # The browser forgets its id; the record ends by itself.
            log.error("A session could not be deleted: %s", error.strerror)
            return False

    def leave(self, session_id: str) -> None:
        """Let nobody be known by an id any more, also where it says by itself whose it was. Raises OSError."""
        with self._locks.held(key := PREFIX + session_id):
            if self.told(session_id):
                self._records.set(key, {})
            else:
                self._records.delete(key)
            self._left[key] = time()
        for old in [one for one, since in list(self._left.items()) if since < time() - DAY]:
            self._left.pop(old, None)  # No request takes so long.
        self._tell(session_id)

    def watch(self, session_id: str) -> Watched:
        """Return what tells, from now on, whether a session was left."""
        return self._watched.setdefault(session_id, Watched())

    def _tell(self, session_id: str) -> None:
        if watched := self._watched.get(session_id):
            watched.left = True

    def new_id(self) -> str:
        """Return the id of a session of which nothing has to be kept."""
        head = f"{int(time()):x}.{secrets.token_urlsafe(RANDOM)}"
        return f"{head}.{self._hash('session', head)}"

    def told(self, session_id: str) -> dict[str, Any] | None:
        """Return what an id of ours says by itself; None for one that is none, or older than a session gets."""
        head, _, signature = session_id.rpartition(".")
        if not hmac.compare_digest(self._hash("session", head).encode(), signature.encode(errors="replace")):
            return None
        begun = int(head.partition(".")[0], 16)
        if time() - begun >= self._records.lifetime:
            return None
        return {"_permanent": True, "visitor": self._hash("visitor", head), "seen": begun, "looked": True}

    def _hash(self, purpose: str, head: str) -> str:
        text = f"newcomer\0{purpose}\0{head}".encode(errors="replace")
        return hmac.new(self._secret, text, "sha256").hexdigest()[:SIGNATURE]


def _is_session(record: dict[str, Any]) -> bool:
    return "visitor" not in record or (
        isinstance(record["visitor"], str) and isinstance(record.get("seen"), int | float)
    )
