"""Which turns of a long conversation a page shows: its end, and older ones a batch at a time."""

from typing import NamedTuple

from .conversation import Conversation, Turn

# Of one batch. Both, since a few turns may be long, and what can be done with each turn has its size, too.
MOST_TURNS = 15
MOST_CHARACTERS = 20_000


class Excerpt(NamedTuple):
    """Some turns in a row. `older` is the id of the turn that one batch more begins with; empty where there is none."""

    turns: list[Turn]
    older: str


def end_of(conversation: Conversation, *wanted: str) -> Excerpt:
    """Return the last turns, and so many more that those of the wanted ids are among them, and the pending one."""
    turns = conversation.turns
    there = {*wanted, *([conversation.pending.id] if conversation.pending else [])} - {""}
    start = _start(turns, len(turns))
    first = next((index for index, turn in enumerate(turns[:start]) if turn.id in there), start)
    return _excerpt(turns, first, len(turns))


def before(conversation: Conversation, turn_id: str) -> Excerpt:
    """Return the batch of turns before a turn. Raises Unknown."""
    end = conversation.turns.index(conversation.turn(turn_id))
    return _excerpt(conversation.turns, _start(conversation.turns, end), end)


def _excerpt(turns: list[Turn], start: int, end: int) -> Excerpt:
    return Excerpt(turns[start:end], turns[_start(turns, start)].id if start else "")


def _start(turns: list[Turn], end: int) -> int:
    """Return where the batch begins that ends before `end`; it has one turn at least, however long that is."""
    start, characters = end, 0
    while start > 0 and end - start < MOST_TURNS:
        characters += _length(turns[start - 1])
        if characters > MOST_CHARACTERS and start < end:
            break
        start -= 1
    return start


def _length(turn: Turn) -> int:
    answer = turn.answer
    return sum(map(len, (turn.question, answer.reasoning, *(answer.choices or [answer.text]))))
