"""What the server removes by itself, once a day."""

import errno
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from time import time

import pytest

from webapp.conversation import Answer, Conversation, Turn
from webapp.sweep import sweep

from .conftest import WAIT

DAY = 86_400


def age(path, days):
    os.utime(path, (time() - days * DAY,) * 2)


@pytest.fixture
def store(app):
    return app.extensions["store"]


@pytest.fixture
def folder(app):
    """Make a conversation's folder with a file in it, so many days old."""
    files = app.extensions["files"]

    def make(conversation_id, days=2):
        files.write(conversation_id, "a.png", b"1")
        path = files.path(conversation_id, "a.png").parent
        age(path, days)
        return path

    return make


@pytest.fixture
def record(store):
    """Keep a record that is out of date, or is not, and return where it lies."""

    def keep(key, over=True):
        store.records.set(key, 1, timeout=-1 if over else None)
        return store.records._path(key)

    return keep


@pytest.fixture
def fails(monkeypatch):
    """Let one of the system's calls fail for some paths."""

    def patch(name, *paths):
        real = getattr(os, name)

        def call(path, *rest, **more):
            if path in paths or str(path) in map(str, paths):
                raise OSError(errno.EIO, "Input/output error", str(path))
            return real(path, *rest, **more)

        monkeypatch.setattr(os, name, call)

    return patch


def test_files_go_with_their_conversation(app, store, folder):
    kept, expired = Conversation(owner="me"), Conversation(owner="me")
    store.save(kept)
    store.records.set(f"conversation:{expired.id}", expired, timeout=-1)
    store.records.set("conversation:damaged", 1)
    store.records.set_aside("conversation:damaged", ValueError())
    staying = [folder(kept.id), folder("damaged"), folder("gone-but-young", days=0.5)]
    going = [folder(expired.id), folder("gone")]
    sweep(app)
    assert [path.exists() for path in staying] == [True] * 3
    assert [path.exists() for path in going] == [False] * 2


def test_logs_that_nobody_came_back_for_go(app):
    logs = app.config["DATA_DIR"] / "answers"
    old = ("old.log", "old.-1.log", "old.settled.json", "old.settled.damaged")
    for name, days in {"young.log": 80, **dict.fromkeys(old, 91)}.items():
        (logs / name).write_text("Half")
        age(logs / name, days)
    sweep(app)
    assert [path.name for path in logs.iterdir()] == ["young.log"]


@pytest.mark.parametrize("fate", ["pending", "damaged", "newer", "gone"])
def test_the_log_of_an_answer_stays_as_long_as_its_conversation(app, store, fate):
    """Its visitor may come daily and open another mode, or a record that was set aside may be mended."""
    turn = Turn("One?", answers=[Answer()])
    store.save(talk := Conversation(owner="me", turns=[turn]))
    log = app.config["DATA_DIR"] / "answers" / f"{turn.answer.id}.log"
    log.write_text("Half")
    age(log, 100)
    if fate == "gone":
        store.records.delete(f"conversation:{talk.id}")
    elif fate != "pending":
        store.records.set_aside(f"conversation:{talk.id}", ValueError(), fate)
    sweep(app)
    assert log.exists() == (fate != "gone")


def test_what_was_half_written_goes_after_a_day(app, folder):
    kept = app.extensions["store"]
    kept.save(talk := Conversation(owner="me"))
    data = app.config["DATA_DIR"]
    for place in (data, data / "records", data / "answers", folder(talk.id)):
        for name, days in {"new-young": 0.5, "new-old": 1.5}.items():
            (place / name).write_text("Half")
            age(place / name, days)
    sweep(app)
    assert sorted({path.name for path in data.rglob("new-*")}) == ["new-young"]
    assert len(list(data.rglob("new-young"))) == 4


def test_nothing_waits_for_the_disk_on_the_loop(app, store, folder, record, monkeypatch):
    """As in the server: the calls are done in other threads, where they stop nobody, however slow the disk is."""
    called = []
    for name in ("scandir", "unlink", "rmdir"):
        real = getattr(os, name)
        monkeypatch.setattr(
            os,
            name,
            lambda *paths, real=real, name=name, **more: (
                called.append((name, threading.current_thread())),
                real(*paths, **more),
            )[1],
        )
    record("session:a"), folder("gone")
    with ThreadPoolExecutor() as pool:
        for part in (store.records, app.extensions["files"]):
            part.off_loop = lambda function, *arguments: pool.submit(function, *arguments).result()
        sweep(app)
    assert {name for name, _ in called} == {"scandir", "unlink", "rmdir"}
    assert threading.main_thread() not in {thread for _, thread in called}


def test_a_record_is_looked_at_again_under_its_lock(store, record):
    """Whoever comes back in the last moment writes it anew, while the sweep waits for the lock."""
    path = record("session:a")
    looked = threading.Event()
    off_loop = store.records.off_loop

    def look(function, *arguments):
        found = off_loop(function, *arguments)
        if found == [path]:
            looked.set()
        return found

    store.records.off_loop = look
    with store.records._locks.held(path.name):
        sweeping = threading.Thread(target=store.records.remove_expired)
        sweeping.start()
        assert looked.wait(WAIT)
        path.write_bytes(b"%d\n2" % (time() + DAY))
    sweeping.join()
    assert store.records.get("session:a") == 2


def test_a_file_that_cannot_be_removed_keeps_no_other_from_it(app, record, folder, fails, caplog):
    records = [record(f"session:{number}") for number in range(5)]
    young = record("session:here", over=False)
    log = app.config["DATA_DIR"] / "answers" / "old.log"
    log.write_text("Half")
    age(log, 100)
    folders = [folder("gone"), folder("gone-too")]
    fails("unlink", records[1], records[3], log)
    sweep(app)
    assert [path.exists() for path in records] == [False, True, False, True, False]
    assert young.exists()
    assert not any(path.exists() for path in folders)
    told = [one.getMessage() for one in caplog.records]
    assert [line.partition(",")[0][-3:] for line in told] == ["(2)", "(1)"]
    assert any(str(path) in told[0] for path in (records[1], records[3]))
    assert str(log) in told[1] and "Input/output error" in told[1]


@pytest.mark.parametrize("part", ["records", "files", "answers"])
def test_a_folder_that_cannot_be_read_keeps_no_other_from_it(app, record, folder, fails, caplog, part):
    data = app.config["DATA_DIR"]
    fails("scandir", data / part)
    going = {"records": record("session:a"), "files": folder("gone"), "answers": data / "answers" / "old.log"}
    going["answers"].write_text("Half")
    age(going["answers"], 100)
    sweep(app)
    # Without the records nobody can tell whether a conversation waits for an answer's log.
    assert {name for name, path in going.items() if path.exists()} == {part} | {"records": {"answers"}}.get(part, set())
    assert "Not everything that is out of date could be removed" in caplog.text


def test_what_vanishes_while_it_is_looked_at_is_no_fault(app, store, record, folder, caplog):
    going = [record("session:a"), record("session:b")]
    off_loop = store.records.off_loop

    def vanish(function, *arguments):
        found = off_loop(function, *arguments)
        for path in going:
            path.unlink(missing_ok=True)
        return found

    store.records.off_loop = vanish
    sweep(app)
    assert not caplog.records


def test_who_deleted_all_is_forgotten_for_good_after_a_day(app, store, monkeypatch):
    store.forget("me")
    sweep(app)
    assert store.has_forgotten("me")
    monkeypatch.setattr("webapp.conversations.time", lambda: time() + DAY + 1)
    sweep(app)
    assert not store.has_forgotten("me")
    assert not store._forgotten
