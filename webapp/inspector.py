"""An answer as it came: its Markdown, and the panel with its requests and replies, also as code that runs."""

import re
from typing import NamedTuple

from flask import Blueprint, Response, abort, render_template, request

from . import beginning
from .chat import files, opened
from .conversation import Answer, Conversation
from .exchange import Exchange, load, pretty, pretty_body, shortened
from .llm import known_parameters
from .running import texts_of
from .snippets import curl, python

blueprint = Blueprint("inspector", __name__)


class Shown(NamedTuple):
    """An exchange as texts; `reply` is the reply's JSON, or what else came in its place."""

    exchange: Exchange
    request: str
    reply: str
    curl: str
    python: str
    is_shortened: bool


@blueprint.get("/conversations/<conversation_id>/answers/<answer_id>/exchange")
def exchange(conversation_id: str, answer_id: str) -> str:
    conversation = opened(conversation_id)
    turn, answer = conversation.find_answer(answer_id)
    return render_template(
        "exchange.html",
        conversation=conversation,
        turn=turn,
        answer=answer,
        exchanges=[_shown(exchange) for exchange in _exchanges(conversation, answer)],
        longest_shown=beginning.LONGEST,
    )


@blueprint.get("/conversations/<conversation_id>/answers/<answer_id>/exchange/<name>")
def part(conversation_id: str, answer_id: str, name: str) -> Response:
    """Return one of the panel's texts, by the id that it has there: all of one that is too long to be shown."""
    conversation = opened(conversation_id)
    _, answer = conversation.find_answer(answer_id)
    exchanges = _exchanges(conversation, answer)
    found = re.fullmatch("(request|reply|curl|python)-([1-9][0-9]{0,3})", name)
    if not found or int(found[2]) > len(exchanges):
        abort(404)
    text = getattr(_shown(exchanges[int(found[2]) - 1]), found[1])
    return Response(text, headers={"Cache-Control": "no-store"}, mimetype="text/plain")


def _exchanges(conversation: Conversation, answer: Answer) -> list[Exchange]:
    """Return the exchanges of an answer; a continued one has those of all its runs."""
    return [one for run in (*answer.continues, answer.id) for one in load(files(), conversation.id, run)]


@blueprint.get("/conversations/<conversation_id>/answers/<answer_id>/markdown")
def markdown(conversation_id: str, answer_id: str) -> Response:
    """Return an answer as the model wrote it; 202 while more of it may come.

    `channel` names another of its texts than the one that counts: another choice, or -1 for the reasoning.
    """
    _, answer = opened(conversation_id).find_answer(answer_id)
    status = 202 if answer.status == "pending" else 200
    text = texts_of(answer).get(request.args.get("channel", 0, type=int), "")
    return Response(text, status, {"Cache-Control": "no-store"}, mimetype="text/plain")


def _shown(exchange: Exchange) -> Shown:
    asked = shortened(exchange.request)
    reply = shortened(exchange.reply)
    return Shown(
        exchange,
        request=pretty(asked),
        reply=pretty_body(exchange.body) if exchange.reply is None else pretty(reply),
        curl=curl(exchange),
        python=python(exchange, known_parameters(exchange.path)),
        is_shortened=(asked, reply) != (exchange.request, exchange.reply),
    )
