"""What sound is in files and replies: its formats, and what the endpoint's audio models send."""

import json
from typing import Any

from .llm_errors import EmptyAnswer, Garbage, error_in, shown, whole_characters
from .wording import say

# What providers tell an audio file's format by is the ending of its name.
ENDINGS = {
    "audio/aac": "aac",
    "audio/flac": "flac",
    "audio/mp3": "mp3",
    "audio/mp4": "m4a",
    "audio/mpeg": "mp3",
    "audio/ogg": "ogg",
    "audio/opus": "opus",
    "audio/vnd.wave": "wav",
    "audio/wav": "wav",
    "audio/wave": "wav",
    "audio/webm": "webm",
    "audio/x-flac": "flac",
    "audio/x-m4a": "m4a",
    "audio/x-wav": "wav",
    "application/ogg": "ogg",
    "video/mp4": "mp4",
    "video/ogg": "ogg",
    "video/webm": "webm",
}
KNOWN = {*ENDINGS.values(), "mpeg", "mpga", "oga"}


def audio_ending(content: bytes) -> str:
    """Return the ending for an audio file by its first bytes; empty for what is none of the known formats."""
    if content[:4] == b"RIFF" and content[8:12] == b"WAVE":
        return "wav"
    if content[4:8] == b"ftyp":
        return "m4a"
    starts = {b"ID3": "mp3", b"OggS": "ogg", b"fLaC": "flac", b"\x1a\x45\xdf\xa3": "webm"}
    for start, ending in starts.items():
        if content.startswith(start):
            return ending
    if len(content) > 1 and content[0] == 0xFF and content[1] & 0xE0 == 0xE0:
        return "aac" if content[1] & 0x06 == 0 else "mp3"  # layer 0 is ADTS
    return ""


def transcription(content: bytes, content_type: str) -> dict[str, Any]:
    """Return a transcription's JSON, whose `text` is a string; some servers send the mere text. Raises LLMError."""
    text = whole_characters(content)
    if "json" not in content_type:
        if content_type.startswith("text/html"):
            raise Garbage(say("The endpoint sent a web page in place of a transcription: {told}", told=shown(text)))
        return {"text": text}
    try:
        reply = json.loads(text)
    except ValueError:
        reply = None
    if not isinstance(reply, dict) or not isinstance(reply.get("text"), str):
        raise error_in(content) or Garbage(say("The endpoint's transcription has no text: {told}", told=shown(text)))
    return reply


def speech(content: bytes, content_type: str) -> tuple[bytes, str]:
    """Return sound and its type in plain form. Raises LLMError for what is none."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind.startswith("text/") or kind.endswith("json"):
        raise error_in(content) or Garbage(
            say("The endpoint sent no audio: {told}", told=shown(whole_characters(content)))
        )
    if not content:
        raise EmptyAnswer(say("The endpoint sent audio without any sound in it."))
    return content, kind
