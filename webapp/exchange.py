"""One request to an endpoint and its reply, as they are kept beside an answer and shown under it."""

import re
from collections.abc import Mapping
from typing import Any

from msgspec import Struct

MATTER = re.compile(
    r"(x-)?(\w+-)?request-id|cf-ray|retry-after(-ms)?|x-ratelimit-.*|ratelimit.*|x-should-retry|openai-.*",
    re.IGNORECASE,
)


class Exchange(Struct, omit_defaults=True):
    """A request and its reply in the API's own form.

    `reply` is the reply's JSON; a streamed one is assembled to what the API would have sent in one piece.
    A call that failed has what came instead: `status`, the headers that matter, and `body` as text.
    """

    base_url: str
    path: str  # below the base URL: /chat/completions, /completions, /images/generations
    request: dict[str, Any]
    status: int | None = None
    headers: dict[str, str] = {}
    reply: dict[str, Any] | None = None
    body: str = ""


def that_matter(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers of a reply that help: ids, rate limits, when to try again."""
    return {name: value for name, value in headers.items() if MATTER.fullmatch(name)}


def exchanges_file(answer_id: str) -> str:
    """Return the name of the file that keeps the exchanges of an answer."""
    return f"{answer_id}.exchanges.json"
