"""From the bytes of a file to the conversations in it: Parley's own export, and those of other programs."""

import re
import zipfile
from collections import Counter
from io import BytesIO
from operator import attrgetter
from typing import Any, NamedTuple

from .candidate import BadImport, Candidate, Packed, TooLarge, mapping, packed
from .exported import exported
from .foreign import chatgpt, message_list, open_webui
from .json_file import TOO_MANY, check_together, entries, opened
from .pausing import Pause
from .wording import say

# A long history comes in several files of one archive.
IN_ARCHIVE = re.compile(r"(?:.*/)?conversations(?:-[0-9]{1,6})?\.json")
# Of these, zipfile unpacks no more than was asked for; of the others all that a few bytes may stand for, at once.
BOUNDED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
AT_ONCE = 2**20  # bytes
MOST_FILES = 1_000  # of one archive
# Of a whole file: a question of one character, and its answer, take a thousand bytes of memory.
MOST_TURNS = 50_000
MOST_ENTRIES = 100_000
UNKNOWN = say(
    "This is JSON, but nothing that Parley can import. It takes Parley's own export, those of ChatGPT "
    "(conversations.json, or the whole .zip) and Open WebUI, and a list of messages as the API takes it."
)
EMPTY = say("There is no conversation in this file.")


class Found(NamedTuple):
    """What a file holds. `skipped` counts what is in none of the candidates, by the names of KINDS."""

    packed: list[Packed]
    skipped: Counter[str]


def read(content: bytes, limit: int) -> Found:
    """Return every conversation in a file, unpacked no larger than `limit` bytes. Raises BadImport and TooLarge."""
    if len(content) > limit:
        raise TooLarge(say("The file is larger than {limit:,} MB.", limit=limit // 2**20))
    candidates: list[Packed] = []
    skipped: Counter[str] = Counter()
    documents = _documents(content, limit)
    del content
    while documents:  # Each goes as soon as it is read.
        try:
            found = _candidates(*entries(documents.pop(0)), skipped)
        except RecursionError:
            raise BadImport(say("The file is nested too deeply; no export is.")) from None
        candidates += found
    kept = [candidate for candidate in candidates if candidate.questions]
    if not kept:
        raise BadImport(EMPTY)
    skipped["empty"] += len(candidates) - len(kept)
    return Found(kept, +skipped)


def _documents(content: bytes, limit: int) -> list[bytes]:
    if not content.startswith(b"PK"):
        return [content]
    try:
        with zipfile.ZipFile(BytesIO(content)) as archive:
            return _unpacked(archive, limit)
    except BadImport:
        raise
    except Exception as error:  # It raises whatever it stumbles over.
        raise BadImport(say("The archive cannot be unpacked: {error}.", error=str(error))) from None


def _unpacked(archive: zipfile.ZipFile, limit: int) -> list[bytes]:
    members = [one for one in archive.infolist() if IN_ARCHIVE.fullmatch(one.filename)]
    if not members:
        raise BadImport(say("There is no conversations.json in this archive, as ChatGPT's export has one."))
    if len(members) > MOST_FILES:
        raise TooLarge(TOO_MANY)
    documents: list[bytes] = []
    left = limit
    for member in sorted(members, key=attrgetter("filename")):
        if member.compress_type not in BOUNDED:
            raise BadImport(
                say(
                    "{name} is compressed in a way that Parley does not unpack. Pack it anew as an ordinary "
                    "zip (deflate), or send the unpacked conversations.json.",
                    name=member.filename,
                )
            )
        documents.append(_member(archive, member, left))
        left -= len(documents[-1])
    return documents


def _member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, limit: int) -> bytes:
    """Return one file of an archive. Raises TooLarge beyond `limit` bytes: what it says of its size may be a lie."""
    content = bytearray()
    pause = Pause()
    with archive.open(member) as file:
        while piece := file.read(AT_ONCE):
            content += piece
            if len(content) > limit:
                raise TooLarge(
                    say(
                        "Unpacked, the conversations in this archive are larger than the server takes. "
                        "Its owner can raise MAX_IMPORT_MB."
                    )
                )
            pause()
    return bytes(content)


def _candidates(found: list[Any], is_list: bool, skipped: Counter[str]) -> list[Packed]:
    if len(found) > MOST_ENTRIES:
        raise TooLarge(TOO_MANY)
    candidates = []
    unknown = turns = 0
    pause = Pause()
    for entry in found:
        pause()
        one = mapping(opened(entry))
        if is_list and "role" in one:
            check_together(found)
            return [packed(message_list([opened(entry) for entry in found]))]
        candidate = _candidate(one)
        if candidate is None:
            unknown += 1
            continue
        candidates.append(packed(candidate))
        turns += len(candidate.turns)
        if turns > MOST_TURNS:
            raise TooLarge(TOO_MANY)
    if not candidates:
        raise BadImport(UNKNOWN if found else EMPTY)
    skipped["unknown"] += unknown
    return candidates


def _candidate(one: dict[str, Any]) -> Candidate | None:
    """Return the conversation that an object of JSON is; None where it is none that is known."""
    if isinstance(one.get("parley"), dict):
        return exported(one)
    if isinstance(one.get("mapping"), dict):
        return chatgpt(one)
    if isinstance(one.get("chat"), dict) or isinstance(mapping(one.get("history")).get("messages"), dict):
        return open_webui(one)
    if isinstance(one.get("messages"), list):
        return message_list(one["messages"])
    return None
