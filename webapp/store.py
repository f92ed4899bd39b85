"""The only module that touches `flask.session`, and the records that lie beside it.

The session's own record says who the visitor is and which conversation is theirs, and hardly ever
changes; each conversation is a record of its own, so that a turn costs what its own conversation costs.
Both lie in the same folder, which one process at a time may use.
"""

import fcntl
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from time import time

import msgspec
from flask import Flask, current_app, session
from flask_session import Session

from .conversation import FORMAT_VERSION, Conversation, Mode, Refused, Unknown, new_id
from .files import write_whole
from .locks import Locks
from .records import DAY, RecordFiles
from .wording import say

GONE = say("That conversation is not here any more. Reload the page to go on with the one that is.")


class FolderTaken(Exception):
    """Another process uses the data folder."""


class Store:
    """The conversations, each behind its own lock and readable by its owner alone."""

    def __init__(self, records: RecordFiles):
        self.records = records
        self._locks = Locks()

    def load(self, conversation_id: str, owner: str) -> Conversation:
        """Return a conversation as it is now. Raises Unknown, for somebody else's as for none at all."""
        if (conversation := self._loaded(conversation_id, owner)) is None:
            raise Unknown(GONE)
        return conversation

    def _loaded(self, conversation_id: str, owner: str) -> Conversation | None:
        """Return a conversation, or None where there is none; somebody else's raises Unknown."""
        if (conversation := self._read(conversation_id)) is None:
            return None
        if conversation.owner != owner:
            raise Unknown(GONE)
        if conversation.version > FORMAT_VERSION:
            raise Refused(say("This conversation was written by a newer Parley. Start that one to go on with it."))
        return conversation

    def _read(self, conversation_id: str) -> Conversation | None:
        key = _key(conversation_id)
        record = self.records.get(key)
        try:
            conversation = None if record is None else msgspec.convert(record, Conversation)
            if conversation and not all(
                turn.answers and -1 <= turn.shown < len(turn.answers) for turn in conversation.every_turn()
            ):
                raise msgspec.ValidationError("a turn shows an answer that it does not have")
            return conversation
        except msgspec.ValidationError as error:
            self.records.set_aside(key, error)
            return None

    def save(self, conversation: Conversation) -> None:
        conversation.version = FORMAT_VERSION
        self.records.set(_key(conversation.id), conversation)

    def open(self, conversation_id: str, owner: str, mode: Mode) -> Conversation:
        """Return a conversation and let its lifetime begin anew; where there is none, begin an empty one."""
        with self._locks.held(conversation_id):
            self.records.renew(_key(conversation_id))
            if (conversation := self._loaded(conversation_id, owner)) is None:
                conversation = Conversation(owner=owner, id=conversation_id, mode=mode)
                self.save(conversation)
            return conversation

    @contextmanager
    def editing(self, conversation_id: str, owner: str) -> Iterator[Conversation]:
        """Open a conversation for a change, alone; it is saved at the end, unless an exception passes."""
        with self._locks.held(conversation_id):
            conversation = self.load(conversation_id, owner)
            yield conversation
            self.save(conversation)

    def remove_if_gone(self, conversation_id: str, remove: Callable[[str], None]) -> None:
        """Call `remove` with a conversation's id if its record is gone, while nobody can begin it anew."""
        with self._locks.held(conversation_id):
            if not self.records.has(_key(conversation_id)):
                remove(conversation_id)


def _key(conversation_id: str) -> str:
    return f"conversation:{conversation_id}"


def init_app(app: Flask) -> None:
    """Set up the session and the store, in `DATA_DIR`."""
    lifetime = timedelta(days=app.config["SESSION_DAYS"])
    records = RecordFiles(app.config["DATA_DIR"] / "records", int(lifetime.total_seconds()))
    app.extensions["store"] = Store(records)
    app.config.update(
        SESSION_TYPE="cachelib",
        SESSION_CACHELIB=records,
        SESSION_KEY_PREFIX="session:",
        # Browsers tell cookies apart by host alone: another Parley, on another port, has other visitors.
        SESSION_COOKIE_NAME=f"parley-{_installation(app.config['DATA_DIR'])}",
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        PERMANENT_SESSION_LIFETIME=lifetime,
        # The default would write every request's snapshot back at its end, over newer ones.
        SESSION_REFRESH_EACH_REQUEST=False,
    )
    Session(app)


def _installation(folder: Path) -> str:
    """Return a name for this data folder, which it keeps."""
    path = folder / "installation"
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        write_whole(path, secrets.token_hex(4).encode())
        return path.read_text().strip()


def current() -> Store:
    """Return the application's store, and make sure that this process alone uses its folder."""
    hold(current_app.config["DATA_DIR"])
    store: Store = current_app.extensions["store"]
    return store


def visitor() -> str:
    """Return the visitor's id, or one that owns nothing where the browser brought no session."""
    if "visitor" in session and time() - session["seen"] > DAY:
        session["seen"] = time()  # Writes the record, and so begins its lifetime anew.
    return str(session.get("visitor", ""))


def own_conversation(mode: Mode = "chat") -> Conversation:
    """Return the visitor's conversation of a mode, an empty one where there is none; who has no session gets one."""
    owner = visitor()
    if not owner:
        owner = new_id()
        session.update({"visitor": owner, "seen": time()})
    return current().open(_own_id(owner, mode), owner, mode)


def peek(mode: Mode) -> Conversation:
    """Return the visitor's conversation of a mode, or an empty one that is kept nowhere."""
    owner = visitor()
    try:
        return current().load(_own_id(owner, mode), owner)
    except Unknown:
        return Conversation(owner=owner, mode=mode)


def _own_id(owner: str, mode: Mode) -> str:
    """Return the id of a visitor's conversation of a mode: the one that an older session names, or else of all time.

    What is known from the start need not be written into the session, where two requests at once, each
    with its own snapshot, would lose one of two ids. Who does not know the owner's id cannot guess it.
    """
    key = "conversation" if mode == "chat" else mode
    return str(session.get(key) or sha256(f"{owner}:{mode}".encode()).hexdigest()[:32])


_held: dict[Path, int] = {}


def hold(folder: Path) -> None:
    """Keep the data folder for this process and those it forks, until they end. Raises FolderTaken."""
    if folder in _held:
        return
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise FolderTaken(
            say(
                "Another Parley uses the folder {folder}. Stop that one, or give this one its own DATA_DIR.",
                folder=folder,
            )
        ) from None
    _held[folder] = descriptor
