"""A conversation as a Jupyter notebook (nbformat 4.5): each question a cell that asks it, its answer the output."""

from collections.abc import Collection
from typing import Any

from .config import public_url
from .conversation import Answer, Conversation, Mode, Turn
from .exchange import pretty
from .export import Sending, Words, messages, title
from .python_text import LAID_OUT, literal
from .wording import plain, say

RESOURCES = {"chat": "chat.completions.create", "completion": "completions.create", "image": "images.generate"}
# The cells wait for the whole answer, and say themselves which model and which messages.
OWN = ("model", "messages", "prompt", "stream", "stream_options")

LOCAL = say(
    "# Parley's local model answers nobody else. Name an endpoint that has the model below, or one of its own:\n"
    '# OpenAI(base_url="http://localhost:11434/v1") for Ollama; without base_url it is OpenAI\'s.'
)
SHOWS = say("Write the images of a reply into this folder, or print their addresses.")
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


def to_notebook(conversation: Conversation, sending: Sending, known: Collection[str], in_words: Words = plain) -> bytes:
    """Return the notebook as JSON. After its first cell each of its cells runs on its own.

    `known` are the fields that the SDK's method takes by name; all else goes into `extra_body`. `in_words` says a
    sentence in somebody's language.
    """
    fields = _fields(sending, known)
    cells = [_cell("setup", _setup(conversation, sending, in_words), [])]
    sent = {turn.id for turn in conversation.history()}
    first = before = 1 if sending.system_prompt else 0
    for number, turn in enumerate(conversation.turns, 1):
        source = _question(
            conversation.mode, turn, in_words(_heading(turn, number)), number, first if turn.single else before, fields
        )
        cells.append(_cell(f"turn-{turn.id}", source, _outputs(turn, in_words)))
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
    return pretty(document).encode() + b"\n"


def _cell(name: str, source: str, outputs: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "cell_type": "code",
        "execution_count": None,
        "id": name,
        "metadata": {},
        "outputs": outputs,
        "source": _text(source),
    }


def _setup(conversation: Conversation, sending: Sending, in_words: Words) -> str:
    lines = [f"# {title(conversation, in_words)}", in_words(say("# The package, once: %pip install openai"))]
    if conversation.mode == "image":
        lines += ["import base64", "from pathlib import Path", ""]
    lines += ["from openai import OpenAI", ""]
    lines.append(in_words(say("# The key comes from the environment variable OPENAI_API_KEY.")))
    if sending.base_url:
        lines.append(f"client = OpenAI(base_url={literal(public_url(sending.base_url))})")
    else:
        lines += [
            in_words(LOCAL),
            "client = OpenAI()",
        ]
    lines.append(f"model = {literal(sending.model)}")
    if conversation.mode == "chat":
        history = literal(messages(conversation, sending.system_prompt), 0, 11)
        lines += [
            "",
            in_words(say("# The whole history; Parley sends less of it where a context window is too small.")),
        ]
        lines.append(f"messages = {history}")
    if conversation.mode == "image":
        lines.append(SHOW.rstrip().replace(SHOWS, in_words(SHOWS)) % sending.fields.get("output_format", "png"))
    return "\n".join(lines)


def _fields(sending: Sending, known: Collection[str]) -> dict[str, Any]:
    """Return the arguments of a call beside model and question; what the SDK does not know is one of them."""
    fields = {name: value for name, value in sending.fields.items() if name not in OWN}
    extra = {name: fields.pop(name) for name in list(fields) if name not in known}
    return fields | ({"extra_body": extra} if extra else {})


def _question(mode: Mode, turn: Turn, heading: str, number: int, before: int, fields: dict[str, Any]) -> str:
    """Return the cell of a question; `before` of the messages go with it."""
    arguments = ["model=model"]
    if mode != "chat":
        arguments.append("prompt=question")
    else:
        history = f"messages[:{before}] + " if before else ""
        arguments.append(f'messages={history}[{{"role": "user", "content": question}}]')
    arguments += [f"{name}={literal(value, 4, len(name) + 2)}" for name, value in fields.items()]
    call = "".join(f"    {argument},\n" for argument in arguments)
    return (
        f"{heading}\n"
        f"question = {literal(turn.question, 0, 11)}\n\n"
        f"reply = client.{RESOURCES[mode]}(\n{call})\n"
        f"{_print(mode, number, many=fields.get('n', 1) != 1)}"
    )


def _heading(turn: Turn, number: int) -> str:
    if turn.single and turn.left_out:
        return say(
            "# Question {number}, on its own, without the conversation before it, "
            "left out of what later questions send",
            number=number,
        )
    if turn.single:
        return say("# Question {number}, on its own, without the conversation before it", number=number)
    if turn.left_out:
        return say("# Question {number}, left out of what later questions send", number=number)
    return say("# Question {number}", number=number)


def _print(mode: str, number: int, *, many: bool) -> str:
    if mode == "image":
        return f'show(reply, "image-{number}")'
    text = "message.content" if mode == "chat" else "text"
    return f"for choice in reply.choices:\n    print(choice.{text})" if many else f"print(reply.choices[0].{text})"


def _outputs(turn: Turn, in_words: Words) -> list[dict[str, Any]]:
    answer = turn.answer
    outputs = [_stream("stdout", printed)] if (printed := _printed(answer)) else []
    if answer.failure:
        outputs.append(_stream("stderr", f"{in_words(answer.failure.sentence)}\n"))
    return outputs


def _printed(answer: Answer) -> str:
    """Return what the cell would have printed."""
    if answer.pictures:
        return "".join(f"{picture.url or picture.file}\n" for picture in answer.pictures)
    choices = [answer.text if index == answer.kept else choice for index, choice in enumerate(answer.choices)]
    return "".join(f"{text}\n" for text in choices or [answer.text] if text)


def _stream(name: str, text: str) -> dict[str, Any]:
    return {"name": name, "output_type": "stream", "text": _text(text)}


def _text(text: str) -> str | list[str]:
    """Return a text as a notebook holds it: line by line, or in one piece where that would be very many."""
    return text.splitlines(keepends=True) if len(text) <= LAID_OUT else text
