"""How often something may be done: questions, imports, new visitors, wrong codes; by a visitor, an address, by all.

Counts are in memory and go with their time; a restart forgets them. Raises

    TooMany              429; `retry_after` says when it can be done again
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from ipaddress import IPv6Address, ip_address
from math import ceil
from threading import Lock
from time import time
from typing import Any

from limits import RateLimitItem, RateLimitItemPerHour, RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter

from .conversation import Refused
from .wording import Sentence, say, say_many

NETWORK = 64  # bits of an IPv6 address that one household or one machine has all addresses of
LONGEST_ADDRESS = 64  # characters; what a proxy says may be anything
A_MOMENT = 10  # seconds; when an answer ends, nobody knows

# Wrong codes: enough for a person who mistypes, too few to find a code of eight characters in a lifetime.
TRIES_OF_ADDRESS = (RateLimitItemPerMinute(5), RateLimitItemPerHour(30))
TRIES_OF_ALL = (RateLimitItemPerMinute(60),)

Counted = list[tuple[RateLimitItem, str]]  # each limit, and whose count it is
Reached = tuple[RateLimitItem, str, int]  # a limit, whose count it is, and for how many seconds


class TooMany(Refused):
    status = 429

    def __init__(self, message: Sentence, retry_after: int):
        super().__init__(message)
        self.retry_after = retry_after


class _Window:
    """Counts in windows of time that begin with the first thing counted, so that when one ends is known exactly."""

    def __init__(self, clock: Callable[[], float]):
        self._clock = clock
        # Of this library's strategies, a moving window in memory would keep every key for ever.
        self._limiter = FixedWindowRateLimiter(MemoryStorage())

    def full(self, counted: Counted) -> Reached | None:
        """Return the limit that is reached and is so for longest, whose it is, and for how many seconds."""
        reached = [(limit, who, self._left(limit, who)) for limit, who in counted if not self._limiter.test(limit, who)]
        return max(reached, key=lambda one: one[2], default=None)

    def count(self, counted: Counted, amount: int = 1) -> None:
        for limit, who in counted:
            self._limiter.hit(limit, who, cost=amount)

    def _left(self, limit: RateLimitItem, who: str) -> int:
        return max(1, ceil(self._limiter.get_window_stats(limit, who).reset_time - self._clock()))


class Rates:
    """What costs money or room: how often it may be asked for, and how much of it at once. A limit of 0 is none."""

    def __init__(self, config: Mapping[str, Any], clock: Callable[[], float] = time):
        self._visitor = _a_minute(config["VISITOR_QUESTIONS_PER_MINUTE"])
        self._address = _a_minute(config["ADDRESS_QUESTIONS_PER_MINUTE"])
        self._newcomers = _an_hour(config["ADDRESS_VISITORS_PER_HOUR"])
        self._visitor_imports = _an_hour(config["VISITOR_IMPORT_MB_PER_HOUR"])
        self._address_imports = _an_hour(config["ADDRESS_IMPORT_MB_PER_HOUR"])
        self._visitor_answers: int = config["VISITOR_ANSWERS"]
        self._answers: int = config["MAX_ANSWERS"]
        self._window = _Window(clock)
        self._lock = Lock()

    def count_question(self, visitor: str, address: str) -> None:
        """Count a question, or whatever else costs as much. Raises TooMany, and then counts nothing."""
        own = [(limit, f"visitor {visitor}") for limit in self._visitor]
        others = [(limit, f"address {network_of(address)}") for limit in self._address]
        if (reached := self._count([*own, *others])) is None:
            return
        limit, who, seconds = reached
        allowed = say_many("{number:,} question a minute", "{number:,} questions a minute", limit.amount)
        wait = _in_words(seconds)
        if who.startswith("visitor"):
            message = say(
                "You are asking faster than this server allows: {allowed}. Send it again in {wait}; nothing was sent.",
                allowed=allowed,
                wait=wait,
            )
        else:
            message = say(
                "Your network asks more than this server allows: {allowed}. Send it again in {wait}; nothing was sent.",
                allowed=allowed,
                wait=wait,
            )
        raise TooMany(message, seconds)

    def count_visitor(self, address: str) -> None:
        """Count a visitor of whom something is kept for the first time. Raises TooMany, and then counts nothing."""
        counted: Counted = [(limit, f"newcomer {network_of(address)}") for limit in self._newcomers]
        if (reached := self._count(counted)) is None:
            return
        limit, _, seconds = reached
        raise TooMany(
            say(
                "More new visitors come from your network than this server takes (an hour: {limit:,}). "
                "Send it again in {wait}; nothing was sent.",
                limit=limit.amount,
                wait=_in_words(seconds),
            ),
            seconds,
        )

    def count_import(self, visitor: str, address: str, size: int) -> None:
        """Count bytes that are imported or kept of an import. Raises TooMany, and then counts nothing."""
        own = [(limit, f"visitor's import {visitor}") for limit in self._visitor_imports]
        others = [(limit, f"address's import {network_of(address)}") for limit in self._address_imports]
        # A small file is work, too.
        if (reached := self._count([*own, *others], max(1, ceil(size / 2**20)))) is None:
            return
        limit, _, seconds = reached
        raise TooMany(
            say(
                "More is imported by you or from your network than this server takes (MB an hour: {limit:,}). "
                "Send it again in {wait}; nothing was imported.",
                limit=limit.amount,
                wait=_in_words(seconds),
            ),
            seconds,
        )

    def _count(self, counted: Counted, amount: int = 1) -> Reached | None:
        """Count, unless a limit is reached; return that one."""
        with self._lock:
            reached = self._window.full(counted)
            if reached is None:
                self._window.count(counted, amount)
            return reached

    def check_answers(self, visitor: str, owners: Collection[str]) -> None:
        """Raise TooMany where no further answer may begin beside those that run, of which each has an owner."""
        if self._visitor_answers and sum(owner == visitor for owner in owners) >= self._visitor_answers:
            message = say_many(
                "One of your answers is being written, perhaps in another mode, and you may have no more at once. Wait "
                "for it or stop it; try again in {wait}.",
                "{number:,} of your answers are being written, perhaps in other modes, and you may have no more at "
                "once. Wait for one of them or stop it; try again in {wait}.",
                self._visitor_answers,
                wait=_in_words(A_MOMENT),
            )
            raise TooMany(message, A_MOMENT)
        if self._answers and len(owners) >= self._answers:
            message = say(
                "This server is writing as many answers as it may at once ({limit:,}). Send it again in {wait}; "
                "nothing was sent.",
                limit=self._answers,
                wait=_in_words(A_MOMENT),
            )
            raise TooMany(message, A_MOMENT)


class Streams:
    """The streams that follow answers: each takes a connection and renders for itself. A limit of 0 is none."""

    def __init__(self, config: Mapping[str, Any]):
        self._of_visitor: int = config["VISITOR_STREAMS"]
        self._of_all: int = config["MAX_STREAMS"]
        self._open: Counter[str] = Counter()
        self._lock = Lock()

    def open(self, visitor: str) -> Callable[[], None]:
        """Count one more stream, and return what is to be called at its end. Raises TooMany.

        A page that is refused one asks for the answer now and then, and misses nothing.
        """
        with self._lock:
            mine = self._of_visitor and self._open[visitor] >= self._of_visitor
            if mine or (self._of_all and self._open.total() >= self._of_all):
                self._open += Counter()  # Who has none is not kept.
                raise TooMany(
                    say("As many answers are being followed as may be at once. This page asks for it now and then."),
                    A_MOMENT,
                )
            self._open[visitor] += 1
        return lambda: self._close(visitor)

    def _close(self, visitor: str) -> None:
        with self._lock:
            self._open[visitor] -= 1
            self._open += Counter()


class Tries:
    """Tries of a code. After some wrong ones everybody waits, with the right one too: no answer tells them apart."""

    def __init__(self, clock: Callable[[], float] = time):
        self._window = _Window(clock)
        self._lock = Lock()

    def attempt(self, address: str, is_right: Callable[[], bool]) -> bool:
        """Tell whether a try is right, and count it if it is not. Raises TooMany without looking at it."""
        counted: Counted = [(limit, network_of(address)) for limit in TRIES_OF_ADDRESS]
        counted += [(limit, "all") for limit in TRIES_OF_ALL]
        with self._lock:  # Many tries at the same moment are many tries.
            reached = self._window.full(counted)
            if reached is None:
                if is_right():
                    return True
                self._window.count(counted)
                return False
        raise TooMany(
            say("Too many wrong codes were tried. The next try is possible in {wait}.", wait=_in_words(reached[2])),
            reached[2],
        )


def _a_minute(amount: int) -> Iterable[RateLimitItem]:
    return (RateLimitItemPerMinute(amount),) if amount else ()


def _an_hour(amount: int) -> Iterable[RateLimitItem]:
    return (RateLimitItemPerHour(amount),) if amount else ()


def _in_words(seconds: int) -> Sentence:
    if seconds <= 120:
        return say("{seconds}\N{NO-BREAK SPACE}s", seconds=seconds)
    return say("{minutes}\N{NO-BREAK SPACE}min", minutes=ceil(seconds / 60))


def network_of(address: str) -> str:
    """Return what counts as one address: an IPv4 address, or the network of an IPv6 one; a port does not count."""
    host = address.strip()
    if host.startswith("["):
        host = host[1:].partition("]")[0]
    elif host.count(":") == 1:
        host = host.partition(":")[0]
    try:
        found = ip_address(host.partition("%")[0])
    except ValueError:
        return host[:LONGEST_ADDRESS]
    if not isinstance(found, IPv6Address):
        return str(found)
    if found.ipv4_mapped:
        return str(found.ipv4_mapped)
    return str(IPv6Address(int(found) >> (128 - NETWORK) << (128 - NETWORK)))
