"""An answer's source as the parser can take it: formulas and footnote marks set aside, and nothing nested too deep.

Markdown's blocks would tear a formula apart (`- b` on a line of its own is a list), its emphasis too. So each is
replaced by a token before parsing. Tokens and stand-ins are noncharacters of Unicode, which no text has a use for.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator
from typing import NamedTuple

from .fences import CONTAINERS, outside

# What follows the first is the number of what was set aside. A character reference can write one of no such number.
TOKEN = re.compile("\ufdd0([0-9]{1,6})\ufdd1")
UNFIT = re.compile("[\0\ud800-\udfff\ufdd0-\ufdef]")
# Signs that nest, and what stands for them where they would nest deeper than the parser's stack is.
DEEP = "*_~[>-+.)"
STAND_INS = str.maketrans(DEEP, "".join(chr(0xFDD3 + i) for i in range(len(DEEP))))
BACK = {stand_in: sign for sign, stand_in in STAND_INS.items()}
STOOD_IN = re.compile("[\ufdd0-\ufdef]")
MOST_SIGNS = 1000
MOST_QUOTES = 100
MOST_CELLS = 20_000
FEW_CELLS = 500  # so many may be empty ones that the source does not have

NESTING = re.compile(r"[*_~]|(?<=!)\[")
MANY_QUOTES = re.compile(rf"^((?:[^>\n\r]*+>){{{MOST_QUOTES}}})(.+)$", re.MULTILINE)
FAR_ITEM = re.compile(r"^([ \t>]{300,})([-+*]|\d{1,9}[.)])(?=[ \t])", re.MULTILINE)
DELIMITERS = re.compile(
    r"^[ \t>]*+(?:(?:[-+*]|\d{1,9}[.)])[ \t]++)*+"
    r"(\|?[ \t]*+:?-++:?[ \t]*+(?:\|[ \t]*+:?-++:?[ \t]*+)*+\|?+)[ \t]*+\r?$",
    re.MULTILINE,
)
TABLE_END = re.compile(r"^[ \t>]*(?:\r?$|[-*+][ \t]|#|`{3}|~{3}|\d{1,9}[.)][ \t])", re.MULTILINE)
PARAGRAPH_END = re.compile(r"(\n[ \t]*\n|\r\n[ \t]*\r\n)")
LONE_RETURN = re.compile(r"\r(?!\n)")
LINE_END = re.compile("\n")

FENCE = rf"^{CONTAINERS}(?P<fence>`{{3,}}(?=[^`\n]*$)|~{{3,}})"
DEFINED = re.compile(FENCE + rf"|^{CONTAINERS}\[\^(?P<label>[^\]\s]{{1,99}})\]:", re.MULTILINE)
NOTES = re.compile(FENCE + r"|\[\^(?P<label>[^\]\s]{1,99})\]", re.MULTILINE)
MOST_NOTES = 500
BEGINNING = re.compile(CONTAINERS)
SIGN = re.compile(FENCE + r"|\\[\\`$()\[\]]|`+|\$\$?|\[\^", re.MULTILINE)
# Where words end, and what began among them with them.
NEXT_BLOCK = re.compile(r"\n[ \t>]*(?:\r?\n|\Z|[-+*][ \t]|\d{1,9}[.)][ \t]|#{1,6}[ \t]|`{3}|~{3}|\[\^|\||(?<=>))")
LINE = r"(?:[^\\$\r\n]|\\[^\r\n])"
# A line end inside a formula among words, where the next line does not begin another block.
JOINT = r"\r?\n(?![ \t]*(?:[-+*>#|`~\r\n]|\d{1,9}[.)]|\Z))"
# One inside a formula of its own lines: anything but a blank line.
BREAK = r"\\?\r?\n(?![ \t>]*(?:\r?\n|\Z))"
INLINE = {
    # By Pandoc's rule, so that "$5 and $6" are dollars.
    "$": re.compile(rf"\$(?![\s$])((?:{LINE}|{JOINT})++)(?<!\s)\$(?!\d)"),
    "$$": re.compile(rf"\$\$({LINE}++)\$\$"),
    r"\(": re.compile(rf"\\\(((?:[^\\\r\n]|\\[^()\r\n]|{JOINT})++)\\\)"),
    r"\[": re.compile(r"\\\[((?:[^\\\r\n]|\\[^\[\]\r\n])++)\\\]"),
}
# Over several lines; one that has no end yet goes on to the end of the text.
DISPLAY = {
    "$$": re.compile(rf"\$\$((?:{LINE}|{BREAK})++)(?P<end>\$\$|\$?\s*\Z)"),
    r"\[": re.compile(rf"\\\[((?:[^\\\r\n]|\\[^\[\]\r\n]|{BREAK})++)(?P<end>\\\]|\\?\s*\Z)"),
}
QUOTED = re.compile(r"(?<=\n)[ \t]*(?:>[ \t]?)+")
# While a text grows, not what stands in a regular expression, such as [^a-z].
LABEL = re.compile(r"\[\^(\d{1,4}|[^\W\d_]{2,30}(?:-?\d{1,4})?)\]")

ANY_LABEL = re.compile(r"\[\^([^\]\s]{1,99})\]")
LAST_BEFORE = 1000  # characters of a line that are looked at before a sign in it


class Aside(NamedTuple):
    """What was set aside: a formula, or the mark of a footnote."""

    source: str
    latex: str = ""
    display: bool = False
    label: str = ""


class Source:
    """The text for the parser, and the way back from it."""

    def __init__(self, text: str, labels: frozenset[str] | None = None) -> None:
        """Take a text, and the labels of its footnotes; None where those may still come."""
        self._labels = labels
        text = LONE_RETURN.sub("\n", UNFIT.sub("\ufffd", text))
        self.aside: list[Aside] = []
        self._moved: list[tuple[int, int]] = [(0, 0)]
        self.text = _shallow(self._set_aside(text) if _may_hold_formulas(text) else text)
        self._lines = [0, *(match.end() for match in LINE_END.finditer(self.text))]

    def start(self, line: int) -> int:
        """Return where a line of the parser's text, counted from 1, begins in the original."""
        at = self._lines[min(line, len(self._lines)) - 1]
        return at + self._moved[bisect_right(self._moved, (at, 1 << 62)) - 1][1]

    def restored(self, text: str) -> str:
        """Return a piece of the parser's text as it was written."""
        if self.aside and "\ufdd0" in text:
            text = TOKEN.sub(lambda match: self.taken(match[1]).source, text)
        return upright(text)

    def taken(self, number: str) -> Aside:
        """Return what was set aside under a number; where nothing was, the sign for what cannot be shown."""
        return self.aside[int(number)] if int(number) < len(self.aside) else Aside("\ufffd")

    def _set_aside(self, text: str) -> str:
        pieces: list[str] = []
        done = length = 0
        for start, end, aside in _found(text, self._labels):
            token = f"\ufdd0{len(self.aside)}\ufdd1"
            self.aside.append(aside)
            pieces += text[done:start], token
            length += start - done + len(token)
            done = end
            self._moved.append((length, done - length))
        return "".join((*pieces, text[done:]))


def upright(text: str) -> str:
    """Return a text with the signs that others stood in for."""
    return STOOD_IN.sub(lambda match: chr(BACK.get(ord(match[0]), 0xFFFD)), text) if not text.isascii() else text


def _may_hold_formulas(text: str) -> bool:
    return "$" in text or r"\(" in text or r"\[" in text or "[^" in text


def footnotes(text: str) -> frozenset[str]:
    """Return the labels that a text defines outside of blocks of code."""
    labels: set[str] = set()
    at = 0
    while len(labels) < MOST_NOTES and (match := DEFINED.search(text, at)):
        at = _end_of_fence(text, match) if match["fence"] else match.end()
        if match["label"]:
            labels.add(match["label"].casefold())
    return frozenset(labels)


def _found(text: str, labels: frozenset[str] | None) -> list[tuple[int, int, Aside]]:
    """Return start, end and content of everything to set aside, outside of code."""
    found = []
    ticks: dict[int, list[int]] = {}
    for run in re.finditer("`+", text):
        ticks.setdefault(run.end() - run.start(), []).append(run.start())
    at = 0
    while match := SIGN.search(text, at):
        sign, at = match[0], match.end()
        if match["fence"]:
            at = _end_of_fence(text, match)
        elif sign[0] == "`":
            at = _end_of_code(text, at, len(sign), ticks)
        elif sign == "[^":
            label = (LABEL if labels is None else ANY_LABEL).match(text, match.start())
            if label and (labels is None or label[1].casefold() in labels) and not _defines(text, label):
                found.append((label.start(), label.end(), Aside(label[0], label=label[1])))
                at = label.end()
        elif sign in INLINE and (formula := _formula(text, match)):
            found.append(formula)
            at = formula[1]
    return found


def _end_of_fence(text: str, match: re.Match[str]) -> int:
    fence = match["fence"]
    closing = re.compile(rf"^[ \t>]*{fence[0]}{{{len(fence)},}}[ \t]*\r?$", re.MULTILINE).search(text, match.end())
    end = closing.end() if closing else len(text)
    line = outside(text[match.start() : match.start("fence")])
    left = line.search(text, match.end(), end) if line else None
    return left.start() if left else end


def _end_of_code(text: str, at: int, length: int, ticks: dict[int, list[int]]) -> int:
    """Return where code among words ends that begins with so many backticks, or `at` if it has no end."""
    runs = ticks.get(length, [])  # An escaped one shortens the run that it begins.
    i = bisect_right(runs, at)
    if i == len(runs):
        return at
    return at if NEXT_BLOCK.search(text, at, runs[i]) else runs[i] + length


def notes(text: str) -> Iterator[tuple[str, bool, int]]:
    """Yield the label of each footnote and of each mark of one outside of blocks of code, which it is, and where."""
    at = 0
    while match := NOTES.search(text, at):
        at = _end_of_fence(text, match) if match["fence"] else match.end()
        if match["label"]:
            yield match["label"], _defines(text, match), match.start()


def _defines(text: str, label: re.Match[str]) -> bool:
    return text.startswith(":", label.end()) and bool(BEGINNING.fullmatch(_before(text, label.start())))


def _before(text: str, at: int) -> str:
    """Return what stands before a place in its line, or the last of that."""
    first = max(0, at - LAST_BEFORE)
    return text[max(first, text.rfind("\n", first, at) + 1) : at]


def _formula(text: str, match: re.Match[str]) -> tuple[int, int, Aside] | None:
    sign, start = match[0], match.start()
    found = INLINE[sign].match(text, start)
    if not found and sign in DISPLAY:
        before = _before(text, start)
        # One that begins among words has its first line end at once; what else has no end there is no formula.
        if before.strip(" \t>-+*0123456789.)") and not re.compile(r"[ \t]*\r?\n").match(text, match.end()):
            return None
        found = DISPLAY[sign].match(text, start)
    if not found:
        return None
    latex = found[1] if found.groupdict().get("end", sign).strip() in (sign, "\\]") else ""
    if "\n" in latex and _before(text, start).lstrip().startswith(">"):
        latex = QUOTED.sub("", latex)
    end = found.end() if latex else start + len(found[0].rstrip("\r\n"))
    return start, end, Aside(text[start:end], latex.strip(), sign in DISPLAY)


def _few_cells(text: str) -> str:
    """Return a text of the same length in which no table has very many cells, or very many more than its source."""
    pieces: list[str] = []
    done = at = 0
    while delimiters := DELIMITERS.search(text, at):
        at = delimiters.end()
        columns = delimiters[1].strip("|").count("|") + 1
        if "|" not in delimiters[1]:
            continue
        end = found.start() if (found := TABLE_END.search(text, at + 1)) else len(text)
        rows, pipes = text.count("\n", at, end) + 1, text.count("|", at, end)
        if rows * columns > MOST_CELLS or rows * columns > FEW_CELLS + 2 * pipes:
            # All of it at once, so that no line is counted again for each before it.
            rest = DELIMITERS.sub(lambda match: match[0].translate({45: STAND_INS[45]}), text[at:end])
            pieces += text[done : delimiters.start(1)], delimiters[1].translate({45: STAND_INS[45]})
            pieces += text[delimiters.end(1) : at], rest
            done = end
        at = end
    return "".join((*pieces, text[done:]))


def _shallow(text: str) -> str:
    """Return a text of the same length in which nothing nests so deep that it could overflow the parser's stack."""
    if text.count("\n") > 1 and "|" in text and "-" in text:
        text = _few_cells(text)
    if text.count(">") > MOST_QUOTES:
        text = MANY_QUOTES.sub(lambda match: match[1] + match[2].translate({62: STAND_INS[62]}), text)
    if " " * 300 in text or "\t" * 75 in text:
        text = FAR_ITEM.sub(lambda match: match[1] + match[2].translate(STAND_INS), text)
    if sum(map(text.count, ("*", "_", "~", "!["))) <= MOST_SIGNS:
        return text
    return "".join(_few_signs(part) for part in PARAGRAPH_END.split(text))


def _few_signs(paragraph: str) -> str:
    signs = NESTING.findall(paragraph)
    if len(signs) <= MOST_SIGNS:
        return paragraph
    at = [match.end() for match in NESTING.finditer(paragraph)][MOST_SIGNS - 1]
    return paragraph[:at] + NESTING.sub(lambda match: match[0].translate(STAND_INS), paragraph[at:])
