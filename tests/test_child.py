"""The process beside ours: what it gets, and how it ends."""

import json
import os
import signal
import socket
import sys

import psutil
import pytest

from webapp.child import Child

from .conftest import wait_until


@pytest.fixture
def start(tmp_path):
    children = []

    def start_child(log=tmp_path / "log"):
        children.append(Child("tests.told_child", log))
        return children[-1]

    yield start_child
    for child in children:
        child.kill()
        if not child._socket._closed:
            child.wait()


def told(child):
    child.tell(b"an order")
    return json.loads(child.hear())


def test_a_child_gets_nothing_of_ours_that_could_be_a_secret(start, monkeypatch, tmp_path):
    for name in ("OPENAI_API_KEY", "ACCESS_CODE", "HF_TOKEN", "LLAMA_ARG_API_KEY", "OPENAI_BASE_URL", "PRICES"):
        monkeypatch.setenv(name, "marked-secret")
    monkeypatch.setenv("LC_TIME", "C")
    monkeypatch.chdir(tmp_path)  # Its module is found wherever we were started.
    known = told(start())
    assert known["line"] == "an order\n"
    assert "marked-secret" not in json.dumps(known)
    assert known["environ"]["LC_TIME"] == "C"
    assert known["argv"] == [sys.executable, "-m", "tests.told_child"]


def test_a_child_gets_no_file_that_is_open_here(start):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.set_inheritable(True)  # As gunicorn makes its own.
        inherited = told(start())["files"]
    assert [number for number in inherited if number > 2] == []


@pytest.mark.parametrize("how", ["killed", "its input ends"])
def test_a_child_ends_and_leaves_no_zombie(start, how):
    child = start()
    told(child)
    if how == "killed":
        child.kill()
        assert child.wait() == -signal.SIGKILL
    else:
        child._socket.shutdown(socket.SHUT_WR)
        assert child.wait() == 0
    child.kill()  # Does nothing to whoever has its number now.
    wait_until(lambda: not psutil.pid_exists(child._pid))


def test_a_log_that_cannot_be_written_does_not_keep_a_child_from_starting(start, tmp_path, caplog):
    child = start(tmp_path / "nowhere" / "log")
    assert told(child)["line"]
    assert "cannot be written: No such file or directory" in caplog.text


def test_what_cannot_be_started_leaves_nothing_open(start, monkeypatch):
    monkeypatch.setattr("webapp.child.sys.executable", "/nowhere/python")
    before = os.listdir("/dev/fd")
    with pytest.raises(FileNotFoundError):
        start()
    assert os.listdir("/dev/fd") == before
