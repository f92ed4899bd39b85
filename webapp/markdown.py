"""The only module that turns model text into `Markup`.

comrak parses; the HTML is our own, because what a model writes is shown and never obeyed: raw HTML is text, an image is
a link, an address that is no web or mail address is text.
"""

from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

import comrak
from markupsafe import Markup, escape

from .inline import Answer, Gettext
from .source import Source, footnotes
from .writer import Writer

EXTENSIONS = comrak.ExtensionOptions(
    strikethrough=True, table=True, tasklist=True, footnotes=True, cjk_friendly_emphasis=True
)
OPTIONS = comrak.ParseOptions(leave_footnote_definitions=True)


class Block(NamedTuple):
    """One top-level block of an answer."""

    start: int  # Where its source begins, in characters of the text.
    html: Markup  # Complete and balanced.


def plain(text: str) -> Markup:
    """Return a text, or any piece of it, as HTML that shows every character as it is."""
    # HTML takes a bare carriage return for a line feed, and so does an event stream.
    return Markup(str(escape(text)).replace("\r", "&#13;"))


def blocks(text: str, name: str, *, since: int = 0, open: bool = False, gettext: Gettext = str) -> list[Block]:
    """Return the blocks of a text from the character `since` on, which must be the start of one.

    `name` is unique on the page and begins every id. `open` says that the text will go on growing: code without an end
    is then highlighted up to a line that seldom moves, and a footnote's mark is one before its footnote has come.
    `gettext` says the few words of ours in the page's language.
    """
    return [Block(start, Markup(html)) for start, html in _written(Answer(text, name, open, gettext), since)]


def render(text: str, name: str, *, gettext: Gettext = str) -> Markup:
    """Return an answer's text as HTML: all its blocks. Footnotes stand where they were written."""
    return Markup("").join(block.html for block in blocks(text, name, gettext=gettext))


def _written(answer: Answer, since: int) -> Iterator[tuple[int, str]]:
    labels = None if answer.open else footnotes(answer.text) if "[^" in answer.text else frozenset()
    source = Source(answer.text[since:] if since else answer.text, labels)
    writer = Writer(answer, source, since)
    nodes = _parsed(source.text)
    starts = [since + source.start(node.sourcepos.start.line) for node in nodes]
    for node, (start, end) in zip(nodes, pairwise((*starts, len(answer.text))), strict=True):
        yield start, writer.write(node, start, answer.text[start:end])


def _parsed(text: str) -> list[comrak.AstNode]:
    """Return the blocks of a text, as trees in which no node knows its parent.

    A node and its parent hold each other, and comrak's objects cannot be let go of by the garbage collector: each tree
    stayed in memory for good, 40 KB for a KB of text.
    """
    nodes = [comrak.parse_document(text, EXTENSIONS, OPTIONS)]
    blocks = nodes[0].children
    for node in nodes:
        for child in node.children:
            child.parent = None
            nodes.append(child)
    return blocks
