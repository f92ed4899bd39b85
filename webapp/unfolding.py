"""A text as it unfolds on the page: its HTML at every length, and what changes from one length to the next.

The HTML of a text is a function of the text alone, also of a half one, so that a follower needs to say only how
many characters the page shows. Only the open part is rendered again and again, from the last block on that more
text can still change; what stands before it is final.
"""

import re
from collections.abc import Callable

from markupsafe import Markup

from .conversation import Mode
from .growth import Change, growth
from .markdown import Block, blocks, plain, render
from .mending import mended

# The open part is rendered again once it grew by this share of itself: the work and the bytes for a text of any kind
# then stay in proportion to its length, and a short block is right with every token.
SHARE = 64

# A link's address, or a footnote, that stands elsewhere changes what came before it.
DEFINITION = re.compile(r"^[ \t>]*(?:(?:[-*+]|\d{1,9}[.)])[ \t]+)*\[[^\]\n]+\]:", re.MULTILINE)

BLANK_BEFORE = re.compile(r"\n[ \t\r]*\n\Z")
EMPTY = plain("")

# Words among words need no parser: they go where the last one went. Not where an address may begin.
WORDS = re.compile(r" ?[A-Za-z0-9,.;:]+(?: [A-Za-z0-9,.;:]+)*\Z")
ADDRESS = re.compile(r"(?:\A|[^a-z0-9])(?:ht|ww|[hw]\Z)", re.IGNORECASE)
WORD_END = re.compile(r"[A-Za-z0-9,.;:]{1,40}\Z")
OTHER_THAN_WORDS = re.compile(r"[\[<$\\&@]")

Gettext = Callable[[str], str]


class Unfolding:
    """A Markdown text that grows, and its HTML.

    `shown` is how many characters the HTML stands for, `name` the id of the element that has it.
    """

    def __init__(self, name: str, text: str = "", gettext: Gettext = str):
        self.name = name
        self._gettext = gettext
        self._begin(text)

    def _begin(self, text: str) -> None:
        """Render a text as if it had come at once."""
        self.shown = len(text)
        self._text = text
        self._edge: tuple[int, int] | None = None  # where the next word goes
        parsed = blocks(text, self.name, open=True, gettext=self._gettext) if text else []
        final = _final(parsed, text, len(text))
        self._final = [block.html for block in parsed[:final]]
        self._since = parsed[final].start if final else 0  # where the open part begins
        self._open = self._render()

    @property
    def html(self) -> Markup:
        """Return the HTML, as long as the text has not grown."""
        return EMPTY.join([*self._final, self._open])

    @property
    def waits(self) -> bool:
        """Tell whether text was taken that is not shown yet."""
        return self.shown < len(self._text)

    def anew(self) -> Change:
        """Return the change that puts the HTML in place of all that is there, as long as the text has not grown."""
        return Change("innerHTML", 0, self.html)

    def feed(self, text: str) -> list[Change]:
        """Take more text; return the changes, none while it is too little to be worth them."""
        if (change := self._words(text)) is not None:
            return [change]
        self._text += text
        grown = len(self._text) - self.shown
        return self.flush() if grown * SHARE >= self.shown - self._since else []

    def flush(self) -> list[Change]:
        """Return the changes for all the text that was taken."""
        if not self.waits:
            return []
        before, self.shown = self._open, len(self._text)
        changes = growth(before, self._render())
        if changes is None:
            self._begin(self._text)  # What follows is to fit what the page then has.
            return [self.anew()]
        return changes

    def finish(self, text: str, *, anew: bool = False, broken_off: bool = False) -> list[Change]:
        """Return the changes that leave the HTML of the text at its end; `anew` in place of all that is there."""
        changes = None
        anew = anew or "[^" in text or bool(DEFINITION.search(text))
        if broken_off and (html := Unfolding(self.name, text, self._gettext).html):
            self._text = text
            return [Change("innerHTML", 0, html)] if anew else self.flush()
        if not anew:
            parsed = blocks(text, self.name, since=self._since, gettext=self._gettext)
            changes = growth(self._open, _joined(parsed))
        self._text, self.shown = text, len(text)
        return [Change("innerHTML", 0, render(text, self.name, gettext=self._gettext))] if changes is None else changes

    def _words(self, text: str) -> Change | None:
        """Take more words of a sentence, and return what they change; None where that is not as simple."""
        if self._edge is None or self.waits or not WORDS.match(text):
            return None
        if ADDRESS.search(self._text[-40:].rpartition(" ")[2] + text):
            return None
        self._text += text
        self.shown += len(text)
        html = plain(text)
        cut, depth = self._edge
        self._open = self._open[:cut] + html + self._open[cut:]
        self._edge = cut + len(html), depth
        return Change("beforeend", depth, html)

    def _find_edge(self, kept: int) -> tuple[int, int] | None:
        """Return where in the open HTML, and how deep in it, the next word will go, if that is beyond doubt."""
        paragraph = self._text[max(self._since, self._text.rfind("\n\n")) :]
        if kept < len(self._text) or not WORD_END.search(paragraph[-40:]) or OTHER_THAN_WORDS.search(paragraph):
            return None
        if not self._text.isascii() and not self._text[self._since :].isascii():
            return None
        cut, depth = len(self._open), 0
        while self._open[:cut].endswith((">", "\n")):
            cut = self._open.rfind("<", 0, cut)
            if not self._open.startswith("</", cut):
                return None
            depth += 1
        return (cut, depth) if self._open[cut - 1] == paragraph[-1] else None

    def _mended(self) -> tuple[int, str]:
        return mended(self._text, self._since)

    def _render(self) -> Markup:
        """Render the open part, and move on to where it begins now; return its HTML from where it began before."""
        before = EMPTY
        while True:
            kept, end = self._mended()
            text = self._text[:kept] + end
            parsed = blocks(text, self.name, since=self._since, open=True, gettext=self._gettext)
            final = _final(parsed, text, kept)
            self._open = _joined(parsed[final:])
            before += _joined(parsed[:final])
            if final:
                self._since = parsed[final].start
            # Seen from there, its end may mean something else.
            if not final or self._mended() == (kept, end):
                self._edge = self._find_edge(kept)
                return before + self._open


class Unrendered:
    """A text that grows, and is shown as it is."""

    def __init__(self, name: str, text: str = ""):
        self.name = name
        self.shown = len(text)
        self.html = plain(text)
        self.waits = False

    def anew(self) -> Change:
        return Change("innerHTML", 0, self.html)

    def feed(self, text: str) -> list[Change]:
        self.shown += len(text)
        return [Change("beforeend", 0, plain(text))] if text else []

    def flush(self) -> list[Change]:
        return []

    def finish(self, text: str, *, anew: bool = False, broken_off: bool = False) -> list[Change]:
        return [Unrendered(self.name, text).anew()] if anew else self.feed(text[self.shown :])


def unfolding(mode: Mode, name: str, text: str, gettext: Gettext) -> Unfolding | Unrendered:
    """Return a text that goes on growing: Markdown in a chat; a completion goes on where its prompt stopped."""
    return Unfolding(name, text, gettext) if mode == "chat" else Unrendered(name, text)


def ended(mode: Mode, name: str, text: str, gettext: Gettext, *, broken_off: bool = False) -> Markup:
    """Return the HTML of a text that has come to its end, or was `broken_off` in the middle of a word or a sign."""
    if mode != "chat":
        return plain(text)
    half = Unfolding(name, text, gettext).html if broken_off else EMPTY
    return half or render(text, name, gettext=gettext)


def _joined(parsed: list[Block]) -> Markup:
    return parsed[0].html if len(parsed) == 1 else EMPTY.join([block.html for block in parsed])


def _final(parsed: list[Block], text: str, kept: int) -> int:
    """Return how many blocks no more text can change: those before the last one that has begun beyond doubt.

    `kept` is how much of the text was not mended.
    """
    for index in range(len(parsed) - 1, 0, -1):
        if _has_begun(text, text.rfind("\n", 0, parsed[index].start) + 1, kept):
            return index
    return 0


def _has_begun(text: str, start: int, kept: int) -> bool:
    """Tell whether a block that begins in this line will do so whatever follows."""
    first = text.find("\n", start, kept)
    if BLANK_BEFORE.search(text, max(0, start - 80), start):
        # A letter at the very left begins a paragraph; of another line, more must be known.
        return first >= 0 or (start < kept and text[start].isalpha())
    # A paragraph's last line becomes the head of a table with the line below it.
    return first >= 0 and text.find("\n", first + 1, kept) >= 0
