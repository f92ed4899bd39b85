"""Tokens: what a provider's `usage` says of them, and an estimate where nobody says anything.

The estimate knows no vocabulary. It counts what a tokenizer's cuts mostly depend on (where words begin,
how long they are, digits, punctuation, characters of each script) and weighs each; bench/tokens.py fits
the weights to the tokenizers of three families of models and says how far off they are.
"""

import math
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from msgspec import Struct

from .conversation import Answer, Message

MOST = 10**12  # Whatever claims more tokens than that is no count.
MESSAGE = 5  # tokens that a chat template puts around each message; from 3 to 5 in the common ones
START = 3  # and at the end, to let the answer begin
DOUBT = 30  # tokens by which an estimate is held to be right before a usage says otherwise
SURVEYED = 200_000  # characters of one text that are looked at; a longer one is taken to go on as it began


class Counts(Struct, frozen=True, omit_defaults=True):
    """Tokens of one answer, or of many; None where nobody knows.

    `cached` is a part of `prompt`, `reasoning` a part of `completion`.
    """

    prompt: int | None = None
    cached: int | None = None
    completion: int | None = None
    reasoning: int | None = None
    total: int | None = None
    estimated: bool = False


def counted(usage: Any, estimated: bool = False) -> Counts:
    """Return what a `usage` object says, in whichever provider's words; what makes no sense in it is unknown."""
    if not isinstance(usage, dict):
        return Counts()
    prompt = _first(usage, "prompt_tokens", "input_tokens")
    completion = _first(usage, "completion_tokens", "output_tokens")
    total = _first(usage, "total_tokens")
    prompt_details = _details(usage, "prompt_tokens_details", "input_tokens_details")
    cached = _first(prompt_details, "cached_tokens")
    if cached is None:
        cached = _first(usage, "prompt_cache_hit_tokens", "cached_tokens")  # DeepSeek, Moonshot
    reasoning = _first(_details(usage, "completion_tokens_details", "output_tokens_details"), "reasoning_tokens")
    if prompt is not None and completion is not None:
        if total is not None and total > prompt + completion:
            # Some count reasoning apart from the completion (xAI, Gemini); it is paid for all the same.
            reasoning = max(reasoning or 0, total - prompt - completion)
            completion = total - prompt
        total = prompt + completion
    return Counts(prompt, _at_most(cached, prompt), completion, _at_most(reasoning, completion), total, estimated)


def of_answer(answer: Answer) -> Counts:
    """Return the tokens of an answer, with those of the runs that it continues."""
    if not answer.usage_before:
        return counted(answer.usage, answer.usage_estimated)
    return added(counted(usage, answer.usage_estimated) for usage in (*answer.usage_before, answer.usage))


def added(parts: Iterable[Counts]) -> Counts:
    """Return the sum of counts; what none of them knows stays unknown."""
    known = [part for part in parts if part != Counts()]

    def together(values: Iterable[int | None]) -> int | None:
        known_values = [value for value in values if value is not None]
        return sum(known_values) if known_values else None

    return Counts(
        together(part.prompt for part in known),
        together(part.cached for part in known),
        together(part.completion for part in known),
        together(part.reasoning for part in known),
        together(part.total for part in known),
        estimated=any(part.estimated for part in known),
    )


def estimated_usage(messages: Iterable[Message], text: str, reasoning: str = "", scale: float = 1.0) -> dict[str, Any]:
    """Return a `usage` in the API's form for an answer whose server gave none; it is to be marked as estimated."""
    prompt = estimate_messages(messages, scale)
    thought = estimate(reasoning, scale)
    completion = estimate(text, scale) + thought
    usage: dict[str, Any] = {"prompt_tokens": prompt, "completion_tokens": completion}
    usage["total_tokens"] = prompt + completion
    if thought:
        usage["completion_tokens_details"] = {"reasoning_tokens": thought}
    return usage


def _first(values: dict[str, Any], *names: str) -> int | None:
    return next((count for name in names if (count := _count(values.get(name))) is not None), None)


def _details(values: dict[str, Any], *names: str) -> dict[str, Any]:
    return next((details for name in names if isinstance(details := values.get(name), dict)), {})


def _count(value: Any) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return round(number) if math.isfinite(number) and 0 <= number <= MOST else None


def _at_most(count: int | None, whole: int | None) -> int | None:
    return count if count is None or whole is None else min(count, whole)


# --- Estimating ---

# Each character becomes one byte that says of which kind it is; what UTF-8 begins it with tells.
_table = bytearray(b"." * 256)
for _first_byte, _last_byte, _kind in (
    (0x00, 0x20, "s"),  # white space
    (0x0A, 0x0A, "n"),
    (0x30, 0x39, "0"),
    (0x41, 0x5A, "A"),
    (0x61, 0x7A, "a"),
    (0xC2, 0xC2, "*"),  # signs
    (0xC3, 0xCD, "e"),  # Latin letters with something on them
    (0xCE, 0xCF, "g"),  # Greek
    (0xD0, 0xD5, "c"),  # Cyrillic
    (0xD6, 0xD7, "h"),  # Hebrew
    (0xD8, 0xDF, "r"),  # Arabic
    (0xE0, 0xE0, "i"),  # the scripts of India
    (0xE1, 0xE1, "e"),  # Vietnamese
    (0xE2, 0xE2, "*"),
    (0xE3, 0xE3, "k"),  # Japanese syllables
    (0xE4, 0xE9, "H"),  # Han
    (0xEA, 0xED, "K"),  # Korean
    (0xEE, 0xEE, "*"),
    (0xEF, 0xEF, "f"),  # full-width punctuation
    (0xF0, 0xF7, "*"),  # emoji
    (0xF8, 0xF8, "t"),  # Thai, see _kinds
):
    _table[_first_byte : _last_byte + 1] = _kind.encode() * (_last_byte + 1 - _first_byte)
KINDS = bytes(_table)
CONTINUATION = bytes(range(0x80, 0xC0))

# How many tokens it adds wherever one of these patterns of kinds occurs; fitted by bench/tokens.py.
WEIGHTS: dict[str, tuple[float, tuple[bytes, ...]]] = {
    "word": (1.03, (b"sa", b"na", b".a", b"0a", b"fa", b"Ha", b"*a", b"sA", b"nA", b".A", b"0A", b"HA")),
    "capital inside": (0.18, (b"aA",)),
    "capitals": (0.75, (b"AA",)),
    "six letters": (0.27, (b"aaaaaa",)),
    "eight letters": (0.21, (b"aaaaaaaa",)),
    "digit": (0.45, (b"0",)),
    "number": (1.33, (b"s0", b".0", b"n0", b"a0", b"A0", b"H0")),
    "punctuation": (0.44, (b"s.", b"a.", b"A.", b"0.", b"n.", b"H.")),
    "more punctuation": (0.88, (b"..",)),
    "line": (0.53, (b"n",)),
    "accent": (0.9, (b"e",)),
    "sign": (1.52, (b"*",)),
    "Greek": (0.67, (b"g",)),
    "Cyrillic": (0.34, (b"c",)),
    "Hebrew": (0.51, (b"h",)),
    "Arabic": (0.44, (b"r",)),
    "Indic": (0.78, (b"i",)),
    "Thai": (0.46, (b"t",)),
    "kana": (0.66, (b"k",)),
    "Han": (0.68, (b"H",)),
    "Korean": (0.82, (b"K",)),
    "full-width": (0.77, (b"f",)),
}


def _kinds(text: str) -> bytes:
    # Two scripts share their first byte with others that weigh differently: CJK punctuation and Thai.
    raw = text.encode(errors="surrogatepass")
    if not text.isascii():
        raw = raw.replace(b"\xe3\x80", b"\xef\x80").replace(b"\xe0\xb8", b"\xf8").replace(b"\xe0\xb9", b"\xf8")
    return b"s" + raw.translate(KINDS, CONTINUATION)


def occurrences(text: str) -> list[int]:
    """Return how often each of WEIGHTS occurs in a text."""
    kinds = _kinds(text)
    return [sum(map(kinds.count, patterns)) for _, patterns in WEIGHTS.values()]


REMEMBERED = 4_000  # characters; of longer texts, remembering many would take much memory


def estimate(text: str, scale: float = 1.0) -> int:
    """Return about how many tokens a text is for a typical model of today; `scale` is what `calibration` says."""
    if not text:
        return 0
    looked_at = text[:SURVEYED]
    tokens = _remembered(looked_at) if len(looked_at) <= REMEMBERED else _weighed(looked_at)
    return max(1, round(tokens * scale * len(text) / len(looked_at)))


def _weighed(text: str) -> float:
    return sum(weight * n for (weight, _), n in zip(WEIGHTS.values(), occurrences(text), strict=True))


# With every question and every answer's end, all of a history is estimated again.
_remembered = lru_cache(4096)(_weighed)


def estimate_messages(messages: Iterable[Message], scale: float = 1.0) -> int:
    """Return about how many prompt tokens messages are, with what the chat template adds."""
    return START + sum(MESSAGE + estimate(message["content"], scale) for message in messages)


def calibration(estimated: int, exact: int | None) -> float:
    """Return by what to multiply estimates for a model that made `exact` tokens of what was estimated.

    A short text says little, and what a server adds to it unseen weighs more: it moves the scale less.
    """
    if not exact or estimated < 1:
        return 1.0
    return min(4.0, max(0.25, (exact + DOUBT) / (estimated + DOUBT)))
