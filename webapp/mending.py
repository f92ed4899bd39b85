"""Half-open Markdown, mended: what a text that is still being written looks like once its writer gets to the end of it.

An emphasis or a span of code that has begun is closed. What cannot be told yet, such as a hyphen at the beginning
of a line or half an address, is held back until it can. Nothing here decides what the finished text looks like.
"""

import re

from .emphasis import inline
from .fences import CONTAINERS, MARKER, outside

LONGEST_FORMULA = 2000  # characters that may turn out to be a formula

FENCE = re.compile(rf"^({CONTAINERS})(`{{3,}}(?=[^`\n]*$)|~{{3,}})(.*)(\n|\Z)", re.MULTILINE)
# A line of nothing but signs may become a list, a heading, a rule or a table's second line; digits, a list. What a
# name in brackets stands for is not shown at all.
SIGNS = re.compile(rf"{CONTAINERS}(?:[-*+=_#|:`~$\\ \t]*+|\d++[.)]?|\[[ xX]?\]?[ \t]*|\[(?!\^)[^\]\n]+\]:[^\n]*)\Z")
ROW = re.compile(rf"{CONTAINERS}\|")
DELIMITERS = re.compile(rf"{CONTAINERS}\|?[ \t]*+:?-++:?[ \t]*+(?>\|[ \t]*+:?-*+:?[ \t]*+)*+\Z")
PIPE = re.compile(r"(?<!\\)\|")
BLANK = re.compile(r"\n[ \t\r>]*\n")
# What begins something of its own: emphasis that was open before it stays as it is.
BEGINS = re.compile(
    rf"^{CONTAINERS}(?:`{{3,}}[^`\n]*\n|~{{3,}}.*\n)|^[ \t>]*+(?:{MARKER}|#{{1,6}}(?:[ \t]|$))", re.MULTILINE
)
FORMULA = re.compile(r"\\\[|\\.|(`+)|\$\$", re.DOTALL)


def mended(text: str, since: int = 0) -> tuple[int, str]:
    """Return how much of a text, which has a block beginning at `since`, stays, and what stands behind that instead."""
    line = max(since, text.rfind("\n") + 1)
    if (fence := _open_fence(text, since)) is not None:
        if not fence[4]:
            return fence.start(), ""  # The name of its language may go on.
        closes = re.compile(rf"[ \t>]*{fence[2][0]}+[ \t]*\Z").match(text, line)
        return line if closes else len(text), ""
    kept, more = _mended(text, since, len(text))
    # Where only signs are left of the line, they are held back as well.
    if not more and line < kept and SIGNS.match(text, line, kept):
        return _mended(text, since, line)
    return kept, more


def _mended(text: str, since: int, end: int) -> tuple[int, str]:
    """Mend the text up to its end, which is in no block of code."""
    start = _paragraph(text, since, end)
    if start is None:
        return end, ""
    last = max(start, text.rfind("\n", start, _body(text, start, end)) + 1)
    if _has_delimiters(text, start, last):
        cell = max((match.end() for match in PIPE.finditer(text, last, end)), default=last)
        return (end, "") if text[end - 1] == "\n" else inline(text, cell, end)
    before = max(start, text.rfind("\n", start, last - 1) + 1)
    if ROW.match(text, last) and (last == start or not ROW.match(text, before)):
        return _head_of_table(text, last, end)
    end = _formula(text, start, end)
    begin = max((match.end() for match in BEGINS.finditer(text, start, end)), default=start)
    return inline(text, begin, end)


def _body(text: str, start: int, end: int) -> int:
    """Return where the text ends but for white space."""
    return start + len(text[start:end].rstrip())


def _open_fence(text: str, since: int) -> re.Match[str] | None:
    """Return the line that opened the block of code that the text ends in, if it does."""
    opened = None
    looked = since
    for match in FENCE.finditer(text, since):
        if opened is None or _is_left(text, opened, looked, match.start()):
            opened = match
        elif match[2].startswith(opened[2]) and not match[3].strip():
            opened = None
        looked = match.start()
    return None if opened is None or _is_left(text, opened, looked, len(text)) else opened


def _is_left(text: str, fence: re.Match[str], start: int, end: int) -> bool:
    """Tell whether the list or the quote that a block of code stands in ends, and the block with it, from a line on."""
    line = outside(fence[1])
    return line is not None and line.search(text, max(fence.end(), start), end) is not None


def _paragraph(text: str, since: int, end: int) -> int | None:
    """Return where the last paragraph begins; None where there is none that more could be added to."""
    body = _body(text, since, end)
    last = max(since, text.rfind("\n", since, body) + 1)
    if text.count("\n", body, end) > 1 or not text[last:body].strip(" \t>"):
        return None
    start = max((match.end() for match in BLANK.finditer(text, since, body)), default=since)
    return None if start == since and text.startswith(("    ", "\t"), start) else start  # That is code.


def _has_delimiters(text: str, start: int, last: int) -> bool:
    """Tell whether the lines before the last one hold the second line of a table."""
    lines = text[start:last].split("\n")[1:] if "|" in text[start:last] else []
    return any("-" in line and "|" in line and DELIMITERS.match(line.rstrip()) for line in lines)


def _head_of_table(text: str, last: int, end: int) -> tuple[int, str]:
    """Mend a table's first line, with the second line that it lacks."""
    end = _body(text, last, end)
    kept, more = inline(text, max(match.end() for match in PIPE.finditer(text, last, end)), end)
    head = text[last:kept].rstrip() + more
    cells = len(PIPE.findall(head)) - head.endswith("|")
    margin = re.sub(r"[^>\t]", " ", head[: head.index("|")])
    return kept, f"{more}\n{margin}{'|---' * cells}|" if cells else more


def _formula(text: str, start: int, end: int) -> int:
    """Return where a formula begins that has no end yet, or else the end."""
    at = start
    endless: set[str] = set()
    while match := FORMULA.search(text, at, end):
        at = match.end()
        closing = {"$$": "$$", "\\[": "\\]"}.get(match[0], match[1])
        if closing is None:
            continue
        found = -1 if closing in endless else text.find(closing, at, end)
        if found >= 0:
            at = found + len(closing)
            continue
        endless.add(closing)
        if not match[1] and _goes_on(text, match, end):
            return match.start()
    return end


def _goes_on(text: str, sign: re.Match[str], end: int) -> bool:
    """Tell whether a formula may still come to its end: in its line, or in its paragraph if it stands by itself."""
    if text.find("\n", sign.start(), end) < 0:
        return True
    if end - sign.start() > LONGEST_FORMULA:
        return False
    before = text[text.rfind("\n", 0, sign.start()) + 1 : sign.start()].strip(" \t>-+*0123456789.)")
    return not before or text[sign.end() : end].lstrip(" \t\r").startswith("\n")
