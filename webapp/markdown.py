"""The only module that turns model text into `Markup`."""

import re
from collections.abc import Callable
from typing import NamedTuple

from markupsafe import Markup, escape


class Block(NamedTuple):
    """One top-level block of an answer."""

    start: int  # Where its source begins, in characters of the text.
    html: Markup  # Complete and balanced.


def plain(text: str) -> Markup:
    """Return a text, or any piece of it, as HTML that shows every character as it is."""
    # HTML takes a bare carriage return for a line feed, and so does an event stream.
    return Markup(str(escape(text)).replace("\r", "&#13;"))


def blocks(
    text: str, name: str, *, since: int = 0, open: bool = False, gettext: Callable[[str], str] = str
) -> list[Block]:
    """Return the blocks of a text from the character `since` on, where a block must begin.

    `name` is unique on the page and begins every id. `open` says that the text will go on growing: its last block, if
    it is code, is then highlighted up to a line that seldom changes. `gettext` says our words in the page's language.
    """
    starts = [match.start() for match in re.finditer(r"(?:(?<=\n\n)|\A)[^\n]", text[since:])]
    ends = [*starts[1:], len(text) - since]
    return [
        Block(since + start, Markup("<p>%s</p>") % plain(text[since + start : since + end].rstrip("\n")))
        for start, end in zip(starts, ends, strict=True)
    ]


def render(text: str, name: str, *, gettext: Callable[[str], str] = str) -> Markup:
    """Return an answer's text as HTML: all its blocks. Footnotes stand where they were written."""
    return Markup("").join(block.html for block in blocks(text, name, gettext=gettext))
