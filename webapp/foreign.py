"""The exports of other programs: ChatGPT's, Open WebUI's, and a plain list of messages.

What is known of the formats is from files and programs that read them: a ChatGPT conversation is a tree in
`mapping` whose branch that counts ends in `current_node`; an Open WebUI chat is one in `history.messages`,
ending in `currentId`.
"""

import html
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

from .candidate import NO_TEXT, Candidate, Line, mapping, moment, one_line, sequence, text, turns_of
from .conversation import Status

# What ChatGPT writes of its own accord around an answer, and shows to nobody.
INTERNAL = ("user_editable_context", "model_editable_context", "reasoning_recap", "app_pairing_content")
# Its citations and links stand in the text between signs of Unicode's private area.
CITATION = re.compile("\ue200[^\ue200\ue201]*\ue201")
ENDINGS: dict[str, tuple[Status, str | None]] = {"max_tokens": ("done", "length"), "interrupted": ("stopped", None)}

REASONING = '<details type="reasoning"'
TOOL_CALLS = '<details type="tool_calls"'


def chatgpt(conversation: dict[str, Any]) -> Candidate:
    """Return the branch of a ChatGPT conversation that its page shows."""
    nodes = {name: mapping(node) for name, node in mapping(conversation.get("mapping")).items()}
    skipped: Counter[str] = Counter()
    branch = _branch(nodes, _last_node(nodes, conversation.get("current_node")), "parent")
    lines = [line for name in branch for line in _said(mapping(nodes[name].get("message")), skipped)]
    others = [mapping(nodes[name].get("message")) for name in nodes.keys() - set(branch)]
    skipped["version"] += sum(bool(line.text) for message in others for line in _said(message, Counter()))
    return Candidate(
        title=one_line(conversation.get("title")),
        created=moment(conversation.get("create_time")) or 0.0,
        turns=turns_of(lines, skipped),
        skipped=dict(+skipped),
    )


def _last_node(nodes: dict[str, dict[str, Any]], current: Any) -> str:
    """Return the node that a conversation ends with: the one that it names, or else its newest."""
    if isinstance(current, str) and current in nodes:
        return current
    created = {name: moment(mapping(node.get("message")).get("create_time")) or 0 for name, node in nodes.items()}
    return max(created, key=lambda name: created[name], default="")


def _branch(nodes: dict[str, dict[str, Any]], last: Any, parent: str) -> list[str]:
    """Return the ids from the root of a tree to its node `last`."""
    names: dict[str, None] = {}
    while isinstance(last, str) and last in nodes and last not in names:
        names[last] = None
        last = nodes[last].get(parent)
    return list(names)[::-1]


def _said(message: dict[str, Any], skipped: Counter[str]) -> Iterator[Line]:
    """Yield what a ChatGPT message says to the other side, if it does."""
    role = mapping(message.get("author")).get("role")
    content, metadata = mapping(message.get("content")), mapping(message.get("metadata"))
    kind = content.get("content_type")
    said = _parts(content, skipped)
    if role == "user" and not said.strip():
        said = NO_TEXT if any(mapping(part) for part in sequence(content.get("parts"))) else ""
    if kind == "thoughts" and role == "assistant":
        yield Line("assistant", "", reasoning=_thoughts(content))
    elif metadata.get("is_visually_hidden_from_conversation") is True or kind in INTERNAL:
        skipped["hidden"] += kind != "reasoning_recap"
    elif role == "system":
        skipped["system"] += bool(said)
    elif role == "tool" or message.get("recipient") not in (None, "all"):
        skipped["tool"] += 1
    elif role not in ("user", "assistant") or kind not in ("text", "multimodal_text", "code"):
        skipped["unknown"] += bool(message)
    elif said:
        finish = mapping(metadata.get("finish_details")).get("type")
        status, reason = ENDINGS.get(str(finish), ("done", "stop"))
        model = one_line(metadata.get("model_slug"))
        yield Line(str(role), said, "", model, moment(message.get("create_time")), status, reason)


def _parts(content: dict[str, Any], skipped: Counter[str]) -> str:
    texts = [text(content.get("text"))]
    for part in sequence(content.get("parts")):
        found = text(part) or text(mapping(part).get("text"))
        texts.append(found)
        skipped["attachment"] += isinstance(part, dict) and not found
    return CITATION.sub("", "\n\n".join(filter(None, texts)))


def _thoughts(content: dict[str, Any]) -> str:
    thoughts = [mapping(one) for one in sequence(content.get("thoughts"))]
    pieces = [text(one.get("summary")) for one in thoughts], [text(one.get("content")) for one in thoughts]
    return "\n\n".join(piece for pair in zip(*pieces, strict=True) for piece in pair if piece)


def open_webui(record: dict[str, Any]) -> Candidate:
    """Return the branch of an Open WebUI chat that its page shows; `record` may be the chat itself."""
    chat = mapping(record.get("chat")) or record
    history = mapping(chat.get("history"))
    nodes = {name: mapping(node) for name, node in mapping(history.get("messages")).items()}
    branch = _branch(nodes, history.get("currentId"), "parentId")
    skipped: Counter[str] = Counter()
    # Early versions have the list alone; it holds the same branch in later ones.
    shown = [nodes[name] for name in branch] or [mapping(one) for one in sequence(chat.get("messages"))]
    if branch:
        skipped["version"] = len(nodes) - len(branch)
    prompt = text(mapping(chat.get("params")).get("system")) or text(chat.get("system"))
    return Candidate(
        title=one_line(chat.get("title") or record.get("title")),
        created=moment(record.get("created_at")) or moment(chat.get("timestamp")) or 0.0,
        turns=turns_of([line for message in shown for line in _of_webui(message, skipped)], skipped),
        parameters={"system_prompt": prompt} if prompt else {},
        skipped=dict(+skipped),
    )


def _of_webui(message: dict[str, Any], skipped: Counter[str]) -> Iterator[Line]:
    skipped["attachment"] += len(sequence(message.get("files")))
    for line in plain(message, skipped):
        said, reasoning = _unfolded(line.text, REASONING)
        said, calls = _unfolded(said, TOOL_CALLS)
        skipped["tool"] += bool(calls)
        time = moment(message.get("timestamp"))
        yield line._replace(text=said, reasoning=reasoning or line.reasoning, time=time)


def _unfolded(said: str, opening: str) -> tuple[str, str]:
    """Return a text without the folded blocks that begin with `opening`, and what stood in those."""
    rest, inside, position = [], [], 0
    while (start := said.find(opening, position)) >= 0 and (end := said.find("</details>", start)) >= 0:
        rest.append(said[position:start])
        inside.append(said[said.find(">", start) + 1 : end].partition("</summary>")[2] or said[start:end])
        position = end + len("</details>")
    rest.append(said[position:])
    lines = html.unescape("".join(inside)).strip().split("\n") if inside else []
    return "".join(rest).strip("\n"), "\n".join(re.sub("^> ?", "", line) for line in lines)


def message_list(messages: list[Any]) -> Candidate:
    """Return the conversation of a list of messages as the API takes it."""
    skipped: Counter[str] = Counter()
    lines: list[Line] = []
    prompts: list[str] = []
    for message in map(mapping, messages):
        said = list(plain(message, skipped))
        lines += [line for line in said if line.role != "system"]
        prompts += [line.text for line in said if line.role == "system"]
    prompt = "\n\n".join(prompts)
    parameters = {"system_prompt": prompt} if prompt else {}
    return Candidate(turns=turns_of(lines, skipped), parameters=parameters, skipped=dict(+skipped))


def plain(message: dict[str, Any], skipped: Counter[str]) -> Iterator[Line]:
    """Yield what a message of the API's form says, with `system` for the developer's role, too."""
    role, content = message.get("role"), message.get("content")
    said = text(content)
    for part in map(mapping, sequence(content)):
        found = text(part.get("text"))
        said = "\n\n".join(filter(None, (said, found)))
        skipped["attachment"] += not found
    if role == "user" and not said.strip():
        said = NO_TEXT if sequence(content) or sequence(message.get("files")) else ""
    if role in ("tool", "function"):
        skipped["tool"] += 1
    elif role not in ("user", "assistant", "system", "developer"):
        skipped["unknown"] += 1
    elif said:
        reasoning = text(message.get("reasoning_content")) or text(message.get("reasoning"))
        name = "system" if role == "developer" else str(role)
        yield Line(name, said, reasoning, one_line(message.get("model")), None, "done", "stop")
    elif role == "assistant":
        skipped["tool"] += bool(sequence(message.get("tool_calls")))
