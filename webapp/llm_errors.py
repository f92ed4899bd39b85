"""What can go wrong with a call to a model, as one small tree of exceptions.

LLMError
├── KeyRejected        401, 403
├── ModelUnknown       404
├── NoModel            there is none for what was asked
├── RateLimited        429; `retry_after` in seconds, where the provider says
├── QuotaSpent         429 and no money left
├── ContextOverflow    the messages do not fit the model's context window
├── RequestRejected    any other 4xx
├── ServerFailed       5xx, or an error object inside the stream
├── Unreachable        no connection
├── TimedOut           silent for ANSWER_TIMEOUT seconds
├── BrokenOff          the stream ended before the answer did
├── Garbage            what came is not the API's language
├── EmptyAnswer
└── Stopped            we closed the call ourselves
"""

import html
import json
import re
from codecs import getincrementaldecoder
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from time import time
from typing import Any

from .config import public_url
from .wording import Sentence, say

LONGEST = 4000  # characters of a provider's message that are kept
LONGEST_WAIT = 366 * 86_400  # seconds; what is longer is no waiting time
SHOWN = 600  # characters of a reply that makes no sense


class LLMError(Exception):
    """A call to a model failed; the text is the provider's own where it gave one.

    `parameters` are the names of those that the provider does not support, as far as it names any.
    """

    parameters: tuple[str, ...] = ()

    def __init__(self, message: str, status: int | None = None, retry_after: float | None = None):
        super().__init__(message.changed(_kept) if isinstance(message, Sentence) else _kept(message))
        self.status = status
        self.retry_after = retry_after


def _kept(text: str) -> str:
    """Return a text in which half a character, which no record could take, is a question mark."""
    return text.encode(errors="replace").decode()


class KeyRejected(LLMError):
    pass


class ModelUnknown(LLMError):
    pass


class NoModel(LLMError):
    pass


class RateLimited(LLMError):
    pass


class QuotaSpent(LLMError):
    pass


class ContextOverflow(LLMError):
    pass


class RequestRejected(LLMError):
    pass


class ServerFailed(LLMError):
    pass


class Unreachable(LLMError):
    pass


class TimedOut(LLMError):
    pass


class BrokenOff(LLMError):
    pass


class Garbage(LLMError):
    pass


class EmptyAnswer(LLMError):
    pass


class Stopped(LLMError):
    pass


def from_status(status: int, body: Any, text: str, headers: Mapping[str, str]) -> LLMError:
    """Return the error for an HTTP status: `body` is what the reply's JSON says of it, and `text` the whole reply.

    Some servers nest their error object once more, some give a mere string, and some no JSON at all.
    """
    if 300 <= status < 400:
        url = public_url(headers.get("location", ""))[:SHOWN]
        return Garbage(
            say(
                "The endpoint sends its callers on to another address, which OPENAI_BASE_URL may have to be: {url}",
                url=url,
            ),
            status,
        )
    details = body.get("error", body) if isinstance(body, dict) else body
    if not isinstance(details, dict):
        details = {"message": shown(details) if isinstance(details, str) else None}
    message = (
        details.get("message")
        or _first_detail(details.get("detail"))
        or shown(text)
        or f"HTTP status {status}, and no message."
    )
    error = _error(str(message), details, status, _retry_after(headers))
    if isinstance(error, RequestRejected):
        error.parameters = unsupported(str(message), details)
    return error


def _error(message: str, details: dict[str, Any], status: int | None, retry_after: float | None = None) -> LLMError:
    """Choose the error by the provider's code first and by the HTTP status second."""
    code = f"{details.get('code')} {details.get('type')}"
    if re.search("context_length|exceed_context|context_window", code) or OVERFLOW.search(message):
        kind: type[LLMError] = ContextOverflow
    elif re.search("insufficient_quota|billing|insufficient_balance", code) or status == 402:
        kind = QuotaSpent
    elif status is None or status >= 500:
        kind = RateLimited if "rate_limit" in code else ServerFailed
    else:
        by_status: dict[int, type[LLMError]] = {401: KeyRejected, 403: KeyRejected, 404: ModelUnknown, 429: RateLimited}
        kind = by_status.get(status, RequestRejected)
    return kind(message[:LONGEST], status, retry_after)


OVERFLOW = re.compile(
    "maximum context length|context (window|length|size).{0,40}(exceed|too)|exceed.{0,40}context", re.IGNORECASE
)


UNSUPPORTED = re.compile(
    "(un|not |n't )support|un(recogni[sz]ed|known|expected|permitted)|not (permitted|allowed|accept)|extra_forbidden"
    "|extra inputs|additional propert",
    re.IGNORECASE,
)
NAMED = re.compile(r"[\"'`‘“]([a-z_]{1,40})\b|(?:argument|parameter|field|property)s?(?: supplied)?: *([a-z_]{1,40})\b")


def unsupported(message: str, details: dict[str, Any]) -> tuple[str, ...]:
    """Return the names of parameters that an error says are not supported, the likeliest first.

    OpenAI and many others name one as `param`, FastAPI's servers in `detail[].loc`, the rest in words.
    """
    named = [details.get("param")]
    told = f"{message} {details.get('code')}"
    if isinstance(found := details.get("detail"), list):
        for one in found:
            if isinstance(one, dict) and isinstance(one.get("loc"), list):
                named += one["loc"]
                told += f" {one.get('type')}"
    if not UNSUPPORTED.search(told):
        return ()
    named += [quoted or plain for quoted, plain in NAMED.findall(message)]
    return tuple(re.split(r"[.\[]", name)[0] for name in named if isinstance(name, str))


def _first_detail(detail: Any) -> Any:
    """Return what a FastAPI server says was wrong, which comes as a list."""
    if isinstance(detail, list) and detail and isinstance(detail[0], dict):
        return f"{'.'.join(map(str, detail[0].get('loc') or ()))}: {detail[0].get('msg')}"
    return detail


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the waiting time in seconds, which `retry-after` gives as such or as a date (RFC 9110, 10.2.3)."""
    try:
        value = headers.get("retry-after", "")
        if "retry-after-ms" in headers:
            seconds = float(headers["retry-after-ms"]) / 1000
        elif re.fullmatch(r"\d+(\.\d+)?", value):
            seconds = float(value)
        else:
            seconds = parsedate_to_datetime(value).timestamp() - time()
    except (TypeError, ValueError, OverflowError):
        return None
    return max(0.0, seconds) if seconds <= LONGEST_WAIT else None


def from_stream(error: Any) -> LLMError:
    """Return the error for an `error` object inside a stream."""
    details = error if isinstance(error, dict) else {"message": error}
    code = details.get("code")
    status = code if isinstance(code, int) and 400 <= code < 600 else None
    return _error(str(details.get("message") or details), details, status)


def without_text(finish_reason: str | None) -> str:
    if finish_reason is None:
        return say("The answer has no text (finish reason: none given).")
    return say("The answer has no text (finish reason: {reason}).", reason=finish_reason)


def error_in(content: bytes) -> LLMError | None:
    """Return the error that a reply's JSON says in place of what was asked for; None where it says none."""
    try:
        reply = json.loads(content)
    except (ValueError, RecursionError):
        return None
    error = reply.get("error") if isinstance(reply, dict) else None
    return from_stream(error) if error else None


def whole_characters(content: bytes) -> str:
    """Return bytes as text; half a character at their end, where they broke off, is left out."""
    return getincrementaldecoder("utf-8")("replace").decode(content)


def shown(text: str) -> str:
    """Return the beginning of a reply that nobody expected, without its HTML tags."""
    plain = re.sub(r"(?s)<(head|style|script)\b.*?</\1>|<[^>]*>", " ", text[: 20 * SHOWN])
    return " ".join(html.unescape(plain).split())[:SHOWN]
