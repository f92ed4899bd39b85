"""How much may be kept: turns in a conversation, megabytes of a visitor, and what is left free of the disk."""

import shutil
from collections.abc import Iterable

from .conversation import Conversation, Refused
from .conversations import Store
from .files import Files
from .wording import say

MOST_ANSWERS = 10_000  # of a conversation: each is read, and its tokens are added up, whenever the page is opened
MOST_MB = 50  # of a conversation's record: to read it takes a tenth of a second


class NoRoom(Refused):
    status = 413


class DiskFull(Refused):
    status = 507


class Room:
    """What there is room for. Raises NoRoom or DiskFull before anything is kept that there is none for."""

    def __init__(self, store: Store, files: Files, max_turns: int, visitor_mb: int, min_free_mb: int = 0):
        self._store = store
        self._files = files
        self._max_turns = max_turns
        self._visitor_mb = visitor_mb
        self._min_free_mb = min_free_mb

    def check_turns(self, conversation: Conversation) -> None:
        """Raise NoRoom where a conversation has more turns, those of other versions counted, than one may have."""
        if (count := sum(1 for _ in conversation.every_turn())) > self._max_turns:
            raise NoRoom(
                say(
                    "This conversation would have {count:,} questions with their versions; one may have {limit:,}. "
                    "Export it if you want to keep it, then clear it.",
                    count=count,
                    limit=self._max_turns,
                )
            )
        if (count := sum(len(turn.answers) for turn in conversation.every_turn())) > MOST_ANSWERS:
            raise NoRoom(
                say(
                    "This conversation would have {count:,} answers with their versions; one may have {limit:,}. "
                    "Export it if you want to keep it, then clear it.",
                    count=count,
                    limit=MOST_ANSWERS,
                )
            )

    def check_record(self, conversation_id: str, more: int = 0) -> None:
        """Raise NoRoom where a conversation's text, and `more` bytes, are more than one can be read with each page."""
        if (size := self._store.size(conversation_id) + more) > MOST_MB * 2**20:
            raise NoRoom(
                say(
                    "This conversation would have {size:,.0f} MB without its files; one may have {limit:,} MB. "
                    "Export it if you want to keep it, then clear it.",
                    size=size / 2**20,
                    limit=MOST_MB,
                )
            )

    def check_size(self, conversation_ids: Iterable[str], more: int = 0) -> None:
        """Raise NoRoom where a visitor's conversations and their files, and `more` bytes, are more than may be kept.

        Raises DiskFull where those bytes would leave less of the disk than answers under way may need.
        """
        self._check_disk(more)
        size = more + sum(sum(self._files.sizes(one)) + self._store.size(one) for one in conversation_ids)
        if size > self._visitor_mb * 2**20:
            raise NoRoom(
                say(
                    "Your conversations and their files take {size:,.0f} MB; {limit:,} MB can be kept. Export what you "
                    "want to keep, then clear a conversation.",
                    size=size / 2**20,
                    limit=self._visitor_mb,
                )
            )

    def _check_disk(self, more: int) -> None:
        if not self._min_free_mb:
            return
        try:
            free = self._files.off_loop(shutil.disk_usage, self._files.folder).free - more
        except OSError:
            return  # What is written next will tell.
        if free < self._min_free_mb * 2**20:
            raise DiskFull(
                say(
                    "The disk of this server is almost full, and what is left of it is for answers that are being "
                    "written. Nothing was sent; its owner can make room, and you by clearing a conversation or "
                    "deleting your data."
                )
            )
