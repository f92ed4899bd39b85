"""How much may be kept: turns in a conversation, and megabytes of a visitor."""

from collections.abc import Iterable

from .conversation import Conversation, Refused
from .conversations import Store
from .files import Files
from .wording import say


class NoRoom(Refused):
    status = 413


class Room:
    """What there is room for. Raises NoRoom before anything is kept that there is none for."""

    def __init__(self, store: Store, files: Files, max_turns: int, visitor_mb: int):
        self._store = store
        self._files = files
        self._max_turns = max_turns
        self._visitor_mb = visitor_mb

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
        """Raise NoRoom where a visitor's conversations and their files, and `more` bytes, are more than may be kept."""
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
