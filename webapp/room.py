"""How much may be kept: turns in a conversation, megabytes of a visitor, and what is left free of the disk."""

import shutil
from collections.abc import Iterable

from .conversation import Conversation, Refused
from .conversations import Store
from .files import Files
from .wording import say


class NoRoom(Refused):
    status = 413


class DiskFull(Refused):
    status = 507


class Room:
    """What there is room for. Raises NoRoom or DiskFull before anything is kept that there is none for."""

    def __init__(self, store: Store, files: Files, max_turns: int, visitor_mb: int, min_free_mb: int):
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
