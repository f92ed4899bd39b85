"""What makes one HTML of another that it mostly continues: as few and as small changes of the page as there are.

Text that streams in changes its HTML at the right edge: in the last block, in the last element of that, and so on
down. So an element is addressed by its depth there, and what is added is cut into a piece for each depth; only where
the HTML does not go on as it began is an element replaced.
"""

import re
from itertools import pairwise
from typing import NamedTuple

from markupsafe import Markup

TAG = re.compile(r"""<(/?)([a-zA-Z][\w:-]*)(?:"[^"]*"|[^">])*>""")
VOID = {"area", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}


class Change(NamedTuple):
    """A change of a text's element: `swap` is htmx's word for what is done with the HTML.

    `depth` names the element: 0 the text's own, 1 its last child, 2 the last child of that. `before` counts
    how many children of the same parent stand behind it.
    """

    swap: str
    depth: int
    html: Markup
    before: int = 0

    def selector(self, element_id: str) -> str:
        """Return the CSS selector of the element that is changed, in the page as it is before the changes."""
        last = f" > :nth-last-child({self.before + 1})" if self.before else " > :last-child"
        return f"#{element_id}{last * self.depth}"


class _Element(NamedTuple):
    start: int
    inner: int  # where its content begins
    close: int  # where its content ends
    end: int


def growth(old: Markup, new: Markup) -> list[Change] | None:
    """Return the changes that make `new` of `old`; None where all of it is to be sent anew."""
    if new == old:
        return []
    cut, behind = _right_edge(old)
    if new.startswith(old[:cut]):
        changes = _pieces(new, cut, behind)
        if changes is not None:
            return changes
    return _replaced(old, new)


def _right_edge(html: Markup) -> tuple[int, list[str]]:
    """Return where the closing tags at the end begin, and the text behind each of them, the outermost first."""
    cut = len(html)
    behind: list[str] = []
    while (tag := html.rfind("<", 0, cut)) >= 0 and html.startswith("</", tag):
        behind.append(html[html.index(">", tag) + 1 : cut])
        cut = tag
    return cut, behind


def _pieces(new: Markup, cut: int, behind: list[str], swap: str = "") -> list[Change] | None:
    """Return what `new` has from a place on, a piece for each depth; None where it does not go on with what is there.

    `behind` is the text that stands behind each element that is open there. `swap` says what is replaced first: the
    content of the innermost of them, or the element that begins there, which is then the last of them.
    """
    levels = _levels(new, cut)
    first: list[Change] = []
    if swap == "outerHTML":
        begin, end = levels[0]
        behind_it = _end_of_element(new, begin)
        first = [Change(swap, len(behind), new[begin:behind_it])]
        levels[0] = behind_it, end
    else:
        begin, end = levels.pop(0)
        if swap or begin < end:
            first = [Change(swap or "beforeend", len(behind), new[begin:end])]
    if len(levels) != len(behind):
        return None
    changes = []
    for depth, (begin, end), there in zip(range(len(behind) - 1, -1, -1), levels, reversed(behind), strict=True):
        if not new.startswith(there, begin, end):
            return None
        if begin + len(there) < end:
            changes.append(Change("beforeend", depth, new[begin + len(there) : end]))
    return first + changes


def _levels(html: Markup, start: int) -> list[tuple[int, int]]:
    """Return where the content of each element that is open at `start` goes on and ends, the innermost first."""
    levels = []
    inside = 0
    for tag in TAG.finditer(html, start):
        if not tag[1]:
            inside += not _is_void(tag)
        elif inside:
            inside -= 1
        else:
            levels.append((start, tag.start()))
            start = tag.end()
    return [*levels, (start, len(html))]


def _end_of_element(html: Markup, start: int) -> int:
    """Return where the element ends that begins at a place."""
    inside = 0
    for tag in TAG.finditer(html, start):
        inside += -1 if tag[1] else not _is_void(tag)
        if not inside:
            return tag.end()
    return start


def _replaced(old: Markup, new: Markup) -> list[Change] | None:
    """Return changes of which the first replaces something, as deep as that can be."""
    top, edge = _elements(old)
    ends = [len(old), *(element.close for element in edge)]
    behind = [str(old[element.end : end]) for element, end in zip(edge, ends, strict=False)]
    for depth in range(len(edge), 0, -1):
        element = edge[depth - 1]
        if element.inner < element.end and new.startswith(old[: element.inner]):
            changes = _pieces(new, element.inner, behind[:depth], "innerHTML")
        elif new.startswith(old[: element.start]) and new.startswith("<", element.start):
            changes = _pieces(new, element.start, behind[:depth], "outerHTML")
        else:
            continue
        if changes is not None:
            return changes
    return _blocks_replaced(old, top, new)


def _blocks_replaced(old: Markup, top: list[_Element], new: Markup) -> list[Change] | None:
    """Return changes that replace the last blocks, where the same text stands between them."""
    others, _ = _elements(new)
    if not top or len(others) < len(top):
        return None
    last, other = top[-1], others[len(top) - 1]
    behind = old[last.end :]
    gaps = [(one.end, another.start) for one, another in pairwise(top)]
    other_gaps = [(one.end, another.start) for one, another in pairwise(others[: len(top)])]
    same = all(old[a:b] == new[c:d] for (a, b), (c, d) in zip(gaps, other_gaps, strict=True))
    if not same or old[: top[0].start] != new[: others[0].start] or not new.startswith(behind, other.end):
        return None
    pairs = [(old[a.start : a.end], new[b.start : b.end]) for a, b in zip(top, others, strict=False)]
    changes = [Change("outerHTML", 1, b, len(top) - 1 - i) for i, (a, b) in enumerate(pairs) if a != b]
    rest = new[other.end + len(behind) :]
    return changes + ([Change("beforeend", 0, rest)] if rest else [])


def _elements(html: Markup) -> tuple[list[_Element], list[_Element]]:
    """Return the elements of the first level, and those at the right edge, from the outermost in."""
    top: list[_Element] = []
    edge: list[_Element] = []
    opened: list[re.Match[str]] = []
    for tag in TAG.finditer(html):
        if not tag[1]:
            del edge[len(opened) :]
            edge.append(_Element(tag.start(), tag.end(), tag.end(), tag.end()))
            opened.append(tag)
            if not _is_void(tag):
                continue
        begin = opened.pop()
        edge[len(opened)] = _Element(begin.start(), begin.end(), max(tag.start(), begin.end()), tag.end())
        if not opened:
            top.append(edge[0])
    return top, edge


def _is_void(tag: re.Match[str]) -> bool:
    return tag[2].lower() in VOID or tag[0].endswith("/>")
