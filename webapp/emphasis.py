"""Half-open signs within a line: emphasis, code, links and formulas in it that have begun, and what closes them."""

import re
from functools import cache
from typing import NamedTuple
from unicodedata import category, east_asian_width

MOST_HELD = 160  # characters that may turn out to be a link or a formula
# Of one paragraph. With more, none of its brackets is held back, and no more emphasis is closed.
MOST_BRACKETS = 100
MOST_RUNS = 100

# Each alternative begins with a character of its own, by which `re` finds it fast.
SIGN = re.compile(
    r"\\.|\\\Z|`+|\$+|\*+|_+|~+|\["
    r"|<(?:https?:|mailto:)[^\s<>]*>|<(?:h|ht|htt|https?|https?:[^\s<>]*|m|ma|mai|mail|mailto|mailto:[^\s<>]*)?\Z"
    r"|&[a-zA-Z0-9#]{0,31}\Z|!\Z",
    re.DOTALL,
)
BRACKET = re.compile(r"\\.|\[|\]", re.DOTALL)
PARENTHESIS = re.compile(r"\\.|\(|\)", re.DOTALL)
DESTINATION = re.compile(r"""\(\s*+(?:<[^>\n]*+>?|[^\s<]\S*+)?(?:\s++(?:"[^"]*+"?|'[^']*+'?)?\s*+)?\Z""")
# The end of a formula by Pandoc's rule: no space before it and no digit behind it.
DOLLAR = re.compile(r"(?<![\s\\])\$(?!\d)")
# An address that links itself, and what may become one.
ADDRESS = re.compile(
    r"[^\w\s]*((?:h|ht|htt|https?|https?:/{0,2}|https?://[^\s<>]*|w|ww|www|www\.[^\s<>]*))\Z", re.IGNORECASE
)


class _Run(NamedTuple):
    """Signs that open an emphasis, as many as have not been closed."""

    sign: str
    size: int
    both: bool  # It could also have closed one.
    start: int
    end: int


def inline(text: str, start: int, end: int) -> tuple[int, str]:
    """Return how much of a text stays, whose last line or cell goes from `start` to `end`, and what closes it."""
    open_runs: list[_Run] = []
    endless: set[str] = set()
    brackets = text.count("[", start, end) <= MOST_BRACKETS
    at = start
    end = _without_address(text, start, end)
    while sign := SIGN.search(text, at, end):
        at = sign.end()
        first = sign[0][0]
        if first in "*_~":
            if at == end:
                end = sign.start()
            else:
                _take(text, start, sign, open_runs)
        elif first == "`":
            closed = re.compile(f"(?<!`){sign[0]}(?!`)").search(text, at, end)
            if closed is None and at < end and (inside := text[at:end].rstrip("`")):
                return at + len(inside), sign[0] + _closing(open_runs)
            at, end = (closed.end(), end) if closed else (sign.start(), sign.start())
        elif first == "[":
            if not brackets:
                continue
            at, end, shown = _link(text, sign.start(), end)
            if shown is not None:
                kept, more = inline(f"{text[:end]}{shown}", start, end + len(shown))
                return min(kept, end), f"{shown[: max(0, kept - end)]}{more}"
        elif first in "$\\":
            at, end = _formula(text, sign, end, endless)
        elif first in "&!" or sign[0][-1] != ">":
            end = sign.start()
    return _closed(text, start, end, open_runs)


def _without_address(text: str, start: int, end: int) -> int:
    begin = max(start, *(text.rfind(space, start, end) + 1 for space in " \n\t"))
    found = ADDRESS.match(text, begin, end) if end - begin <= 500 else None
    return found.start(1) if found and "](" not in text[begin : found.start(1)] else end


def _closed(text: str, start: int, end: int, open_runs: list[_Run]) -> tuple[int, str]:
    """Close what is open; what has nothing behind it yet is held back."""
    body = start + len(text[start:end].rstrip())
    while open_runs and open_runs[-1].end >= body:
        end = body = open_runs.pop().start
        body = start + len(text[start:end].rstrip())
    return (body, _closing(open_runs)) if open_runs else (end, "")


def _closing(open_runs: list[_Run]) -> str:
    return "".join(run.sign * run.size for run in reversed(open_runs))


def _take(text: str, start: int, match: re.Match[str], open_runs: list[_Run]) -> None:
    """Let a run of signs close what it can, and else open something."""
    sign, count = match[0][0], len(match[0])
    if sign == "~" and count != 2:
        return
    before = text[match.start() - 1] if match.start() > start else " "
    after = text[match.end()]
    opens, closes = _can(sign, before, after)
    index = len(open_runs) - 1
    while closes and count and index >= 0:
        run = open_runs[index]
        # CommonMark's rule of three, by which `**a*b**` is one emphasis and not two.
        if run.sign != sign or ((opens or run.both) and (run.size + count) % 3 == 0 and count % 3):
            index -= 1
            continue
        used = 2 if min(count, run.size) > 1 else 1
        count -= used
        open_runs[index:] = [run._replace(size=run.size - used)] if run.size > used else []
        index = len(open_runs) - 1
    # Within a Latin word it is more often a product or a power.
    if (
        len(open_runs) < MOST_RUNS
        and count
        and opens
        and not (before.isascii() and before.isalnum() and after.isascii() and after.isalnum())
    ):
        open_runs.append(_Run(sign, count, closes, match.start(), match.end()))


def _can(sign: str, before: str, after: str) -> tuple[bool, bool]:
    """Tell whether signs between two characters can open an emphasis, and whether they can close one."""
    (space_before, point_before, cjk_before), (space_after, point_after, cjk_after) = _kind(before), _kind(after)
    left = not space_after and (not point_after or cjk_after or space_before or point_before or cjk_before)
    right = not space_before and (not point_before or cjk_before or space_after or point_after or cjk_after)
    if sign != "_":
        return left, right
    return left and (not right or point_before), right and (not left or point_after)


@cache
def _kind(character: str) -> tuple[bool, bool, bool]:
    """Tell whether a character is a space, punctuation, and Chinese, Japanese or Korean."""
    return character.isspace(), category(character)[0] in "PS", east_asian_width(character) in "WF"


def _link(text: str, start: int, end: int) -> tuple[int, int, str | None]:
    """Return where to go on behind a bracket, where the text ends for now, and the text of a link whose address comes.

    What may become a link is held back.
    """
    begin = start - (text[start - 1 : start] == "!")
    closing = _partner(BRACKET, text, start, end)
    if closing in (-1, end - 1):
        held = end - start <= MOST_HELD and "\n" not in text[start:end]
        return (begin, begin, None) if held else (start + 1, end, None)
    if text[closing + 1] != "(":
        return start + 1, end, None
    if (behind := _partner(PARENTHESIS, text, closing + 1, end)) >= 0:
        return behind + 1, end, None
    if DESTINATION.match(text, closing + 1, end):
        return begin, begin, text[start + 1 : closing] if begin == start else None
    return start + 1, end, None


def _partner(pattern: re.Pattern[str], text: str, start: int, end: int) -> int:
    """Return where the bracket that begins at `start` closes; -1 where it does not."""
    depth = 0
    for match in pattern.finditer(text, start, end):
        depth += 1 if match[0] in "[(" else -1 if match[0] in "])" else 0
        if not depth:
            return match.start()
    return -1


def _formula(text: str, sign: re.Match[str], end: int, endless: set[str]) -> tuple[int, int]:
    """Return where to go on behind a dollar or a backslash, and where the text ends for now.

    What has no end has none from any later place either: `endless` keeps the signs of which that is known.
    """
    start, at = sign.span()
    if sign[0] == "\\":
        return start, start
    if sign[0] in ("\\(", "\\["):
        found = -1 if sign[0] in endless else text.find("\\)" if sign[0] == "\\(" else "\\]", at, end)
        behind = found + 2
    elif sign[0] == "$":
        if at < end and text[at].isspace():
            return at, end
        closing = None if "$" in endless else DOLLAR.search(text, at + 1, end)
        found, behind = (closing.start(), closing.end()) if closing else (-1, -1)
        if closing is None:
            endless.add("$")
        if closing is None and text[at : at + 1].isdigit():
            return at, end
    else:
        found = text.find(sign[0], at, end) if sign[0][0] == "$" else at
        return (found + len(sign[0]) if found > at else at), end
    if found >= 0:
        return behind, end
    endless.add(sign[0])
    return (start, start) if end - start <= MOST_HELD else (at, end)
