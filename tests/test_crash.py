"""`kill -9` at random moments, and orderly ends in the middle of everything."""

import os
import random
import re
import signal
import socket
import threading
from collections import Counter
from contextlib import closing, contextmanager
from http.client import HTTPConnection, HTTPException
from time import monotonic
from urllib.parse import urlencode

import msgspec
import pytest

from webapp.conversation import Conversation
from webapp.records import RecordFiles

from .conftest import WAIT, runs, statuses, texts, wait_until
from .openai_server import SILENCE, Reply, chunk, event
from .visitor import Visitor

SEED = int(os.environ.get("CRASH_SEED", "20"))
ROUNDS = 26  # in two halves, which can run side by side
# What a kill is aimed at; None is any moment.
AIMS = ("asking", "streaming", "settling", "importing", "editing", "clearing", None)
PHASES = {"ask": "asking", "edit": "editing", "clear": "clearing", "import": "importing"}  # by the end of an address
WORDS = [f"{number} 字 " for number in range(60)]
WHOLE = "".join(WORDS)
LOST = (OSError, HTTPException)


class Client:
    """A visitor who knows what the server has said yes to, and what it has sent."""

    def __init__(self, server):
        self.server = server
        self.visitor = Visitor(server.url)
        self.sure = set()  # questions whose POST was answered, and that nothing removed since
        self.parameters = {}
        self.received = {}  # how many characters came, by the answer's id
        self.began = set()  # the questions that were sent, answered or not
        self.phase = ""  # what the server is doing for it
        self.following = ""  # the id of the answer that it follows

    def post(self, path, form, **headers):
        """Return a reply's text; raises one of LOST where there was none."""
        connection = HTTPConnection("127.0.0.1", int(self.server.settings["PORT"]), timeout=WAIT)
        body = form if isinstance(form, bytes) else urlencode(form)
        kind = {"Content-Type": "application/x-www-form-urlencoded"} | headers
        cookie = "; ".join(f"{one.name}={one.value}" for one in self.cookies())
        address = f"/conversations/{self.visitor.id}/{path}"
        with closing(connection), self._in(PHASES.get(path.rpartition("/")[2], "other")):
            connection.request("POST", address, body, kind | {"Cookie": cookie, "HX-Request": "true"})
            response = connection.getresponse()
            text = response.read().decode()
            assert response.status < 500, text
            return text if response.status == 200 else ""

    @contextmanager
    def _in(self, phase):
        self.phase = phase
        try:
            yield
        finally:
            self.phase = ""

    def phase_now(self, folder):
        """Return what the server is doing for it; an answer that is whole in its log, and still there, settles."""
        log = folder / "answers" / f"{self.following}.log"
        try:
            whole = self.phase == "streaming" and log.stat().st_size == len(WHOLE.encode())
        except FileNotFoundError:
            whole = False
        return "settling" if whole else self.phase

    def cookies(self):
        return next(handler for handler in self.visitor.opener.handlers if hasattr(handler, "cookiejar")).cookiejar

    def ask(self, question, path="ask", **more):
        self.began.add(question)
        if answered := self.post(path, {"question": question, **more}):
            self.sure.add(question)
        return answered

    def ask_and_follow(self, question):
        stream = re.search(r'hx-sse:connect="([^"]+)"', self.ask(question))
        if stream:
            self.follow(stream[1].replace("&amp;", "&"))

    def follow(self, address):
        self.following = answer_id = address.split("/")[4]
        stream = f"{self.server.url}{address}"
        with self._in("streaming"), self.visitor.opener.open(stream, timeout=WAIT) as lines:
            for line in lines:
                if found := re.match(rb"id: (\d+)", line):
                    self.received[answer_id] = max(int(found[1]), self.received.get(answer_id, 0))
                if line.startswith(b"event: end"):
                    return

    def record(self, folder):
        value = RecordFiles(folder / "records", 60).get(f"conversation:{self.visitor.id}")
        return msgspec.convert(value, Conversation) if value else Conversation(owner="nobody")


def asking(client, number, last):
    client.ask_and_follow(f"Asked in round {number}?")


def editing(client, number, last):
    if last:
        client.ask(f"Edited in round {number}?", f"turns/{last.id}/edit")


def retrying(client, number, last):
    if last:
        client.post(f"turns/{last.id}/retry", {})


def going_on(client, number, last):
    if last and last.answer.can_continue:
        client.post(f"turns/{last.id}/continue", {})


def clearing(client, number, last):
    client.ask(f"Cleared in round {number}?")
    before, client.sure = client.sure, set()  # Any of it may be gone from now on, or all be there.
    client.began |= before
    client.post("clear", {"confirmed": "yes"})


def importing(client, number, last):
    turns = [{"role": role, "content": f"Imported {number} {i}"} for i in range(3) for role in ("user", "assistant")]
    body = msgspec.json.encode({"messages": turns})
    head = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.json"\r\n\r\n'
    questions = {turn["content"] for turn in turns}
    client.began |= questions
    if client.post("import", head + body + b"\r\n--x--\r\n", **{"Content-Type": "multipart/form-data; boundary=x"}):
        client.sure |= questions


def exporting(client, number, last):
    with client.visitor.opener.open(f"{client.server.url}/conversations/{client.visitor.id}/export/json") as file:
        msgspec.json.decode(file.read())


def setting(client, number, last):
    client.parameters = {}
    if client.post("parameters", {"max_tokens": str(100 + number)}):
        client.parameters = {"max_tokens": 100 + number}


OTHERS = (asking, retrying, going_on, exporting, setting)  # what is done beside what a kill is aimed at


def attempt(action, *arguments):
    """Do something that a kill may cut short."""
    try:
        action(*arguments)
    except LOST:
        pass


def kill(server, whom):
    """Kill the master, the worker, or all processes at once; return when all that is to be gone is."""
    running = server.processes()[1:]
    if whom == "worker":
        running = running[:1]
        running[0].kill()
    else:
        (os.killpg if whom == "group" else os.kill)(server.process.pid, signal.SIGKILL)
        server.process.wait()
    wait_until(lambda: not any(map(runs, running)))


def check(client, folder):
    """What holds after every crash."""
    page = wait_until(lambda: client.visitor.page(quietly=True))
    assert "pending" not in statuses(page)
    conversation = client.record(folder)
    turns = list(conversation.every_turn())
    assert client.sure <= {turn.question for turn in turns} <= client.began
    imported = [turn.question for turn in turns if turn.question.startswith("Imported")]
    assert len(imported) % 3 == 0, "All of a file, or nothing."
    assert conversation.parameters.items() >= client.parameters.items()
    for turn in turns:
        for answer in turn.answers:
            assert answer.status != "pending"
            if answer.continues or turn.question.startswith("Imported"):
                continue
            assert WHOLE.startswith(answer.text)
            assert len(answer.text) >= client.received.get(answer.id, 0), "Somebody had read more than is kept."
            # A clear stops what is being written first, and may have come no further.
            broke_off = answer.status in ("interrupted", "stopped")
            assert broke_off or answer.text == WHOLE
            assert answer.can_continue == (broke_off and bool(answer.text))
    return conversation


HARD = """
import os
from time import sleep  # the real one, before anybody makes it cooperative
real = os.fsync
os.fsync = lambda file: (sleep(0.03), real(file))[1]
"""


@pytest.fixture
def hard(serve, openai):
    """A server whose disk takes 30 ms for each flush, as one with heads does: what is done there can be hit."""
    return serve(HARD, OPENAI_BASE_URL=openai.base_url, OPENAI_API_KEY="k", CHAT_MODEL="test-model")


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("half", range(2))
def test_kill_9_at_random_moments_loses_nothing(hard, openai, tmp_path, half):
    print("seed", SEED)
    chance = random.Random(f"{SEED} {half}")
    folder, server = tmp_path / "data", hard
    reader, changer = Client(server), Client(server)
    clients = (reader, changer)
    seen, hit = set(), Counter()
    openai.enqueue(Reply.text(*WORDS))
    reader.ask_and_follow(f"Answered before, {half}?")  # What is settled stays so.
    for number in range(half, ROUNDS, 2):
        openai.enqueue(*(Reply.text(*WORDS, delay=0.003) for _ in clients))
        last = next(reversed(changer.record(folder).turns), None)
        aim = AIMS[number // 2 % len(AIMS)]
        aimed = {"editing": editing, "clearing": clearing, "importing": importing}.get(aim)
        beside = chance.choice(OTHERS) if last else asking  # The others have something to do only then.
        acting = [
            threading.Thread(target=attempt, args=(asking, reader, number, None)),
            threading.Thread(target=attempt, args=(aimed or beside, changer, number, last)),
        ]
        for thread in acting:
            thread.start()
        if aim is None:
            threading.Event().wait(chance.random() * 0.5)
        else:
            wait_until(lambda aim=aim, acting=acting: aim in phases(clients, folder) or not alive(acting))
            threading.Event().wait(chance.random() * 0.04)
        whom = chance.choice(("master", "worker", "group"))
        hit.update(phases(clients, folder))
        kill(server, whom)
        for thread in acting:
            thread.join()
        if whom != "worker":
            server.start()  # At once: port and folder are free.
        for client in clients:
            seen |= {answer.status for turn in check(client, folder).turns for answer in turn.answers}
    print("hit", dict(hit))
    assert hit.keys() >= set(AIMS) - {None}, "Not everything was hit."
    assert {"done", "interrupted"} <= seen <= {"done", "interrupted", "stopped"}
    assert not list(folder.rglob("*.damaged"))
    assert not list((folder / "answers").glob("*.settled.json"))
    assert len(list(folder.rglob("new-*"))) <= ROUNDS
    assert max(reader.received.values()) > 0


def phases(clients, folder):
    return {client.phase_now(folder) for client in clients} - {""}


def alive(threads):
    return [thread for thread in threads if thread.is_alive()]


def answered(visitor):
    """Tell whether the last question has the first words of its answer; ask again where it came in a bad moment."""
    page = visitor.page()
    if statuses(page)[-1] == "failed" and not texts(page)[-1].strip():
        visitor.post(re.findall(r'action="(/[^"]*/retry)"', page)[-1])
    return texts(page)[-1].strip()


@pytest.mark.slow
@pytest.mark.model
@pytest.mark.timeout(300)
def test_the_local_model_is_back_after_each_kill(serve, tmp_path):
    chance = random.Random(SEED)
    folder = tmp_path / "data"
    server = serve()
    visitor = Visitor(server.url)
    visitor.post(f"/conversations/{visitor.id}/parameters", max_tokens="100")
    visitor.ask("What is the capital of China?")
    wait_until(lambda: texts(visitor.page())[-1].strip())
    back = []
    for number, whom in enumerate(("model", "both", "master", "model")):
        threading.Event().wait(chance.random() * 0.3)
        _, _, model = server.processes()
        seen = texts(visitor.page())[-1]
        began = monotonic()
        if whom == "model":
            model.kill()
        else:
            kill(server, "group" if whom == "both" else whom)
            wait_until(lambda model=model: not runs(model))
            if whom != "worker":
                server.start()
        page = wait_until(
            lambda: "pending" not in statuses(page := visitor.page(quietly=True) or "pending") and page, 60
        )
        assert texts(page)[-1].startswith(seen.rstrip()[:-1])
        visitor.ask(f"Round {number}: what is the capital of France?")
        wait_until(lambda: answered(visitor))
        back.append(monotonic() - began)
    print("from the kill to the first words of the next answer, in seconds:", [round(one, 1) for one in back])
    conversation = msgspec.convert(RecordFiles(folder / "records", 60).get(f"conversation:{visitor.id}"), Conversation)
    assert len(conversation.turns) == 5
    terminated = server.processes()[1:]
    assert server.terminate() == 0
    assert not [one for one in terminated if one.is_running()]


@pytest.fixture
def silent(serve, openai, tmp_path):
    """A server with an answer whose model is silent, a stream that is followed, and an upload that does not end."""
    server = serve(OPENAI_BASE_URL=openai.base_url, OPENAI_API_KEY="sk-test", CHAT_MODEL="test-model")
    visitor = Visitor(server.url)
    openai.enqueue(Reply([event(chunk("Half")), SILENCE]))
    visitor.ask("One?")
    page = wait_until(lambda: texts(page := visitor.page()) == ["Half"] and page)
    address = re.search(r'hx-sse:connect="([^"]+)"', page)[1].replace("&amp;", "&")
    stream = visitor.opener.open(f"{server.url}{address}", timeout=WAIT)
    upload = socket.create_connection(("127.0.0.1", int(server.settings["PORT"])))
    upload.sendall(b"POST /conversations/x/import HTTP/1.1\r\nHost: localhost\r\nContent-Length: 999\r\n\r\nhalf")
    yield server, visitor, stream
    upload.close()
    stream.close()


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_an_orderly_end_waits_for_nobody_who_is_silent(silent, how, tmp_path):
    server, visitor, stream = silent
    ending = threading.Thread(target=server.terminate, args=(how,))
    ending.start()
    assert b"event: end" in stream.read()  # The page hears of it.
    ending.join()
    assert server.process.returncode == 0
    server.start()
    page = visitor.page()
    assert (statuses(page), texts(page)) == (["interrupted"], ["Half"])


SLOW = """
import os, time
real, data = os.fsync, os.environ.get("DATA_DIR", "")
def fsync(file):
    if os.path.exists(data + "/slow"):
        time.sleep(30)
    return real(file)
os.fsync = fsync
"""


@pytest.fixture
def slow(serve, openai):
    """A server whose disk, once there is a file `slow`, takes half a minute for each flush."""
    return serve(SLOW, OPENAI_BASE_URL=openai.base_url, OPENAI_API_KEY="k", CHAT_MODEL="m")


@pytest.mark.slow
def test_an_end_on_a_slow_disk_refuses_politely_and_loses_nothing(slow, openai, tmp_path):
    visitors = [Visitor(slow.url) for _ in range(3)]
    openai.enqueue(*(Reply([event(chunk("Half")), SILENCE]) for _ in visitors))
    for visitor in visitors:
        visitor.ask("One?")
        wait_until(lambda visitor=visitor: texts(visitor.page()) == ["Half"])
    other = Client(slow)
    other.ask("Before?")
    (tmp_path / "data" / "slow").touch()
    ending = threading.Thread(target=slow.terminate)
    ending.start()
    connection = HTTPConnection("127.0.0.1", int(slow.settings["PORT"]), timeout=WAIT)
    wait_until(lambda: openai.closed_by_client.is_set())
    cookie = "; ".join(f"{one.name}={one.value}" for one in other.cookies())
    for headers in ({"HX-Request": "true"}, {}):
        headers |= {"Cookie": cookie, "Content-Type": "application/x-www-form-urlencoded"}
        form = urlencode({"question": "What I typed?"})
        connection.request("POST", f"/conversations/{other.visitor.id}/ask", form, headers)
        refused = connection.getresponse()
        text = refused.read().decode()
        assert refused.status == 503
        assert "The server is stopping." in text
        assert "HX-Request" in headers or "What I typed?" in text
    connection.close()
    ending.join()
    (tmp_path / "data" / "slow").unlink()
    slow.start()
    for visitor in visitors:
        page = visitor.page()
        assert (statuses(page), texts(page)) == (["interrupted"], ["Half"])


@pytest.mark.model
def test_an_end_while_the_local_model_loads_leaves_no_process(serve):
    server = serve()
    running = wait_until(lambda: len(found := server.processes()) == 3 and found)
    assert server.terminate() == 0
    wait_until(lambda: not [one for one in running if one.is_running()])
