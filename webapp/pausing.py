"""Letting others go first: one loop serves everybody, and who works for long in one piece stops them all."""

from collections.abc import Iterator
from time import monotonic, sleep

STRETCH = 0.02  # seconds in which nobody else is served
WAITED = 0.0005  # seconds; who waited for so long let others go first meanwhile


class Pause:
    """Lets others go first, now and then. A sleep of 0 would not: it comes back before anything arrived is seen."""

    def __init__(self) -> None:
        self._since = monotonic()

    def __call__(self) -> None:
        if monotonic() - self._since > STRETCH:
            sleep(0.001)
            self._since = monotonic()

    def waited(self) -> None:
        """Take note that others have just had their turn."""
        self._since = monotonic()


def in_turn(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Yield what arrives, with pauses where it arrives faster than it is used: reading alone would never wait."""
    pause = Pause()
    asked = monotonic()
    for piece in pieces:
        if monotonic() - asked > WAITED:
            pause.waited()
        else:
            pause()
        yield piece
        asked = monotonic()
