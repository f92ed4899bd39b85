"""What a loss of power leaves: data is flushed before it is named, its name after it, and then only the old goes."""

import errno
import os
from io import BytesIO
from pathlib import Path
from time import sleep

import pytest

from webapp import answer_log, create_app
from webapp.files import Files, write_whole
from webapp.records import RecordFiles

from .conftest import wait_until
from .openai_server import SILENCE, Reply, chunk, event


class Calls(list):
    """The calls that change what is below a folder, in their order, as (name, path below it)."""

    def __init__(self, folder, monkeypatch):
        super().__init__()
        self.folder = Path(folder)
        for name in ("fsync", "fdatasync", "rename", "replace", "mkdir", "unlink", "write"):
            if hasattr(os, name):
                self._wrap(name, monkeypatch)

    def _wrap(self, name, monkeypatch):
        real = getattr(os, name)

        def call(first, *rest, **more):
            path = Path(os.readlink(f"/proc/self/fd/{first}")) if isinstance(first, int) else Path(first)
            target = Path(rest[0]) if name in ("rename", "replace") else path
            result = real(first, *rest, **more)  # What failed did nothing.
            if target.is_relative_to(self.folder):
                self.append(({"fdatasync": "fsync", "rename": "replace"}.get(name, name), self._below(path)))
                if target != path:
                    self[-1] = (self[-1][0], self._below(path), self._below(target))
            return result

        monkeypatch.setattr(os, name, call)
        if name == "fdatasync":
            monkeypatch.setattr(answer_log, "_flush", call)

    def _below(self, path):
        return str(path.relative_to(self.folder))

    def named(self, start):
        """Return the files that got a name, and check how each did."""
        found = []
        for at, one in enumerate(self):
            if one[0] == "replace":
                _, half, name = one
                later = any(call[0] == "replace" and call[-1] == name for call in self[at + 1 :])
                if name.endswith(".exchanges.json") and later:
                    continue  # A request that is on its way; what came of it follows.
                assert ("fsync", half) in self[:at], f"{name} was named before it was flushed"
                assert ("fsync", str(Path(name).parent)) in self[at:], f"the name of {name} was not flushed"
                found.append(name)
            if one[0] == "mkdir":
                assert ("fsync", str(Path(one[1]).parent)) in self[at:], f"the folder {one[1]} was not flushed"
        return [name for name in found if name.startswith(start)]


@pytest.fixture
def calls(app, chat, monkeypatch):
    return Calls(app.config["DATA_DIR"], monkeypatch)


def record_of(app, chat):
    records = app.extensions["store"].records
    return f"records/{records._path(f'conversation:{chat.id}').name}"


def test_a_question_and_its_answer(app, chat, calls):
    chat.answered("One?")
    wait_until(lambda: any(call[0] == "unlink" and call[1].startswith("answers/") for call in calls))
    record = record_of(app, chat)
    assert len(calls.named(record)) == 2  # the question, and the answer
    last = max(at for at, call in enumerate(calls) if call[0] == "fsync" and call[1] == "records")
    removed = [at for at, call in enumerate(calls) if call[0] == "unlink" and call[1].startswith("answers/")]
    assert min(removed) > last, "The log went before the record was durable."
    exchanges = [at for at, call in enumerate(calls) if call[-1].endswith(".exchanges.json")]
    assert max(exchanges) < max(at for at, call in enumerate(calls) if call[-1] == record)


def test_pictures(app, client, chat, calls):
    page = client.get("/images").text
    address = page[page.index("/conversations/") :].split('"')[0]
    client.post(address.rpartition("/")[0] + "/ask", data={"question": "A cat"})
    wait_until(lambda: ".png" in client.get("/images").text)
    assert len(calls.named("files/")) >= 2  # the picture, and the exchange


def test_what_is_imported_and_what_is_set(app, chat, calls, monkeypatch):
    monkeypatch.setattr(app.extensions["files"], "remove", lambda name, files: calls.append(("removed", name)))
    chat.answered("One?")
    export = chat.client.get(f"/conversations/{chat.id}/export/json").data
    chat.client.post(f"/conversations/{chat.id}/import", data={"file": (BytesIO(export), "a.json")})
    chat.post("parameters", temperature="0.5")
    chat.post("clear", confirmed="yes")
    record = record_of(app, chat)
    assert len(calls.named(record)) == 5
    last = max(at for at, call in enumerate(calls) if call[-1] == record)
    assert ("fsync", "records") in calls[last : calls.index(("removed", chat.id))], "Files go once nothing names them."


def test_the_installation_and_the_budget(tmp_path, monkeypatch, openai):
    folder = tmp_path / "new" / "data"
    calls = Calls(tmp_path, monkeypatch)
    app = create_app(
        {"TESTING": True, "DATA_DIR": folder, "OPENAI_BASE_URL": openai.base_url, "CHAT_MODEL": "m", "TOKEN_BUDGET": 9}
    )
    app.extensions["budget"].spend("me", 5)
    assert "new/data/installation" in calls.named("")
    assert calls.named("new/data/records/")
    made = {call[1] for call in calls if call[0] == "mkdir"}
    assert {"new", "new/data", "new/data/records", "new/data/files", "new/data/answers"} <= made


def test_an_answer_that_streams_is_flushed_about_once_a_second_with_the_name_of_its_log(
    app, chat, calls, openai, monkeypatch
):
    monkeypatch.setattr(answer_log, "FLUSHED_EVERY", 0.01)
    openai.enqueue(Reply([event(chunk("Half")), SILENCE]))
    chat.ask("One?")
    wait_until(lambda: "Half" in chat.page())
    log = next(call[1] for call in calls if call[0] == "write" and call[1].startswith("answers/"))
    written = max(at for at, call in enumerate(calls) if call == ("write", log))
    wait_until(lambda: ("fsync", log) in calls[written:] and ("fsync", "answers") in calls[written:])
    chat.post("stop")


def test_a_log_that_is_idle_is_not_flushed(tmp_path, monkeypatch):
    monkeypatch.setattr(answer_log, "FLUSHED_EVERY", 0.001)
    logs = answer_log.Logs(tmp_path / "answers")
    flushed = []
    logs.off_loop = lambda flush, files, folder: (flushed.append(len(files)), flush(files, folder))[1]
    log = logs.of("a", 0)
    log.append("text")
    wait_until(lambda: flushed and not logs._flushing)
    before = len(flushed)
    sleep(0)
    assert len(flushed) == before
    log.append("more")
    wait_until(lambda: len(flushed) > before)
    log.close()


def test_a_log_that_cannot_be_flushed_keeps_no_other_from_it_and_is_tried_again(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(answer_log, "FLUSHED_EVERY", 0.001)
    flushed, broken, folder = [], [True], tmp_path / "answers"
    real = os.fsync

    def flush(file):
        name = Path(os.readlink(f"/proc/self/fd/{file}")).name
        flushed.append(name)
        if name == "a.log" and broken[0]:
            raise OSError(errno.EIO, "Input/output error")
        real(file)

    monkeypatch.setattr(answer_log, "_flush", flush)
    monkeypatch.setattr(os, "fsync", flush)
    logs = answer_log.Logs(folder)
    for name in "abc":
        logs.of(name, 0).append(name)
    wait_until(lambda: flushed.count("a.log") > 2)  # without a further piece
    assert {"b.log", "c.log", "answers"} <= set(flushed)
    assert caplog.text.count("cannot be flushed") == 1
    broken[0] = False
    wait_until(lambda: not logs._flushing)
    assert flushed.count("b.log") < flushed.count("a.log")


def test_what_is_deleted_does_not_come_back(app, chat, calls):
    chat.answered("One?")
    record = record_of(app, chat)
    assert chat.client.post("/visitor/delete").status_code == 303
    assert ("fsync", "records") in calls[calls.index(("unlink", record)) :]


def test_what_is_not_durable_is_not_waited_for(tmp_path, monkeypatch):
    calls = Calls(tmp_path, monkeypatch)
    write_whole(tmp_path / "a", b"1", durable=False)
    assert [call[0] for call in calls] == ["replace"]


def test_a_folder_of_files_is_named_durably(tmp_path, monkeypatch):
    calls = Calls(tmp_path, monkeypatch)
    Files(tmp_path / "files").write("talk", "a.png", b"1")
    RecordFiles(tmp_path / "records", 60).set("a", 1)
    assert len(calls.named("")) == 2
    assert ("fsync", "files") in calls
