"""What the next question will cost, before it is sent: the history that goes along, and the question itself."""

from collections.abc import Callable
from math import log
from typing import NamedTuple

from msgspec.structs import replace

from .conversation import Answer, Conversation, Message, Turn
from .tokens import MESSAGE, START, Counts, calibration, counted, estimate, estimate_messages

Count = Callable[[list[Message]], int | None]


class Sending(NamedTuple):
    """About how many tokens go to the model: the history's and the question's, which together are the prompt's."""

    history: int
    question: int

    @property
    def total(self) -> int:
        return self.history + self.question


def before_sending(
    conversation: Conversation,
    system_prompt: str,
    question: str,
    count: Count = lambda messages: None,
    *,
    single: bool = False,
) -> Sending:
    """Return about how many prompt tokens a question will make, were it sent now.

    `count` returns the exact prompt tokens of messages, or None where nobody knows: then the last exact
    usage counts, and what is new since is estimated in proportion to it.
    """
    if conversation.mode != "chat":
        return Sending(0, _tokens_of(question, count, 1.0))
    if not single and (history := _last_exact(conversation)) is not None:
        if not question:
            return Sending(history, 0)
        tokens = _tokens_of(question, count, scale_of(conversation, system_prompt))
        return Sending(history, tokens + MESSAGE + START)
    messages = _messages(conversation, system_prompt, question, single)
    empty = [*messages[:-1], Message(role="user", content="")]
    if (total := count(messages)) is not None and (history := count(empty)) is not None:
        return Sending(min(history, total), max(0, total - history))
    scale = scale_of(conversation, system_prompt)
    tokens = estimate(question, scale) + MESSAGE if question else 0
    return Sending(estimate_messages(messages[:-1], scale), tokens)


def _last_exact(conversation: Conversation) -> int | None:
    """Return the tokens of the whole history, where the last answer's usage tells them."""
    if not conversation.turns or conversation.counted != conversation.turns[-1].answer.id:
        return None
    turn = conversation.turns[-1]
    counts = _exact(turn)
    if counts is None or turn.single:
        return None
    assert counts.prompt is not None and counts.completion is not None
    return counts.prompt + counts.completion - (counts.reasoning or 0)


def _exact(turn: Turn) -> Counts | None:
    """Return the counts of a turn's answer, if they are the provider's own and those of its text alone."""
    answer = turn.answer
    counts = counted(answer.usage, answer.usage_estimated)
    known = counts.prompt is not None and counts.completion is not None and not counts.estimated
    # A completion of several choices counts them all.
    return counts if known and answer.status == "done" and answer.text and len(answer.choices) < 2 else None


def scale_of(conversation: Conversation, system_prompt: str) -> float:
    """Return by what to multiply estimates, as the newest exact usage of the conversation shows."""
    for i in range(len(conversation.turns) - 1, -1, -1):
        turn = conversation.turns[i]
        if counts := _exact(turn):
            assert counts.prompt is not None and counts.completion is not None
            then = replace(conversation, turns=conversation.turns[:i])
            sent = _messages(then, system_prompt, turn.question, turn.single)
            scales = (
                calibration(estimate_messages(sent), counts.prompt),
                calibration(estimate(turn.answer.text), counts.completion - (counts.reasoning or 0)),
            )
            # What nobody sees, a server's own instructions or reasoning that it does not name, is in one of them only.
            return min(scales, key=lambda scale: abs(log(scale)))
    return 1.0


def _messages(conversation: Conversation, system_prompt: str, question: str, single: bool) -> list[Message]:
    # A turn that is not among those of the conversation comes after them all.
    turn = Turn(question, answers=[Answer()], single=single)
    before = replace(conversation, turns=[]) if single else conversation
    return before.messages(turn, system_prompt, prefill=False, since=before.sent_from)


def _tokens_of(text: str, count: Count, scale: float) -> int:
    """Return the tokens of a text alone, without what the template puts around it."""
    whole, empty = (count([Message(role="user", content=content)]) for content in (text, ""))
    if whole is None or empty is None:
        return estimate(text, scale)
    return max(0, whole - empty)
