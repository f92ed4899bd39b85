"""Serving with gunicorn and gevent: what no application in this process can show."""

import subprocess
import sys

from .conftest import ROOT, WAIT

HANGING = """
from gevent import monkey
monkey.patch_all()
import os
import socket
from threading import Thread, get_native_id
from webapp.serving import DISK_THREADS, DiskThreads

off_loop, (gate, opens) = DiskThreads(), os.pipe()
hanging = [Thread(target=off_loop, args=(os.read, gate, 1), daemon=True) for _ in range(DISK_THREADS + 5)]
for thread in hanging:
    thread.start()
print(socket.getaddrinfo("127.0.0.1", "domain", proto=socket.IPPROTO_TCP)[0][4])
os.write(opens, b"x" * len(hanging))
for thread in hanging:
    thread.join()
print(off_loop(get_native_id) != get_native_id())
"""


def test_a_disk_that_hangs_keeps_no_name_from_being_looked_up():
    """Whoever asks needs the endpoint's address."""
    run = subprocess.run([sys.executable, "-c", HANGING], cwd=ROOT, capture_output=True, text=True, timeout=WAIT)
    assert (run.stdout, run.stderr) == ("('127.0.0.1', 53)\nTrue\n", "")


RAISING = """
import sys
from pathlib import Path
from webapp import create_app
from webapp.serving import Server

app = create_app({"DATA_DIR": Path(sys.argv[1]), "OPENAI_BASE_URL": "http://127.0.0.1:9/v1"})
app.debug = True  # as FLASK_DEBUG=1 makes it
app.view_functions["chat.page"] = lambda: [][1]
server = Server.__new__(Server)
server.make_app = lambda: app
reply = server.load().test_client().get("/", environ_overrides={"gunicorn.socket": None})
print(reply.status_code, "IndexError" in reply.text, "the log says more" in reply.text)
"""


def test_what_nobody_foresaw_is_our_page_also_where_somebody_left_debugging_on(tmp_path):
    run = subprocess.run(
        [sys.executable, "-c", RAISING, str(tmp_path / "data")], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert run.stdout == "500 False True\n", run.stderr


EARLY = """
from gevent import monkey

monkey.patch_all()
import os
import signal
import socket
import sys
from pathlib import Path
from time import sleep
from webapp import create_app, serving

hold = serving._Lifeline.hold

def told(self):
    hold(self)
    os.kill(os.getppid(), signal.SIGINT)
    for _ in range(300):  # Until the master has told its worker, which does not listen yet.
        sleep(0.01)
        if signal.SIGQUIT in signal.sigpending():
            break

serving._Lifeline.hold = told
settings = {"DATA_DIR": Path(sys.argv[1]), "OPENAI_BASE_URL": "http://127.0.0.1:9/v1"}
serving.Server(lambda: create_app(settings), socket.create_server(("127.0.0.1", 0)), "ready").run()
"""


def test_a_worker_that_is_told_to_end_before_it_listens_ends(tmp_path):
    run = subprocess.run(
        [sys.executable, "-c", EARLY, str(tmp_path / "data")], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert (run.returncode, run.stdout) == (0, "ready\n")
    assert "SIGKILL" not in run.stderr
