"""What one hostile request costs the server: processor time, peak memory, and for how long others wait.

    .venv/bin/python -m bench.hostile [--only NAME]

The peak is that of the worker above what it was before the request (`VmHWM`, so only on Linux); the wait is
the longest of a second visitor's requests for `/healthz`, one after the other meanwhile.
"""

import argparse
import http.client
import io
import json
import re
import sys
import threading
import zipfile
from hashlib import sha256
from pathlib import Path
from time import monotonic
from urllib.parse import quote, urlsplit

from .harness import Parley, Stub, show

FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data; boundary=x"
MEGABYTE = 1 << 20


def part(name, content, filename=None):
    named = f'; filename="{filename}"' if filename else ""
    return f'--x\r\nContent-Disposition: form-data; name="{name}"{named}\r\n\r\n'.encode() + content + b"\r\n"


def upload(content, field="file", filename="a.json"):
    return MULTIPART, part(field, content, filename) + b"--x--\r\n"


def zipped(content, name="conversations.json", times=1):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(times):
            archive.writestr(name if times == 1 else f"conversations-{number:03}.json", content)
    return file.getvalue()


def chatgpt(
    messages=40_000, text="An answer of some ordinary length, with words. " * 20, conversations=40, broken=False
):
    """Return a ChatGPT export; with `broken`, halves of characters stand in it, as in some real ones."""
    said = text + ("\ud83d broken" if broken else "")

    def one(number):
        nodes = {}
        for place in range(messages // conversations):
            role = "assistant" if place % 2 else "user"
            message = {
                "id": str(place),
                "author": {"role": role, "name": None, "metadata": {}},
                "create_time": 1.7e9 + place,
                "content": {"content_type": "text", "parts": [said]},
                "status": "finished_successfully",
                "metadata": {"model_slug": "gpt-4", "finish_details": {"type": "stop"}},
                "recipient": "all",
            }
            nodes[str(place)] = {"id": str(place), "message": message, "parent": str(place - 1), "children": []}
        return {"title": f"No. {number}", "create_time": 1.7e9, "mapping": nodes, "current_node": str(place)}

    return json.dumps([one(number) for number in range(conversations)]).encode()


def attacks():
    """Return by its name what makes each attack's path in the conversation, type and body."""
    full = 48 * MEGABYTE
    deep = b'{"a":' * 20_000 + b"1" + b"}" * 20_000
    return {
        "question: 100,000 characters": lambda: ("ask", FORM, b"question=" + b"x" * 100_000),
        "question: one endless word of brackets": lambda: ("ask", FORM, b"question=" + b"%5B" * 100_000),
        "question: 100,000 characters that are each four bytes": lambda: (
            "ask",
            FORM,
            b"question=" + b"%F0%9F%98%80" * 100_000,
        ),
        "question: 100,000 of markdown's signs": lambda: (
            "ask",
            FORM,
            f"question={quote('*_[`<&~#|$' * 10_000)}".encode(),
        ),
        "estimate: 100,000 characters": lambda: ("estimate", FORM, b"question=" + b"%E4%BD%A0" * 100_000),
        "form: as many fields as fit": lambda: ("ask", FORM, b"a&" * 600_000),
        "form: as many named fields as fit": lambda: ("ask", FORM, b"".join(b"f%d=&" % n for n in range(140_000))),
        "form: only percent signs": lambda: ("ask", FORM, b"question=" + b"%" * 1_200_000),
        "form: parameters, as many fields as fit": lambda: ("parameters", FORM, b"a&" * 2_990_000),
        "form: parameters, 6 MB of percent signs": lambda: ("parameters", FORM, b"system_prompt=" + b"%" * 5_900_000),
        "form: recording's, as many fields as fit": lambda: ("transcribe", FORM, b"a&" * 10_000_000),
        "form: import's, as many fields as fit": lambda: ("import", FORM, b"a&" * 10_000_000),
        "multipart: 10,000 parts": lambda: ("ask", MULTIPART, part("a", b"1") * 10_000 + b"--x--\r\n"),
        "multipart: import of 100,000 parts": lambda: ("import", MULTIPART, part("a", b"1") * 100_000 + b"--x--\r\n"),
        "multipart: 900 files": lambda: ("import", MULTIPART, part("file", b"1", "a.json") * 900 + b"--x--\r\n"),
        "multipart: no end": lambda: ("import", MULTIPART, part("file", b"\r\n" * (full // 2), "a")[:-2]),
        "multipart: almost boundaries": lambda: ("import", MULTIPART, part("file", b"\r\n--" * (full // 4), "a")[:-2]),
        "multipart: line ends alone": lambda: ("import", MULTIPART, part("file", b"\r" * full, "a") + b"--x--"),
        "multipart: one header of 1 MB": lambda: ("ask", MULTIPART, b"--x\r\n" + b"A: b\r\n" * 180_000),
        "multipart: one header line": lambda: (
            "ask",
            MULTIPART,
            b"--x\r\nContent-Disposition: form-data; name=" + b";a=b" * 250_000,
        ),
        "parameters: JSON 16,000 deep": lambda: ("parameters", FORM, b"extra=" + quote(deep).encode()[:290_000]),
        "parameters: JSON 100,000 brackets": lambda: ("parameters", FORM, b"extra=" + b"%5B" * 100_000),
        "parameters: JSON of a number of 90,000 digits": lambda: (
            "parameters",
            FORM,
            b'extra={"a":' + b"9" * 90_000 + b"}",
        ),
        "parameters: JSON of 25,000 objects": lambda: ("parameters", FORM, b'extra={"a":[' + b"{}," * 33_000 + b"1]}"),
        "parameters: a number of a million digits": lambda: ("parameters", FORM, b"temperature=" + b"9" * 1_000_000),
        "parameters: a number of a million dots": lambda: ("parameters", FORM, b"temperature=" + b"1." * 500_000),
        "parameters: a size of a million digits": lambda: ("parameters", FORM, b"size=" + b"1" * 1_000_000 + b"x"),
        "parameters: a million stops": lambda: ("parameters", FORM, b"stop=" + b"a%0A" * 1_000_000),
        "parameters: a model's name of 5 MB": lambda: ("parameters", FORM, b"model=" + b"o1-" * 1_600_000),
        "import: an export of 48 MB": lambda: ("import", *upload(chatgpt()[:-1] + b"]")),
        "import: the same with halves of characters": lambda: ("import", *upload(chatgpt(broken=True))),
        "import: one conversation of 40 MB": lambda: ("import", *upload(chatgpt(conversations=1, messages=30_000))),
        "import: the same with halves of characters ": lambda: (
            "import",
            *upload(chatgpt(conversations=1, messages=30_000, broken=True)),
        ),
        "import: the same in another encoding": lambda: (
            "import",
            *upload(chatgpt(messages=15_000).decode().encode("utf-16")),
        ),
        "import: 24 million numbers": lambda: ("import", *upload(b"[" + b"0," * (full // 2 - 2) + b"0]")),
        "import: 16 million objects": lambda: ("import", *upload(b"[" + b"{}," * (full // 3 - 2) + b"{}]")),
        "import: 16 million objects in one": lambda: (
            "import",
            *upload(b'{"messages":[' + b"{}," * (full // 3 - 9) + b"{}]}"),
        ),
        "import: 16 million lists, cut off": lambda: ("import", *upload(b'{"messages":[' + b"[]," * (full // 3 - 9))),
        "import: 4 million names": lambda: (
            "import",
            *upload(b'{"messages":[{' + b",".join(b'"%07d":1' % n for n in range(4_000_000)) + b"}]}"),
        ),
        "import: messages, 1 million": lambda: (
            "import",
            *upload(b"[" + b'{"role":"user","content":"a"},' * 1_500_000 + b"{}]"),
        ),
        "import: 24 million brackets": lambda: ("import", *upload(b"[" * full)),
        "import: a string of escapes": lambda: ("import", *upload(b'["' + rb"\u0041" * (full // 6) + b'"]')),
        "import: a string of halves": lambda: ("import", *upload(b'["' + rb"\ud800" * (full // 6) + b'"]')),
        "import: a string of backslashes": lambda: ("import", *upload(b'["' + rb"\\" * (full // 2) + b'"]')),
        "import: a number of 48 million digits": lambda: ("import", *upload(b"[" + b"9" * full + b"]")),
        "import: white space": lambda: ("import", *upload(b" " * full)),
        "import: bytes that are no text": lambda: ("import", *upload(b"\xff" * full)),
        "import: NaN, 12 million times": lambda: ("import", *upload(b"[" + b"NaN," * (full // 4 - 2) + b"1]")),
        "zip: 100 times its size": lambda: ("import", *upload(zipped(b"[" + b" " * (1000 * MEGABYTE) + b"]"))),
        "zip: 48 MB of objects": lambda: ("import", *upload(zipped(b"[" + b"{}," * (full // 3 - 2) + b"{}]"))),
        "zip: 1,000 files of 48 KB": lambda: ("import", *upload(zipped(b"[" + b"{}," * 16_000 + b"{}]", times=1000))),
        "zip: 60,000 names": lambda: ("import", *upload(zipped(b"", times=60_000))),
        "recording: 25 MB of noise": lambda: ("transcribe", *upload(bytes(range(256)) * 98_000, "audio", "a.mp3")),
        "recording: a name of 1 MB": lambda: ("transcribe", *upload(b"x", "audio", "a" * MEGABYTE)),
        "preferences: an address of 1 MB": lambda: ("/preferences", FORM, b"back=/" + b"%2e%2e/" * 140_000),
        "models: a name of 1 MB": lambda: ("/models/use", FORM, b"model=" + b"a%2F" * 280_000),
    }


def of_parley(turns):
    return json.dumps({"parley": {"format": 1}, "mode": "chat", "turns": turns}).encode()


def turns(count=1, answers=1, **answer):
    answer = {"text": "a", "status": "done", "started": 1.7e9, "ended": 1.7e9} | answer
    return [{"question": "q", "answers": [answer] * answers}] * count


def pages():
    """Return by its name what is imported, before its page, and that of all its turns, is loaded."""
    worst = {
        name: (text * 500_000)[:499_000]
        for name, text in {
            "headings": "# a\n",
            "quotes": "> a\n\n",
            "links": "[a](http://é.b/)",
            "marks of footnotes": "[^1] ",
            "footnotes": "[^a]: b\n\n",
            "emphasis in Chinese": "你好，*好*。\n",
            "rules": "***\n",
            "line breaks": "a  \n",
            "tasks": "- [ ] a\n",
            "fences": "- ```a\n",
        }.items()
    }
    return {
        **{f"one text of {name}": turns(text=text) for name, text in worst.items()},
        "text, reasoning and 8 choices": turns(
            text=worst["links"], reasoning=worst["links"], choices=[worst["links"]] * 8
        ),
        "15 turns of 500 KB": turns(15, text=worst["headings"]),
        "4,900 turns of 1.4 KB": turns(4_900, text=worst["headings"][:1_400]),
        "190,000 runs' usage": turns(usage_before=[{"prompt_tokens": 1}] * 190_000),
        "190,000 images": turns(pictures=[{"url": "http://a.b/"}] * 190_000),
        "5,000 turns of 2 answers": turns(5_000, 2, usage={"prompt_tokens": 1}),
        "5,000 turns of 15 answers": turns(5_000, 15, usage={"prompt_tokens": 1}),
    }


class Server:
    """The worker of the real server, as one visitor meets it."""

    def __init__(self, parley):
        self.parley = parley
        self.host = urlsplit(parley.url).netloc
        _, page, headers = self.send("GET", "/")
        self.cookie = headers["Set-Cookie"].partition(";")[0]
        self.id = re.search(r"/conversations/([\w-]+)/ask", page).group(1)

    def send(self, method, path, body=None, headers=None):
        connection = http.client.HTTPConnection(self.host, timeout=120)
        try:
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            return response.status, response.read().decode(errors="replace"), response.headers
        finally:
            connection.close()

    def worker(self):
        return self.parley.processes()[1]

    def post(self, path, kind, body):
        path = path if path.startswith("/") else f"/conversations/{self.id}/{path}"
        try:
            return self.send("POST", path, body, {"Content-Type": kind, "Cookie": self.cookie})[0]
        except OSError:
            return 0  # It was hung up on.

    def memory(self, name):
        return int(re.search(rf"{name}:\s+(\d+)", Path(f"/proc/{self.worker()}/status").read_text()).group(1)) / 1024


class Others:
    """A second visitor, who asks again and again, and remembers the longest wait."""

    def __init__(self, server):
        self.server, self.longest, self.done = server, 0.0, threading.Event()
        self.thread = threading.Thread(target=self._ask)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.done.set()
        self.thread.join()

    def _ask(self):
        while not self.done.wait(0.005):
            began = monotonic()
            self.server.send("GET", "/healthz")
            self.longest = max(self.longest, monotonic() - began)


def measure(server, request):
    """Return the status, seconds of the processor, peak MB above what there was, and the others' longest wait."""
    Path(f"/proc/{server.worker()}/clear_refs").write_text("5")
    before, cpu = server.memory("VmRSS"), server.parley.cpu_seconds()
    with Others(server) as others:
        status = request()
    cpu = server.parley.cpu_seconds() - cpu
    return str(status), cpu, max(0.0, server.memory("VmHWM") - before), others.longest


def of_page(server, name, found):
    """Yield a row for the import, for the page behind it, and for that of all its turns."""
    content = of_parley(found)
    body = part("import", b"bench") + part("file", content, "a.json") + b"--x--\r\n"
    oldest = sha256(b"bench:" + content).hexdigest()[:32]

    def load(path):
        status, page, _ = server.send("GET", path, headers={"Cookie": server.cookie})
        return f"{status}, {len(page) / MEGABYTE:.1f} MB"

    yield f"page: {name}: import", *measure(server, lambda: server.post("import", MULTIPART, body))
    yield f"page: {name}", *measure(server, lambda: load("/"))
    if len(found) > 1:
        yield f"page: {name}: all of them", *measure(server, lambda: load(f"/?turns={oldest}"))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="the beginning of the names of what is tried")
    only = parser.parse_args().only
    rows = []
    with Stub() as stub:
        for name, build in attacks().items():
            if not name.startswith(only):
                continue
            # A server of its own for each: what an allocator keeps would hide the next one's peak.
            with Parley(stub.url, "stub") as parley:
                server = Server(parley)
                attack = build()
                rows.append((name, *measure(server, lambda server=server, attack=attack: server.post(*attack))))
                show(rows[-1])
                sys.stdout.flush()
        for name, found in pages().items():
            if not f"page: {name}".startswith(only):
                continue
            with Parley(stub.url, "stub") as parley:
                for row in of_page(Server(parley), name, found):
                    rows.append(row)
                    show(row)
                    sys.stdout.flush()
    print("\n")
    show(("what", "status", "CPU s", "peak MB", "others wait s"), *rows)


if __name__ == "__main__":
    main()
