"""Where a block of code ends that has no closing fence: with the list or the quote that it stands in."""

import re

OUTSIDE_LIST = re.compile(r"^(?![ \t\r\n]).", re.MULTILINE)
OUTSIDE_QUOTE = re.compile(r"^(?!>).", re.MULTILINE)


def outside(before: str) -> re.Pattern[str] | None:
    """Return what finds the first line outside of what a fence stands in, which `before` in its line tells."""
    if not before.strip(" ") and len(before) < 2:
        return None
    return OUTSIDE_QUOTE if ">" in before else OUTSIDE_LIST
