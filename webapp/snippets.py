"""A request as code that runs as it stands: as a curl command, and as Python with the openai package.

Both take the key from the environment (`OPENAI_API_KEY`). The local model's address is secret and changes
with every start, and so the code of such a request takes the base URL from there, too.
"""

import re
from collections.abc import Collection
from typing import Any

from .exchange import Exchange, pretty
from .python_text import literal

OPENAI_URL = "https://api.openai.com/v1"
LONGEST_ARGUMENT = 100_000  # bytes; Linux takes up to 128 KiB as one argument of a command
# No quotes and no signs in it: an interactive zsh takes a comment for a command.
SET_FIRST = "# Set OPENAI_BASE_URL and OPENAI_API_KEY first, the local model keeps its own secret\n"

METHODS = {
    "/chat/completions": "chat.completions.create",
    "/completions": "completions.create",
    "/images/generations": "images.generate",
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


def curl(exchange: Exchange) -> str:
    """Return a request as a command for any POSIX shell."""
    base_url = exchange.shown_base_url
    address = _quoted(base_url + exchange.path) if base_url else f'"$OPENAI_BASE_URL{exchange.path}"'
    parts = [
        f"curl {'-N ' if exchange.request.get('stream') else ''}{address}",
        '-H "Authorization: Bearer $OPENAI_API_KEY"',
        '-H "Content-Type: application/json"',
    ]
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
        return SAVE_IMAGES.format(suffix=_image_ending(request))
    return "for event in stream:\n    print(event)\n" if streams else "print(reply)\n"


def _image_ending(request: dict[str, Any]) -> str:
    value = request.get("output_format")
    # It goes into code without quotes.
    return value if isinstance(value, str) and re.fullmatch("[a-z0-9]{1,5}", value) else "png"
