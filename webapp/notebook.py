"""A conversation as a Jupyter notebook (nbformat 4.5): each question a cell that asks it, its answer the output."""

import json
from typing import Any

from .conversation import Answer, Conversation, Turn
from .export import Sending, messages, public_url, title

WIDTH = 100
RESOURCES = {"chat": "chat.completions.create", "completion": "completions.create", "image": "images.generate"}

# What the openai package takes as arguments of their own; all else goes into `extra_body`.
WRITTEN = {"frequency_penalty", "logit_bias", "logprobs", "max_tokens", "n", "presence_penalty", "seed", "stop"}
WRITTEN |= {"temperature", "top_p", "user"}
ARGUMENTS = {
    "chat": WRITTEN | {"max_completion_tokens", "reasoning_effort", "response_format", "top_logprobs", "verbosity"},
    "completion": WRITTEN | {"best_of", "echo", "suffix"},
    "image": {"background", "moderation", "n", "output_format", "quality", "response_format", "size", "style", "user"},
}
# The cells wait for the whole answer, and say themselves which model and which messages.
OWN = ("model", "messages", "prompt", "stream", "stream_options")

# Written as they are, although Python calls them unprintable: Chinese paragraphs and emoji are made with them.
READABLE = "\u3000\u200d"

SHOW = '''
def show(reply, name):
    """Write the images of a reply into this folder, or print their addresses."""
    for number, image in enumerate(reply.data, 1):
        if image.b64_json:
            path = Path(f"{name}-{number}.%s")
            path.write_bytes(base64.b64decode(image.b64_json))
            print(path)
        else:
            print(image.url)
'''


def to_notebook(conversation: Conversation, sending: Sending) -> bytes:
    """Return the notebook as JSON. After its first cell each of its cells runs on its own."""
    cells = [_cell("setup", _setup(conversation, sending), [])]
    sent = {turn.id for turn in conversation.history()}
    before = 1 if sending.system_prompt else 0
    for number, turn in enumerate(conversation.turns, 1):
        cells.append(_cell(f"turn-{turn.id}", _question(conversation, sending, turn, number, before), _outputs(turn)))
        before += 2 if turn.id in sent else 0
    document = {
        "cells": cells,
        "metadata": {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return json.dumps(document, ensure_ascii=False, indent=1).encode() + b"\n"


def _cell(name: str, source: str, outputs: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "cell_type": "code",
        "execution_count": None,
        "id": name,
        "metadata": {},
        "outputs": outputs,
        "source": source.splitlines(keepends=True),
    }


def _setup(conversation: Conversation, sending: Sending) -> str:
    lines = [f"# {title(conversation)}", "# The package, once: %pip install openai"]
    if conversation.mode == "image":
        lines += ["import base64", "from pathlib import Path", ""]
    lines += ["from openai import OpenAI", "", "# The key comes from the environment variable OPENAI_API_KEY."]
    if sending.base_url:
        lines.append(f"client = OpenAI(base_url={literal(public_url(sending.base_url))})")
    else:
        lines += [
            "# Parley's local model answers nobody else. Name an endpoint that has the model below, or one of its own:",
            '# OpenAI(base_url="http://localhost:11434/v1") for Ollama; without base_url it is OpenAI\'s.',
            "client = OpenAI()",
        ]
    lines.append(f"model = {literal(sending.model)}")
    if conversation.mode == "chat":
        history = literal(messages(conversation, sending.system_prompt))
        lines += ["", "# The whole conversation, as it would be sent with the next question.", f"messages = {history}"]
    if conversation.mode == "image":
        lines.append(SHOW.rstrip() % sending.fields.get("output_format", "png"))
    return "\n".join(lines)


def _question(conversation: Conversation, sending: Sending, turn: Turn, number: int, before: int) -> str:
    """Return the cell of a question; `before` of the messages go with it."""
    mode = conversation.mode
    arguments = ["model=model"]
    if mode != "chat":
        arguments.append("prompt=question")
    else:
        if turn.single:
            before = 1 if sending.system_prompt else 0
        history = f"messages[:{before}] + " if before else ""
        arguments.append(f'messages={history}[{{"role": "user", "content": question}}]')
    fields = {name: value for name, value in sending.fields.items() if name not in OWN}
    extra = {name: fields.pop(name) for name in list(fields) if name not in ARGUMENTS[mode]}
    arguments += [f"{name}={literal(value, 4)}" for name, value in fields.items()]
    if extra:
        arguments.append(f"extra_body={literal(extra, 4)}")
    call = "".join(f"    {argument},\n" for argument in arguments)
    return (
        f"{_heading(turn, number)}\n"
        f"question = {literal(turn.question)}\n\n"
        f"reply = client.{RESOURCES[mode]}(\n{call})\n"
        f"{_print(mode, number, many=fields.get('n', 1) != 1)}"
    )


def _heading(turn: Turn, number: int) -> str:
    notes = [f"# Question {number}"]
    if turn.single:
        notes.append("on its own, without the conversation before it")
    if turn.left_out:
        notes.append("left out of what later questions send")
    return ", ".join(notes)


def _print(mode: str, number: int, *, many: bool) -> str:
    if mode == "image":
        return f'show(reply, "image-{number}")'
    text = "message.content" if mode == "chat" else "text"
    return f"for choice in reply.choices:\n    print(choice.{text})" if many else f"print(reply.choices[0].{text})"


def _outputs(turn: Turn) -> list[dict[str, Any]]:
    answer = turn.answer
    outputs = [_stream("stdout", printed)] if (printed := _printed(answer)) else []
    if answer.failure:
        outputs.append(_stream("stderr", f"{answer.failure.message}\n"))
    return outputs


def _printed(answer: Answer) -> str:
    """Return what the cell would have printed."""
    if answer.pictures:
        return "".join(f"{picture.url or picture.file}\n" for picture in answer.pictures)
    choices = [answer.text if index == answer.kept else choice for index, choice in enumerate(answer.choices)]
    return "".join(f"{text}\n" for text in choices or [answer.text] if text)


def _stream(name: str, text: str) -> dict[str, Any]:
    return {"name": name, "output_type": "stream", "text": text.splitlines(keepends=True)}


def literal(value: Any, indent: int = 0) -> str:
    """Return a value of JSON as Python source, over several lines where one is too long.

    `indent` is how far the line that it begins on is indented.
    """
    if isinstance(value, str):
        return _string(value, indent)
    if isinstance(value, dict):
        opening, closing = "{", "}"
        items = [f"{_quoted(str(name))}: {literal(one, indent + 4)}" for name, one in value.items()]
    elif isinstance(value, list):
        opening, closing = "[", "]"
        items = [literal(one, indent + 4) for one in value]
    else:
        return repr(value)
    line = f"{opening}{', '.join(items)}{closing}"
    if len(line) + indent <= WIDTH and "\n" not in line:
        return line
    pad = " " * indent
    return "\n".join([opening, *(f"{pad}    {item}," for item in items), f"{pad}{closing}"])


def _string(text: str, indent: int) -> str:
    lines = text.split("\n")
    pieces = [_quoted(f"{line}\n") for line in lines[:-1]]
    if lines[-1] or not pieces:
        pieces.append(_quoted(lines[-1]))
    if len(pieces) == 1:
        return pieces[0]
    pad = " " * indent
    return "\n".join(["(", *(f"{pad}    {piece}" for piece in pieces), f"{pad})"])


def _quoted(text: str) -> str:
    # JSON's escapes are Python's, too; what nobody can see in the source is escaped as well.
    source = json.dumps(text, ensure_ascii=False)
    if source.isprintable():
        return source
    return "".join(sign if sign.isprintable() or sign in READABLE else f"\\U{ord(sign):08x}" for sign in source)
