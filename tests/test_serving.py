"""What the server removes by itself, once a day."""

import os
import subprocess
import sys
from time import time

import pytest

from webapp.conversation import Conversation

DAY = 86_400

# In a process of its own: gunicorn's worker makes the standard library cooperative as soon as it is imported.
SWEEP = """
import sys
from webapp import create_app
app = create_app({"TESTING": True})
from webapp import serving
if "fail" in sys.argv:
    def fail(): raise OSError(5, "Input/output error")
    app.extensions["store"].records.remove_expired = fail
serving.sweep(app)
"""


@pytest.fixture
def sweep(app):
    def run(*arguments):
        environ = os.environ | {"DATA_DIR": str(app.config["DATA_DIR"]), "CHAT_MODEL": "test-model"}
        environ["OPENAI_BASE_URL"] = app.config["OPENAI_BASE_URL"]
        command = [sys.executable, "-c", SWEEP, *arguments]
        return subprocess.run(command, env=environ, capture_output=True, text=True, check=True, timeout=60).stderr

    return run


def age(path, days):
    os.utime(path, (time() - days * DAY,) * 2)


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


def test_files_go_with_their_conversation(app, sweep, folder):
    conversations = app.extensions["store"]
    kept, expired = Conversation(owner="me"), Conversation(owner="me")
    conversations.save(kept)
    conversations.records.set(f"conversation:{expired.id}", expired, timeout=-1)
    conversations.records.set("conversation:damaged", 1)
    conversations.records.set_aside("conversation:damaged", ValueError())
    staying = [folder(kept.id), folder("damaged"), folder("gone-but-young", days=0.5)]
    going = [folder(expired.id), folder("gone")]
    sweep()
    assert [path.exists() for path in staying] == [True] * 3
    assert [path.exists() for path in going] == [False] * 2


def test_logs_that_nobody_came_back_for_go(app, sweep):
    logs = app.config["DATA_DIR"] / "answers"
    for name, days in {"young.log": 80, "old.log": 91, "old.-1.log": 91, "old.settled.json": 91}.items():
        (logs / name).write_text("Half")
        age(logs / name, days)
    sweep()
    assert [path.name for path in logs.iterdir()] == ["young.log"]


def test_a_disk_that_fails_ends_nothing_and_is_logged(sweep, folder):
    gone = folder("gone")
    assert "Input/output error" in sweep("fail")
    assert not gone.exists()
