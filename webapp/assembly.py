"""A streamed reply put together to what the API would have sent in one piece.

The chunks are joined as they come, so that a long answer costs a few strings and not a list of all its
chunks. At the end the few that are left go through the SDK's own accumulation (`llm.assembled`).
"""

from typing import Any

# What a chunk has only because it is one.
# Texts of a delta that name it, and do not go on.
NAMES = ("type", "id", "format")
OF_CHUNKS = ("choices", "object", "obfuscation", "usage")


class _Choice:
    """What came of one choice: its delta's texts joined, its logprobs, and whatever else, the last of each."""

    def __init__(self) -> None:
        self.texts: dict[str, list[str]] = {}
        self._others: dict[str, Any] = {}  # What of the deltas is no text: tool calls, details; joined, too.
        self.logprobs: dict[str, list[Any]] | None = None
        self.finish_reason: Any = None
        self.rest: dict[str, Any] = {}

    def add(self, choice: dict[str, Any]) -> None:
        for name, value in choice.items():
            if name == "delta":
                self._add_delta(value)
            elif name == "text" and isinstance(value, str):
                self.texts.setdefault("text", []).append(value)
            elif name == "logprobs":
                self._add_logprobs(value)
            elif name == "finish_reason":
                self.finish_reason = value or self.finish_reason
            elif name != "index" and (value is not None or name not in self.rest):
                self.rest[name] = value

    def _add_delta(self, delta: Any) -> None:
        if not isinstance(delta, dict):
            return
        for name, value in delta.items():
            if value is None or (name == "role" and isinstance(value, str)):
                # Some servers repeat the role in every chunk; a null says that there is such a field.
                self.texts.setdefault(name, [value] if value else [])
            elif isinstance(value, str):
                self.texts.setdefault(name, []).append(value)
            else:
                self._others[name] = _joined(self._others.get(name), value)

    def _add_logprobs(self, logprobs: Any) -> None:
        if not isinstance(logprobs, dict):
            return
        self.logprobs = {} if self.logprobs is None else self.logprobs
        for name, value in logprobs.items():
            if isinstance(value, list):
                self.logprobs.setdefault(name, []).extend(value)

    @property
    def others(self) -> dict[str, Any]:
        whole: dict[str, Any] = _with_texts(self._others)
        return whole

    def message(self) -> dict[str, Any]:
        return {name: "".join(parts) if parts else None for name, parts in self.texts.items()}


def _joined(sofar: Any, new: Any) -> Any:
    """Join two deltas of one field: lists by the index of their items, where those have one."""
    if not isinstance(new, list):
        return new
    whole = sofar if isinstance(sofar, list) else []
    for item in new:
        index = item.get("index") if isinstance(item, dict) else None
        same = next((one for one in whole if isinstance(one, dict) and one.get("index") == index), None)
        if index is None or same is None:
            whole.append(item)
        else:
            _extend(same, item)
    return whole


class _Text(list[str]):
    """The parts of a text that goes on with every chunk: joined once, at the end."""


def _with_texts(value: Any) -> Any:
    """Return a field with its texts joined."""
    match value:
        case _Text():
            return "".join(value)
        case dict():
            return {name: _with_texts(part) for name, part in value.items()}
        case list():
            return [_with_texts(part) for part in value]
    return value


def _extend(item: dict[str, Any], delta: dict[str, Any]) -> None:
    """Add a delta to an item of a list: its texts grow, and what names it stays."""
    for name, value in delta.items():
        before = item.get(name)
        if isinstance(value, dict) and isinstance(before, dict):
            _extend(before, value)
        elif isinstance(value, str) and isinstance(before, _Text):
            before.append(value)
        elif isinstance(value, str) and isinstance(before, str) and name not in NAMES:
            item[name] = _Text([before, value])
        elif value is not None:
            item[name] = value


class Assembly:
    """The chunks of one reply, joined."""

    def __init__(self) -> None:
        self.top: dict[str, Any] = {}  # The fields beside the choices, the last of each.
        self.usage: Any = None
        self.is_chat = True
        self._choices: dict[int, _Choice] = {}

    def add(self, chunk: dict[str, Any]) -> None:
        for name, value in chunk.items():
            if name not in OF_CHUNKS and (value or name not in self.top):
                self.top[name] = value
        self.usage = chunk.get("usage") or self.usage
        for choice in chunk.get("choices") or ():
            if isinstance(choice, dict):
                self.is_chat = self.is_chat and "text" not in choice
                index = choice.get("index")
                self._choices.setdefault(index if isinstance(index, int) else 0, _Choice()).add(choice)

    @property
    def choices(self) -> list[tuple[int, _Choice]]:
        return sorted(self._choices.items())

    def chunks(self) -> list[dict[str, Any]]:
        """Return a chat reply as few chunks that mean the same, its choices numbered without a gap."""
        numbered = [choice for _, choice in self.choices]
        first = [
            {"index": index, "delta": choice.message(), "logprobs": choice.logprobs, "finish_reason": None}
            for index, choice in enumerate(numbered)
        ]
        others = [
            {"index": index, "delta": delta, "finish_reason": None}
            for index, choice in enumerate(numbered)
            for delta in [choice.others]
            if delta
        ]
        last = [
            {"index": index, "delta": {}, "finish_reason": choice.finish_reason}
            for index, choice in enumerate(numbered)
        ]
        top = {**self.top, "object": "chat.completion.chunk"}
        return [
            {**top, "choices": first},
            *({**top, "choices": [other]} for other in others),
            {**top, "choices": last, "usage": self.usage},
        ]

    def chat_completion(self, made: list[dict[str, Any]]) -> dict[str, Any]:
        """Return a chat reply, with the messages that the SDK made: of each the fields that really came."""
        choices = []
        for (_, choice), message in zip(self.choices, made, strict=True):
            came = {**choice.message(), **choice.others}
            choices.append({"message": {name: _unparsed(message.get(name, value)) for name, value in came.items()}})
        return self._completed(choices, "chat.completion")

    def completion(self) -> dict[str, Any]:
        """Return a plain completion, for which the SDK has no accumulation."""
        return self._completed(
            [{"text": "".join(choice.texts.get("text", ()))} for _, choice in self.choices], "text_completion"
        )

    def _completed(self, choices: list[dict[str, Any]], kind: str) -> dict[str, Any]:
        """Return the reply around its choices, in the API's order: with whatever else came of each, and beside them."""
        whole = [
            {"index": index, **made, "logprobs": choice.logprobs, "finish_reason": choice.finish_reason} | choice.rest
            for (index, choice), made in zip(self.choices, choices, strict=True)
        ]
        top = self.top
        reply = {name: top[name] for name in ("id",) if name in top} | {"object": kind}
        reply |= {name: top[name] for name in ("created", "model") if name in top} | {"choices": whole}
        if self.usage is not None:
            reply["usage"] = self.usage
        return reply | {name: value for name, value in top.items() if name not in reply}


def _unparsed(value: Any) -> Any:
    """Return a message's field without what the SDK adds to tool calls."""
    if not isinstance(value, list):
        return value
    for one in value:
        if isinstance(one, dict) and isinstance(one.get("function"), dict):
            one["function"].pop("parsed_arguments", None)
    return value
