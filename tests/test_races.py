"""Several tabs at once: what is accepted is kept once, in one place, whatever arrives beside it."""

import json
import random
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http.client import HTTPConnection
from urllib.parse import urlencode

import pytest
from playwright.sync_api import expect

from webapp import create_app, running
from webapp.call import Call
from webapp.conversation import Answer, Conversation
from webapp.conversations import Unreadable
from webapp.store import hold

from .conftest import UNLIMITED, WAIT, Chat, conversation_of, owner_of, statuses, texts, wait_until
from .openai_server import DONE, Reply, chunk, event


def failing():
    return Reply.error(500, "On fire")


def cut(text="Half. "):
    return Reply.text(text, finish="length")


class Tab:
    """A tab over HTTP, with its visitor's cookie and no script: what it is answered is what it knows."""

    def __init__(self, url, cookie, conversation_id):
        self.host, self.cookie, self.id = url.removeprefix("http://"), cookie, conversation_id

    def send(self, method, path, body=None, kind="application/x-www-form-urlencoded", **headers):
        """Return the status, the address that it leads to and the text."""
        connection = HTTPConnection(self.host, timeout=WAIT)
        sent = {"Cookie": self.cookie, **({"Content-Type": kind} if body is not None else {}), **headers}
        connection.request(method, path, body, sent)
        response = connection.getresponse()
        text = response.read().decode()
        connection.close()
        return response.status, response.headers.get("Location", ""), text

    def get(self, path):
        return self.send("GET", path)

    def post(self, path, **form):
        return self.send("POST", f"/conversations/{self.id}/{path}", urlencode(form))

    def upload(self, content, import_id):
        name = "boundary"
        head = f"--{name}\r\nContent-Disposition: form-data; name="
        parts = [f'{head}"import"\r\n\r\n{import_id}\r\n', f'{head}"file"; filename="a.json"\r\n\r\n{content}\r\n']
        path, kind = f"/conversations/{self.id}/import", f"multipart/form-data; boundary={name}"
        return self.send("POST", path, "".join([*parts, f"--{name}--\r\n"]).encode(), kind)


@pytest.fixture
def tab(live, chat):
    return Tab(live, chat.cookie(), chat.id)


def at_once(*calls):
    """Call all of them in the same moment; return what each returned."""
    barrier = threading.Barrier(len(calls))

    def call(one):
        barrier.wait(WAIT)
        return one()

    with ThreadPoolExecutor(len(calls)) as threads:
        return [done.result(60) for done in [threads.submit(call, one) for one in calls]]


def leftovers(app):
    """Return the names of all answer logs."""
    return sorted(path.name for path in (app.config["DATA_DIR"] / "answers").iterdir())


def check(app, conversation_id):
    """Check what holds of every conversation at every moment, and return it as its record has it."""
    kept = conversation_of(app, conversation_id)
    turns = list(kept.every_turn())
    ids = [turn.id for turn in turns]
    assert len(set(ids)) == len(ids), "A turn is in two places."
    answers = [answer for turn in turns for answer in turn.answers]
    runs = [run for answer in answers for run in (answer.id, *answer.continues)]
    assert len(set(runs)) == len(runs), "An answer is in two places."
    pending = [turn for turn in turns for answer in turn.answers if answer.status == "pending"]
    assert len(pending) <= 1 and pending == [kept.pending][: len(pending)], "More is pending than is shown."
    named = [version for turn in turns for version in turn.versions if version != turn.id]
    assert sorted(named) == sorted(kept.set_aside)
    assert all(tail[0].id == first for first, tail in kept.set_aside.items())
    return kept


def check_settled(app, conversation_id):
    """Check what holds besides once nothing is being written: no log, no file that belongs to nothing."""
    kept = check(app, conversation_id)
    assert kept.pending is None
    wait_until(lambda: not leftovers(app))
    names = app.extensions["files"].names(conversation_id)
    assert not {name[:22] for name in names} - kept.runs(), "A file belongs to no answer."
    return kept


# --- The same form, twice at once ---


def twice(tab, path, **form):
    return [status for status, _, _ in at_once(*[lambda: tab.post(path, **form)] * 2)]


@pytest.mark.parametrize("reply", [Reply.text("Fine."), failing(), Reply([])], ids=["done", "failed", "broken"])
def test_a_question_sent_twice_at_once_is_one_turn_and_one_request(tab, chat, app, openai, reply):
    openai.enqueue(reply)
    assert twice(tab, "ask", question="One?", turn="the-form") == [303, 303]
    chat.settled()
    assert twice(tab, "ask", question="One?", turn="the-form") == [303, 303], "Back, and sent again."
    chat.settled()
    assert [turn.id for turn in check_settled(app, chat.id).turns] == ["the-form"]
    assert len(openai.bodies) == 1


def test_a_form_sent_again_after_a_restart_is_the_same_turn(chat, config, openai):
    assert chat.ask("One?", turn="the-form").status_code == 303
    chat.settled()
    again = create_app({"TESTING": True, **UNLIMITED, **config})
    client = again.test_client()
    name, _, value = chat.cookie().partition("=")
    client.set_cookie(name, value)
    later = Chat(client)
    assert later.id == chat.id
    assert later.ask("One?", turn="the-form").status_code == 303
    assert statuses(later.page()) == ["done"]
    assert len(openai.bodies) == 1
    again.extensions["answers"].shut_down()


def test_going_back_and_sending_the_plain_form_again_makes_no_second_turn(live, visit, openai):
    page = visit(live, java_script_enabled=False)
    page.locator("#question").fill("One?")
    page.locator("#send").click()
    expect(page.locator('.answer[data-status="done"]')).to_have_count(1)
    page.go_back()
    page.locator("#send").click()  # With what the browser put into the form: the same form, or an empty one.
    expect(page.locator("#notice, .turn").first).to_be_visible()
    page.goto(live)
    expect(page.locator(".turn")).to_have_count(1)
    assert openai.questions == ["One?"]
    visit.expects = "422"  # An empty form is refused.


def shown(page, action):
    """Return what the last form for an action of a turn holds: the address and the answer that it is about."""
    found = re.findall(
        rf'action="/conversations/[\w-]+/(turns/[\w-]+/{action})".*?name="answer_id" value="([\w-]+)"', page, re.S
    )
    return found[-1]


@pytest.mark.parametrize("reply", [Reply.text("Fine."), failing(), Reply([])], ids=["done", "failed", "broken"])
@pytest.mark.parametrize("first", [Reply.text("First."), failing()], ids=["content", "nothing"])
def test_a_retry_sent_twice_is_one_request_however_soon_the_first_one_ends(tab, chat, app, openai, first, reply):
    openai.enqueue(first, reply)
    path, answer_id = shown(chat.answered("One?"), "retry")
    assert tab.post(path, answer_id=answer_id)[0] == 303
    chat.settled()
    assert twice(tab, path, answer_id=answer_id) == [303, 303]
    chat.settled()
    assert len(openai.bodies) == 2
    check_settled(app, chat.id)


def test_a_retry_sent_twice_at_once_is_one_request(tab, chat, app, openai):
    openai.enqueue(failing(), failing())
    path, answer_id = shown(chat.answered("One?"), "retry")
    assert twice(tab, path, answer_id=answer_id) == [303, 303]
    chat.settled()
    assert len(openai.bodies) == 2
    check_settled(app, chat.id)


@pytest.mark.parametrize("reply", [cut("two, "), failing()], ids=["cut", "failed"])
def test_a_continue_sent_twice_is_one_request_however_soon_the_first_one_ends(tab, chat, app, openai, reply):
    openai.enqueue(cut("One, "), reply)
    path, answer_id = shown(chat.answered("Count."), "continue")
    assert tab.post(path, answer_id=answer_id)[0] == 303
    chat.settled()
    assert twice(tab, path, answer_id=answer_id) == [303, 303]
    chat.settled()
    assert len(openai.bodies) == 2
    assert check_settled(app, chat.id).turns[0].answer.text.startswith("One, ")


def test_a_retry_of_an_answer_that_brought_nothing_leaves_no_file_of_it(chat, app, openai):
    openai.enqueue(failing())
    path, answer_id = shown(chat.answered("One?"), "retry")
    assert [name for name in app.extensions["files"].names(chat.id) if name.startswith(answer_id)]
    chat.post(path, answer_id=answer_id)
    chat.settled()
    assert len(check_settled(app, chat.id).turns[0].answers) == 1


def test_a_retry_keeps_the_files_of_an_answer_that_was_gone_on_with(chat, app, openai):
    openai.enqueue(cut(), failing())
    path, answer_id = shown(chat.answered("One?"), "continue")
    chat.post(path, answer_id=answer_id)
    path, _ = shown(chat.settled(), "retry")
    chat.post(path)
    chat.settled()
    assert f"{answer_id}.exchanges.json" in app.extensions["files"].names(chat.id)


def test_a_choice_is_kept_of_the_answer_that_it_was_seen_in():
    answers = [Answer(text=one[0], choices=list(one), status="done") for one in (("a", "b"), ("c", "d"))]
    talk = Conversation(owner="me")
    turn = talk.ask("One?", "one")
    turn.answers[:] = answers
    assert talk.keep("one", 1, answers[0].id) is turn
    assert [answer.text for answer in turn.answers] == ["a", "c"]
    talk.keep("one", 1, answers[1].id)
    assert turn.answer.text == "d"


def test_an_edit_sent_twice_at_once_is_one_version_and_one_request(tab, chat, app, openai):
    chat.answered("One?")
    assert twice(tab, f"turns/{chat.turn_id()}/edit", question="Two?", turn="anew") == [303, 303]
    chat.settled()
    kept = check_settled(app, chat.id)
    assert [turn.question for turn in kept.every_turn()] == ["Two?", "One?"]
    assert openai.questions == ["One?", "Two?"]


def test_stop_twice_at_once_and_clear_while_it_settles(tab, chat, app, openai):
    gate = threading.Event()
    openai.enqueue(Reply([event(chunk("Half")), gate, DONE]))
    chat.ask("One?")
    wait_until(lambda: "Half" in chat.page())
    assert twice(tab, "stop") == [303, 303]
    (turn,) = check_settled(app, chat.id).turns
    assert (turn.answer.text, turn.answer.status) == ("Half", "stopped")
    openai.enqueue(Reply([event(chunk("Half")), gate, DONE]))
    chat.ask("Two?")
    wait_until(lambda: len(openai.bodies) == 2)
    found = at_once(
        lambda: tab.post("stop"), lambda: tab.post("clear", confirmed="yes"), lambda: tab.post("clear", confirmed="yes")
    )
    assert [status for status, _, _ in found] == [303, 303, 303]
    assert check_settled(app, chat.id).turns == []
    assert app.extensions["files"].names(chat.id) == []


# --- Imports ---

IMPORTED = json.dumps([{"role": "user", "content": "Imported?"}, {"role": "assistant", "content": "Yes."}])
SEVERAL = json.dumps(
    [{"messages": [{"role": "user", "content": name}, {"role": "assistant", "content": "Yes."}]} for name in "AB"]
)


def test_an_import_sent_twice_at_once_is_one(tab, chat, app):
    found = at_once(*[lambda: tab.upload(IMPORTED, "the-import")] * 2)
    assert [status for status, _, _ in found] == [303, 303]
    assert len(check(app, chat.id).turns) == 1


def test_the_same_form_with_another_file_is_another_import(tab, chat, app):
    for content in (IMPORTED, IMPORTED.replace("Imported", "Other")):
        assert tab.upload(content, "the-import")[0] == 303
    assert [turn.question for turn in check(app, chat.id).turns] == ["Imported?", "Other?"]


def offered(tab):
    """Send a file of several conversations; return the path to choose one at."""
    status, address, _ = tab.upload(SEVERAL, "the-import")
    assert status == 303
    return address.partition(f"{tab.id}/")[2].partition("?")[0]


def test_a_choice_among_several_sent_twice_at_once_is_one_import(tab, chat, app):
    path = offered(tab)
    found = at_once(*[lambda: tab.post(path, choice="1")] * 2)
    assert [status for status, _, _ in found] == [303, 303]
    assert tab.post(path, choice="1")[0] == 303, "Back, and sent again."
    assert [turn.question for turn in check_settled(app, chat.id).turns] == ["B"]


def test_two_choices_among_several_at_once_are_two_imports_or_one_is_refused(tab, chat, app):
    path = offered(tab)
    found = at_once(*[lambda choice=choice: tab.post(path, choice=choice) for choice in "01"])
    taken = {name for name, (status, _, _) in zip("AB", found, strict=True) if status == 303}
    assert {turn.question for turn in check_settled(app, chat.id).turns} == taken


# --- What changes while an answer is written ---


@pytest.mark.parametrize(
    ("path", "form"),
    [("turns/{}/leave-out", {}), ("parameters", {"context_tokens": "9000"})],
    ids=["left out", "window"],
)
def test_usage_is_not_taken_for_that_of_a_history_which_changed_meanwhile(chat, app, openai, path, form):
    chat.answered("One?")
    gate = threading.Event()
    usage = {"prompt_tokens": 500, "completion_tokens": 1, "total_tokens": 501}
    openai.enqueue(Reply([event(chunk("a")), gate, event(chunk(finish="stop", usage=usage)), DONE]))
    chat.ask("Two?")
    wait_until(lambda: len(openai.bodies) == 2)
    assert chat.post(path.format(chat.turn_id(0)), **form).status_code == 303
    gate.set()
    chat.settled()
    kept = check_settled(app, chat.id)
    assert kept.turns[1].answer.usage == usage
    assert kept.counted == ""


def test_a_larger_window_that_is_set_meanwhile_lets_all_turns_in_again(chat, app, openai):
    chat.post("parameters", context_tokens="300", max_tokens="10")
    for name in "ab":
        chat.answered(name * 1000)
    gate = threading.Event()
    openai.enqueue(Reply([event(chunk("a")), gate, event(chunk(finish="stop")), DONE]))
    chat.ask("c" * 300)
    wait_until(lambda: len(openai.bodies) == 3)
    assert len(openai.bodies[2]["messages"]) < 6, "The window left something out."
    chat.post("parameters", context_tokens="90000")
    gate.set()
    chat.settled()
    chat.answered("d")
    assert len(openai.bodies[3]["messages"]) == 8


# --- A record that cannot be used, and two who open it ---


@pytest.mark.parametrize("content", [b"99999999999\n{trunc", b'99999999999\n{"version":99}', b"99999999999\n{}"])
def test_a_damaged_record_that_many_open_at_once_is_set_aside_once(app, chat, content):
    chat.answered("One?")
    store, owner = app.extensions["store"], owner_of(app, chat.id)
    (path,) = [one for one in store.records.folder.iterdir() if b"One?" in one.read_bytes()]

    def opened():
        try:
            return store.load(chat.id, owner).turns
        except Unreadable:
            return None

    for _ in range(20):
        path.write_bytes(content)
        found = at_once(*[opened] * 6)
        assert found.count(None) == 1 and found.count([]) == 5
    assert len(list(path.parent.iterdir())) == 2 + 20


# --- Visitors ---


def test_two_modes_at_once_do_not_touch_each_other(live, app, chat, openai):
    pages = {"chat": "/", "completion": "/completion", "image": "/images"}
    anyone = Tab(live, chat.cookie(), "")
    found = at_once(*[lambda path=path: anyone.get(path) for path in pages.values()])
    ids = [re.search(r"/conversations/([\w-]+)/ask", page)[1] for _, _, page in found]
    tabs = [Tab(live, chat.cookie(), one) for one in ids]
    found = at_once(*[lambda one=one: one.post("ask", question="One?", turn=f"of-{one.id}") for one in tabs])
    assert [status for status, _, _ in found] == [303] * 3
    for one in tabs:
        wait_until(lambda one=one: check(app, one.id).pending is None)
        assert [turn.id for turn in check_settled(app, one.id).turns] == [f"of-{one.id}"[:40]]
    assert len(openai.bodies) == 3


def test_a_question_beside_the_deletion_of_everything_leaves_nothing(live, app, openai):
    for number in range(10):
        visitor = Chat(app.test_client())
        visitor.answered("Secret?")
        tab = Tab(live, visitor.cookie(), visitor.id)
        asks = [partial(tab.post, "ask", question="Secret!", turn=f"late-{number}-{n}") for n in range(3)]
        found = at_once(partial(tab.send, "POST", "/visitor/delete", ""), *asks)
        assert {status for status, _, _ in found} <= {303, 404, 409}
        wait_until(lambda: not leftovers(app))
        for kind in ("records", "files"):
            kept = [path for path in (app.config["DATA_DIR"] / kind).rglob("*") if path.is_file()]
            assert not [path for path in kept if b"Secret" in path.read_bytes()], "What was deleted is there."


def test_the_first_requests_of_all_take_the_data_folder_once(tmp_path):
    for number in range(20):
        at_once(*[partial(hold, tmp_path / str(number))] * 6)


def test_two_first_visits_at_once_are_two_visitors_and_the_older_tabs_question_is_kept(live, app):
    anyone = Tab(live, "", "")
    found = at_once(*[lambda: anyone.get("/")] * 2)
    assert [status for status, _, _ in found] == [200, 200], found
    pages = [page for _, _, page in found]
    older, newer = [re.search(r"/conversations/([\w-]+)/ask", page)[1] for page in pages]
    assert owner_of(app, older) != owner_of(app, newer)
    visitor = Chat(app.test_client())  # The browser has the cookie that came last.
    status, _, page = Tab(live, visitor.cookie(), older).post("ask", question="Mine <b>?", turn="the-form")
    assert status == 404
    assert "Mine &lt;b&gt;?</textarea>" in page and f"/conversations/{visitor.id}/ask" in page
    assert check(app, older).turns == []


# --- Two tabs, at random ---

ROUNDS = 200
FINE = {200, 303, 404, 409, 422}  # what any action may be answered; what it promises is noted by the oracle


class Model:
    """What the endpoint answers: to each request a text of its own, at once or in pieces, cut or a failure."""

    def __init__(self, openai, seed):
        self.random = random.Random(seed)
        self.guard = threading.Lock()
        self.rounds = []  # in which each request was caused
        self.failed = set()
        self.round = 0
        openai._next = self.reply

    def mark(self, app, monkeypatch):
        """Let each request say in which round it was caused: one that was stopped may come when the next is on."""
        llm = app.extensions["answers"].backend.llm
        send = llm.send

        def call():
            made = Call()
            made.round = self.round
            return made

        monkeypatch.setattr(running, "Call", call)
        monkeypatch.setattr(llm, "send", lambda path, body, call: send(path, {**body, "user": str(call.round)}, call))

    def whole(self, number):
        return f"reply{number} text{number} end{number}."

    def reply(self, path, body):
        with self.guard:
            number = len(self.rounds)
            self.rounds.append(float(body["user"]))
            kind = self.random.choice(["done", "done", "done", "slowly", "cut", "failed"])
            if kind == "failed":
                self.failed.add(number)
                return failing()
        pieces = re.findall(r"\S+ ?", self.whole(number))
        return Reply.text(*pieces, delay=0.02 if kind == "slowly" else 0, finish="length" if kind == "cut" else "stop")


class Oracle:
    """What the answers to all requests promised, by the rounds in which they came."""

    def __init__(self, model):
        self.model = model
        self.asked = {}  # turn id: question and round
        self.imported = {}  # question: round
        self.cleared = self.stopped = -1  # the last round in which it was

    def check(self, kept):
        turns = {turn.id: turn for turn in kept.every_turn()}
        questions = [turn.question for turn in turns.values()]
        for turn_id, (question, when) in self.asked.items():
            self._check_there(turn_id in turns, when, question)
            assert turn_id not in turns or turns[turn_id].question == question
            assert questions.count(question) <= 1, f"{question} is there twice."
        for question, when in self.imported.items():
            self._check_there(question in questions, when, question)
            assert questions.count(question) <= 1, f"{question} is there twice."
        made = {question for question, _ in self.asked.values()} | set(self.imported)
        assert set(questions) <= made, "What was refused is there."
        self._check_texts([answer.text for turn in turns.values() for answer in turn.answers])

    def _check_there(self, there, when, question):
        if when > self.cleared:
            assert there, f"{question} is lost."
        elif when < self.cleared:
            assert not there, f"{question} was cleared and is there."

    def _check_texts(self, texts):
        everything = "\n".join(texts)
        for number, when in enumerate(self.model.rounds):
            count = len(re.findall(rf"reply{number}\b", everything))
            assert count <= 1, f"Reply {number} is there twice."
            if when > self.cleared and when > self.stopped and number not in self.model.failed:
                assert self.model.whole(number) in everything, f"Reply {number} is lost, or some of it."


class Hand:
    """One tab and what somebody does in it, at random."""

    ACTIONS = (
        *("ask", "ask", "ask", "ask_again", "edit", "retry", "retry", "resume", "version", "answer", "keep"),
        *("leave_out", "take_back", "stop", "import_", "parameters", "export", "page", "stream", "stream"),
    )

    def __init__(self, tab, oracle, load, name):
        self.tab, self.oracle, self.load, self.name = tab, oracle, load, name
        self.count = 0
        self.last = None  # the form that was sent last

    def act(self, seed, round_number):
        self.random, self.round = random.Random(seed), round_number
        for _ in range(2):
            clears = self.random.random() < 0.01
            action = "clear" if clears else self.random.choice(self.ACTIONS)
            status, _, text = getattr(self, action)()
            assert status in FINE, f"{action}: {status} {text[:500]}"

    def turn(self):
        turns = list(self.load().every_turn())
        return self.random.choice(turns[-6:]) if turns else None

    def on_turn(self, action, **form):
        if (turn := self.turn()) is None:
            return self.page()
        about = {"answer_id": self.random.choice(turn.answers).id} if self.random.random() < 0.8 else {}
        return self.tab.post(f"turns/{turn.id}/{action}", **about, **form)

    def made(self, path, question, turn_id):
        found = self.tab.post(path, question=question, turn=turn_id)
        if found[0] == 303:
            self.oracle.asked[turn_id] = question, self.round
        return found

    def new(self):
        self.count += 1
        return f"{self.name}{self.count}?", f"{self.name}-{self.count}"

    def ask(self):
        self.last = self.new()
        return self.made("ask", *self.last)

    def ask_again(self):
        # What was cleared since, or stands in another version, is another matter.
        if self.last is None or self.oracle.asked.get(self.last[1], ("", -1))[1] <= self.oracle.cleared:
            return self.ask()
        return self.made("ask", *self.last)

    def edit(self):
        turn = self.turn()
        return self.made(f"turns/{turn.id}/edit", *self.new()) if turn else self.page()

    def retry(self):
        return self.on_turn("retry")

    def resume(self):
        return self.on_turn("continue")

    def version(self):
        return self.on_turn("version", version=self.random.randint(1, 3))

    def answer(self):
        return self.on_turn("answer", answer=self.random.randint(1, 2))

    def keep(self):
        return self.on_turn(f"keep/{self.random.randint(0, 1)}")

    def leave_out(self):
        return self.on_turn("leave-out")

    def take_back(self):
        return self.on_turn("take-back")

    def stop(self):
        self.oracle.stopped = self.round
        return self.tab.post("stop")

    def clear(self):
        self.oracle.stopped = self.round  # Also where it is refused in the end.
        found = self.tab.post("clear", confirmed="yes")
        if found[0] == 303:
            self.oracle.cleared = self.round
        return found

    def import_(self):
        question, import_id = self.new()
        found = self.tab.upload(IMPORTED.replace("Imported?", question), import_id)
        if found[0] == 303:
            self.oracle.imported[question] = self.round
        return found

    def parameters(self):
        return self.tab.post("parameters", temperature=self.random.choice(["", "0.5"]))

    def export(self):
        kind = self.random.choice(["json", "markdown", "notebook"])
        return self.tab.get(f"/conversations/{self.tab.id}/export/{kind}")

    def page(self):
        return self.tab.get("/")

    def stream(self):
        if (turn := self.turn()) is None:
            return self.page()
        found = self.tab.get(f"/conversations/{self.tab.id}/answers/{turn.answer.id}/stream")
        ends = ("event: end\ndata:\n\n", "event: parley:gone\ndata:\n\n")  # The turn may be cleared meanwhile.
        assert found[0] != 200 or found[2].endswith(ends), "A stream did not end."
        return found


def shown_exchanges(page):
    """Return the questions and answers that a page shows as sent with later questions."""
    shown = []
    for article in page.split('<article class="turn')[1:]:
        (text,) = texts(article) or [""]
        if text and "Left out:" not in article:
            shown += [re.search('<div class="question" dir="auto">([^<]*)', article)[1], text]
    return shown


@pytest.mark.slow
def test_two_tabs_on_one_conversation_lose_and_double_nothing(live, chat, app, openai, monkeypatch):
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    model = Model(openai, seed)
    model.mark(app, monkeypatch)
    oracle = Oracle(model)
    owner = owner_of(app, chat.id)

    def load():
        return app.extensions["store"].load(chat.id, owner)

    hands = [Hand(Tab(live, chat.cookie(), chat.id), oracle, load, name) for name in "ab"]
    for number in range(ROUNDS):
        model.round = number
        at_once(*[partial(hand.act, f"{seed} {number} {hand.name}", number) for hand in hands])
        check(app, chat.id)
        wait_until(lambda: load().pending is None and not leftovers(app))
        oracle.check(check_settled(app, chat.id))
        if number % 10 == 9 and load().turns:
            model.round = number + 0.5
            page = chat.client.get(f"/?turns={load().turns[0].id}").text
            hands[0].round = model.round
            assert hands[0].ask()[0] == 303
            wait_until(lambda: load().pending is None)
            sent = [message["content"].strip() for message in openai.bodies[-1]["messages"][1:-1]]
            assert sent == shown_exchanges(page), "What is shown is not what is sent."
    assert oracle.asked and oracle.imported and oracle.stopped > 0
