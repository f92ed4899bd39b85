"""What is sent for a turn: path and body of a request, in every mode."""

import re
from collections.abc import Collection
from typing import Any

from msgspec import Struct

from .conversation import Conversation, Message, Mode, Turn
from .llm_errors import LLMError
from .parameters import request_fields

PATHS: dict[Mode, str] = {
    "chat": "/chat/completions",
    "completion": "/completions",
    "image": "/images/generations",
}

# Without these there is no request; everything else can be done without.
NEEDED = ("model", "messages", "prompt", "stream")
# What Parley adds of its own accord, where the endpoint lets it.
ADDED = ("stream_options", "prompt_cache_key", "response_format")


class Request(Struct):
    """One request to an endpoint."""

    path: str
    body: dict[str, Any]


def chat(conversation: Conversation, turn: Turn, model: str, messages: list[Message]) -> Request:
    return Request(PATHS["chat"], {"model": model, "messages": messages} | _fields(conversation, turn, model))


def completion(conversation: Conversation, turn: Turn, model: str) -> Request:
    body = {"model": model, "prompt": turn.whole_text} | _fields(conversation, turn, model)
    if turn.answer.text:
        body.pop("echo", None)  # It would repeat what is there already.
    return Request(PATHS["completion"], body)


def image(conversation: Conversation, turn: Turn, model: str) -> Request:
    body = {"model": model, "prompt": turn.question}
    if not re.search("gpt-image|chatgpt-image", model):  # Those know no other form, and do not take the field.
        body["response_format"] = "b64_json"
    return Request(PATHS["image"], body | request_fields("image", conversation.parameters, model))


def _fields(conversation: Conversation, turn: Turn, model: str) -> dict[str, Any]:
    fields = request_fields(conversation.mode, conversation.parameters, model)
    if turn.answer.text:
        fields.pop("n", None)  # There is one text to go on with.
    if conversation.parameters.get("stream", True):
        fields |= {"stream": True, "stream_options": {"include_usage": True}}
    return fields


def without(request: Request, error: LLMError) -> str | None:
    """Take out of a request the parameter that the provider named as unsupported, and return its name.

    None where it named none that could be done without.
    """
    for name in error.parameters:
        if name not in request.body or name in NEEDED:
            continue
        if name == "max_tokens" and "max_completion_tokens" in str(error):
            request.body = {_renamed(key): value for key, value in request.body.items()}
        else:
            request.body = {key: value for key, value in request.body.items() if key != name}
        return name
    return None


def _renamed(name: str) -> str:
    return "max_completion_tokens" if name == "max_tokens" else name


def added(conversation: Conversation, request: Request) -> set[str]:
    """Return the names of what is in a request of Parley's own accord, and not because it was set."""
    return set(ADDED) - set(request_fields(conversation.mode, conversation.parameters, request.body["model"]))


def leave_out(request: Request, names: Collection[str]) -> None:
    """Take out of a request what is known to be refused."""
    request.body = {name: value for name, value in request.body.items() if name not in names}
