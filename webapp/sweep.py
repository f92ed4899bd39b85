"""What a running server removes by itself, once a day: what nobody has used for SESSION_DAYS, and what was left over.

All that waits for the disk is done off the loop, a slice of a folder at a time, so that the data of 20,000 visitors
keep nobody waiting. What cannot be removed is told of and tried again the next day.
"""

import logging
from pathlib import Path
from time import sleep
from typing import TYPE_CHECKING

from . import choices
from .conversations import Store
from .files import HALF, NAME, Files, Removal, older, slices
from .records import RecordFiles

if TYPE_CHECKING:
    from flask import Flask

log = logging.getLogger(__name__)

DAY = 86_400
KINDS = (".log", ".json", ".damaged")  # of what lies beside the answers


def sweep_daily(app: "Flask") -> None:
    while True:
        sweep(app)
        sleep(DAY)


def sweep(app: "Flask") -> None:
    """Remove the records whose time is over, then what belonged to them; a part that fails keeps no other from it."""
    store, files, data = app.extensions["store"], app.extensions["files"], app.config["DATA_DIR"]
    parts = (
        store.records.remove_expired,
        store.forget_old,
        lambda: _remove_files(store, files),
        lambda: _remove_logs(data / "answers", app.config["SESSION_DAYS"] * DAY, store.records),
        lambda: _remove_halves(data, files),
    )
    for part in parts:
        try:
            part()
        except Exception:
            log.exception("Not everything that is out of date could be removed from the data folder.")


def _remove_files(store: Store, files: Files) -> None:
    """Remove the files of conversations that are gone."""
    for paths in slices(files.folder, files.off_loop):
        for conversation_id in files.off_loop(_gone, store, paths):
            store.remove_if_gone(conversation_id, files.remove)


def _gone(store: Store, folders: list[Path]) -> list[str]:
    # A younger folder may be one whose conversation was begun a moment ago.
    names = [path.name for path in older(folders, DAY) if NAME.fullmatch(path.name)]
    return [name for name in names if not store.has(name)]


def _remove_logs(folder: Path, seconds: float, records: RecordFiles) -> None:
    """Remove what was kept of answers that broke off, once no conversation waits for it any more."""
    removal, off_loop = Removal(), records.off_loop
    old: list[Path] = []
    for paths in slices(folder, off_loop):
        old += off_loop(older, [path for path in paths if path.suffix in KINDS], seconds)
    # Few, and as a rule none: only then are the records read, in which an answer may still be pending.
    named = records.named_anywhere({_answer_of(path) for path in old}) if old else set()
    for path in old:
        if _answer_of(path) not in named:
            off_loop(removal.remove, path)
    removal.tell()


def _answer_of(path: Path) -> str:
    return path.name.partition(".")[0]


def _remove_older(paths: list[Path], seconds: float, removal: Removal) -> None:
    for path in older(paths, seconds):
        removal.remove(path)


def _remove_halves(data: Path, files: Files) -> None:
    """Remove what a crash left half written, and of imports what was not chosen; the records do so themselves."""
    removal = Removal()
    files.off_loop(_remove_halves_in, [data, data / "answers"], removal)
    for folders in slices(files.folder, files.off_loop):
        files.off_loop(_remove_halves_in, folders, removal)
    removal.tell()


def _remove_halves_in(folders: list[Path], removal: Removal) -> None:
    for folder in folders:
        choices.remove_old(folder)
        with removal.noting():
            _remove_older(list(folder.glob(f"{HALF}*")), DAY, removal)
