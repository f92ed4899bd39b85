"""The images of a reply: taken out of its JSON, kept as files."""

import base64
import binascii
import re
from collections.abc import Callable
from typing import Any

from . import links
from .conversation import Picture

# What a file begins with, and the ending that it gets. Everything else is not shown: SVG, for one, can hold scripts.
KINDS = ((b"\x89PNG\r\n\x1a\n", "png"), (b"\xff\xd8\xff", "jpg"), (b"GIF8", "gif"))


def pictures_of(reply: dict[str, Any], answer_id: str, write: Callable[[str, bytes], None]) -> list[Picture]:
    """Write the images of an images reply as files, and return them; in the reply their bytes are cut short.

    An image that came as an address is never fetched: whoever looks at the conversation decides that.
    """
    data = reply.get("data")
    if not isinstance(data, list):
        return []
    pictures = []
    for number, one in enumerate(data, 1):
        if not isinstance(one, dict):
            continue
        url = _text(one, "url")
        picture = Picture(url=links.web(url), revised_prompt=_text(one, "revised_prompt"))
        if url.startswith("data:"):
            one["url"] = f"{url[:60]}… ({len(url):,} characters)"
        if encoded := _text(one, "b64_json") or (url if url.startswith("data:") else ""):
            if "b64_json" in one and len(encoded) > 100:
                one["b64_json"] = f"{encoded[:60]}… ({len(encoded):,} characters)"
            if (content := _decoded(encoded)) and (ending := kind_of(content)):
                picture.file = f"{answer_id}-{number}.{ending}"
                write(picture.file, content)
        pictures.append(picture)
    return pictures


def kind_of(content: bytes) -> str | None:
    """Return the ending for an image's file by what it begins with; None for what is not shown."""
    for beginning, ending in KINDS:
        if content.startswith(beginning):
            return ending
    return "webp" if content[:4] == b"RIFF" and content[8:12] == b"WEBP" else None


def picture_name(prompt: str, number: int, file: str) -> str:
    """Return a name to download an image under: its prompt's first words."""
    words = re.findall(r"\w+", prompt)[:8]
    return f"{'-'.join(words)[:60] or 'image'}-{number}.{file.rpartition('.')[2]}"


def _decoded(encoded: str) -> bytes | None:
    try:
        return base64.b64decode(encoded.partition(",")[2] if encoded.startswith("data:") else encoded)
    except (binascii.Error, ValueError):
        return None


def _text(one: dict[str, Any], name: str) -> str:
    value = one.get(name)
    return value if isinstance(value, str) else ""
