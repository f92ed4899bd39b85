"""What stands among words, as HTML: text and its links, emphasis, code, formulas, marks of footnotes."""

import re
from collections import Counter
from collections.abc import Callable, Iterable
from functools import cached_property
from html import escape, unescape
from typing import Any, NamedTuple

import comrak

from . import han, links
from .mathml import formula
from .source import TOKEN, Aside, Source, notes

Piece = str | comrak.AstNode
Gettext = Callable[[str], str]

# Where a link ends, among the pieces that are still to be written.
LINK_END = "</a>"


class Answer(NamedTuple):
    """What the blocks of one answer have in common."""

    text: str
    name: str  # It begins every id.
    open: bool
    gettext: Gettext


class Inline:
    """Writes what stands among words, and knows the ids that are given away."""

    def __init__(self, answer: Answer, source: Source, since: int) -> None:
        self.answer = answer
        self.source = source
        self.linked = ""
        self.start = since  # of the block that is being written
        self.ids: set[str] = set()
        self._given: Counter[str] = Counter()

    @cached_property
    def first_notes(self) -> dict[str, int]:
        """Where each footnote, and each mark of one, is first written: the same for a text that goes on growing."""
        first: dict[str, int] = {}
        for label, defines, start in notes(self.answer.text):
            first.setdefault(f"{'note' if defines else 'ref'}-{as_id(label)}", start)
        return first

    def _text(self, node: comrak.AstNode) -> list[Piece]:
        text: str = value(node)
        if "\ufdd0" not in text:
            return [*self._words(text)]
        pieces: list[Piece] = []
        for i, part in enumerate(TOKEN.split(text)):
            pieces.extend([self._aside(self.source.taken(part))] if i % 2 else self._words(part))
        return pieces

    def _words(self, text: str) -> Iterable[str]:
        if self.linked:
            return [escape(text)]
        if "://" in text or "@" in text or "www." in text.lower():
            return links.linked(text)
        return [escape(text)]

    def _aside(self, aside: Aside) -> str:
        if not aside.label:
            return formula(aside.source, aside.latex, aside.display)
        if self.linked:
            return escape(aside.source)
        label, name = as_id(aside.label), escape(self.answer.name)
        said = escape(self.answer.gettext("Footnote {label}").format(label=aside.label))
        return (
            f'<sup class="footnote-ref"><a{self.note_id(f"ref-{label}")} href="#{name}-note-{label}" '
            f'aria-label="{said}">{escape(aside.label)}</a></sup>'
        )

    def _soft_break(self, node: comrak.AstNode) -> list[Piece]:
        return [han.SOFT_BREAK]

    def _line_break(self, node: comrak.AstNode) -> list[Piece]:
        return ["<br>\n"]

    def _code(self, node: comrak.AstNode) -> list[Piece]:
        return ["<code>", escape(self.source.restored(value(node).literal)), "</code>"]

    def _html_inline(self, node: comrak.AstNode) -> list[Piece]:
        return [escape(self.source.restored(value(node)))]

    def _emphasis(self, node: comrak.AstNode) -> list[Piece]:
        first = node.children[0].node_value if node.children else None
        # Han is not slanted; the stylesheet sets dots beside it.
        slanted = not (isinstance(first, comrak.Text) and (han.HAN.search(first.value) or han.KANA.search(first.value)))
        return ["<em>" if slanted else '<em class="dotted">', *node.children, "</em>"]

    def _strong(self, node: comrak.AstNode) -> list[Piece]:
        return ["<strong>", *node.children, "</strong>"]

    def _struck(self, node: comrak.AstNode) -> list[Piece]:
        return ["<del>", *node.children, "</del>"]

    def _footnote_reference(self, node: comrak.AstNode) -> list[Piece]:
        return [escape(f"[^{value(node).name}]")]

    def _link(self, node: comrak.AstNode) -> list[Piece]:
        written = self.source.restored(value(node).url)
        url = links.safe(written)
        if self.linked:
            return list(node.children)
        if url is None:
            return [*node.children, links.aside(written)] if written else list(node.children)
        self.linked = url
        shown: list[Piece] = [*node.children] or [escape(url)]
        return [links.opening(url), *shown, LINK_END]

    def _image(self, node: comrak.AstNode) -> list[Piece]:
        """An image is never loaded: that would tell somebody else's server that, and when, an answer is read."""
        written = self.source.restored(value(node).url)
        word = escape(self.answer.gettext("Image"))
        pieces: list[Piece] = [f"{word}: " if node.children else word, *node.children]
        url = links.safe(written)
        if self.linked:
            return pieces
        if url is None:
            return ['<span class="image">', *pieces, "</span>", links.aside(written)]
        self.linked = url
        return [links.opening(url, "image"), *pieces, LINK_END]

    def whereto(self, written: list[str]) -> str:
        """Return what shows where the link goes that has just ended; take from its text what nobody sees."""
        url, self.linked = self.linked, ""
        begin = next(i for i in range(len(written) - 1, -1, -1) if written[i].startswith("<a "))
        written[begin:] = [links.TURNS_TEXT.sub("", piece) for piece in written[begin:]]
        html = "".join(written[begin:])
        # A formula can hide what it says.
        return links.whereto(url, "" if "<math" in html else unescape(re.sub("<[^>]*>", "", html)))

    def new_id(self, wanted: str) -> str:
        """Return an id that nothing else on the page has: what is wanted, or that and a number."""
        self._given[wanted] += 1
        again = f"-{self._given[wanted]}" if self._given[wanted] > 1 else ""
        return f"{escape(self.answer.name)}-{wanted}{again}"

    def note_id(self, wanted: str) -> str:
        """Return the attribute with the id of a footnote or of its mark, for the first of its kind alone."""
        if wanted in self.ids or self.first_notes.get(wanted, self.start) < self.start:
            return ""
        self.ids.add(wanted)
        return f' id="{escape(self.answer.name)}-{wanted}"'


def value(node: comrak.AstNode) -> Any:
    """Return what the parser says of a node beside its kind."""
    return node.node_value.value  # type: ignore[attr-defined]


def as_id(label: str) -> str:
    """Return a footnote's label as it stands in ids."""
    return re.sub(r"[^\w-]", "_", label)


HANDLERS: dict[type, Callable[[Any, comrak.AstNode], list[Piece]]] = {
    comrak.Text: Inline._text,
    comrak.SoftBreak: Inline._soft_break,
    comrak.LineBreak: Inline._line_break,
    comrak.Code: Inline._code,
    comrak.HtmlInline: Inline._html_inline,
    comrak.Emph: Inline._emphasis,
    comrak.Strong: Inline._strong,
    comrak.Strikethrough: Inline._struck,
    comrak.FootnoteReference: Inline._footnote_reference,
    comrak.Link: Inline._link,
    comrak.Image: Inline._image,
}
