"""One request to an endpoint and its reply, as they are kept beside an answer and shown under it."""

import json
import logging
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec
from msgspec import Struct

from .config import public_url
from .conversation import Unknown
from .files import Files

log = logging.getLogger(__name__)

# The order in which the API itself sends its fields; what is not named comes behind.
REPLY_ORDER = ("id", "object", "created", "model", "choices", "usage", "service_tier", "system_fingerprint")
CHOICE_ORDER = ("text", "index", "message", "logprobs", "finish_reason")
MESSAGE_ORDER = ("role", "content", "refusal")

# By what a provider finds a request again, when to come back, how much is left, how long it took. What names the
# account (openai-organization, say) is not among them.
HEADERS = [
    re.compile(r"(\w+-)*(request-?id|trace-?id)|cf-ray"),
    re.compile(r"retry-after(-ms)?|x-should-retry"),
    re.compile(r"(\w+-)*ratelimit(-\w+)*"),
    re.compile(r"openai-(processing-ms|version|model)"),
]
LONGEST_HEADER = 300

# Characters that cannot be seen, or that turn the text around them about; as escapes they are the same JSON.
UNSEEN = re.compile("[\x7f-\x9f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")

BASE64 = re.compile(r"(data:[\w.+-]+/[\w.+-]+;base64,)?[A-Za-z0-9+/_-]{2000,}={0,2}")


class Exchange(Struct, omit_defaults=True):
    """A request and its reply in the API's own form.

    `reply` is the reply's JSON; a streamed one is assembled to what the API would have sent in one piece.
    A call that failed has what came instead: `status`, the headers that matter, and `body` as text.
    `base_url` is empty for the local model, whose address is nobody else's business.
    """

    base_url: str
    path: str  # below the base URL: /chat/completions, /completions, /images/generations
    request: dict[str, Any]
    status: int | None = None
    headers: dict[str, str] = {}
    reply: dict[str, Any] | None = None
    body: str = ""

    @property
    def shown_base_url(self) -> str:
        """The base URL for everybody to see: without what an owner may have put into it for nobody else."""
        return public_url(self.base_url)


def save(
    files: Files, conversation_id: str, answer_id: str, exchanges: list[Exchange], *, durable: bool = True
) -> None:
    """Keep the exchanges of an answer, in place of those that were kept before. Raises OSError."""
    try:
        content = msgspec.json.encode(exchanges)
    except UnicodeEncodeError:
        content = json.dumps(msgspec.to_builtins(exchanges)).encode()  # Half a character, as an escape.
    files.write(conversation_id, exchanges_file(answer_id), content, durable=durable)


def load(files: Files, conversation_id: str, answer_id: str) -> list[Exchange]:
    """Return the exchanges of an answer, the first one first; none where none was recorded."""
    try:
        content = files.read(conversation_id, exchanges_file(answer_id))
    except Unknown:
        return []
    except OSError as error:
        log.error("The exchanges of answer %s cannot be read: %s", answer_id, error.strerror)
        return []
    try:
        return msgspec.convert(_decoded(content), list[Exchange])
    except (ValueError, RecursionError) as error:
        log.error("The exchanges of answer %s cannot be read: %s", answer_id, error)
        return []


def exchanges_file(answer_id: str) -> str:
    """Return the name of the file that keeps the exchanges of an answer."""
    return f"{answer_id}.exchanges.json"


def _decoded(content: bytes) -> Any:
    try:
        return msgspec.json.decode(content)
    except ValueError:
        return json.loads(content)  # Takes half a character, too.


def pretty(value: Any) -> str:
    """Return JSON as people read it: indented by two, in its own order, with every script's characters as they are."""
    try:
        text = msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
    except UnicodeEncodeError:
        text = json.dumps(value, ensure_ascii=False, indent=2)
    return UNSEEN.sub(lambda found: f"\\u{ord(found.group()):04x}", text)


def pretty_body(body: str) -> str:
    """Return the body of a reply as it is, or indented where it is JSON."""
    try:
        return pretty(shortened(_decoded(body.encode())))
    except (ValueError, RecursionError):
        return body


def shortened(value: Any) -> Any:
    """Return JSON with the data of images and sound cut to their beginning and length; everything else as it is."""
    match value:
        case dict():
            return {name: shortened(part) for name, part in value.items()}
        case list():
            return [shortened(part) for part in value]
        case str() if len(value) > 2000 and BASE64.fullmatch(value):
            return f"{value[: value.find(',') + 9]}… ({len(value):,} characters)"
    return value


def in_api_order(reply: Mapping[str, Any]) -> dict[str, Any]:
    """Return an assembled reply with its fields in the order in which the API sends them."""
    ordered = _ordered(reply, REPLY_ORDER)
    if isinstance(choices := ordered.get("choices"), list):
        ordered["choices"] = [_choice(choice) if isinstance(choice, dict) else choice for choice in choices]
    return ordered


def _choice(choice: Mapping[str, Any]) -> dict[str, Any]:
    ordered = _ordered(choice, CHOICE_ORDER)
    if isinstance(message := ordered.get("message"), dict):
        ordered["message"] = _ordered(message, MESSAGE_ORDER)
    return ordered


def _ordered(value: Mapping[str, Any], first: Iterable[str]) -> dict[str, Any]:
    return {name: value[name] for name in first if name in value} | dict(value)


def that_matter(headers: Mapping[str, str], change: Callable[[str], str] = str) -> dict[str, str]:
    """Return the headers of a reply that help: ids, when to try again, rate limits, times; in that order.

    Each value with a change made to it, before it is cut to a length.
    """
    return {
        name: change(value)[:LONGEST_HEADER]
        for kind in HEADERS
        for name, value in headers.items()
        if kind.fullmatch(name.lower())
    }
