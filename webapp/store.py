"""Who a visitor is, and what is theirs: the only module that touches `flask.session`.

The session's own record says who the visitor is, and hardly ever changes; each conversation is a record
of its own, so that a turn costs what its own conversation costs. Both lie in the same folder, which one
process at a time may use.
"""

import fcntl
import logging
import os
import re
import secrets
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import timedelta
from functools import partial
from hmac import compare_digest
from pathlib import Path
from threading import Lock
from time import time

from flask import Flask, current_app, g, request, session
from flask_session import Session

from .conversation import MODES, Conversation, Mode, Refused, Unknown, new_id
from .conversations import GONE, Store, Unreadable, own_id
from .files import HALF, each, keep_private, make_folder, write_whole
from .records import DAY, RecordFiles
from .secret import installation_secret
from .sessions import PREFIX, Sessions
from .wording import say

log = logging.getLogger(__name__)

INSTALLATION = re.compile("[0-9a-f]{8}")
# Days that are kept beyond SESSION_DAYS: a use is noted once a day, and each record says by itself when it ends.
SLACK = 2
# What lies in a data folder, beside what a crash left half written.
OWN = {"answers", "files", "installation", "installation.damaged", "local-model.log", "lock", "records", "secret"}
OWN |= {"secret.damaged"}


class FolderTaken(Exception):
    """Another process uses the data folder."""


def init_app(app: Flask) -> None:
    """Set up the session, the store and the installation's secret, in `DATA_DIR`. Raises OSError."""
    lifetime = timedelta(days=app.config["SESSION_DAYS"] + SLACK)
    records = RecordFiles(app.config["DATA_DIR"] / "records", int(lifetime.total_seconds()))
    app.extensions["store"] = Store(records)
    app.extensions["secret"] = secret = installation_secret(app.config["DATA_DIR"])
    app.config.update(
        SESSION_TYPE="cachelib",
        SESSION_CACHELIB=Sessions(records, secret),
        SESSION_KEY_PREFIX=PREFIX,
        # Browsers tell cookies apart by host alone: another Parley, on another port, has other visitors.
        SESSION_COOKIE_NAME=f"parley-{installation(app.config['DATA_DIR'])}",
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        PERMANENT_SESSION_LIFETIME=lifetime,
        # The default would write every request's snapshot back at its end, over newer ones.
        SESSION_REFRESH_EACH_REQUEST=False,
    )
    Session(app)


def installation(folder: Path) -> str:
    """Return a name for this data folder, which it keeps."""
    path = folder / "installation"
    try:
        name = path.read_bytes().decode(errors="replace").strip()
    except FileNotFoundError:
        name = ""
    else:
        if not INSTALLATION.fullmatch(name):
            log.error("%s cannot be read, and every visitor begins anew; it is kept as installation.damaged.", path)
            path.replace(path.with_suffix(".damaged"))
            name = ""
    if not name:
        name = secrets.token_hex(4)
        write_whole(path, name.encode())
    return name


def current() -> Store:
    """Return the application's store, and make sure that this process alone uses its folder."""
    hold(current_app.config["DATA_DIR"])
    store: Store = current_app.extensions["store"]
    return store


def _sessions() -> Sessions:
    sessions: Sessions = current_app.config["SESSION_CACHELIB"]
    return sessions


def visitor() -> str:
    """Return the visitor's id, or one that owns nothing where the browser brought no session."""
    owner = str(session.get("visitor", ""))
    # Who deleted all in another tab begins anew, even where a request of that moment wrote the session again.
    g.visitor = owner = "" if current().has_forgotten(owner) else owner  # For the log.
    return owner


def own_ids() -> dict[Mode, str]:
    """Return the ids of the visitor's conversations by their modes; none where the browser brought no session.

    A session of an earlier time may name them; from then on they follow from the visitor's id.
    """
    owner = visitor()
    named = {mode: session.get("conversation" if mode == "chat" else mode) for mode in MODES}
    return {mode: str(named[mode] or own_id(owner, mode)) for mode in MODES} if owner else {}


def require_own(conversation_id: str) -> None:
    """Raise Unknown where a conversation is not the visitor's.

    By what the visitor has, without a look at the conversation: somebody else's then takes no longer than none.
    """
    if conversation_id not in own_ids().values():
        raise Unknown(GONE)


def loaded(conversation_id: str) -> Conversation:
    """Return the visitor's conversation with that id. Raises Unknown and Unreadable."""
    require_own(conversation_id)
    _note_use()
    return current().load(conversation_id, visitor())


def editing(conversation_id: str) -> AbstractContextManager[Conversation]:
    """Open the visitor's conversation with that id for a change. Raises Unknown and Unreadable."""
    require_own(conversation_id)
    return current().editing(conversation_id, visitor())


def watch() -> Callable[[], bool]:
    """Return what tells, while a long reply is on its way, whether its visitor has left: signed out, or deleted all."""
    watched = _sessions().watch(session.sid)  # type: ignore[attr-defined]
    return lambda: watched.left


def signed_in(proof: str) -> bool:
    """Tell whether the session holds the proof that its visitor signed in."""
    return compare_digest(str(session.get("proof", "")), proof)


def sign_in(proof: str) -> None:
    """Let the session hold a proof, under a new id: who knows the old one has nothing of it. Raises OSError."""
    session["proof"] = proof
    session.pop("looked", None)
    if not visitor():
        _begin()
    _change_id()


def sign_out() -> None:
    """Take the proof from the session, which otherwise stays what it was, under a new id. Raises OSError."""
    if session.pop("proof", None) and session:
        _change_id()


def _change_id() -> None:
    # Not by Flask-Session's regenerate(), which removes the old record first: on a full disk, or killed in between,
    # nobody would own the visitor's conversations any more.
    old, session.sid = session.sid, secrets.token_urlsafe(32)  # type: ignore[attr-defined]
    try:
        current_app.session_interface.save_session(current_app, session, current_app.response_class())
        _sessions().leave(old)
    except OSError:
        session.sid, session.modified = old, False  # type: ignore[attr-defined]
        raise


def own_conversation(mode: Mode = "chat") -> Conversation:
    """Return the visitor's conversation of a mode, an empty one where there is none; who has no session gets one."""
    if not visitor():
        _begin()
    _note_use()
    conversation_id, owner = own_ids()[mode], visitor()
    try:
        current().take_back(conversation_id, owner)
        return current().load(conversation_id, owner)
    except Unreadable:
        return current().load(conversation_id, owner)
    except Unknown:  # One that the session names, and that is gone.
        session.pop("conversation" if mode == "chat" else mode, None)
        return current().load(own_ids()[mode], owner)


def _begin() -> None:
    """Make a visitor of who has no session, or one of a visitor who is not known any more."""
    if "proof" in session:  # There is a record, or will be one.
        session.update({"visitor": new_id(), "seen": time()})
    else:
        if session:
            _sessions().delete(f"{PREFIX}{session.sid}")  # type: ignore[attr-defined]
        session.sid = _sessions().new_id()  # type: ignore[attr-defined]
        session.clear()
        session.update(_sessions().told(session.sid) or {})  # type: ignore[attr-defined]
    _begin_after_damage()


def is_newcomer() -> bool:
    """Tell whether nothing is kept of who asks: they bring no session, or one that has only looked."""
    return not session or "looked" in session


def stay() -> None:
    """Let the session of somebody who has only looked be kept from now on."""
    if not visitor():
        _begin()
    if session.pop("looked", None):
        session["seen"] = time()


def _begin_after_damage() -> None:
    """Let the conversation of who comes with a session that cannot be read say so."""
    brought = request.cookies.get(current_app.config["SESSION_COOKIE_NAME"], "")
    if aside := current().records.aside(f"{PREFIX}{brought}", "damaged"):
        conversation = current().load(own_id(visitor(), "chat"), visitor())
        conversation.replaces = aside
        current().save(conversation)


def peek(mode: Mode) -> Conversation:
    """Return the visitor's conversation of a mode, or an empty one that is kept nowhere."""
    try:
        return loaded(own_ids().get(mode, ""))
    except Refused:
        return Conversation(owner=visitor(), mode=mode)


def end_session(erased: Callable[[str, Callable[[], object]], bool]) -> bool:
    """End the visitor's session for good; its record is what `erased` is to delete. False where it cannot be yet."""
    key = f"{PREFIX}{session.sid}"  # type: ignore[attr-defined]
    session.clear()
    return erased(f"session of {g.visitor[:8]}", partial(_sessions().delete, key))


def _note_use() -> None:
    """Let the lifetime of all that a visitor has begin anew, once a day."""
    if "visitor" not in session or "looked" in session or time() - session["seen"] < DAY:
        return
    session["seen"] = time()  # Writes the session's record.
    for conversation_id in own_ids().values():
        try:
            current().renew(conversation_id)
        except OSError as error:
            log.error("The lifetime of a conversation could not begin anew: %s", error.strerror)


_held: dict[Path, int] = {}
_holding = Lock()


def hold(folder: Path) -> None:
    """Keep the data folder for this process and those it forks, until they end. Raises FolderTaken."""
    if folder in _held:
        return
    with _holding:  # Two first requests at once would each take the other for another process.
        if folder not in _held:
            _held[folder] = _locked(folder)


def _locked(folder: Path) -> int:
    """Return the descriptor of a folder's lock, which lives as long as that. Raises FolderTaken."""
    make_folder(folder)
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
    # A folder that was named by mistake, /tmp say, stays everybody's; what Parley makes in it does not.
    if all(path.name in OWN or path.name.startswith(HALF) for path in each(folder)):
        keep_private(folder)
    return descriptor
