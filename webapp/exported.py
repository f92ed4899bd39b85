"""Parley's own export, read back: with new ids, and mended where somebody changed it."""

from collections import Counter
from itertools import chain
from typing import Any

import msgspec
from msgspec import Struct

from . import links
from .candidate import LATEST, NO_TEXT, BadImport, Candidate, TooLarge, cleaned, mapping, moment, one_line, sequence
from .conversation import Answer, Mode, Picture, Turn, new_id
from .export import FORMAT
from .reply import MOST_CHOICES
from .tokens import added, counted
from .wording import say

# Of a whole conversation, of one turn, and of one answer: each costs something whenever its page is opened.
MOST_ANSWERS = 10_000
MOST_OF_TURN = 100
MOST_PICTURES = 10
MOST_RUNS = 50
MOST_DROPPED = 50  # parameters that a provider refused


class _Record(Struct):
    mode: Mode
    turns: list[Turn]
    other_versions: list[list[Turn]] = []


def exported(document: dict[str, Any]) -> Candidate:
    """Return the conversation of an export. Raises BadImport."""
    version = document["parley"].get("format")
    if not isinstance(version, int) or version > FORMAT:
        raise BadImport(say("This conversation was exported by a newer Parley. Import it with that one."))
    _check_answers(document)
    document = cleaned(document)
    skipped: Counter[str] = Counter()
    tails = [sequence(tail) for tail in sequence(document.get("other_versions"))]
    ids = [new_id() for _ in tails]
    document["turns"] = [_with_new_ids(turn, ids, skipped) for turn in sequence(document.get("turns"))]
    document["other_versions"] = [[_with_new_ids(turn, ids, skipped) for turn in tail] for tail in tails]
    try:
        record = msgspec.convert(document, _Record)
        set_aside = _by_first(record.turns, record.other_versions, ids)
    except msgspec.ValidationError as error:
        raise BadImport(
            say("This was exported by Parley, but part of it was changed and does not fit: {error}.", error=str(error))
        ) from None
    for turn in chain(record.turns, *record.other_versions):
        _mend(turn, skipped)
    created, title = moment(document.get("created")) or 0.0, one_line(document.get("title"))
    parameters = mapping(document.get("parameters"))
    return Candidate(title, record.mode, created, record.turns, parameters, dict(+skipped), set_aside)


def _check_answers(document: dict[str, Any]) -> None:
    """Raise TooLarge where a document has too many answers, those that were continued counted, to be looked at."""
    tails = [document.get("turns"), *sequence(document.get("other_versions"))]
    turns = chain.from_iterable(sequence(tail) for tail in tails)
    answers = [answer for turn in turns for answer in sequence(mapping(turn).get("answers"))]
    count = len(answers) + sum(len(sequence(mapping(answer).get("usage_before"))) for answer in answers)
    if count > MOST_ANSWERS:
        raise TooLarge(
            say(
                "That conversation has {count:,} answers; up to {limit:,} can be imported.",
                count=count,
                limit=MOST_ANSWERS,
            )
        )


def _by_first(turns: list[Turn], tails: list[list[Turn]], ids: list[str]) -> dict[str, list[Turn]]:
    """Return other versions by the ids that they get. Raises ValidationError where they do not fit together."""
    for tail, first_id in zip(tails, ids, strict=True):
        if not tail or tail[0].versions:
            raise msgspec.ValidationError("what one of `other_versions` begins with")
        tail[0].id = first_id
    set_aside = dict(zip(ids, tails, strict=True))
    left = dict(set_aside)
    reached = list(turns)
    for turn in reached:  # It grows meanwhile.
        others = [version for version in turn.versions if version != turn.id]
        if len(turn.versions) != len(set(others)) + bool(others) or not left.keys() >= set(others):
            raise msgspec.ValidationError("the numbers of `versions`")
        for version in others:
            reached += left.pop(version, [])
    if left:
        raise msgspec.ValidationError("one of `other_versions` belongs to no turn")
    return set_aside


def _with_new_ids(turn: Any, ids: list[str], skipped: Counter[str]) -> Any:
    """Return a turn's record with a new id, those of its other versions, and without its exchanges."""
    if not isinstance(turn, dict):
        return turn
    record = turn | {"id": new_id()}
    if places := sequence(turn.get("versions")):
        record["versions"] = [record["id"] if place is None else _at(ids, place) for place in places]
    answers = sequence(turn.get("answers"))
    skipped["exchange"] += sum(len(sequence(mapping(answer).get("exchanges"))) for answer in answers)
    record["answers"] = [
        {name: value for name, value in answer.items() if name not in ("id", "exchanges")}
        if isinstance(answer, dict)
        else answer
        for answer in answers
    ]
    return record


def _at(ids: list[str], place: Any) -> str | None:
    return ids[place] if isinstance(place, int) and 0 <= place < len(ids) else None


def _mend(turn: Turn, skipped: Counter[str]) -> None:
    """Make of a turn that has the right types one that could be ours."""
    turn.question = turn.question if turn.question.strip() else NO_TEXT
    turn.answers = turn.answers or [Answer(status="stopped")]
    turn.shown = turn.shown if -1 <= turn.shown < len(turn.answers) else -1
    _leave_out_answers(turn, skipped)
    for answer in turn.answers:
        skipped["beyond"] += max(len(answer.choices) - MOST_CHOICES, 0)
        answer.choices, answer.continues = answer.choices[:MOST_CHOICES], []
        answer.finish_reasons, answer.dropped = answer.finish_reasons[:MOST_CHOICES], answer.dropped[:MOST_DROPPED]
        answer.usage_before = _few([_usage(usage) for usage in answer.usage_before])
        if answer.status == "pending":
            answer.status = "interrupted"  # Nothing runs here that would end it.
        answer.started = moment(answer.started) or Answer().started
        if answer.ended is not None or answer.status == "interrupted":
            answer.ended = moment(answer.ended) or answer.started
        answer.kept = answer.kept if 0 <= answer.kept < len(answer.choices) else 0
        answer.usage = _usage(answer.usage) if answer.usage else None
        # The files of pictures did not come along, and only addresses of the web are led to.
        skipped["beyond"] += max(len(answer.pictures) - MOST_PICTURES, 0)
        answer.pictures = answer.pictures[:MOST_PICTURES]
        pictures = len(answer.pictures)
        answer.pictures = [
            Picture(url=links.web(one.url), revised_prompt=one.revised_prompt)
            for one in answer.pictures
            if links.web(one.url)
        ]
        skipped["picture"] += pictures - len(answer.pictures)
        if answer.failure:
            answer.failure.said, answer.failure.values = "", {}  # A stranger's pattern is not to be filled in here.
        if answer.failure and not 0 <= (answer.failure.retry_after or 0) < LATEST:
            answer.failure.retry_after = None


def _leave_out_answers(turn: Turn, skipped: Counter[str]) -> None:
    """Leave a turn its last answers, and the one that is shown."""
    beyond = len(turn.answers) - MOST_OF_TURN
    if beyond > 0:
        skipped["beyond"] += beyond
        earlier = 0 <= turn.shown <= beyond
        kept = [turn.answer] if earlier else [turn.answers[beyond]]
        turn.answers[: beyond + 1] = kept
        turn.shown = 0 if earlier else turn.shown - beyond if turn.shown > 0 else -1


def _few(usages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return what so many runs have used, the first of them in one sum if there are too many to add up each time."""
    if len(usages) <= MOST_RUNS:
        return usages
    first = added(counted(usage) for usage in usages[: 1 - MOST_RUNS])
    summed = {"prompt_tokens": first.prompt, "completion_tokens": first.completion, "total_tokens": first.total}
    details: dict[str, Any] = {
        "prompt_tokens_details": {"cached_tokens": first.cached},
        "completion_tokens_details": {"reasoning_tokens": first.reasoning},
    }
    return [summed | details, *usages[1 - MOST_RUNS :]]


def _usage(usage: dict[str, Any]) -> dict[str, Any]:
    """Return a usage in which every count is one that can be added up."""
    kept: dict[str, Any] = {}
    for name, value in usage.items():
        if name.endswith("_details") and value is not None:
            kept[name] = {key: count for key, count in mapping(value).items() if count is None or _is_count(count)}
        elif not isinstance(value, (dict, list)) and (_is_count(value) or not name.endswith("_tokens")):
            kept[name] = value
    return kept


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**12
