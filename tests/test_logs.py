"""The log: a line for each request and each answer, and no text of anybody's in it."""

import ast
import json
import logging
import re
import socket
import subprocess
import sys
from threading import Event
from urllib.error import HTTPError

import pytest

from webapp import logs
from webapp.logs import Form, described, shortened, trace_of

from .conftest import ROOT, statuses, wait_until
from .openai_server import RESET, Reply, chunk, event
from .visitor import Visitor

WORD = "Xylophonquestion"  # what somebody types, and nobody else would
READ = "Zanzibaranswer"  # what somebody reads
MODULES = {path.stem: path for path in (ROOT / "webapp").glob("*.py")}

# What is put into our own messages: names, numbers, paths of ours. An exception is only told by its kind.
REVIEWED = {
    ("__main__", "name"),  # of a variable in .env that is nearly a setting's, and that setting's
    ("__main__", "setting"),
    ("answer_log", "aside"),
    ("answer_log", "answer_id"),
    ("answer_log", "error.strerror"),
    ("answer_log", "type(error).__name__"),
    ("answer_log", "self._path"),
    ("budget", "error.strerror"),
    ("catalog", "error"),
    ("catalog", "error.status"),
    ("child", "error.strerror"),
    ("child", "log_file"),
    ("choices", "error.strerror"),
    ("ended", "error.strerror"),
    ("ended", "running.id"),
    ("exchange", "answer_id"),
    ("exchange", "error"),
    ("exchange", "error.strerror"),
    ("files", "answer_id"),
    ("files", "error.strerror"),
    ("files", "folder"),
    ("llm", "error"),
    ("local_model", "code"),
    ("logs", "category.__name__"),
    ("logs", "filename"),
    ("logs", "lineno"),
    ("audio", "error.strerror"),
    ("audio", "type(error).__name__"),
    ("erasing", "name"),  # a kind and an id
    ("erasing", "reason"),  # the system's
    ("files", "self._first.filename"),
    ("files", "self._first.strerror"),
    ("files", "self._left"),
    ("visitor", "error.strerror"),
    ("llm", "type(error).__name__"),
    ("records", "aside"),
    ("records", "reason"),  # an exception, or a sentence without values
    ("secret", "path"),
    ("settling", "path"),
    ("settling", "pending.id"),
    ("settling", "running.id"),
    ("store", "error.strerror"),
    ("sessions", "error.strerror"),
    ("store", "path"),
}


def record(name, message, *args, level=logging.ERROR, error=None, **extra):
    made = logging.LogRecord(name, level, "/srv/file.py", 7, message, args, error and (type(error), error, None), "f")
    made.__dict__.update(extra)
    return made


def caught(function):
    try:
        function()
    except Exception as error:
        return error


@pytest.fixture
def lines(serve, openai):
    """A server that logs JSON, and its lines of an event."""
    server = serve(OPENAI_BASE_URL=openai.base_url, OPENAI_API_KEY="sk-test", CHAT_MODEL="m", LOG_FORMAT="json")

    def read(event=None):
        found = [json.loads(line) for line in server.log.splitlines()]
        return [line for line in found if event in (None, line["event"])]

    read.server = server
    return read


def test_every_request_is_one_line_with_its_route_and_figures(lines):
    visitor = Visitor(lines.server.url)
    visitor.ask(f"{WORD}?")
    wait_until(lambda: statuses(visitor.page()) == ["done"])
    asked = next(line for line in lines("request") if line["method"] == "POST")
    assert asked["route"] == "/conversations/<conversation_id>/ask"
    assert (asked["status"], asked["client"], asked["conversation"]) == (303, "127.0.0.1", visitor.id)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", asked["time"])
    assert re.fullmatch("[0-9a-f]{8}", asked["visitor"]) and re.fullmatch("[0-9a-f]{8}", asked["id"])
    assert asked["ms"] > 0
    page = wait_until(lambda: [line for line in lines("request") if line["route"] == "/"])[0]
    assert page["bytes"] > 1000
    assert page["visitor"] == asked["visitor"]
    assert len({line["id"] for line in lines("request")}) == len(lines("request"))


def test_every_answer_that_ends_is_one_line_with_its_tokens(lines, openai):
    usage = {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13}
    openai.enqueue(Reply([event(chunk(READ)), event(chunk(finish="stop", usage=usage)), event("[DONE]")]))
    openai.enqueue(Reply.error(401, f"{READ}: no."))
    openai.enqueue(Reply([event(chunk(READ)), RESET]))
    visitor = Visitor(lines.server.url)
    for _ in range(3):
        visitor.ask(f"{WORD}?")
        wait_until(lambda: "pending" not in statuses(visitor.page()))
    done, refused, broken = wait_until(lambda: len(found := lines("answer")) == 3 and found)
    assert (done["status"], done["model"], done["prompt_tokens"], done["completion_tokens"]) == (
        "done",
        "test-model",
        9,
        4,
    )
    assert (done["estimated"], done["failure"], done["conversation"]) == (False, None, visitor.id)
    assert (refused["status"], refused["failure"]) == ("failed", "KeyRejected")
    assert (broken["failure"], broken["estimated"]) == ("BrokenOff", True)
    assert {WORD, READ}.isdisjoint(re.findall(r"\w+", lines.server.log))


def raw(server, request):
    """Send bytes as they are, and return the first line of what comes."""
    with socket.create_connection(("127.0.0.1", int(server.settings["PORT"])), timeout=10) as connection:
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        return connection.recv(1000).split(b"\r\n")[0]


def test_what_is_sent_is_nowhere_in_the_log(lines):
    server, name = lines.server, WORD.encode()
    visitor = Visitor(server.url)
    for path in (f"/{WORD}", f"/conversations/{WORD}/ask", f"/?from={WORD}", f"/static/{WORD}.css"):
        try:
            visitor.opener.open(f"{server.url}{path}")
        except HTTPError as error:
            error.close()
    host = b" HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    raw(server, name + b" /" + host + b"\r\n")
    raw(server, b"GET /conversations/" + b"X" * 16 + name[:6] + b"/ask" + host + b"\r\n")
    raw(server, b"GET /" + name + b" " + name + b"\r\n\r\n")
    raw(server, b"GET /" + host + name + b" : x\r\n\r\n")
    raw(
        server,
        b"GET /" + host + b"Cookie: " + name + b"\r\nUser-Agent: " + name + b"\r\nReferer: " + name + b"\r\n\r\n",
    )
    raw(server, b"GET /" + host + b"X-Forwarded-For: " + name + b"\r\n\r\n")
    raw(server, b"POST /preferences" + host + b"Content-Length: 5000\r\n\r\n" + name)
    wait_until(lambda: any("no HTTP" in line.get("message", "") for line in lines()))
    assert WORD.lower() not in server.log.lower()
    assert "X" * 16 not in server.log


def test_a_stream_is_logged_when_it_ends_and_a_client_that_goes_is_no_error(lines, openai):
    gate = Event()
    openai.enqueue(Reply([event(chunk("Half")), gate, event(chunk(finish="stop")), event("[DONE]")]))
    visitor = Visitor(lines.server.url)
    page = visitor.ask("One?")
    answer = re.search(r'id="answer-([\w-]+)"', page)[1]
    with visitor.opener.open(f"{visitor.url}/conversations/{visitor.id}/answers/{answer}/stream") as stream:
        assert not [line for line in lines("request") if "stream" in (line["route"] or "")]
        gate.set()
        stream.read()
    streamed = wait_until(lambda: [line for line in lines("request") if "stream" in (line["route"] or "")])[0]
    assert streamed["answer"] == answer
    assert streamed["bytes"] > 50
    raw(lines.server, b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    assert {line["level"] for line in lines()} == {"info"}


def test_text_is_the_default_and_nobody_writes_a_line_of_their_own(serve, openai):
    server = serve(OPENAI_BASE_URL=openai.base_url, CHAT_MODEL="m")
    Visitor(server.url)
    wait_until(lambda: " INFO request method=GET route=/ " in server.log)
    assert Form("text").format(record("webapp.x", "A %s.", "b\r\n2026 \x1b[31mERROR\u2028x")).count("\n") == 0
    assert "\x1b" not in shortened("\x1b\u202e\x07") and len(shortened("x" * 9000)) < 400


def test_an_exception_is_told_without_its_message(tmp_path):
    def fail():
        try:
            raise ValueError(f"{WORD}\nERROR faked")
        except ValueError as first:
            raise KeyError(WORD) from first

    error = caught(fail)
    told = Form("text").format(record("webapp.errors", "It failed: %s.", error, error=error))
    assert WORD not in told and "faked" not in told
    assert "KeyError" in told and "ValueError" in told
    assert f"{__file__}:" in "\n".join(trace_of(error)) and " fail" in told
    missing = caught((tmp_path / "missing").read_bytes)
    assert described(missing) == f"FileNotFoundError: No such file or directory: {tmp_path / 'missing'}"
    assert described(OSError(WORD)) == "OSError"


@pytest.mark.parametrize(
    ("message", "args", "told"),
    [
        ("Error handling request %s %s", ("GET", f"/{WORD}"), "Error handling request … …"),
        (f"Invalid request from ip=127.0.0.1: {WORD}", (), "What was sent is no HTTP, and was refused."),
        (f"Something about {WORD}", (), "(file.py:7 f)"),
        ("Worker (pid:%s) was sent %s!", (12, "SIGKILL"), "Worker (pid:12) was sent SIGKILL!"),
        ("%(x)s and %d", ({"x": WORD},), "(file.py:7 f)"),
    ],
)
def test_of_other_packages_words_only_the_pattern_is_kept(message, args, told):
    line = json.loads(Form("json").format(record("gunicorn.error", message, *args)))
    assert line["message"].startswith(told)
    assert WORD not in str(line)


CRASHES = f"""
import gevent, logging, os, sys, threading, warnings
from webapp import logs, serving
logs.begin("text")
gevent.hub.Hub.print_exception = serving.hub_failed
import openai
def fail(*_): raise RuntimeError("{WORD}")
class Unraisable:
    __del__ = fail
Unraisable()
thread = threading.Thread(target=fail); thread.start(); thread.join()
gevent.spawn(fail).join()
warnings.warn("{WORD}")
logging.getLogger("openai").debug("Request options: %s", "{WORD}")
logging.getLogger("httpx2").info("HTTP Request: {WORD}")
logging.getLogger("webapp.x").info("A pattern %s %s with too few", "{WORD}")
print("end", flush=True)
fail()
"""


def test_whatever_crashes_wherever_it_keeps_the_texts_to_itself():
    done = subprocess.run(
        [sys.executable, "-c", CRASHES],
        cwd=ROOT,
        env={"OPENAI_LOG": "debug"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout == "end\n"
    assert WORD not in done.stderr
    assert done.stderr.count("Something failed where nobody waited for it.") == 4
    assert done.stderr.count("RuntimeError\n") == 4
    assert "A UserWarning at <string>:" in done.stderr


def test_what_flask_itself_logs_of_a_failure_has_no_path(app, caplog):
    with app.test_request_context(f"/{WORD}"):
        app.log_exception((ValueError, ValueError(""), None))
    assert "outside of its view" in caplog.text
    assert WORD not in caplog.text


def log_calls():
    """Yield the module and the source of everything that is put into one of our log messages."""
    for module, path in MODULES.items():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("log."):
                assert isinstance(node.args[0], ast.Constant), f"{module}: a pattern is a literal"
                yield from ((module, ast.unparse(argument)) for argument in node.args[1:])


def test_what_our_own_messages_hold_was_looked_at():
    assert set(log_calls()) == REVIEWED
    assert not [
        module
        for module, path in MODULES.items()
        if re.search(r"traceback\.print|print_exc\b|sys\.stderr\.write", path.read_text())
    ]


def test_ids_and_models_are_only_told_in_their_own_form():
    assert logs.safe_id("a" * 32) and logs.safe_id("Ab-_" * 5 + "xy")
    assert not any(map(logs.safe_id, ("", "x", "../" * 7 + "x", "a b" * 11, "ä" * 22, None, "a" * 32 + "\n")))
    assert logs.safe_model("org/model-7b:free@1.0") == "org/model-7b:free@1.0"
    assert not any(map(logs.safe_model, ("", "two words", "a\nb", "模型", "x" * 101)))
