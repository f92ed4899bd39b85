"""A request as code that runs as it stands: as a curl command, and as Python with the openai package.

Both take the key from the environment (`OPENAI_API_KEY`). The local model's address is secret and changes
with every start, and so the code of such a request takes the base URL from there, too.
"""

import re
import unicodedata
from collections.abc import Collection
from typing import Any

from .exchange import Exchange, pretty

OPENAI_URL = "https://api.openai.com/v1"
WIDTH = 88  # columns, as Black and Ruff lay code out
LONGEST_ARGUMENT = 100_000  # bytes; Linux takes up to 128 KiB as one argument of a command
# No quotes and no signs in it: an interactive zsh takes a comment for a command.
SET_FIRST = "# Set OPENAI_BASE_URL and OPENAI_API_KEY first, the local model keeps its own secret\n"

METHODS = {
    "/chat/completions": "chat.completions.create",
    "/completions": "completions.create",
    "/images/generations": "images.generate",
    "/audio/speech": "audio.speech.create",
}
# The text of a choice, in a whole reply and in a chunk of a streamed one.
TEXTS = {"/chat/completions": ("message.content", "delta.content"), "/completions": ("text", "text")}

PRINT_CHOICES = """\
for choice in reply.choices:
    print(choice.{text})
"""
PRINT_STREAM = """\
for chunk in stream:
    if chunk.choices:
        print(chunk.choices[0].{text} or "", end="", flush=True)
print()
"""
PRINT_STREAMED_CHOICES = """\
texts = {{}}
for chunk in stream:
    for choice in chunk.choices:
        texts[choice.index] = texts.get(choice.index, "") + (choice.{text} or "")
for text in texts.values():
    print(text)
"""
SAVE_IMAGES = """\
for number, image in enumerate(reply.data, 1):
    if image.b64_json:
        with open(f"image-{{number}}.{suffix}", "wb") as file:
            file.write(base64.b64decode(image.b64_json))
        print(file.name)
    else:
        print(image.url)
"""
SAVE_SPEECH = """\
reply.write_to_file("speech.{suffix}")
"""


def curl(exchange: Exchange) -> str:
    """Return a request as a command for any POSIX shell."""
    base_url = exchange.shown_base_url
    address = _quoted(base_url + exchange.path) if base_url else f'"$OPENAI_BASE_URL{exchange.path}"'
    parts = [
        f"curl {'-N ' if exchange.request.get('stream') else ''}{address}",
        '-H "Authorization: Bearer $OPENAI_API_KEY"',
        '-H "Content-Type: application/json"',
    ]
    if exchange.path == "/audio/speech":
        parts.append(f"-o speech.{_suffix(exchange.request, 'response_format', 'mp3')}")
    body = pretty(exchange.request)
    quoted = _quoted(body)
    # JSON has no line that is the word alone: its strings hold no line ends, and its other lines are indented.
    fits = len(quoted.encode()) <= LONGEST_ARGUMENT
    parts.append(f"-d {quoted}" if fits else f"-d @- <<'JSON'\n{body}\nJSON")
    return ("" if base_url else SET_FIRST) + " \\\n  ".join(parts) + "\n"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", r"'\''") + "'"


def python(exchange: Exchange, known: Collection[str]) -> str:
    """Return a request as a program; `known` are the fields that the SDK's method takes by name."""
    base_url = exchange.shown_base_url
    imports, arguments = "", f"base_url={literal(base_url)}"
    if exchange.path == "/images/generations":
        imports = "import base64\n"
    if base_url == OPENAI_URL:
        arguments = ""
    if not base_url:
        imports += "import os\n"
        arguments = 'base_url=os.environ["OPENAI_BASE_URL"]'
    return (
        ("" if base_url else SET_FIRST)
        + (f"{imports}\n" if imports else "")
        + f"from openai import OpenAI\n\nclient = OpenAI({arguments})\n\n"
        + _call(exchange, known)
        + _use(exchange)
    )


def _call(exchange: Exchange, known: Collection[str]) -> str:
    request = exchange.request
    arguments = {name: value for name, value in request.items() if name in known}
    if extra := {name: value for name, value in request.items() if name not in known}:
        arguments["extra_body"] = extra
    lines = [f"    {name}={literal(value, 4, len(name) + 2)},\n" for name, value in arguments.items()]
    method = METHODS.get(exchange.path)
    if method is None:
        body = f"    body={literal(request, 4, 6)},\n"
        method, lines = "post", [f"    {literal(exchange.path)},\n", body, "    cast_to=object,\n"]
    return f"{'stream' if request.get('stream') else 'reply'} = client.{method}(\n{''.join(lines)})\n"


def _use(exchange: Exchange) -> str:
    """Return the lines that print a reply, or save what it holds."""
    request, streams = exchange.request, bool(exchange.request.get("stream"))
    if exchange.path in TEXTS:
        whole, piece = TEXTS[exchange.path]
        if not streams:
            return PRINT_CHOICES.format(text=whole)
        several = request.get("n") not in (None, 1)
        return (PRINT_STREAMED_CHOICES if several else PRINT_STREAM).format(text=piece)
    if exchange.path == "/images/generations" and not streams:
        return SAVE_IMAGES.format(suffix=_suffix(request, "output_format", "png"))
    if exchange.path == "/audio/speech":
        return SAVE_SPEECH.format(suffix=_suffix(request, "response_format", "mp3"))
    return "for event in stream:\n    print(event)\n" if streams else "print(reply)\n"


def _suffix(request: dict[str, Any], name: str, default: str) -> str:
    value = request.get(name, default)
    # It goes into code without quotes.
    return value if isinstance(value, str) and re.fullmatch("[a-z0-9]{1,5}", value) else default


def literal(value: Any, indent: int = 0, used: int = 0) -> str:
    """Return JSON's values as Python, laid out as Black does.

    The first line stands behind `indent` spaces and `used` more columns, which include what follows it.
    """
    flat = _flat(value, WIDTH - indent - used)
    if flat is not None:
        return flat
    inner, end = " " * (indent + 4), " " * indent
    match value:
        case dict() if value:
            names = {_string(key): part for key, part in value.items()}
            items = [f"{name}: {literal(part, indent + 4, _columns(name) + 3)}" for name, part in names.items()]
            return "{\n" + "".join(f"{inner}{item},\n" for item in items) + end + "}"
        case list() if value:
            return "[\n" + "".join(f"{inner}{literal(part, indent + 4, 1)},\n" for part in value) + end + "]"
        case str() if "\n" in value[:-1]:
            return "(\n" + "".join(f"{inner}{_string(line)}\n" for line in _lines(value)) + end + ")"
        case str():
            return _string(value)
    return repr(value)


def _flat(value: Any, room: int) -> str | None:
    """Return a value on one line, or None where the line is too short for it; looks no further than it must."""
    match value:
        case str():
            if len(value) > room:
                return None
            text = _string(value)
        case dict() | list():
            parts, left = [], room
            for item in value.items() if isinstance(value, dict) else value:
                key, part = item if isinstance(value, dict) else (None, item)
                name = "" if key is None else f"{_string(key)}: "
                flat = _flat(part, left)
                if flat is None or (left := left - len(name) - len(flat)) < 0:
                    return None
                parts.append(name + flat)
            text = ", ".join(parts)
            text = f"{{{text}}}" if isinstance(value, dict) else f"[{text}]"
        case _:
            text = repr(value)
    return text if _columns(text) <= room else None


def _columns(text: str) -> int:
    return len(text) if text.isascii() else sum(1 + (unicodedata.east_asian_width(sign) in "WF") for sign in text)


def _lines(text: str) -> list[str]:
    lines = [f"{line}\n" for line in text.split("\n")]
    return [*lines[:-1], lines[-1][:-1]] if lines[-1] != "\n" else lines[:-1]


def _string(text: str) -> str:
    """Return a string literal; JSON's own escapes mean the same in Python."""
    escaped = pretty(text)
    if text.count('"') <= text.count("'"):
        return escaped
    return "'" + escaped[1:-1].replace(r"\"", '"').replace("'", r"\'") + "'"
