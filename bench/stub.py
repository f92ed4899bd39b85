"""An endpoint for the benchmarks: `python -m bench.stub` speaks the OpenAI protocol on a free port of loopback.

The question itself says, as JSON, what the answer is to be; see `Order`. The first line on standard output
is the base URL; after it there is a line for every client that hangs up on a silent answer, the time by
the machine's monotonic clock. It ends when its standard input does.
"""

import json
import sys
from contextlib import suppress
from dataclasses import asdict, dataclass
from time import monotonic

import gevent
from gevent.fileobject import FileObject
from gevent.server import StreamServer

# What makes trouble is among them: markup, entities, line ends, spaces at the ends, more than one byte.
WORDS = ["The", " quick", " <b>fox</b>", " &amp;", " jumps", "\n", "data:", " 你好", "，世界", " 🦊", " \"it's'", "  "]


@dataclass
class Order:
    """What a question asks the stub for; `seed` makes one answer differ from another."""

    tokens: int
    rate: float = 0  # tokens a second; 0 sends all of them in one piece
    seed: int = 0
    silent: bool = False  # after the last token, until the client hangs up
    pause: float = 0  # seconds of silence before the last token

    def __str__(self):
        return json.dumps(asdict(self))

    def answer(self):
        """Return the tokens that the stub sends."""
        return [f"No. {self.seed}:", *(WORDS[(self.seed + i) % len(WORDS)] for i in range(1, self.tokens))]

    @property
    def text(self):
        return "".join(self.answer())


def event(text=None, finish=None):
    """Return a chunk of an answer as the API sends it."""
    choice = {"index": 0, "delta": {"content": text} if text else {}, "logprobs": None, "finish_reason": finish}
    chunk = {
        "id": "chatcmpl-Bq3fWvJcOQ0sX2yZk8tLhNd5RmUeA",
        "object": "chat.completion.chunk",
        "created": 1780000000,
        "model": "stub",
        "service_tier": "default",
        "system_fingerprint": "fp_0123456789",
        "choices": [choice],
        "usage": None,
    }
    return b"data: " + json.dumps(chunk, separators=(",", ":"), ensure_ascii=False).encode() + b"\n\n"


END = event(finish="stop") + b"data: [DONE]\n\n"
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
LIST = b'{"object":"list","data":[{"id":"stub"}]}'
MODELS = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (
    len(LIST),
    LIST,
)


def framed(data):
    """Return bytes as one chunk of an HTTP/1.1 body."""
    return b"%x\r\n%s\r\n" % (len(data), data)


def read_request(file):
    """Read a request, and return its body."""
    length = 0
    while (line := file.readline()) not in (b"\r\n", b""):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    return file.read(length)


def handle(connection, _):
    if not (body := read_request(connection.makefile("rb"))):
        connection.sendall(MODELS)  # The list, which is asked for once.
        return
    body = json.loads(body)
    order = Order(**json.loads(body["messages"][-1]["content"]))
    with suppress(ConnectionError):
        send(connection, order)
    if order.silent:
        with suppress(ConnectionError):
            connection.recv(1)
        print(monotonic(), flush=True)


def send(connection, order):
    events = [event(text) for text in order.answer()]
    connection.sendall(HEAD)
    if not order.rate:
        connection.sendall(framed(b"".join(events)))
        events = []
    began = monotonic()
    for number, sent in enumerate(events, 1):
        if number == len(events):
            gevent.sleep(order.pause)
        connection.sendall(framed(sent))
        # By the clock, not by the sum of the pauses: an answer lasts exactly tokens / rate.
        gevent.sleep(max(0, began + number / order.rate - monotonic()))
    if not order.silent:
        connection.sendall(framed(END) + framed(b""))


def main():
    server = StreamServer(("127.0.0.1", 0), handle, backlog=4096)
    server.start()
    print(f"http://127.0.0.1:{server.server_port}/v1", flush=True)
    FileObject(sys.stdin.buffer).read()


if __name__ == "__main__":
    main()
