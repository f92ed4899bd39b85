"""A disk that is full, read-only, slow or damaged: what is at fault says so, all else goes on, and it heals."""

import errno
import os
import re
import resource
import signal
import threading
from io import BytesIO
from pathlib import Path

import pytest
from werkzeug.test import Client

from webapp import answer_log, create_app, erasing, running, settling, store
from webapp.i18n import catalogue

from .conftest import WAIT, Chat, Server, statuses, texts, wait_until
from .disk import FAULTS, Disk
from .openai_server import DONE, PNG, SILENCE, Reply, chunk, event
from .test_visitor import everything_in
from .visitor import Visitor

SAMPLES = Path(__file__).parent / "samples"


@pytest.fixture
def disk(app, monkeypatch):
    return Disk(app.config["DATA_DIR"], monkeypatch)


@pytest.fixture
def other(app, chat):
    """Another visitor, who is there before anything fails."""
    other = Chat(app.test_client())
    other.answered("Theirs?")
    return other


def reason(fault):
    return os.strerror(FAULTS[fault])


def in_chinese(chat, path="/", **form):
    """Return what a Chinese reader is shown; without a form the page is only looked at."""
    headers = {"Accept-Language": "zh-CN"}
    return (chat.client.post(path, data=form, headers=headers) if form else chat.client.get(path, headers=headers)).text


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("htmx", [True, False])
def test_a_question_that_cannot_be_saved_is_given_back_and_costs_nothing(chat, openai, disk, fault, htmx):
    chat.answered("One?")
    with disk.fails(fault):
        refused = chat.ask("What I typed?", htmx=htmx)
        assert refused.status_code == 503
        assert reason(fault) in refused.text
        assert htmx or "What I typed?" in refused.text
        refused = in_chinese(chat, f"/conversations/{chat.id}/ask", question="我的问题？")
        assert f"无法保存或读取对话：{catalogue('zh-CN')[reason(fault)]}。" in refused
        page = chat.page()  # What is there can be read.
        assert texts(page) == ["You said: One?"]
    assert len(openai.bodies) == 1
    assert texts(chat.answered("What I typed?"))[1] == "You said: What I typed?"
    wait_until(lambda: not list(Path(disk.folder, "answers").iterdir()))
    assert not list(Path(disk.folder).rglob("new-*"))


@pytest.mark.parametrize("fault", FAULTS)
def test_a_log_that_cannot_be_written_ends_no_answer(chat, openai, disk, fault, caplog):
    go_on = threading.Event()
    openai.enqueue(Reply([event(chunk("Half ")), go_on, event(chunk("and 汉字", "stop")), DONE]))
    chat.ask("One?")
    wait_until(lambda: "Half" in chat.page())
    with disk.fails(fault, "answers"):
        go_on.set()
        page = chat.settled()
        assert disk.failed
    assert (statuses(page), texts(page)) == (["done"], ["Half and 汉字"])
    assert "kept in memory alone" in caplog.text


@pytest.mark.parametrize("fault", FAULTS)
def test_an_answer_that_cannot_be_saved_is_shown_and_saved_by_itself(
    app, chat, other, openai, disk, fault, caplog, monkeypatch
):
    monkeypatch.setattr(settling, "AGAIN_EVERY", 0.02)
    go_on = threading.Event()
    openai.enqueue(Reply([event(chunk("Half ")), go_on, event(chunk("and half", "stop")), DONE]))
    chat.ask("One?")
    wait_until(lambda: "Half" in chat.page())
    with disk.fails(fault):
        go_on.set()
        page = wait_until(lambda: "Not saved yet" in (page := chat.page()) and page)
        assert (statuses(page), texts(page)) == (["done"], ["Half and half"])
        assert f"Not saved yet: {reason(fault)}." in page
        assert f"尚未保存：{catalogue('zh-CN')[reason(fault)]}。" in in_chinese(chat)
        assert "event: end" in chat.stream().text
        still = re.search(r'hx-get="(/[^"]*/unsaved)"', page)[1]
        assert chat.client.get(still).status_code == 204
        refused = chat.ask("Two?")
        assert refused.status_code == 503
        assert "could not be saved yet" in refused.text and "Two?" in refused.text
        assert chat.post("clear", htmx=True).status_code == 503
        assert texts(other.page()) == ["You said: Theirs?"]
        for told in ("An answer could not be saved", "The requests and replies"):
            assert caplog.text.count(told) == 1  # and not with each try
    # Nobody opens the page.
    wait_until(lambda: not app.extensions["answers"].settling.late)
    assert chat.client.get(still).status_code == 200  # With that, the page takes the line away.
    after = create_app({"TESTING": True, **{name: app.config[name] for name in ("DATA_DIR", "OPENAI_BASE_URL")}})
    loaded = after.extensions["store"].load(chat.id, owner_of(app, chat))
    assert (loaded.turns[0].answer.status, loaded.turns[0].answer.text) == ("done", "Half and half")
    page = chat.page()
    assert "Not saved yet" not in page
    assert texts(chat.answered("Two?")) == ["Half and half", "You said: Two?"]
    wait_until(lambda: not list(Path(disk.folder, "answers").iterdir()))


def test_a_late_answer_whose_record_is_damaged_by_then_is_tried_no_more(app, chat, openai, disk, monkeypatch, caplog):
    monkeypatch.setattr(settling, "AGAIN_EVERY", 0.02)
    go_on = threading.Event()
    openai.enqueue(Reply([event(chunk("Half ")), go_on, event(chunk("and half", "stop")), DONE]))
    chat.ask("One?")
    wait_until(lambda: "Half" in chat.page())
    with disk.fails("full"):
        go_on.set()
        wait_until(lambda: "Not saved yet" in chat.page())
        records = app.extensions["store"].records
        records._path(f"conversation:{chat.id}").chmod(0o600)
        with open(records._path(f"conversation:{chat.id}"), "r+b") as record:
            record.truncate(20)
    late = app.extensions["answers"].settling
    wait_until(lambda: not late._trying)
    assert not late._late and not late._unsaved
    assert "its text is in" in caplog.text and "is saved now" not in caplog.text
    (log,) = Path(disk.folder, "answers").glob("*.log")
    assert log.read_text() == "Half and half"


def owner_of(app, chat):
    with app.test_request_context("/", headers={"Cookie": chat.cookie()}):
        return store.visitor()


def test_pictures_that_could_not_be_saved_are_saved_later(app, openai, disk, monkeypatch):
    monkeypatch.setattr(settling, "AGAIN_EVERY", 0.02)
    go_on = threading.Event()
    openai.enqueue(Reply([go_on, *Reply.images(PNG, PNG).steps], 200, "application/json"))
    client = app.test_client()
    page = client.get("/images").text
    address = re.search(r"/conversations/([\w-]+)/ask", page)[0]
    client.post(address, data={"question": "A cat"})
    wait_until(lambda: openai.bodies)
    with disk.fails("full", "files"):
        go_on.set()
        wait_until(lambda: "Not saved yet" in client.get("/images").text)
    wait_until(lambda: not app.extensions["answers"].settling.late)
    page = client.get("/images").text
    files = sorted(set(re.findall(r"/conversations/[\w-]+/files/[\w.-]+\.png", page)))
    assert len(files) == 2
    assert [client.get(file, buffered=True).data for file in files] == [PNG, PNG]


def test_an_answer_that_broke_off_is_shown_from_its_log_while_the_disk_is_read_only(app, chat, openai, config, disk):
    openai.enqueue(Reply([event(chunk("Half")), SILENCE]))
    chat.ask("One?")
    wait_until(lambda: "Half" in chat.page())
    after = create_app({"TESTING": True, **config})  # The first process as good as died.
    client = after.test_client()
    client.set_cookie(*chat.cookie().split("="))
    with disk.fails("read-only"):
        later = Chat(client)
        page = later.page()
        assert (statuses(page), texts(page)) == (["interrupted"], ["Half"])
        assert "Not saved yet: Read-only file system." in page
        assert later.ask("Two?").status_code == 503
        still = re.search(r'hx-get="(/[^"]*/unsaved)"', page)[1]
        assert client.get(still).status_code == 204
    assert client.get(still).status_code == 200  # Asking has saved it.
    page = later.page()
    assert (statuses(page), texts(page)) == (["interrupted"], ["Half"])
    assert "Not saved yet" not in page
    after.extensions["answers"].shut_down()


@pytest.mark.parametrize("fault", FAULTS)
def test_every_change_says_why_it_cannot_be_made_and_changes_nothing(chat, other, disk, fault):
    before = chat.answered("One?")
    turn = f"turns/{chat.turn_id()}"
    export = Chat(chat.client).client.get(f"/conversations/{chat.id}/export/json").data
    changes = {
        f"{turn}/edit": {"question": "Typed?"},
        f"{turn}/retry": {},
        f"{turn}/leave-out": {},
        "clear": {"confirmed": "yes"},
        "parameters": {"temperature": "0.5"},
        "import": {"file": (BytesIO(export), "a.json")},
    }
    with disk.fails(fault):
        for path, form in changes.items():
            for headers in ({"HX-Request": "true"}, {}):
                form = {name: (BytesIO(export), "a.json") if name == "file" else value for name, value in form.items()}
                refused = chat.client.post(f"/conversations/{chat.id}/{path}", data=form, headers=headers)
                assert refused.status_code == 503, path
                assert reason(fault) in refused.text, path
        for path in ("/", f"/conversations/{chat.id}/export", f"/conversations/{chat.id}/export/markdown", "/models"):
            assert chat.client.get(path).status_code == 200, path
        assert texts(other.page()) == ["You said: Theirs?"]
    assert texts(chat.page()) == texts(before)
    assert not list(Path(disk.folder).rglob("new-*"))


def test_a_new_visitor_hears_of_a_full_disk(app, disk):
    app.config["PROPAGATE_EXCEPTIONS"] = False  # As it is outside of tests.
    with disk.fails("full"):
        page = app.test_client().get("/")
    assert page.status_code == 503
    assert "No space left on device" in page.text


def test_who_comes_back_after_a_day_can_read_on_a_read_only_disk(chat, disk, monkeypatch, caplog):
    chat.answered("One?")
    monkeypatch.setattr("webapp.store.DAY", -1)
    with disk.fails("read-only"):
        assert texts(chat.page()) == ["You said: One?"]
        assert disk.failed
    assert "could not be written again" in caplog.text


@pytest.mark.parametrize("where", ["records", "files", "answers"])
def test_what_cannot_even_be_read_is_told(app, chat, disk, where):
    app.config["PROPAGATE_EXCEPTIONS"] = False
    chat.answered("One?")
    with disk.fails("broken", where, reading=True):  # By werkzeug's client; Flask's wants to see the session.
        page = Client(app, use_cookies=False).get("/", headers={"Cookie": chat.cookie(), "Host": "localhost"})
    assert page.status_code == (503 if where == "records" else 200)
    assert where != "records" or "Input/output error" in page.text
    assert texts(chat.page()) == ["You said: One?"]


@pytest.mark.parametrize("where", ["files", "answers"])
def test_one_folder_without_permission_does_not_keep_anybody_from_asking(chat, disk, where):
    with disk.fails("no permission", where):
        assert texts(chat.answered("One?")) == ["You said: One?"]
        assert disk.failed


DEEP = b"[" * 100_000


@pytest.mark.parametrize(
    "content", [b"", b"{", b"\xff\x00garbage", b"[]", b"{}", b'{"status":"pending"}', b"null", DEEP]
)
def test_whatever_lies_where_a_file_should_ends_nothing(app, chat, openai, config, content):
    """Each kind of file but the records, which `test_store.py` damages."""
    openai.enqueue(Reply([event(chunk("Half")), SILENCE]))
    chat.ask("One?")
    wait_until(lambda: "Half" in chat.page())
    folder = app.config["DATA_DIR"]
    answer_id = re.findall(r'id="answer-([\w-]+)"', chat.page())[0]
    for name in (f"answers/{answer_id}.settled.json", f"files/{chat.id}/{answer_id}.exchanges.json"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)
    (folder / "files" / chat.id / "import-abc.json").write_bytes(content)
    after = create_app({"TESTING": True, **config})
    client = after.test_client()
    client.set_cookie(*chat.cookie().split("="))
    later = Chat(client)
    page = later.page()
    assert (statuses(page), texts(page)) == (["interrupted"], ["Half"])
    assert client.get(f"/conversations/{chat.id}/answers/{answer_id}/exchange").status_code == 200
    assert client.get(f"/conversations/{chat.id}/export/json").status_code == 200
    for method in (client.get, client.post):
        assert method(f"/conversations/{chat.id}/import/abc", data={"choice": "0"}).status_code in (200, 404, 422)
    assert texts(later.answered("Two?"))[1] == "You said: Two?"
    after.extensions["answers"].shut_down()


def test_an_installation_that_cannot_be_read_is_kept_and_begun_anew(app, config, caplog):
    path = app.config["DATA_DIR"] / "installation"
    path.write_bytes(b"\xff\x00 garbage\n")
    name = create_app({"TESTING": True, **config}).config["SESSION_COOKIE_NAME"]
    assert re.fullmatch("parley-[0-9a-f]{8}", name)
    assert path.with_suffix(".damaged").read_bytes() == b"\xff\x00 garbage\n"
    assert create_app({"TESTING": True, **config}).config["SESSION_COOKIE_NAME"] == name


class Gate:
    """Holds up the first write of a file, and knows when somebody comes behind it, or has to wait for it."""

    def __init__(self, files, monkeypatch):
        self.waits, self.behind, self.opened = threading.Event(), threading.Event(), threading.Event()
        self.durable = []  # of each write that was done, whether it was
        write, real = files.write, running.RunningAnswer.__init__

        def gated(conversation_id, name, content, *, durable=True):
            if not self.waits.is_set():
                self.waits.set()
                assert self.opened.wait(WAIT)
            write(conversation_id, name, content, durable=durable)
            self.durable.append(durable)
            self.behind.set()

        def init(answer, *arguments):
            real(answer, *arguments)
            answer.recording = self._noticed(answer.recording)

        monkeypatch.setattr(files, "write", gated)
        monkeypatch.setattr(running.RunningAnswer, "__init__", init)

    def _noticed(self, lock):
        gate = self

        class Noticed:
            def __enter__(self):
                if gate.waits.is_set():
                    gate.behind.set()
                lock.acquire()

            def __exit__(self, *_):
                lock.release()

        return Noticed()


@pytest.mark.parametrize("ending", ["stop", "clear", "delete"])
def test_what_a_slow_disk_writes_late_comes_over_nothing_newer(app, chat, openai, monkeypatch, ending):
    """The request is written as it is sent; the answer is stopped, or all is deleted, before that is done."""
    gate = Gate(app.extensions["files"], monkeypatch)
    monkeypatch.setattr("webapp.answers.READ_OUT_WITHIN", 0.01)
    chat.ask("One?")
    assert gate.waits.wait(WAIT)
    path = "/visitor/delete" if ending == "delete" else f"/conversations/{chat.id}/{ending}"
    form = {"data": {"confirmed": "yes"}, "headers": {"Cookie": chat.cookie(), "Host": "localhost"}}
    client = Client(app, use_cookies=False)  # Flask's keeps contexts, which are not another thread's.
    acting = threading.Thread(target=client.post, args=(path,), kwargs=form)
    acting.start()
    assert gate.behind.wait(WAIT)
    gate.opened.set()
    acting.join()
    wait_until(lambda: len(gate.durable) == 2)
    assert gate.durable == [False, True]
    left = [path.name for path in (app.config["DATA_DIR"] / "files").rglob("*.exchanges.json")]
    assert len(left) == (ending == "stop")
    assert openai.bodies == []


def test_a_continued_answer_without_a_log_keeps_what_it_continues(app, chat, openai, config, disk):
    openai.enqueue(Reply([event(chunk("One, ")), SILENCE]), Reply([event(chunk("two")), SILENCE]))
    chat.ask("Count.")
    wait_until(lambda: "One," in chat.page())
    chat.post("stop")
    with disk.fails("full", "answers"):
        chat.post(f"turns/{chat.turn_id()}/continue")
        wait_until(lambda: "two" in chat.page())
        after = create_app({"TESTING": True, **config})
        client = after.test_client()
        client.set_cookie(*chat.cookie().split("="))
        assert texts(Chat(client).page()) == ["One,"]


def test_a_log_that_takes_half_a_piece_has_each_byte_once(tmp_path, monkeypatch):
    """A short write, as on a disk that is nearly full, then none, then all of it."""
    real, room = os.write, [5]

    def write(file, content):
        if not room[0]:
            raise OSError(errno.ENOSPC, "No space left on device")
        written = real(file, content[: room[0]])
        room[0] -= written
        return written

    log = answer_log.AnswerLog(tmp_path / "a.log", lambda log: None)
    monkeypatch.setattr(os, "write", write)
    for piece in ("汉字汉字", " and", " more"):
        log.append(piece)
    assert (tmp_path / "a.log").read_bytes() == "汉字汉字 and more".encode()[:5]
    room[0] = 10_000
    log.append(".")
    log.close()
    assert (tmp_path / "a.log").read_text() == "汉字汉字 and more."


def test_what_waits_for_a_full_disk_is_neither_copied_nor_tried_with_each_piece(tmp_path, monkeypatch):
    now, tried = [100.0], []
    monkeypatch.setattr(answer_log, "monotonic", lambda: now[0])
    log = answer_log.AnswerLog(tmp_path / "a.log", lambda log: None)
    real = os.write

    def full(file, content):
        tried.append(len(content))
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    waiting = log._waiting
    for _ in range(50):
        log.append("piece ")
    now[0] += 0.9
    log.append("piece ")
    assert tried == [6]
    now[0] += 0.2
    log.append("piece ")
    assert tried == [6, 52 * 6]
    assert log._waiting is waiting
    monkeypatch.setattr(os, "write", real)
    log.close()
    assert (tmp_path / "a.log").read_text() == "piece " * 52


class Limited(Server):
    """The real server, whose files cannot grow beyond a size: what it writes comes short, as on a full disk."""

    def limit(self, size):
        for child in self.processes()[1:]:
            resource.prlimit(child.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


@pytest.mark.slow
def test_the_real_server_on_a_disk_without_room(tmp_path, openai):
    server = Limited(tmp_path / "data", OPENAI_BASE_URL=openai.base_url, OPENAI_API_KEY="k", CHAT_MODEL="test-model")
    try:
        visitor, other = Visitor(server.url), Visitor(server.url)
        visitor.ask("One?")
        wait_until(lambda: statuses(visitor.page()) == ["done"])
        go_on = threading.Event()
        openai.enqueue(Reply([event(chunk("汉字 " * 10)), go_on, event(chunk("the rest", "stop")), DONE]))
        visitor.ask("Two?")
        wait_until(lambda: "汉字" in texts(visitor.page())[1])
        (log,) = (tmp_path / "data/answers").glob("*.log")
        server.limit(log.stat().st_size + 3)
        go_on.set()
        page = wait_until(lambda: "Not saved yet: File too large." in (page := visitor.page()) and page)
        assert texts(page)[1].endswith("the rest")
        assert log.read_text().endswith("汉字 the")  # The rest of it did not fit.
        assert len(texts(other.page())) == 0
        server.limit(resource.RLIM_INFINITY)
        wait_until(lambda: not list((tmp_path / "data/answers").iterdir()))
        server.kill()
        server.start()
        page = visitor.page()
        assert statuses(page) == ["done", "done"]
        assert texts(page)[1].endswith("the rest")
    finally:
        server.close()


def test_a_slow_disk_stops_nobody_else(serve, openai, tmp_path):
    """Each flush waits until it is let go: who needs none is answered meanwhile."""
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    server = serve(SLOW, OPENAI_BASE_URL=openai.base_url, OPENAI_API_KEY="k", CHAT_MODEL="m", GATE=str(gate))
    visitor, other = Visitor(server.url), Visitor(server.url)
    (tmp_path / "data" / "slow").touch()
    asking = threading.Thread(target=visitor.ask, args=("One?",))
    asking.start()
    wait_until(lambda: (tmp_path / "data" / "waits").exists())
    assert all(len(other.page()) > 1000 for _ in range(5))  # while the question waits for the disk
    assert openai.bodies == []
    (tmp_path / "data" / "slow").unlink()
    gate.write_bytes(b"go")
    asking.join()
    wait_until(lambda: statuses(visitor.page()) == ["done"])


SLOW = """
import os
real, data = os.fsync, os.environ.get("DATA_DIR", "")
def fsync(file):
    if os.path.exists(data + "/slow"):
        open(data + "/waits", "w").close()
        gate = os.open(os.environ["GATE"], os.O_RDONLY)  # until somebody writes
        os.read(gate, 2)
        os.close(gate)
    return real(file)
os.fsync = fsync
"""


def test_a_signal_for_a_file_that_is_too_large_ends_nothing():
    assert signal.getsignal(signal.SIGXFSZ) == signal.SIG_IGN  # Python's own; the write fails instead.


@pytest.mark.parametrize("fault", ["read-only", "no permission", "broken"])
@pytest.mark.parametrize("where", ["records", "files", ""])
def test_what_cannot_be_deleted_is_told_and_deleted_later(app, chat, other, disk, caplog, monkeypatch, fault, where):
    monkeypatch.setattr(erasing, "AGAIN_EVERY", 0.02)
    chat.answered("Mine-7391?")
    cookie = chat.cookie()
    with disk.fails(fault, where):
        done = chat.client.post("/visitor/delete", follow_redirects=True)
        assert done.status_code == 200
        assert "does not let go of all of it" in done.text
        assert ("Deleted: 1 conversation" in done.text) is False
        again = Client(app, use_cookies=False)
        address = f"/conversations/{chat.id}/export"
        assert again.get(address, headers={"Cookie": cookie, "Host": "localhost"}).status_code == 404
        assert texts(other.page()) == ["You said: Theirs?"]
    wait_until(lambda: not app.extensions["erasing"]._left)
    assert caplog.text.count(f"(conversation {chat.id})") == 2  # that it could not be, and that it is, not each try
    kept = everything_in(Path(disk.folder))
    assert b"Mine-7391" not in kept and b"Theirs" in kept
    assert "Fresh?" in Chat(chat.client).answered("Fresh?")


def test_a_full_disk_lets_everything_be_deleted(chat, disk):
    chat.answered("Mine-7391?")
    with disk.fails("full"):
        done = chat.client.post("/visitor/delete", follow_redirects=True)
    assert "Deleted: 1 conversation" in done.text and "let go" not in done.text
    assert b"Mine-7391" not in everything_in(Path(disk.folder))


@pytest.mark.parametrize("fault", FAULTS)
def test_of_an_import_with_choices_nothing_is_begun_that_cannot_be_kept(chat, disk, fault):
    content = (SAMPLES / "chatgpt-conversations.json").read_bytes()

    def send(path, **form):
        return chat.client.post(f"/conversations/{chat.id}/{path}", data=form, headers={"HX-Request": "true"})

    with disk.fails(fault, "files"):
        refused = send("import", file=(BytesIO(content), "a.json"))
        assert (refused.status_code, reason(fault) in refused.text) == (503, True)
    offered = send("import", file=(BytesIO(content), "a.json"))
    address = re.search(r"/conversations/[\w-]+/(import/[\w-]+)", offered.text)[1]
    with disk.fails(fault, "records"):
        refused = send(address, choice="0")
        assert (refused.status_code, reason(fault) in refused.text) == (503, True)
        assert texts(chat.page()) == []
    with disk.fails(fault, "files"):  # Where it was offered stays a file, which ends with its time.
        assert send(address, choice="0").status_code == 200
    assert len(texts(chat.page())) == 2


def test_choices_that_cannot_be_read_are_told(chat, disk):
    content = (SAMPLES / "chatgpt-conversations.json").read_bytes()
    address = chat.client.post(f"/conversations/{chat.id}/import", data={"file": (BytesIO(content), "a.json")}).location
    with disk.fails("broken", "files", reading=True):
        page = chat.client.get(address, headers={"HX-Request": "true"})
        assert (page.status_code, "Input/output error" in page.text) == (503, True)
    assert chat.client.get(address).status_code == 200


@pytest.fixture
def budget(app):
    budget = app.extensions["budget"]
    budget.total = budget.per_visitor = 10**6
    return budget


@pytest.mark.parametrize("fault", FAULTS)
def test_what_cannot_be_counted_takes_no_answer_back(app, chat, budget, disk, fault, caplog):
    chat.answered("One?")
    left = wait_until(lambda: (left := budget.left(owner_of(app, chat))) != 10**6 and left)
    with disk.fails(fault, app.extensions["store"].records._path(budget._key()).relative_to(disk.folder)):
        assert len(texts(chat.answered("Two?"))) == 2
        wait_until(lambda: "could not be counted against the budget" in caplog.text)
    assert budget.left(owner_of(app, chat)) == left


def test_a_budget_that_cannot_be_read_lets_nobody_spend_and_everybody_read(app, chat, budget, openai, disk):
    chat.answered("One?")
    wait_until(lambda: budget.left(owner_of(app, chat)) != 10**6)
    with disk.fails("broken", app.extensions["store"].records._path(budget._key()), reading=True):
        refused = chat.ask("Two?", htmx=True)
        assert (refused.status_code, "Input/output error" in refused.text) == (503, True)
        assert len(texts(chat.page())) == 1
    assert len(openai.bodies) == 1
    assert len(texts(chat.answered("Two?"))) == 2
