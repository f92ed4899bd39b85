"""What a file with several conversations offers, kept for the moments until one of them is chosen.

It is one file of the conversation that it is imported into: a line that lists what there is and where, and
behind it each of the candidates, so that neither the list nor a choice reads all of it.
"""

import logging
from collections.abc import Callable
from pathlib import Path
from time import time

import msgspec
from msgspec import Struct

from .candidate import BadImport, Candidate, Packed
from .conversation import ID, Unknown
from .files import Files, decoded
from .wording import say

log = logging.getLogger(__name__)

KEPT = 3600  # seconds in which one can be chosen


class Choice(Struct):
    """One candidate of a file, as it is listed; `start` and `size` are in bytes, behind the list."""

    title: str
    created: float
    questions: int
    start: int
    size: int


def keep(
    files: Files,
    conversation_id: str,
    import_id: str,
    candidates: list[Packed],
    check: Callable[[int], object] = lambda size: None,
) -> list[Choice]:
    """Keep the candidates of a file until one is chosen, in place of an earlier file's; return their list.

    Takes them out of `candidates`. `check` raises Refused for a number of bytes that is not to be kept.
    """
    forget(files, conversation_id)
    choices: list[Choice] = []
    content = bytearray()
    candidates.reverse()
    while candidates:  # Each goes as soon as it is written: a large file is not in memory twice.
        title, created, questions, piece = candidates.pop()
        choices.append(Choice(title, created, questions, len(content), len(piece)))
        content += piece
    content[:0] = msgspec.json.encode(choices) + b"\n"
    check(len(content))
    files.write(conversation_id, _name(import_id), content, durable=False)
    return choices


def listed(files: Files, conversation_id: str, import_id: str) -> list[Choice]:
    """Return what can be chosen. Raises Unknown where the file is not kept any more."""
    forget_old(files, conversation_id)
    try:
        with _path(files, conversation_id, import_id).open("rb") as file:
            choices = decoded(file.readline(), list[Choice])
    except (FileNotFoundError, ValueError):  # gone, or damaged
        raise gone() from None
    if not choices:
        raise gone()
    return choices


def chosen(files: Files, conversation_id: str, import_id: str, number: int) -> Candidate:
    """Return one of the candidates. Raises BadImport for none of them, and Unknown as `listed` does."""
    forget_old(files, conversation_id)
    try:
        with _path(files, conversation_id, import_id).open("rb") as file:
            choices = decoded(file.readline(), list[Choice])
            if not 0 <= number < len(choices):
                raise BadImport(say("That is none of the conversations in the file."))
            file.seek(choices[number].start, 1)
            return decoded(file.read(choices[number].size), Candidate)
    except (FileNotFoundError, ValueError):
        raise gone() from None


def forget(files: Files, conversation_id: str) -> None:
    """Remove what is kept of files whose conversation was never chosen."""
    files.remove_of(conversation_id, "import-")


def forget_old(files: Files, conversation_id: str) -> None:
    """Remove it once it is older than KEPT."""
    remove_old(files.path(conversation_id, "x").parent)


def remove_old(folder: Path) -> None:
    """Remove from a conversation's folder what is older than KEPT and was not chosen."""
    try:
        for path in folder.glob("import-*"):
            if path.stat().st_mtime < time() - KEPT:
                path.unlink()
    except FileNotFoundError:
        pass  # Another import was faster.
    except OSError as error:  # Nobody's export or import is to fail because of an old one.
        log.error("What is left of an import could not be removed: %s", error.strerror)


def _path(files: Files, conversation_id: str, import_id: str) -> Path:
    if not ID.fullmatch(import_id):
        raise Unknown(say("There is no such import."))
    return files.path(conversation_id, _name(import_id))


def _name(import_id: str) -> str:
    return f"import-{import_id}.json"


def gone() -> Unknown:
    """Return why nothing can be chosen any more."""
    return Unknown(
        say("That file was imported already, another one was sent after it, or an hour has passed. Send it again.")
    )
