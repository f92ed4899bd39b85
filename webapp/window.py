"""Which of a conversation's turns fit the model's context window."""

from collections.abc import Callable

from .conversation import Conversation, Message, Turn, exchange_of

# What is left out goes in one larger step, so that the beginning of what is sent then stays the same for
# many turns, and a provider's cache of it is of use.
KEPT = 0.7


def oldest_sent(
    conversation: Conversation, turn: Turn, room: int, count: Callable[[list[Message]], int], fixed: int
) -> str:
    """Return the id of the oldest turn that is sent before a turn's question; empty where all are.

    `room` is what the prompt may take in tokens, `fixed` what the system prompt and the question take of
    it. Whole turns are left out, oldest first, beginning where the last question's left off.
    """
    is_last = turn is conversation.turns[-1]
    since = conversation.sent_from if is_last else ""
    history = conversation.history(turn, since)
    costs = _costs(history, count)
    if fixed + sum(costs) <= room:
        return since
    return _after(history, costs, int(room * KEPT) - fixed, turn)


def half(conversation: Conversation, turn: Turn, since: str, count: Callable[[list[Message]], int]) -> str | None:
    """Return the oldest turn to send where the provider found that what began at `since` is too much.

    None where nothing is left to leave out.
    """
    history = conversation.history(turn, since)
    if not history:
        return None
    costs = _costs(history, count)
    return _after(history, costs, sum(costs) // 2, turn)


def _costs(history: list[Turn], count: Callable[[list[Message]], int]) -> list[int]:
    return [count(exchange_of(one.question, one.answer.text)) for one in history]


def _after(history: list[Turn], costs: list[int], room: int, turn: Turn) -> str:
    """Return the first turn from which on the costs fit the room; the turn itself where none of them do."""
    left = sum(costs)
    for earlier, cost in zip(history, costs, strict=True):
        if left <= room:
            return earlier.id
        left -= cost
    return turn.id
