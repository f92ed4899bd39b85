"""How many tokens may be spent in a day, by all together and by each visitor; a day begins at 00:00 UTC."""

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from hashlib import sha256
from math import ceil
from threading import Lock
from time import time
from typing import Any, Protocol, TypeVar

from msgspec import Struct

from .conversation import Refused
from .locks import Locks
from .wording import Sentence, say

log = logging.getLogger(__name__)

DAY = 86_400
T = TypeVar("T", bound=Struct)


class Records(Protocol):
    """Where what was spent is kept: `records.RecordFiles`."""

    def get_as(self, key: str, kind: type[T]) -> T | None: ...

    def set(self, key: str, value: Any, timeout: Any = None) -> bool: ...

    def delete(self, key: str) -> bool: ...


class BudgetSpent(Refused):
    status = 429

    def __init__(self, message: Sentence, retry_after: int):
        super().__init__(message)
        self.retry_after = retry_after


class _Day(Struct):
    """What was spent in a day. That of each visitor is a record of its own, so that it costs the same beside many."""

    all: int = 0
    visitors: dict[str, int] = {}  # by the hash of their id, in a record of an earlier time


class _Own(Struct):
    """What a visitor spent in a day."""

    tokens: int


class Budget:
    """What of today's tokens is spent. A limit of None is none."""

    def __init__(self, records: Records, total: int | None, per_visitor: int | None, clock: Callable[[], float] = time):
        self.total = total
        self.per_visitor = per_visitor
        self._records = records
        self._clock = clock
        self._lock = Lock()  # of what all spent
        self._locks = Locks()  # of what one did

    def check(self, visitor: str) -> None:
        """Raise BudgetSpent where nothing is left for a visitor, before anything is sent."""
        if not self._limited:
            return
        everybody, own = self._spent(visitor)
        if self.total is not None and everybody >= self.total:
            raise BudgetSpent(
                say("Today's budget of {limit:,} tokens is spent. {anew}", limit=self.total, anew=self._anew()),
                self._seconds_left(),
            )
        if self.per_visitor is not None and own >= self.per_visitor:
            raise BudgetSpent(
                say(
                    "Your budget of {limit:,} tokens for today is spent. {anew}",
                    limit=self.per_visitor,
                    anew=self._anew(),
                ),
                self._seconds_left(),
            )

    def spend(self, visitor: str, tokens: int) -> None:
        """Count tokens that an answer used. Raises OSError where that cannot be kept."""
        if not self._limited or tokens <= 0:
            return
        key = self._key()  # once: midnight may pass
        with self._lock:
            day = self._day(key)
            day.all += tokens
            self._records.set(key, day, timeout=2 * DAY)
        if self.per_visitor is not None:
            with self._locks.held(own := _own_key(key, visitor)):
                spent = _Own(self._own(key, visitor, day) + tokens)
                self._records.set(own, spent, timeout=2 * DAY)

    def forget(self, visitor: str) -> None:
        """Forget what a visitor spent today; what all spent together stays. Raises OSError."""
        key = self._key()
        with self._locks.held(own := _own_key(key, visitor)):
            self._records.delete(own)
        with self._lock:
            day = self._day(key)
            if day.visitors.pop(_hash(visitor), None) is not None:
                self._records.set(key, day, timeout=2 * DAY)

    def left(self, visitor: str) -> int | None:
        """Return how many tokens a visitor may still spend today; None where there is no limit, or nobody can tell."""
        if not self._limited:
            return None
        try:
            limits = zip((self.total, self.per_visitor), self._spent(visitor), strict=True)
        except OSError as error:
            log.error("What was spent today cannot be read, so that nothing can be asked: %s", error.strerror)
            return None
        return max(0, min(limit - spent for limit, spent in limits if limit is not None))

    @property
    def _limited(self) -> bool:
        return self.total is not None or self.per_visitor is not None

    def _spent(self, visitor: str) -> tuple[int, int]:
        key = self._key()
        day = self._day(key)
        return day.all, self._own(key, visitor, day)

    def _day(self, key: str) -> _Day:
        return self._records.get_as(key, _Day) or _Day()

    def _own(self, key: str, visitor: str, day: _Day) -> int:
        own = self._records.get_as(_own_key(key, visitor), _Own)
        return own.tokens if own else day.visitors.get(_hash(visitor), 0)

    def _key(self) -> str:
        return f"budget:{datetime.fromtimestamp(self._clock(), UTC).date()}"

    def _seconds_left(self) -> int:
        return ceil(DAY - self._clock() % DAY)

    def _anew(self) -> str:
        hours, minutes = divmod(ceil(self._seconds_left() / 60), 60)
        if not hours:
            return say("It begins anew at 00:00 UTC, in {minutes} min. Nothing was sent.", minutes=minutes)
        return say(
            "It begins anew at 00:00 UTC, in {hours} h {minutes} min. Nothing was sent.", hours=hours, minutes=minutes
        )


def _own_key(key: str, visitor: str) -> str:
    return f"{key}:{_hash(visitor)}"


def _hash(visitor: str) -> str:
    # A record of what was spent need not hold what opens somebody's conversations.
    return sha256(visitor.encode()).hexdigest()[:16]
