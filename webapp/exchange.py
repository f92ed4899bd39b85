"""One request to an endpoint and its reply, as they are kept beside an answer and shown under it."""

from typing import Any

from msgspec import Struct


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
