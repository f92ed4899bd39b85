import json
import os
import re
import select
import signal
import subprocess
import sys
import threading
from pathlib import Path
from time import monotonic, sleep

import psutil
import pytest
from flask import Flask
from jinja2 import BytecodeCache
from playwright.sync_api import expect
from werkzeug.serving import make_server

from webapp import catalog, create_app
from webapp.conversation import MODES
from webapp.conversations import own_id
from webapp.sessions import Sessions

from . import chromium
from .openai_server import OpenAIServer

ROOT = Path(__file__).parent.parent

# What the machine has set must not reach the tests.
for name in [name for name in os.environ if name.startswith("OPENAI_") or name.lower().endswith("_proxy")]:
    del os.environ[name]


# Tests ask faster than people, and all from one address; those of the limits set their own.
LIMITS = ("VISITOR_QUESTIONS_PER_MINUTE", "ADDRESS_QUESTIONS_PER_MINUTE", "VISITOR_ANSWERS", "MAX_ANSWERS")
LIMITS += ("ADDRESS_VISITORS_PER_HOUR", "VISITOR_IMPORT_MB_PER_HOUR", "ADDRESS_IMPORT_MB_PER_HOUR")
LIMITS += ("MIN_FREE_MB", "VISITOR_STREAMS", "MAX_STREAMS")
UNLIMITED = dict.fromkeys(LIMITS, 0)
catalog.RECENT = 0

WAIT = 60  # seconds; it only ends a test that hangs
ENDS_WITHIN = 20  # seconds, for a server that is told to end; twice what Parley promises
expect.set_options(timeout=WAIT * 1000)


class Compiled(BytecodeCache):
    """The templates as an earlier application of this process compiled them: that takes longer than most tests."""

    def __init__(self):
        self._code = {}

    def load_bytecode(self, bucket):
        if code := self._code.get((bucket.key, bucket.checksum)):
            bucket.bytecode_from_string(code)

    def dump_bytecode(self, bucket):
        self._code[bucket.key, bucket.checksum] = bucket.bytecode_to_string()


Flask.jinja_options = {**Flask.jinja_options, "bytecode_cache": Compiled()}


def wait_until(condition, seconds=WAIT):
    """Return the condition's first true value. It is asked again and again; the time only ends a hanging test."""
    until = monotonic() + seconds
    while not (value := condition()):
        assert monotonic() < until, "It did not happen in time."
        sleep(0.01)
    return value


@pytest.fixture
def openai():
    server = OpenAIServer()
    yield server
    server.close()


@pytest.fixture
def config(openai, tmp_path):
    """The settings that a test's application differs in; a test module may override this."""
    return {
        "DATA_DIR": tmp_path / "data",
        "OPENAI_BASE_URL": openai.base_url,
        "OPENAI_API_KEY": "sk-test",
        "CHAT_MODEL": "test-model",
    }


@pytest.fixture
def app(config):
    app = create_app({"TESTING": True, **UNLIMITED, **config})
    yield app
    app.extensions["answers"].shut_down()


class Chat:
    """A visitor without a script: what a plain browser does, through the test client."""

    def __init__(self, client):
        self.client = client
        self.id = self.conversation_id()

    def page(self):
        return self.client.get("/").text

    def conversation_id(self):
        return re.search(r"/conversations/([\w-]+)/ask", self.page()).group(1)

    def cookie(self):
        name = self.client.application.config["SESSION_COOKIE_NAME"]
        return f"{name}={self.client.get_cookie(name).value}"

    def post(self, path, htmx=False, **form):
        headers = {"HX-Request": "true"} if htmx else {}
        return self.client.post(f"/conversations/{self.id}/{path}", data=form, headers=headers)

    def ask(self, question, **more):
        return self.post("ask", question=question, **more)

    def answered(self, question):
        """Ask, and return the page once the answer is settled."""
        assert self.ask(question).status_code == 303
        return self.settled()

    def settled(self):
        """Return the page once nothing is pending on it, and nothing more is written or removed for its answers."""
        answers = self.client.application.extensions["answers"]

        def look():
            page = self.page()
            running = any(map(answers.runs, re.findall(r'id="answer-([\w-]+)"', page)))
            return 'data-status="pending"' not in page and not running and page

        return wait_until(look)

    def turn_id(self, index=-1):
        return re.findall(r'id="turn-([\w-]+)"', self.page())[index]

    def stream(self, answer_id=None, after=0, headers=None):
        answer_id = answer_id or re.findall(r'id="answer-([\w-]+)"', self.page())[-1]
        return self.client.get(
            f"/conversations/{self.id}/answers/{answer_id}/stream?after={after}", headers=headers, buffered=True
        )


def owner_of(app, conversation_id):
    """Return the visitor whose conversation has that id, whether or not they have sent anything."""
    sessions = app.config["SESSION_CACHELIB"]
    told = [sessions.told(session_id)["visitor"] for session_id in getattr(sessions, "issued", ())]
    records = app.extensions["store"].records.folder.glob("[!n]*")  # Not what is half written.
    kept = (json.loads(path.read_bytes().partition(b"\n")[2]).get("visitor", "") for path in records)
    for owner in (*told, *kept):
        if conversation_id in {own_id(owner, mode) for mode in MODES}:
            return owner
    raise AssertionError("It is nobody's.")


@pytest.fixture(autouse=True)
def _issued(monkeypatch):
    """Let the sessions note the ids they give: of who has only looked there is nothing else."""
    new_id = Sessions.new_id

    def noted(sessions):
        issued = new_id(sessions)
        vars(sessions).setdefault("issued", []).append(issued)
        return issued

    monkeypatch.setattr(Sessions, "new_id", noted)


def conversation_of(app, conversation_id):
    """Return a conversation as it is kept."""
    return app.extensions["store"].load(conversation_id, owner_of(app, conversation_id))


def statuses(page):
    return re.findall(r'data-status="(\w+)"', page)


def texts(page):
    """Return the texts of a page's answers: what their HTML has beside its tags."""
    found = re.finditer(r'<div class="text( prose)?" id=[^>]*>', page)
    contents = [(start[1], re.sub("<[^>]*>", "", _inside(page, start.end()))) for start in found]
    return [content.strip() if prose else content for prose, content in contents]


def element(page, name):
    """Return the HTML in a page's last element of a class."""
    return _inside(page, list(re.finditer(rf'<div class="{name}\b[^>]*>', page))[-1].end())


def _inside(page, start):
    """Return the content of a `div`, which begins at `start`."""
    depth = 0
    for tag in re.compile("<(/?)div").finditer(page, start):
        depth += -1 if tag[1] else 1
        if depth < 0:
            return page[start : tag.start()]
    raise AssertionError("It does not end.")


@pytest.fixture
def chat(client):
    return Chat(client)


class Body:
    """A reply's body that is closed in any case.

    werkzeug's server reads what is left of a connection before it closes a body; where that was reset it never does.
    """

    def __init__(self, body):
        self._body = body

    def __iter__(self):
        return iter(self._body)

    def close(self):
        body, self._body = self._body, ()
        getattr(body, "close", lambda: None)()

    __del__ = close


@pytest.fixture
def live(app):
    """The application on a real port, in threads of this process: for replies that are read in part."""
    server = make_server("127.0.0.1", 0, lambda *call: Body(app(*call)), threaded=True)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def ask(page, question="One?"):
    """Ask in a browser, as a person does."""
    page.locator("#question").fill(question)
    page.locator("#question").press("Enter")


def intercept(page, pattern, handler, **options):
    """Answer an open page's requests in the server's place, from its very next one on.

    Chromium tells a page's process of a new route beside keys and clicks, which may come first. A request of
    the page's own that has met a route shows that the page knows.
    """
    page.route(pattern, handler, **options)
    met = []

    def meet(route):
        met.append(route)
        route.fulfill(body="")

    page.route("**/healthz?met", meet)
    wait_until(lambda: page.evaluate("() => fetch('/healthz?met').then(() => true)") and met)


def runs(process):
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:  # It ended in between.
        return False


class Server:
    """Parley as people run it: `python -m webapp` in a process of its own, on a free port."""

    def __init__(self, folder, **settings):
        clean = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG", "TMPDIR")}
        self.settings = clean | {"PORT": "0", "DATA_DIR": str(folder)} | dict.fromkeys(LIMITS, "0") | settings
        self.process = None
        self._log = folder.parent / f"{folder.name}.stderr"
        self.start()

    def start(self):
        self.close()
        with self._log.open("ab") as log:  # A pipe that nobody empties would be full in the end.
            self.process = subprocess.Popen(
                [sys.executable, "-m", "webapp"],
                cwd=ROOT,
                env=self.settings,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,
            )
        readable, _, _ = select.select([self.process.stdout], [], [], 30)
        assert readable, "The server said nothing."
        self.line = self.process.stdout.readline()
        found = re.search(r"http://127\.0\.0\.1:(\d+)", self.line)
        assert found, self.log
        self.url = found.group(0)
        self.settings["PORT"] = found.group(1)  # A restart is at the same address.

    @property
    def log(self):
        """All that the server has written to its standard error."""
        return self._log.read_text()

    @property
    def complaints(self):
        """The lines of the log that tell of something wrong."""
        return [line for line in self.log.splitlines() if " INFO " not in line]

    def processes(self):
        """Return the master, its worker and, where there is one, the local model's process."""
        master = psutil.Process(self.process.pid)
        return [master, *master.children(recursive=True)]

    def kill(self):
        self.process.kill()
        self.process.wait()

    def terminate(self, how=signal.SIGTERM):
        self.process.send_signal(how)
        return self.process.wait(ENDS_WITHIN)

    def close(self):
        if self.process is None:
            return
        self.kill()
        self.process.stdout.close()


@pytest.fixture
def serve(tmp_path):
    """Start servers that end with the test; `first` is code that each runs before anything else."""
    servers = []

    def start(first="", **settings):
        if first:
            (site := tmp_path / "site").mkdir()
            (site / "sitecustomize.py").write_text(first)
            settings["PYTHONPATH"] = str(site)
        servers.append(Server(tmp_path / "data", **settings))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture
def server(serve, openai):
    """Parley as people run it, with the stub as its endpoint; a test module may override this."""
    return serve(OPENAI_BASE_URL=openai.base_url, OPENAI_API_KEY="sk-test", CHAT_MODEL="test-model")


@pytest.fixture(scope="session")
def playwright():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        yield playwright


def launch(playwright, *more):
    """Start a Chromium, with more arguments than it usually has."""
    path = chromium.find()
    assert path, chromium.HELP
    arguments = ["--no-sandbox", "--disable-gpu", "--disable-quic", *more]
    return playwright.chromium.launch(executable_path=path, args=arguments)


@pytest.fixture(scope="session")
def browser(playwright):
    browser = launch(playwright)
    yield browser
    browser.close()


@pytest.fixture
def visit(browser, request):
    """Open pages as visitors of their own; a page's errors fail the test, but those that have in them what it expects.

    An empty text is in each. The browser tells of errors when it gets to it, so they are looked at in the end.
    """
    # Begun before, they end after: a page that lost its server while it is closed would have an error to report.
    for name in {"openai", "live", "serve", "server"} & set(request.fixturenames):
        request.getfixturevalue(name)
    contexts = []
    problems = []

    def open_page(url, context=None, **options):
        if context is None:
            context = browser.new_context(**options)
            contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(WAIT * 1000)
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("console", lambda message: message.type == "error" and problems.append(message.text))
        page.goto(url)
        return page

    open_page.problems = problems
    open_page.expects = None
    yield open_page
    for context in contexts:
        context.close()
    expected = open_page.expects
    assert not [one for one in problems if expected is None or expected not in one]
