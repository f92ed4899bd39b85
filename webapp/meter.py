"""What tokens a conversation spends and what they cost, for the page; and the estimate while somebody types."""

from dataclasses import dataclass, field
from decimal import Decimal
from threading import Lock
from typing import NamedTuple, cast

from flask import Blueprint, Flask, current_app, render_template, request

from . import prices, store
from .backend import Backend
from .budget import Budget
from .conversation import Answer, Conversation, Message
from .prices import Prices
from .sending import Sending, before_sending
from .tokens import Counts, added, of_answer

blueprint = Blueprint("meter", __name__)

COUNTED = 50_000  # characters of history and question together; more is estimated, which costs next to nothing


class Totals(NamedTuple):
    """What a conversation has spent; `unpriced` answers are not in its cost."""

    counts: Counts
    cost: Decimal | None
    unpriced: int


@dataclass
class Meter:
    """The price list, the budget, and whether somebody's messages are being counted right now."""

    prices: Prices
    budget: Budget
    counting: Lock = field(default_factory=Lock)


def init_app(app: Flask) -> None:
    """Read the price list and hook in. Raises PricesError."""
    app.extensions["meter"] = Meter(prices.read(app.config["PRICES"]), app.extensions["budget"])
    app.jinja_env.filters["thousands"] = lambda number: f"{number:,}"
    app.register_blueprint(blueprint)


def meter() -> Meter:
    return cast(Meter, current_app.extensions["meter"])


@blueprint.app_context_processor
def helpers() -> dict[str, object]:
    return {
        "counts_of": of_answer,
        "cost_of": cost_of,
        "totals_of": totals_of,
        "sending_of": sending_of,
        "show_cost": meter().prices.shown,
        "tokens_left": lambda: meter().budget.left(store.visitor()),
    }


@blueprint.post("/conversations/<conversation_id>/estimate")
def estimate(conversation_id: str) -> str:
    """Return what the question in the box would send, were it sent now."""
    conversation = store.loaded(conversation_id)
    sending = _counted(conversation, request.form.get("question", ""), single="single" in request.form)
    return render_template("_sending.html", conversation=conversation, sending=sending)


def sending_of(conversation: Conversation) -> Sending:
    """Return what the history alone would send; nobody is asked for it, so that a page waits for nobody."""
    return before_sending(conversation, system_prompt_of(conversation), "")


def system_prompt_of(conversation: Conversation) -> str:
    return str(conversation.parameters.get("system_prompt", current_app.config["SYSTEM_PROMPT"]))


def cost_of(answer: Answer) -> Decimal | None:
    """Return what an answer cost; None where the price list does not say."""
    return _cost(answer, of_answer(answer))


def _cost(answer: Answer, counts: Counts) -> Decimal | None:
    return meter().prices.cost(answer.model, counts, len(answer.pictures))


def totals_of(conversation: Conversation) -> Totals:
    """Return what all answers of a conversation have spent, those of other versions too."""
    answers = [(answer, of_answer(answer)) for turn in conversation.every_turn() for answer in turn.answers]
    spent = [(answer, counts) for answer, counts in answers if counts != Counts() or answer.pictures]
    known = [cost for answer, counts in spent if (cost := _cost(answer, counts)) is not None]
    cost = sum(known, Decimal()) if known else None
    return Totals(added(counts for _, counts in spent), cost, len(spent) - len(known))


def _counted(conversation: Conversation, question: str, single: bool) -> Sending:
    """Return what a question would send, counted exactly where that is free and nobody else's is being counted."""
    backend = cast(Backend, current_app.extensions["backend"])

    def count(messages: list[Message]) -> int | None:
        short = sum(len(message["content"]) for message in messages) <= COUNTED
        return backend.count_tokens(messages) if short else None

    prompt = system_prompt_of(conversation)
    if not meter().counting.acquire(blocking=False):
        return before_sending(conversation, prompt, question, single=single)
    try:
        return before_sending(conversation, prompt, question, count, single=single)
    finally:
        meter().counting.release()
