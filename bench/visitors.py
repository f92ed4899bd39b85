"""A data folder of many visitors beside one of few: does a request take longer, idle and while the sweep goes on?

    .venv/bin/python -m bench.visitors [--visitors 20000] [--rounds 60]

A third of what lies in the folder is out of date, so that the server's sweep, which begins with the server, has all
of that to remove. One visitor meanwhile opens the page, asks, follows the answer, imports a file with two
conversations and opens "Your data", one after the other. Everything shares the machine: compare within one run only.
"""

import argparse
import html
import json
import os
import re
from http.client import HTTPConnection
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic, sleep, time
from urllib.parse import urlencode, urlsplit

from webapp.budget import Budget
from webapp.conversation import Answer, Conversation, Turn, new_id
from webapp.conversations import own_id
from webapp.exchange import Exchange, save
from webapp.files import Files
from webapp.records import DAY, RecordFiles

from .harness import Parley, Stub, percentile, show
from .stub import Order

FEW = 20
ACTIONS = ("page", "ask", "first text", "end", "import", "your data")
STREAM = re.compile(r'hx-sse:connect="([^"]+)"')
FORM = "application/x-www-form-urlencoded"
TALKS = json.dumps([{"messages": [{"role": "user", "content": f"No. {n}"}]} for n in range(2)])
FILE = f'--x\r\nContent-Disposition: form-data; name="file"; filename="a.json"\r\n\r\n{TALKS}\r\n--x--\r\n'


class Folder:
    """A data folder with so many visitors, every third of whom has not been there for too long."""

    def __init__(self, path, visitors):
        self.records = RecordFiles(path / "records", 90 * DAY)
        self.files = Files(path / "files")
        self.records.off_loop = lambda write, path, content: path.write_bytes(content)  # It need not be durable.
        self.budget = Budget(self.records, 10**9, 10**6)
        self.over = []  # what the sweep is to remove
        for number in range(visitors):
            self._visitor(number, over=number % 3 == 0)
        half = path / "files" / new_id()
        half.mkdir()  # The sweep looks for halves at its end.
        self._is_over(half / "new-half", b"Half")

    def _visitor(self, number, over):
        owner, timeout = new_id(), -1 if over else None
        keys = {f"session:{new_id()}": {"visitor": owner, "seen": time()}}
        chat = own_id(owner, "chat")
        if number % 10:  # The tenth has only looked.
            text = "A word or two. " * 40
            turns = [Turn(f"{n}?", answers=[Answer(text=text, status="done")]) for n in range(4)]
            keys[f"conversation:{chat}"] = Conversation(owner=owner, id=chat, turns=turns)
        for key, value in keys.items():
            self.records.set(key, value, timeout)
            if over:
                self.over.append(self.records.folder / self.records._path(key).name)
        if number % 10 and number % 2:
            self._files(chat, text, over)
        if number % 10 == 1:
            self.budget.spend(owner, 100)

    def _files(self, chat, text, over):
        for _ in range(2):
            request = {"messages": [{"role": "user", "content": text}]}
            save(
                self.files, chat, new_id(), [Exchange("http://localhost", "/chat/completions", request)], durable=False
            )
        folder = self.files.folder / chat
        os.utime(folder, (time() - 2 * DAY,) * 2)
        if over:
            self.over.append(folder)

    def _is_over(self, path, content):
        path.write_bytes(content)
        os.utime(path, (time() - 2 * DAY,) * 2)
        self.over.append(path)

    def is_swept(self):
        """Tell whether nothing is left that is out of date."""
        while self.over and not self.over[-1].exists():
            self.over.pop()
        return not self.over


class Visitor:
    """Somebody who is there, and waits for what they do."""

    def __init__(self, url):
        self.address, self.headers, self.asked = urlsplit(url).netloc, {}, 0
        response, page = self._send("GET", "/")
        self.headers = {"Cookie": response.headers["Set-Cookie"].partition(";")[0], "HX-Request": "true"}
        self.path = re.search(r"/conversations/[\w-]+", page).group(0)

    def round(self):
        """Return the seconds that each of ACTIONS took."""
        began, times = monotonic(), []

        def done():
            nonlocal began
            times.append(monotonic() - began)
            began = monotonic()

        self._send("GET", "/")
        done()
        self.asked += 1
        form = urlencode({"question": str(Order(50, seed=self.asked))})
        stream = STREAM.search(self._send("POST", f"{self.path}/ask", form)[1]).group(1)
        done()
        response, connection = self._open("GET", html.unescape(stream))
        response.readline()
        while b"#text-" not in (line := response.readline()) and line:
            pass
        done()
        response.read()
        connection.close()
        done()
        self._send("POST", f"{self.path}/import", FILE, {"Content-Type": "multipart/form-data; boundary=x"})
        done()
        self._send("GET", "/visitor")
        done()
        if self.asked % 10 == 0:
            self._send("POST", f"{self.path}/clear", "confirmed=yes")  # A long conversation is another matter.
        return times

    def _send(self, method, path, body=None, headers=None):
        response, connection = self._open(method, path, body, headers)
        text = response.read().decode()
        connection.close()
        if response.status != 200:
            raise SystemExit(f"{method} {path}: {response.status} {text}")
        return response, text

    def _open(self, method, path, body=None, headers=None):
        connection = HTTPConnection(self.address, timeout=120)
        connection.request(method, path, body, {"Content-Type": FORM} | self.headers | (headers or {}))
        return connection.getresponse(), connection


def table(columns):
    """Print what each action took, in milliseconds: the median and the longest, by the name of a column."""
    show(
        ("milliseconds", *(f"{name}, {share}" for name in columns for share in ("p50", "max"))),
        *(
            (
                action,
                *(
                    1000 * percentile([one[at] for one in times], share)
                    for times in columns.values()
                    for share in (0.5, 1)
                ),
            )
            for at, action in enumerate(ACTIONS)
        ),
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--visitors", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument(
        "--quiet", action="store_true", help="do nothing beside the sweep, to see how long it takes alone"
    )
    arguments = parser.parse_args()
    budgets = {"TOKEN_BUDGET": str(10**9), "VISITOR_TOKEN_BUDGET": str(10**6)}
    servers, rows, folders = {}, {}, {}
    with Stub() as stub, TemporaryDirectory(prefix="parley-bench-") as place:
        for count in (FEW, arguments.visitors):
            folders[count] = Folder(Path(place, str(count)), count)
            print(f"{count:,} visitors: {len(folders[count].over):,} things to remove", flush=True)
        # The many last: while they are swept, nothing else is measured.
        for count, folder in folders.items():
            began = monotonic()
            servers[count] = Parley(stub.url, "stub", DATA_DIR=str(Path(place, str(count))), **budgets)
            cpu = servers[count].cpu_seconds()
            visitor = Visitor(servers[count].url)
            print(f"{count:,} visitors: first page {monotonic() - began:.2f} s after the command", flush=True)
            began = monotonic()
            times = []
            while not folder.is_swept():
                sleep(0.2) if arguments.quiet else times.append(visitor.round())
            cpu, seconds = servers[count].cpu_seconds() - cpu, monotonic() - began
            print(f"{count:,} visitors: swept after {seconds:.1f} s, {len(times)} rounds, {cpu:.1f} s CPU with them")
            if times:
                rows[f"{count:,} visitors, sweep"] = times
        idle = {count: [] for count in servers}
        people = {count: Visitor(server.url) for count, server in servers.items()}
        for _ in range(arguments.rounds):
            for count, visitor in people.items():
                idle[count].append(visitor.round())
        rows |= {f"{count:,} visitors, idle": times for count, times in idle.items()}
        table(rows)
        for count, server in servers.items():
            print(f"{count:,} visitors: {', '.join(f'{size:.0f} MB' for size in server.memory())}")
            server.__exit__()


if __name__ == "__main__":
    main()
