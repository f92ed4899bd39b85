"""The conversations, each a record of its own behind its own lock, and readable by its owner alone."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from time import time
from typing import Any

import msgspec

from .conversation import FORMAT_VERSION, MODES, Conversation, Mode, Refused, Unknown
from .locks import Locks
from .records import DAY, Damaged, RecordFiles
from .wording import say

GONE = say("That conversation is not here any more. Reload the page to go on with the one that is.")


class Unreadable(Refused):
    """A conversation's record cannot be used; it was set aside, and an empty conversation took its place."""

    status = 409

    def __init__(self) -> None:
        super().__init__(
            say(
                "What was kept of this conversation cannot be read. It is set aside on the server, and an empty "
                "conversation is in its place: reload the page to go on there."
            )
        )


class Store:
    """The conversations, each behind its own lock and readable by its owner alone."""

    def __init__(self, records: RecordFiles):
        self.records = records
        self._locks = Locks()
        # Visitors who deleted all, and when: what they sent just before may still be on its way.
        self._forgotten: dict[str, float] = {}
        self._reading = Locks()  # so that of many who find a record damaged one sets it aside

    def load(self, conversation_id: str, owner: str) -> Conversation:
        """Return a conversation as it is now; one of the owner's own that has no record yet is empty.

        Raises Unknown, for somebody else's as for none at all, and Unreadable.
        """
        if self.has_forgotten(owner):
            raise Unknown(GONE)
        with self._reading.held(conversation_id):
            try:
                record = self._read(conversation_id)
            except Damaged as damaged:
                self._begin_in_place(conversation_id, owner, damaged.name)
                raise Unreadable from None
        conversation = record or _empty(conversation_id, owner)
        if conversation is None or conversation.owner != owner:
            raise Unknown(GONE)
        return conversation

    def forget(self, owner: str) -> None:
        """Know nothing of a visitor any more, whatever is still being done for them."""
        self._forgotten[owner] = time()

    def has_forgotten(self, owner: str) -> bool:
        return owner in self._forgotten

    def forget_old(self) -> None:
        """Let go of the visitors who deleted all a day ago: nothing of theirs is on its way any more."""
        for owner, since in list(self._forgotten.items()):
            if since < time() - DAY:
                del self._forgotten[owner]

    def has(self, conversation_id: str) -> bool:
        """Tell whether there is a record of a conversation, be it one that was set aside."""
        return self.records.has(_key(conversation_id))

    def _begin_in_place(self, conversation_id: str, owner: str, aside: str) -> None:
        if conversation := _empty(conversation_id, owner):
            conversation.replaces = aside
            self.save(conversation)

    def _read(self, conversation_id: str) -> Conversation | None:
        """Return what the record holds; None where there is none. Raises Damaged."""
        key = _key(conversation_id)
        record = self.records.read(key)
        if record is None:
            return None
        if isinstance(record, dict) and (version := _version(record)) > FORMAT_VERSION:
            # By its version alone: what else has changed with it nobody knows.
            raise Damaged(self.records.set_aside(key, f"its format is {version}, of a newer Parley", "newer"))
        try:
            return _converted(record)
        except msgspec.ValidationError as error:
            raise Damaged(self.records.set_aside(key, error)) from None

    def save(self, conversation: Conversation) -> None:
        conversation.version = FORMAT_VERSION
        self.records.set(_key(conversation.id), conversation)

    def take_back(self, conversation_id: str, owner: str) -> None:
        """Put back a record that was of a newer format, once it no longer is; what came since goes behind it."""
        key = _key(conversation_id)
        if not self.records.aside(key, "newer"):
            return  # As nearly always: who only looks does not wait for a change that is being saved.
        with self._locks.held(conversation_id):
            record = self.records.read_aside(key, "newer")
            if record is None or _version(record) > FORMAT_VERSION:
                return
            try:
                before = _converted(record)
            except msgspec.ValidationError:
                return
            since = self.load(conversation_id, owner)
            if not _turn_ids(before) & _turn_ids(since):  # Not put back already, by who was killed behind it.
                before.turns += since.turns
                before.set_aside |= since.set_aside
                self.save(before)
            self.records.delete_aside(key, "newer")

    def renew(self, conversation_id: str) -> None:
        """Let a conversation's lifetime begin anew. Raises OSError."""
        with self._locks.held(conversation_id):
            self.records.renew(_key(conversation_id))

    @contextmanager
    def editing(self, conversation_id: str, owner: str) -> Iterator[Conversation]:
        """Open a conversation for a change, alone; it is saved at the end, unless an exception passes."""
        with self._locks.held(conversation_id):
            conversation = self.load(conversation_id, owner)
            yield conversation
            self.save(conversation)

    def size(self, conversation_id: str) -> int:
        """Return the size of a conversation's record in bytes."""
        return self.records.size(_key(conversation_id))

    def ids_in(self, conversation_id: str) -> set[str]:
        """Return the ids of all turns and answers that are kept of a conversation, readable or not. Raises OSError."""
        return self.records.ids_in(_key(conversation_id))

    def delete(self, conversation_id: str, remove: Callable[[str], bool]) -> bool:
        """Delete a conversation's record, and what `remove` deletes, while nobody can change it.

        False where `remove` could not; raises OSError where the record cannot be deleted, and then tries the rest.
        """
        with self._locks.held(conversation_id):
            try:
                self.records.delete(_key(conversation_id))
            finally:
                removed = remove(conversation_id)
            return removed

    def remove_if_gone(self, conversation_id: str, remove: Callable[[str], object]) -> None:
        """Call `remove` with a conversation's id if its record is gone, while nobody can begin it anew."""
        with self._locks.held(conversation_id):
            if not self.has(conversation_id):
                remove(conversation_id)


def _converted(record: Any) -> Conversation:
    conversation = msgspec.convert(record, Conversation)
    if not all(turn.answers and -1 <= turn.shown < len(turn.answers) for turn in conversation.every_turn()):
        raise msgspec.ValidationError("a turn shows an answer that it does not have")
    return conversation


def _turn_ids(conversation: Conversation) -> set[str]:
    return {turn.id for turn in conversation.every_turn()}


def _version(record: Any) -> int:
    version = record.get("version", 1)
    return version if isinstance(version, int) else 1


def _key(conversation_id: str) -> str:
    return f"conversation:{conversation_id}"


def own_ids(owner: str) -> list[str]:
    """Return the ids of a visitor's conversations of all modes."""
    return [own_id(owner, mode) for mode in MODES]


def own_id(owner: str, mode: Mode) -> str:
    """Return the id of a visitor's conversation of a mode, which is the same for all time.

    What is known from the start need not be written into the session, where two requests at once, each
    with its own snapshot, would lose one of two ids. Who does not know the owner's id cannot guess it.
    """
    return sha256(f"{owner}:{mode}".encode()).hexdigest()[:32]


def _empty(conversation_id: str, owner: str) -> Conversation | None:
    """Return the conversation of one's own with that id as it begins; None for an id that is not one's own."""
    modes = (mode for mode in MODES if owner and own_id(owner, mode) == conversation_id)
    return next((Conversation(owner=owner, id=conversation_id, mode=mode) for mode in modes), None)
