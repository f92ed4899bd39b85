"""What a page shows of a text: all of it, or of a very long one its beginning and how much there is.

One loop serves everybody, and a browser lays out all that it gets: ten megabytes of an answer would take seconds of
both whenever its page is opened. The whole is a link away, is what is copied and exported, and is sent on as ever.
"""

from time import monotonic

from markupsafe import Markup

from .conversation import Mode
from .growth import Change
from .unfolding import Gettext, Unfolding, Unrendered, ended, unfolding

LONGEST = 200_000  # characters, some 40,000 words; rendering them takes the loop some hundredths of a second
TOLD_EVERY = 1.0  # seconds


def is_long(text: str) -> bool:
    """Tell whether a page shows no more than the beginning of a text."""
    return len(text) > LONGEST


def shown(mode: Mode, name: str, text: str, gettext: Gettext, *, pending: bool, broken_off: bool) -> Markup:
    """Return the HTML of a text on a page. A beginning is final, whatever becomes of what follows it."""
    if is_long(text):
        return ended(mode, name, text[:LONGEST], gettext)
    if pending:
        return unfolding(mode, name, text, gettext).html
    return ended(mode, name, text, gettext, broken_off=broken_off)


class Beginning:
    """A text that grows as one page shows it: it unfolds up to LONGEST characters, and of more its length is told."""

    def __init__(self, mode: Mode, name: str, text: str, gettext: Gettext):
        self.name = name
        self.length = len(text)
        self._mode = mode
        self._gettext = gettext
        self._text = text[:LONGEST]
        self._told = self.length  # of the length, what the page says
        self._told_at = monotonic()
        self._unfolding: Unfolding | Unrendered | None = None
        if not self.is_long:
            self._unfolding = unfolding(mode, name, text, gettext)

    @property
    def is_long(self) -> bool:
        return self.length > LONGEST

    @property
    def position(self) -> int:
        """The number of characters that the page has taken notice of."""
        return self._unfolding.shown if self._unfolding else self.length

    @property
    def waits(self) -> bool:
        """Tell whether more came than the page shows or tells of."""
        return self._unfolding.waits if self._unfolding else self._told < self.length

    def anew(self) -> Change:
        """Return the change that puts the HTML in place of all that is there, as long as the text has not grown."""
        if self._unfolding:
            return self._unfolding.anew()
        return Change("innerHTML", 0, ended(self._mode, self.name, self._text, self._gettext))

    def feed(self, text: str) -> list[Change]:
        """Take more text; return the changes, none while it is too little to be worth them."""
        self.length += len(text)
        if not self._unfolding:
            return []
        self._text += text[: LONGEST - len(self._text)]
        return self._close(self._unfolding) if self.is_long else self._unfolding.feed(text)

    def _close(self, unfolded: Unfolding | Unrendered) -> list[Change]:
        self._unfolding, self._told = None, 0
        return unfolded.finish(self._text)

    def flush(self) -> list[Change]:
        """Return the changes for all the text that was taken."""
        return self._unfolding.flush() if self._unfolding else []

    def finish(self, text: str, *, anew: bool, broken_off: bool) -> list[Change]:
        """Return the changes that leave the HTML of the text at its end; `anew` in place of all that is there."""
        self.length, self._text = len(text), text[:LONGEST]
        if anew:
            html = shown(self._mode, self.name, text, self._gettext, pending=False, broken_off=broken_off)
            return [Change("innerHTML", 0, html)]
        if not self._unfolding:
            return []
        return self._close(self._unfolding) if self.is_long else self._unfolding.finish(text, broken_off=broken_off)

    def tells(self, *, now: bool) -> bool:
        """Tell whether the page is to say how long the text is: at first, then now and then, or `now`."""
        due = now or not self._told or monotonic() - self._told_at >= TOLD_EVERY
        if not (self.is_long and self._told < self.length and due):
            return False
        self._told, self._told_at = self.length, monotonic()
        return True
