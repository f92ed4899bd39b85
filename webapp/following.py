"""Following an answer: its text as server-sent events of HTML, from any position on."""

import re
from collections.abc import Iterator

from flask import render_template

from .answers import Answers
from .conversation import Answer, Conversation, Refused
from .reply import REASONING, Piece
from .running import Positions, texts_of


def events(
    answers: Answers, before: Conversation, answer_id: str, positions: Positions, *, polled: bool = False
) -> Iterator[str]:
    """Yield an answer's text from its positions on as server-sent events, then its end.

    Polled, they end after what is there, with what asks for the rest.
    """
    if answers.runs(answer_id) and not polled:
        # At once, even where the model is silent: it tells the page that nothing on the way holds events back.
        yield _event(f'<hx-partial hx-target="#polling-{answer_id}" hx-swap="delete"></hx-partial>', positions)
    for pieces in answers.follow(answer_id, positions, wait=not polled):
        if pieces:
            yield _event(_pieces(answer_id, pieces), positions)
        else:
            yield ": heartbeat\n\n"
    if polled and answers.runs(answer_id):
        again = render_template(
            "_polling.html", conversation=before, id=answer_id, after=_written(positions), every="1s"
        )
        yield _event(
            f'<hx-partial hx-target="#polling-{answer_id}" hx-swap="outerHTML">{again}</hx-partial>', positions
        )
        return
    try:
        conversation = answers.live(answers.store.load(before.id, before.owner))
        turn = conversation.turn_of(answer_id)
    except Refused:
        yield "event: end\ndata:\n\n"  # Cleared meanwhile; whoever cleared it has told the page.
        return
    if rest := _rest(turn.answer, positions):
        yield _event(_pieces(answer_id, rest), positions)
    moved = conversation.sent_from != before.sent_from
    yield _event(render_template("_settled.html", conversation=conversation, turn=turn, moved=moved), positions)
    yield "event: end\ndata:\n\n"


def _pieces(answer_id: str, pieces: list[Piece]) -> str:
    return "".join(
        render_template("_piece.html", id=text_id(answer_id, channel), text=text) for channel, text in pieces
    )


def text_id(answer_id: str, channel: int) -> str:
    """Return the id of the element that has an answer's text of one channel."""
    if channel == REASONING:
        return f"reasoning-{answer_id}"
    return f"text-{answer_id}-{channel}" if channel else f"text-{answer_id}"


def _rest(answer: Answer, positions: Positions) -> list[Piece]:
    """Return what a settled answer has behind the positions, and bring them to its end."""
    whole = texts_of(answer)
    rest = [(channel, text[positions.get(channel, 0) :]) for channel, text in whole.items()]
    positions |= {channel: len(text) for channel, text in whole.items()}
    return [(channel, text) for channel, text in rest if text]


def positions_of(answer: Answer) -> str:
    """Return how far an answer has come, as one word that `read_positions` understands."""
    return _written({channel: len(text) for channel, text in texts_of(answer).items()})


def _written(positions: Positions) -> str:
    """Return positions as one word: `120` for the text alone, else `0:120,-1:45`."""
    if set(positions) <= {0}:
        return str(positions.get(0, 0))
    return ",".join(f"{channel}:{position}" for channel, position in sorted(positions.items()))


def read_positions(word: str) -> Positions:
    """Return the positions that a word names; what is none counts as the beginning."""
    if re.fullmatch("[0-9]{1,12}", word):
        return {0: int(word)}
    found = re.findall(r"(?:^|,)(-1|[0-9]):([0-9]{1,12})(?=,|$)", word)
    return {int(channel): int(position) for channel, position in found}


def _event(html: str, positions: Positions) -> str:
    # An event stream has three line ends, and HTML takes each of them for the same one.
    data = "".join(f"data: {line}\n" for line in re.split("\r\n|\r|\n", html))
    return f"id: {_written(positions)}\n{data}\n"
