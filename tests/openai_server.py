"""A server on loopback that speaks the OpenAI protocol: at any speed, with every fault, counting what it sees.

    server.enqueue(Reply.text("Hello", delay=0.05))   # the next request gets this; without one, an echo
    server.replies["Hello?"] = Reply.text("Hello")    # whoever asks this gets that, in whatever order they come
    server.bodies                                     # the JSON bodies of the requests, in order
    server.uploads                                    # (name, type, bytes) of the files that came in forms
    server.closed_by_client.wait(20)                  # somebody hung up on an answer

A reply is a list of steps: bytes are sent, a number is waited for in seconds, `RESET` breaks the
connection as a crash does, `SILENCE` sends nothing until the other side hangs up, and an Event is waited for.
"""

import base64
import io
import json
import socket
import struct
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Empty, Queue
from time import monotonic

from werkzeug.formparser import parse_form_data

RESET = object()
SILENCE = object()


def event(data):
    """Return the bytes of one server-sent event."""
    data = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False)
    return f"data: {data}\n\n".encode()


def chunk(text=None, finish=None, **more):
    """Return a chunk of a streamed chat completion, as the API's JSON."""
    delta = {} if text is None else {"content": text}
    return {
        "id": "chatcmpl-test",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "test-model",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
        **more,
    }


DONE = event("[DONE]")

# The smallest image: one transparent dot.
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
)


def question_of(body):
    """Return what a request asks: its last message, its prompt, or the text that is to be read."""
    return body["messages"][-1]["content"] if body.get("messages") else body.get("prompt", body.get("input"))


@dataclass
class Reply:
    steps: list = field(default_factory=list)
    status: int = 200
    content_type: str = "text/event-stream"
    headers: dict = field(default_factory=dict)
    wait: float = 0  # seconds before the status line
    raw: bool = False  # the steps are all that is sent, status line and framing too

    @classmethod
    def text(cls, *pieces, delay=0, finish="stop", wait=0):
        """Stream pieces of text, `delay` seconds apart, and end as the API ends."""
        steps = []
        for piece in pieces:
            steps += [event(chunk(piece)), delay] if delay else [event(chunk(piece))]
        return cls([*steps, event(chunk(finish=finish)), DONE], wait=wait)

    @classmethod
    def json(cls, value):
        return cls([json.dumps(value).encode()], content_type="application/json")

    @classmethod
    def whole(cls, *texts, **more):
        """Answer a chat request in one piece, with a choice for each text."""
        choices = [
            {"index": index, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
            for index, text in enumerate(texts)
        ]
        top = {"id": "chatcmpl-test", "object": "chat.completion", "created": 1, "model": "test-model"}
        return cls.json({**top, "choices": choices, **more})

    @classmethod
    def completion(cls, *pieces, finish="stop"):
        """Stream the text of a plain completion."""
        top = {"id": "cmpl-test", "object": "text_completion", "created": 1, "model": "test-model"}
        parts = [*[(piece, None) for piece in pieces], ("", finish)]
        steps = [
            event({**top, "choices": [{"text": text, "index": 0, "logprobs": None, "finish_reason": finish}]})
            for text, finish in parts
        ]
        return cls([*steps, DONE])

    @classmethod
    def whole_completion(cls, *texts):
        choices = [
            {"text": text, "index": index, "logprobs": None, "finish_reason": "stop"}
            for index, text in enumerate(texts)
        ]
        top = {"id": "cmpl-test", "object": "text_completion", "created": 1, "model": "test-model"}
        return cls.json({**top, "choices": choices})

    @classmethod
    def images(cls, *contents, **more):
        """Answer a request for images with files, each as base64."""
        data = [{"b64_json": base64.b64encode(content).decode()} for content in contents]
        return cls.json({"created": 1, "data": data, **more})

    @classmethod
    def error(cls, status, message, *, code=None, kind=None, headers=None):
        """Answer with the API's error object."""
        body = json.dumps({"error": {"message": message, "type": kind, "code": code, "param": None}}).encode()
        return cls([body], status, "application/json", headers or {})


class OpenAIServer:
    def __init__(self, port=0):
        self.replies = {}
        self.bodies = []
        self.headers = []
        self.uploads = []
        self.paths = []  # of what was posted: a list of models costs nothing
        self.lists = 0
        self.models = Reply(
            [json.dumps({"object": "list", "data": [{"id": "test-model"}]}).encode()], 200, "application/json"
        )
        self.closed_by_client = threading.Event()
        self.open_answers = 0
        self._replies = Queue()
        self._ending = threading.Event()
        self._httpd = ThreadingHTTPServer(("127.0.0.1", port), self._handler())
        self._httpd.daemon_threads = True
        self._httpd.block_on_close = False
        threading.Thread(target=self._httpd.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    @property
    def base_url(self):
        return f"http://127.0.0.1:{self._httpd.server_address[1]}/v1"

    @property
    def questions(self):
        """The last message of every chat request, the prompt or the text of every other one, or nothing."""
        return [question_of(body) for body in self.bodies]

    def enqueue(self, *replies):
        for reply in replies:
            self._replies.put(reply)

    def close(self):
        self._ending.set()
        self._httpd.shutdown()
        self._httpd.server_close()

    def _body(self, raw, content_type):
        """Return a request's JSON; of a form the fields, whose files go to `uploads`."""
        if not content_type.startswith("multipart/"):
            return json.loads(raw)
        environ = {"wsgi.input": io.BytesIO(raw), "CONTENT_LENGTH": str(len(raw)), "CONTENT_TYPE": content_type}
        _, fields, files = parse_form_data(environ, stream_factory=lambda *_, **__: io.BytesIO())
        self.uploads += [(file.filename, file.mimetype, file.read()) for file in files.values()]
        return fields.to_dict()

    def _next(self, path, body):
        if self.replies and (question := question_of(body)) in self.replies:
            return self.replies[question]
        try:
            return self._replies.get_nowait()
        except Empty:
            pass
        if path.endswith("/audio/transcriptions"):
            return Reply.json({"text": "What was said."})
        if path.endswith("/audio/speech"):
            return Reply([b"ID3 " + body["input"].encode()], content_type="audio/mpeg")
        if path.endswith("/images/generations"):
            return Reply.images(*[PNG] * (body.get("n") or 1))
        if path.endswith("/chat/completions"):
            said = "You said: " + body["messages"][-1]["content"]
            return Reply.text("You said: ", said[10:]) if body.get("stream") else Reply.whole(said)
        return Reply.completion(" and so on.") if body.get("stream") else Reply.whole_completion(" and so on.")

    def _handler(server):
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args):
                pass

            def do_GET(self):
                server.lists += 1
                self.send(server.models)

            def do_POST(self):
                raw = self.rfile.read(int(self.headers["Content-Length"]))
                body = server._body(raw, self.headers["Content-Type"])
                server.paths.append(self.path)
                server.headers.append(self.headers)
                server.bodies.append(body)
                server.open_answers += 1
                try:
                    self.send(server._next(self.path, body))
                finally:
                    server.open_answers -= 1

            def send(self, reply):
                self.close_connection = True
                try:
                    if reply.wait is SILENCE:
                        self.pause(float("inf"))
                    self.pause(reply.wait)
                    if not reply.raw:
                        self.begin(reply)
                    for step in reply.steps:
                        self.take(step, raw=reply.raw)
                    if not reply.raw:
                        self.wfile.write(b"0\r\n\r\n")
                    self.wfile.flush()
                except (BrokenPipeError, ConnectionResetError):
                    server.closed_by_client.set()
                except _Broken:
                    pass

            def begin(self, reply):
                self.send_response(reply.status)
                self.send_header("Content-Type", reply.content_type)
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()

            def take(self, step, *, raw=False):
                if step is RESET:
                    self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    self.connection.close()
                    raise _Broken
                if isinstance(step, threading.Event):
                    while not step.wait(0.05):
                        self.pause(0.01)
                elif step is SILENCE:
                    self.pause(float("inf"))
                elif isinstance(step, bytes):
                    if not step:
                        return  # As a chunk it would be the end.
                    self.wfile.write(step if raw else b"%x\r\n%s\r\n" % (len(step), step))
                    self.wfile.flush()
                else:
                    self.pause(step)

            def pause(self, seconds):
                """Wait, and notice at once when the other side hangs up."""
                until = monotonic() + seconds
                while (left := until - monotonic()) > 0:
                    self.connection.settimeout(min(left, 0.5))
                    try:
                        if not self.connection.recv(1, socket.MSG_PEEK):
                            raise ConnectionResetError
                    except TimeoutError:
                        if server._ending.is_set():
                            raise _Broken from None
                    finally:
                        self.connection.settimeout(None)

        return Handler


class _Broken(Exception):
    pass
