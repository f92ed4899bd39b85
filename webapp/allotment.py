"""How far the texts of a whole page are shown: what rendering all of them costs is bounded, too.

The last turns come first, and of each the text that counts. What would go beyond the bound is shown by a few words with
a link to the whole. An answer that is being written is left alone: its stream knows nothing of the rest of the page.
"""

from collections.abc import Iterable

from .beginning import Reach, reach, signs_in
from .conversation import Mode, Turn
from .running import texts_of

# In signs of Markdown; see beginning.py.
OF_A_PAGE = 40_000
OF_A_LONG_PAGE = 100_000  # one that was asked for with older turns, to be printed; a megabyte of ordinary text
CHARACTERS_A_SIGN = 50  # of any kind: they are sent and laid out
FEW_WORDS = Reach(300, 100)

Allotted = dict[tuple[str, int], Reach]


def allotted(mode: Mode, turns: Iterable[Turn], *, is_long: bool) -> Allotted:
    """Return by answer and channel how far those texts are shown of which there would be too much."""
    left = OF_A_LONG_PAGE if is_long else OF_A_PAGE
    short: Allotted = {}
    for turn in reversed(list(turns)):
        answer = turn.answer
        for channel, text in sorted(texts_of(answer).items(), key=lambda one: (one[0] != 0, one[0])):
            cost = _cost(mode, text, reach(channel))
            if cost > left and answer.status != "pending":
                short[answer.id, channel] = FEW_WORDS
                cost = _cost(mode, text, FEW_WORDS)
            left -= cost
    return short


def _cost(mode: Mode, text: str, within: Reach) -> int:
    part = text[: within.end(mode, text)]
    return signs_in(mode, part) + len(part) // CHARACTERS_A_SIGN
