"""What a line may stand in, lists and quotes, and where a block of code ends with it that has no closing fence."""

import re

MARKER = r"(?:[-*+]|\d{1,9}[.)])[ \t]"
CONTAINERS = rf"(?>[ \t>]|{MARKER})*+"  # at the beginning of a line

OUTSIDE_LIST = re.compile(r"^(?![ \t\r\n]).", re.MULTILINE)
OUTSIDE_QUOTE = re.compile(r"^(?!>).", re.MULTILINE)


def outside(before: str) -> re.Pattern[str] | None:
    """Return what finds the first line outside of what a fence stands in, which `before` in its line tells."""
    if not before.strip(" ") and len(before) < 2:
        return None
    return OUTSIDE_QUOTE if ">" in before else OUTSIDE_LIST
