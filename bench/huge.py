"""Answers far too long to be read: what they cost the server, the connection, and everybody else.

    .venv/bin/python -m bench.huge [--only NAME]

Each is asked for in a server of its own and followed as a page follows; then its page is opened and its whole text,
its exports and its request and reply are fetched. The peak is that of the worker above what it was before the question
(`VmHWM`, so only on Linux); the wait is the longest of a second visitor's requests meanwhile, one after the other.
"""

import argparse
import html
import re
from pathlib import Path
from time import monotonic

from tests.openai_server import DONE, OpenAIServer, Reply, chunk, event

from .harness import Parley, show
from .hostile import FORM, Others, Server

MEGABYTES = 10_000_000
LINE = "A line of **ordinary** words that goes on for a while, and then another one.\n\n"
WORDS = "word and more "


def figures():
    """Return 100,000 lines with figures: bare ones, a list, a table."""
    rows = range(100_000 // 3)
    bare = "".join(f"{row * 7919}\n" for row in rows)
    points = "".join(f"{row + 1}. {row / 7:.6f}\n" for row in rows)
    return f"{bare}\n{points}\n| n | square |\n|--:|--:|\n" + "".join(f"| {row} | {row * row} |\n" for row in rows)


def replies():
    """Return by its name each answer's text, and the bytes that each network write sends."""
    lines, line, han = LINE * (MEGABYTES // len(LINE)), WORDS * (MEGABYTES // len(WORDS)), "汉字，" * (MEGABYTES // 3)
    tiny = [f"{number % 10} " for number in range(100_000)]
    return {
        "10 MB in lines, at once": (lines, [event(chunk(lines))]),
        "10 MB in one endless line, in pieces of 10 KB": (line, _in_pieces(line, 10_000)),
        "10 million characters of Chinese, in pieces of 10 KB": (han, _in_pieces(han, 10_000)),
        "100,000 lines with figures, in pieces of 1 KB": (figures(), _in_pieces(figures(), 1_000)),
        "100,000 tiny chunks, one in a write": ("".join(tiny), [event(chunk(one)) for one in tiny]),
    }


def _in_pieces(text, size):
    return [event(chunk(text[at : at + size])) for at in range(0, len(text), size)]


class Measure:
    """What the server does while something is asked of it."""

    def __init__(self, server):
        self.server = server

    def __enter__(self):
        self.before, self.cpu, self.began = self.server.memory("VmRSS"), self.server.parley.cpu_seconds(), monotonic()
        Path(f"/proc/{self.server.worker()}/clear_refs").write_text("5")
        self.others = Others(self.server).__enter__()
        return self

    def __exit__(self, *_):
        self.others.__exit__()
        self.seconds = monotonic() - self.began
        self.cpu = self.server.parley.cpu_seconds() - self.cpu
        self.peak = max(0.0, self.server.memory("VmHWM") - self.before)

    def row(self, name, size):
        return name, self.seconds, self.cpu, self.peak, size / 1000, self.others.longest


def measure(server, text):
    """Yield a row for each thing that is done with one answer."""
    cookie = {"Cookie": server.cookie}
    with Measure(server) as asking:
        server.post("ask", FORM, b"question=Much%3F")
        page = server.send("GET", "/", headers=cookie)[1]
        address = html.unescape(re.search(r'hx-sse:connect="([^"]+)"', page).group(1))
        stream = server.send("GET", address, headers=cookie)[1]
    assert stream.endswith("event: end\ndata:\n\n")
    yield asking.row("asked and followed", len(stream.encode()))
    answer_id = re.search(r'id="answer-([^"]+)"', page).group(1)
    answer = f"/conversations/{server.id}/answers/{answer_id}"
    fetched = {"page": "/", "whole text": f"{answer}/markdown", "request and reply": f"{answer}/exchange"}
    fetched |= {kind: f"/conversations/{server.id}/export/{kind}" for kind in ("json", "markdown", "notebook")}
    for name, path in fetched.items():
        with Measure(server) as opening:
            status, body, _ = server.send("GET", path, headers=cookie)
        assert status == 200
        assert name != "whole text" or body == text, "Something is lost."
        yield opening.row(name, len(body.encode()))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="the beginning of the names of what is tried")
    only = parser.parse_args().only
    for name, (text, writes) in replies().items():
        if not name.startswith(only):
            continue
        endpoint = OpenAIServer()
        endpoint.enqueue(Reply([*writes, event(chunk(finish="stop")), DONE]))
        with Parley(endpoint.base_url, "test-model") as parley:
            show((name, "s", "CPU s", "peak MB", "KB", "others wait s"), *measure(Server(parley), text))
        endpoint.close()
        print(flush=True)


if __name__ == "__main__":
    main()
