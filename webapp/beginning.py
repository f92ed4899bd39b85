"""What a page shows of a text: all of it, or of a very long one its beginning and how much there is.

One loop serves everybody, and a browser lays out all that it gets: ten megabytes of an answer would take seconds of
both whenever its page is opened. The whole is a link away, is what is copied and exported, and is sent on as ever.
What rendering costs is decided by Markdown's signs, about 9 µs each at worst, where 100 letters take as long; so a text
that is little else is shown less of.
"""

import re
from itertools import islice
from time import monotonic
from typing import NamedTuple

from markupsafe import Markup

from .conversation import Mode
from .growth import Change
from .unfolding import Gettext, Unfolding, Unrendered, ended, unfolding

LONGEST = 200_000  # characters, some 40,000 words; rendering them takes the loop some hundredths of a second
MOST_SIGNS = 30_000  # as many as in a million characters of prose or 150,000 of code; a third of a second at worst
# Of a text that is folded, or is not what counts of an answer.
LONGEST_BESIDE = 50_000
MOST_SIGNS_BESIDE = 3_000
TOLD_EVERY = 1.0  # seconds

SIGN = re.compile("[\0-\x1f!-/:-@\\[-`{-\x7f]")  # of ASCII: others mean nothing to Markdown
NO_SIGN = bytes(code for code in range(256) if not SIGN.match(chr(code)))


class Reach(NamedTuple):
    """How far a text is shown: up to so many characters, and so many signs."""

    characters: int
    signs: int

    def end(self, mode: Mode, text: str) -> int:
        """Return how many characters of a text are shown. More text behind it changes nothing of a beginning."""
        beginning = text[: self.characters]
        if signs_in(mode, beginning) <= self.signs:
            return len(beginning)
        return next(islice(SIGN.finditer(beginning), self.signs, None)).start()


def reach(channel: int) -> Reach:
    """Return how far the text of an answer's channel is shown; the first one's is what counts."""
    return Reach(LONGEST_BESIDE, MOST_SIGNS_BESIDE) if channel else Reach(LONGEST, MOST_SIGNS)


def signs_in(mode: Mode, text: str) -> int:
    """Return how many signs a text has that cost something: none where it is shown as it is."""
    return len(text.encode(errors="ignore").translate(None, NO_SIGN)) if mode == "chat" else 0


def shown(
    mode: Mode,
    name: str,
    text: str,
    gettext: Gettext,
    *,
    pending: bool,
    broken_off: bool,
    within: Reach | None = None,
) -> Markup:
    """Return the HTML of a text on a page. A beginning is final, whatever becomes of what follows it."""
    end = (within or reach(0)).end(mode, text)
    if end < len(text):
        return ended(mode, name, text[:end], gettext)
    if pending:
        return unfolding(mode, name, text, gettext).html
    return ended(mode, name, text, gettext, broken_off=broken_off)


class Beginning:
    """A text that grows as one page shows it: it unfolds as far as it is shown, and of more its length is told."""

    def __init__(self, mode: Mode, name: str, text: str, gettext: Gettext, within: Reach | None = None):
        self.name = name
        self.length = len(text)
        self._mode = mode
        self._gettext = gettext
        self._within = within or reach(0)
        self._text = text[: self._within.end(mode, text)]
        self._signs = signs_in(mode, self._text)
        self._told = self.length  # of the length, what the page says
        self._told_at = monotonic()
        self._unfolding: Unfolding | Unrendered | None = None
        if not self.is_long:
            self._unfolding = unfolding(mode, name, text, gettext)

    @property
    def is_long(self) -> bool:
        return self.length > self.end

    @property
    def end(self) -> int:
        """The number of characters that are shown at most, as far as the text has come."""
        return len(self._text)

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
        left = Reach(self._within.characters - self.end, self._within.signs - self._signs)
        more = text[: left.end(self._mode, text)]
        self._text += more
        self._signs += signs_in(self._mode, more)
        return self._close(self._unfolding) if self.is_long else self._unfolding.feed(text)

    def _close(self, unfolded: Unfolding | Unrendered) -> list[Change]:
        self._unfolding, self._told = None, 0
        return unfolded.finish(self._text)

    def flush(self) -> list[Change]:
        """Return the changes for all the text that was taken."""
        return self._unfolding.flush() if self._unfolding else []

    def finish(self, text: str, *, anew: bool, broken_off: bool) -> list[Change]:
        """Return the changes that leave the HTML of the text at its end; `anew` in place of all that is there."""
        self.length, self._text = len(text), text[: self._within.end(self._mode, text)]
        if anew:
            still = {"pending": False, "broken_off": broken_off}
            html = shown(self._mode, self.name, text, self._gettext, within=self._within, **still)
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
