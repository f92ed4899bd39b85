"""Every fault of an endpoint, at every point of its reply, in every mode: what a visitor sees, and that all goes on.

A case is asked as a page asks, and followed as a page follows. It must fail in the designed words and keep what came
to the last whole character, on the page, in the stream and in the export; cost one request; leave nothing pending and
no log; and the next question is answered. What cannot happen in a mode is left out where the cases are made.
"""

import json
import re
import socket
from concurrent.futures import ThreadPoolExecutor
from html import unescape
from io import BytesIO
from types import MappingProxyType
from typing import NamedTuple

import pytest
from werkzeug.datastructures import FileStorage

from webapp import answers, create_app, llm

from .conftest import UNLIMITED, _inside, statuses
from .openai_server import DONE, RESET, SILENCE, OpenAIServer, Reply, chunk, event
from .page_text import PageText, changes_of
from .test_modes import Mode

pytestmark = pytest.mark.slow

# --- What an endpoint sends in each mode, as far as each point ---

BEFORE, FIRST, INSIDE, END = POINTS = ("before the first byte", "after a token", "inside a character", "before the end")


def delta(index=0, finish=None, **fields):
    return {**chunk(), "choices": [{"index": index, "delta": fields, "finish_reason": finish}]}


def part(text, finish=None):
    return {"choices": [{"index": 0, "text": text, "finish_reason": finish}]}


class Streamed(NamedTuple):
    """A mode whose reply streams; the second of its chunks holds the character that a cut goes through."""

    chunks: list
    parameters: dict = MappingProxyType({})
    form: dict = MappingProxyType({})
    path: str = "/"
    content_type = "text/event-stream"

    def until(self, point):
        """Return the bytes that come before a point, whole events and then half of one."""
        whole = {BEFORE: 0, FIRST: 1, INSIDE: 1, END: len(self.chunks)}[point]
        half = event(self.chunks[1]).partition("汉".encode()[:2])
        return b"".join(map(event, self.chunks[:whole])) + (b"".join(half[:2]) if point == INSIDE else b"")

    def between(self, point):
        """Return the same for what another event follows: a character is in halves there where its escapes are."""
        if point != INSIDE:
            return self.until(point)
        half = json.dumps(self.chunks[1]).partition(r"\u6c49")[0]
        assert half.count('"') % 2, "It is cut within a text."
        chunk = json.loads(half + json.dumps(self.chunks[1]).partition(r"\u6c49")[2])
        return self.until(FIRST) + event(json.dumps(_with(chunk, "\ud83d")))

    def kept(self, point):
        """Return the texts that are to be kept, by the ends of their elements' ids."""
        texts = {}
        for one in self.chunks[: {BEFORE: 0, FIRST: 1, INSIDE: 1, END: None}[point]]:
            (choice,) = one["choices"]
            for field, text in [("text", choice.get("text")), *choice.get("delta", {}).items()]:
                name = "reasoning" if field == "reasoning" else choice["index"]
                texts[name] = texts.get(name, "") + (text or "")
        return texts

    def error(self, point, error):
        return Reply([self.between(point) + event({"error": error})])


def _with(chunk, text):
    """Return a chunk of the same kind with another text."""
    (choice,) = chunk["choices"]
    if "text" in choice:
        return {**chunk, "choices": [{**choice, "text": text}]}
    return {**chunk, "choices": [{**choice, "delta": dict.fromkeys(choice["delta"], text)}]}


class Whole(NamedTuple):
    """A mode whose reply comes in one piece, of which half is worth nothing."""

    reply: dict
    parameters: dict = MappingProxyType({})
    path: str = "/"
    form: dict = MappingProxyType({})
    content_type = "application/json"

    @property
    def body(self):
        return json.dumps(self.reply, ensure_ascii=False).encode()

    @property
    def empty(self):
        """The same reply without anything in it."""
        if "data" in self.reply:
            return self.reply | {"data": []}
        return json.loads(re.sub(r'"(content|text|reasoning)": "[^"]*"', r'"\1": ""', self.body.decode()))

    def until(self, point):
        at = self.body.index("汉".encode())
        return self.body[: {BEFORE: 0, FIRST: at, INSIDE: at + 2, END: -1}[point]]

    def between(self, point):
        return self.until(FIRST) + rb"\ud83d" if point == INSIDE else self.until(point)

    def kept(self, point):
        return {}

    def error(self, point, error):
        return Reply.json({"error": error}) if point == BEFORE else None  # There is no second JSON.


def whole(*texts, **fields):
    choices = [
        {"index": i, "message": {"content": text, **fields}, "finish_reason": "stop"} for i, text in enumerate(texts)
    ]
    return {**chunk(), "object": "chat.completion", "choices": choices}


CHAT = [delta(content="好的"), delta(content="，汉字"), delta(content="。**完**")]
CHOICES = [delta(content="甲"), delta(1, content="乙，汉"), delta(content="丙"), delta(1, content="丁")]
THOUGHTS = [delta(reasoning="想"), delta(reasoning="一想，汉"), delta(content="好的"), delta(content="。")]
COMPLETION = [part("从前"), part("，汉朝"), part("有人。")]
IMAGES = {"created": 1, "data": [{"b64_json": "aGFsbG8=", "revised_prompt": "一个汉字"}]}

MODES = {
    "chat": Streamed(CHAT),
    "single question": Streamed(CHAT, form={"single": "yes"}),
    "several choices": Streamed(CHOICES, {"n": 2}),
    "reasoning": Streamed(THOUGHTS),
    "completion": Streamed(COMPLETION, path="/completion"),
    "chat in one piece": Whole(whole("好的，汉字。"), {"stream": False}),
    "several choices in one piece": Whole(whole("甲", "汉"), {"stream": False, "n": 2}),
    "reasoning in one piece": Whole(whole("好的。", reasoning="想，汉"), {"stream": False}),
    "completion in one piece": Whole({"choices": [part("从前，汉朝")["choices"][0]]}, {"stream": False}, "/completion"),
    "images": Whole(IMAGES, {}, "/images"),
}

# --- The faults, and what is to be said of each ---


class Told(NamedTuple):
    """What a failure is called, what of the endpoint's own words it repeats, and what helps."""

    kind: str
    title: str
    words: str
    helps: str
    helps_with_text: str = ""  # where some of the answer came


class Fault(NamedTuple):
    told: Told
    status: int | None = None  # of a reply that is refused by it,
    error: dict | None = None  # and the error object, which comes inside of replies, too
    headers: dict = MappingProxyType({})

    def reply(self):
        return Reply.error(self.status, WORDS, code=self.error["code"], headers=self.headers)


WORDS = "Die Wörter des Anbieters: 您好。"


def refusal(status, kind, title, helps, code=None, **headers):
    error = {"message": WORDS, "code": code or status, "type": None}
    return Fault(Told(kind, title, WORDS, helps), status, error, headers)


REFUSALS = {
    "wrong key": refusal(401, "KeyRejected", "The key was not accepted", "Check OPENAI_API_KEY"),
    "unknown model": refusal(404, "ModelUnknown", "does not know this model", "Set CHAT_MODEL"),
    "rate limit": refusal(429, "RateLimited", "Too many requests", "", **{"Retry-After": "20"}),
    "quota": refusal(429, "QuotaSpent", "quota is spent", "plan and billing", "insufficient_quota"),
    "server error": refusal(500, "ServerFailed", "The endpoint failed", "on the provider's side"),
    "overflow": refusal(400, "ContextOverflow", "too long for this model", "shorter", "context_length_exceeded"),
}
PATIENCE = 3  # seconds; what came before a silence has to be there by then, on a busy machine, too
BROKEN = Told(
    "BrokenOff",
    "The answer broke off",
    "",
    "Retry asks again.",
    "Continue takes up where it stopped; Retry asks again.",
)
GARBAGE = Told("Garbage", "not what an OpenAI-compatible API sends", "", "Check OPENAI_BASE_URL", "has a fault")
EMPTY = Told("EmptyAnswer", "The answer is empty", "no text", "Retry, or put the question in other words.")
SILENT = Told("TimedOut", "The model fell silent", f"silent for {PATIENCE} s", "raise ANSWER_TIMEOUT")
REFUSED = Told("Unreachable", "The model cannot be reached", "Connection refused", "Check OPENAI_BASE_URL")


def cases_of(mode):
    """Yield the name, the point, the reply and what is to be told of every fault that can happen in a mode."""
    streams, kind = isinstance(mode, Streamed), mode.content_type
    for name, fault in REFUSALS.items():
        yield f"{name}, refused", BEFORE, fault.reply(), fault.told
        for point in POINTS:
            if reply := mode.error(point, fault.error):
                yield f"{name}, inside", point, reply, fault.told
    for point in POINTS:
        yield "breaks off", point, Reply([mode.until(point), RESET]), BROKEN
        # Of a reply in one piece nobody can tell whether it is half of one or something else.
        yield "ends early", point, Reply([mode.until(point)], content_type=kind), BROKEN if streams else GARBAGE
        garbage = mode.between(point) + (b"data: {oops\n\n" if streams else b"<oops>")
        yield "garbage", point, Reply([garbage], content_type=kind), GARBAGE
    if streams:
        yield "ends at once", BEFORE, Reply([DONE]), EMPTY
        yield "has no text", BEFORE, Reply([event(delta(finish="stop")), DONE]), EMPTY
    else:
        yield "has no text", BEFORE, Reply.json(mode.empty), EMPTY


CASES = [
    pytest.param(name, point, reply, told, id=f"{name} - {point} - {fault}")
    for name, mode in MODES.items()
    for fault, point, reply, told in cases_of(mode)
]

# --- One Parley for all of them, in which each mode has a visitor ---


@pytest.fixture(scope="module")
def stub():
    server = OpenAIServer()
    yield server
    server.close()


AUDIO = {"TRANSCRIPTION_MODEL": "ears", "SPEECH_MODEL": "mouth", "SPEECH_VOICE": "nova"}


def settings(stub, folder, **more):
    endpoint = {"OPENAI_BASE_URL": stub.base_url, "OPENAI_API_KEY": "sk-test", "CHAT_MODEL": "test-model"}
    return {"TESTING": True, "DATA_DIR": folder, **UNLIMITED, **endpoint, **AUDIO, **more}


@pytest.fixture(scope="module")
def parley(stub, tmp_path_factory):
    app = create_app(settings(stub, tmp_path_factory.mktemp("data")))
    yield app
    app.extensions["answers"].shut_down()


@pytest.fixture(scope="module")
def visitors(parley):
    return {}


class Case:
    """A question in a mode, from its form to the end of its stream."""

    def __init__(self, app, name, question="One?", visitor=None):
        self.mode, self.question = MODES[name], question
        self.visitor = visitor or visitor_of(app, self.mode)
        self.logs = app.config["DATA_DIR"] / "answers"

    def ask(self):
        begun = self.visitor.post("ask", htmx=True, question=self.question, **self.mode.form)
        assert begun.status_code == 200
        self.answer_id = last_answer(begun.text)
        self.stream = self.visitor.stream(self.answer_id).data.decode()
        self.page = self.visitor.page()

    def check(self, point, told):
        texts = self.mode.kept(point)
        self.check_page(told, has_text=any(text for name, text in texts.items() if name != "reasoning"))
        self.check_stream(told, texts)
        self.check_export(told, texts)
        if isinstance(self.mode, Whole) and point != BEFORE:
            self.check_half()
        assert not list(self.logs.glob(f"{self.answer_id}*"))

    def check_page(self, told, has_text):
        assert statuses(self.page)[-1] == "failed"
        turn = unescape(self.page).rpartition("<article")[2]
        assert f">{self.question}</div>" in turn or 'class="question"' not in turn
        failure = turn.partition('class="failure"')[2].partition("</div>")[0]
        helps = told.helps_with_text if has_text and told.helps_with_text else told.helps
        for words in (told.title, told.words, helps):
            assert words in failure
        assert 'class="retry' in turn
        assert ('class="continue' in turn) == has_text
        assert 'class="edit' in turn or 'class="question"' not in turn
        assert 'id="stop"' not in self.page
        assert "\ufffd" not in self.page

    def check_stream(self, told, texts):
        assert self.stream.endswith("event: end\ndata:\n\n")
        assert told.title in unescape(self.stream)
        assert "\ufffd" not in self.stream
        for name in texts:
            shown = self.element(name)
            assert streamed(self.stream, shown) == inside(self.page, shown)
            assert words(inside(self.page, shown)) == texts[name].replace("**", "")

    def check_export(self, told, texts):
        export = self.visitor.client.get(f"/conversations/{self.visitor.id}/export/json")
        assert export.status_code == 200
        answer = export.json["turns"][-1]["answers"][-1]
        assert (answer["status"], answer["failure"]["kind"]) == ("failed", told.kind)
        assert told.words in answer["failure"]["message"]
        assert answer.get("reasoning", "") == texts.get("reasoning", "")
        assert answer.get("text", "") == texts.get(0, "")
        if choices := answer.get("choices"):
            assert choices == [texts.get(index, "") for index in range(len(choices))]

    def check_half(self):
        """What came of a reply in one piece can be read beside its request."""
        panel = self.visitor.client.get(f"/conversations/{self.visitor.id}/answers/{self.answer_id}/exchange")
        assert self.mode.until(FIRST).decode() in unescape(panel.text)
        assert "\ufffd" not in panel.text

    def element(self, name):
        """Return the id of the element that has a text."""
        return {"reasoning": f"reasoning-{self.answer_id}", 0: f"text-{self.answer_id}"}.get(
            name, f"text-{self.answer_id}-{name}"
        )

    def check_next(self, stub, point):
        """Ask on, look at what is sent along, and clear."""
        begun = self.visitor.post("ask", htmx=True, question="Two?")
        assert 'data-status="done"' in self.visitor.stream(last_answer(begun.text)).text
        if "messages" in stub.bodies[-1]:
            sent = [message["content"] for message in stub.bodies[-1]["messages"]]
            text = self.mode.kept(point).get(0, "")
            assert sent[1:] == ([self.question, text, "Two?"] if text else ["Two?"])
        assert self.visitor.post("clear", confirmed="yes").status_code == 303


def visitor_of(app, mode):
    visitor = Mode(app.test_client(), mode.path)
    if mode.parameters:
        visitor.answered("A first one, so that there is a record.")
        visitor.post("clear", confirmed="yes")
        visitor.set(**mode.parameters)
    return visitor


def last_answer(html):
    """Return the id of the last answer in a page or a fragment."""
    return re.findall(r'id="answer-([\w-]+)"', html)[-1]


def inside(page, element_id):
    """Return the HTML in the element with an id."""
    return _inside(page, re.search(rf'<div [^>]*id="{element_id}"[^>]*>', page).end())


def words(html):
    return unescape(re.sub("<[^>]*>", "", html)).strip()


def streamed(stream, element_id):
    """Return the HTML that a stream's events put into an element."""
    page = PageText()
    for message in stream.split("\n\n"):
        data = "\n".join(line[6:] for line in message.split("\n") if line.startswith("data: "))
        page.apply([change for name, change in changes_of(data) if name == element_id])
    return page.html


@pytest.mark.parametrize(("name", "point", "reply", "told"), CASES)
def test_a_fault_is_told_loses_nothing_and_ends_with_its_answer(parley, stub, visitors, name, point, reply, told):
    if name not in visitors:
        visitors[name] = visitor_of(parley, MODES[name])
    case = Case(parley, name, visitor=visitors[name])
    before = len(stub.bodies)
    stub.enqueue(reply)
    try:
        case.ask()
        assert len(stub.bodies) == before + 1
        case.check(point, told)
        case.check_next(stub, point)
    except AssertionError:
        del visitors[name]  # What is left of it is nobody else's fault.
        raise


# --- Silence: all of it at once, since each takes the whole time ---


def silences():
    """Yield a mode's name, a point, and the steps of a reply that falls silent there."""
    for name, mode in MODES.items():
        for point in POINTS:
            yield name, point, [mode.until(point), SILENCE]
            if isinstance(mode, Streamed):
                yield name, point, [mode.between(point), *[b": alive\n\n", 0.05] * 600]


def test_a_model_that_is_silent_at_any_point_ends_with_a_message_while_its_stream_lives(stub, tmp_path, monkeypatch):
    monkeypatch.setattr(answers, "HEARTBEAT", 0.1)
    app = create_app(settings(stub, tmp_path / "data", ANSWER_TIMEOUT=PATIENCE))
    cases = []
    for number, (name, point, steps) in enumerate(silences()):
        question = f"Silence {number}?"
        stub.replies[question] = Reply([step for step in steps if step], content_type=MODES[name].content_type)
        cases.append((Case(app, name, question), point))
    with ThreadPoolExecutor(len(cases)) as pool:
        list(pool.map(lambda case: case[0].ask(), cases))
    for case, point in cases:
        case.check(point, SILENT)
        assert ": heartbeat\n\n" in case.stream
        assert stub.questions.count(case.question) == 1
    app.extensions["answers"].shut_down()


def test_an_endpoint_that_is_not_there_is_told_in_every_mode_and_asked_again_when_it_is(tmp_path):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    there = OpenAIServer(port)
    app = create_app(settings(there, tmp_path / "data"))
    cases = [Case(app, name) for name in MODES]
    there.close()
    for case in cases:
        case.ask()
        case.check(BEFORE, REFUSED)
    there = OpenAIServer(port)
    for case in cases:
        case.check_next(there, BEFORE)
    app.extensions["answers"].shut_down()
    there.close()


# --- Speech and the list of models, which are no answers ---


class Asked(NamedTuple):
    """What a visitor got, and how many requests that made at the endpoint."""

    status: int
    words: str
    retry_after: str | None
    requests: int


class Service:
    """Something that an endpoint does beside answers. `done` is what is shown where it works, `failed` where not."""

    status, path = 502, "/"

    def __init__(self, app, stub):
        self.visitor, self.stub, self.number = Mode(app.test_client(), self.path), stub, 0

    def ask(self):
        before = self.cost()
        response = self.send()
        return Asked(
            response.status_code, unescape(response.text), response.headers.get("Retry-After"), self.cost() - before
        )

    def cost(self):
        return len(self.stub.bodies)

    def answer(self, reply):
        """Let the endpoint answer the next request so."""
        self.stub.enqueue(reply)

    def begin(self):
        """Make ready for a case: what an earlier one was given is kept, and not asked for again."""
        self.number += 1


class Dictation(Service):
    """A recording that is put into words, without a script."""

    reply = Reply.json({"text": "What was said: 汉字."})
    failed, done = "could not be put into words. ", "Typed before. What was said"

    def send(self):
        recording = FileStorage(BytesIO(b"ID3 %d" % self.number), "talk.mp3")
        form = {"question": "Typed before.", "audio": recording}
        response = self.visitor.client.post(f"/conversations/{self.visitor.id}/transcribe", data=form)
        assert "Typed before." in response.text.partition("<textarea")[2], "What was typed is still in the box."
        return response


class ReadingAloud(Service):
    """An answer that is read aloud. Whether sound is half of itself nobody can tell who is not told its length."""

    reply = Reply([b"ID3 " + "汉字 and more".encode()], content_type="audio/mpeg")
    failed, done = "could not be read aloud. ", "<audio"

    def begin(self):
        super().begin()
        answer_id = last_answer(self.visitor.answered(f"What is {self.number}?"))
        self.address = f"answers/{answer_id}/speech"

    def send(self):
        return self.visitor.post(self.address, htmx=True)


class Models(Service):
    """The list of models, asked for again on its page."""

    reply = Reply.json({"object": "list", "data": [{"id": "汉-model"}]})
    failed, done, status = "The list of models did not come", "汉-model", 200

    def send(self):
        return self.visitor.client.post("/models/refresh", headers={"HX-Request": "true"})

    def answer(self, reply):
        self.stub.models = reply

    def cost(self):
        return self.stub.lists


SERVICES = (Dictation, ReadingAloud, Models)


def faults_of(service):
    """Yield the name, the reply and the words of every fault of a service."""
    (body,), kind = service.reply.steps, service.reply.content_type
    at = re.search("汉|\\\\u6c49".encode(), body).start()
    for name, fault in REFUSALS.items():
        yield f"{name}, refused", fault.reply(), WORDS
        yield f"{name}, inside", Reply.json({"error": fault.error}), json.loads(f'"{WORDS}"')
    for point, cut in zip(POINTS, (0, at, at + 2, len(body) - 1), strict=True):
        yield (
            f"breaks off {point}",
            Reply([body[:cut], RESET], content_type=kind),
            ("closed the connection", "broke off"),
        )
        if kind == "application/json" or not cut:
            yield f"ends early {point}", Reply([body[:cut]], content_type=kind), ""
    yield "garbage", Reply([b"<h1>Welcome</h1>"], content_type="text/html"), "Welcome"


@pytest.mark.parametrize(
    ("service", "reply", "told"),
    [
        pytest.param(service, reply, told, id=f"{service.__name__} - {name}")
        for service in SERVICES
        for name, reply, told in faults_of(service)
    ],
)
def test_a_fault_of_what_is_no_answer_is_told_and_it_can_be_asked_again(parley, stub, visitors, service, reply, told):
    if service not in visitors:
        visitors[service] = service(parley, stub)
    asking = visitors[service]
    asking.begin()
    asking.answer(reply)
    check_service(asking, asking.ask(), told)
    if reply.headers and service is not Models:
        assert asking.last.retry_after == "20"
    asking.answer(service.reply)
    again = asking.ask()
    assert (again.status, service.done in again.words, again.requests) == (200, True, 1)


def check_service(asking, asked, told):
    asking.last = asked
    assert (asked.status, asked.requests) == (asking.status, 1)
    assert asking.failed in asked.words
    assert any(words in asked.words for words in ((told,) if isinstance(told, str) else told))
    assert "\ufffd" not in asked.words


def test_a_service_that_is_silent_at_any_point_ends_with_a_message(stub, tmp_path, monkeypatch):
    monkeypatch.setattr(llm, "LIST_TIMEOUT", 0.2)
    app = create_app(settings(stub, tmp_path / "data", ANSWER_TIMEOUT=PATIENCE))
    cuts = (0, 5, -1)
    cases = [service(app, stub) for service in (Dictation, ReadingAloud) for _ in cuts]
    for case in cases:
        case.begin()
    before = len(stub.bodies)
    # Whoever gets which of them, it does not come.
    stub.enqueue(*(silent(case.reply, cut) for case in (Dictation, ReadingAloud) for cut in cuts))
    with ThreadPoolExecutor(len(cases)) as pool:
        came = list(pool.map(Service.ask, cases))
    for case, asked in zip(cases, came, strict=True):
        assert (asked.status, case.failed in asked.words) == (504, True)
        assert SILENT.words in asked.words
    assert len(stub.bodies) == before + len(cases)
    listing = Models(app, stub)
    for cut in cuts:  # One after the other: those who ask at once share a request.
        listing.answer(silent(listing.reply, cut))
        check_service(listing, listing.ask(), "silent for")
    listing.answer(listing.reply)
    for case in (*cases, listing):
        assert case.done in case.ask().words
    app.extensions["answers"].shut_down()


def silent(reply, cut):
    return Reply([reply.steps[0][:cut], SILENCE], content_type=reply.content_type) if cut else Reply(wait=SILENCE)
