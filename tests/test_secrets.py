"""Marked secrets are planted, everything is done, and everything that came out or was kept is searched for them."""

import base64
import html
import json
import os
import re
import stat
import subprocess
import sys
import zlib
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import quote, urlencode
from urllib.request import Request

import psutil
import pytest
from werkzeug.datastructures import FileStorage
from werkzeug.test import encode_multipart

from webapp import create_app, llm_errors, store
from webapp.config import SETTINGS
from webapp.endpoint import Endpoint
from webapp.llm import LLM, Call
from webapp.redaction import Redaction

from .conftest import ROOT, UNLIMITED, statuses, texts, wait_until
from .openai_server import DONE, PNG, RESET, SILENCE, Reply, chunk, event
from .visitor import Visitor

KEY = "sk-proj-Zq7/xT9+LmWv3Kd8RtYb2NcHf5GjQe"
PASSWORD = "Pw4Ue/8Sn+Yx6Va1Mk9Cz"
CODE = "Acc3ss-Jr7Ly2Wp5Bd"
SECRETS = {"key": KEY, "password": PASSWORD, "code": CODE}
INNOCENT = "What may be found"
PART = 10  # characters of a secret that are too many


def needles(secret):
    """Return what a secret, or a part of it, may look like."""
    secret = secret.removeprefix("sk-proj-")
    forms = {secret, quote(secret, safe=""), secret.replace("/", "\\/"), html.escape(secret)}
    forms.add(json.dumps(secret.replace("/", "\\/")))
    forms |= {"".join(f"\\u{ord(sign):04x}" if not sign.isalnum() else sign for sign in secret)}
    for before in range(3):  # base64 has three ways to begin
        forms.add(base64.b64encode(b" " * before + secret.encode()).decode()[4:-4])
    return {form[at : at + PART].encode() for form in forms for at in range(len(form) - PART + 1)}


def found(content):
    """Return which secrets a content holds, or a part of them."""
    return [name for name, secret in SECRETS.items() if any(needle in content for needle in needles(secret))]


class Person(Visitor):
    """Somebody who keeps all that they are sent."""

    def __init__(self, url, seen):
        self.seen = seen
        super().__init__(url)

    def fetch(self, path, data=None, kind=None, **headers):
        if isinstance(data, dict):
            data = urlencode(data).encode()
        request = Request(f"{self.url}{path}", data, {name.replace("_", "-"): text for name, text in headers.items()})
        if kind:
            request.add_header("Content-Type", kind)
        try:
            with self.opener.open(request, timeout=20) as response:
                told, body = response.headers, response.read()
        except HTTPError as response:
            told, body = response.headers, response.read()
        self.seen.append((path, str(told).encode() + body))
        return body.decode(errors="replace")

    def page(self, quietly=False):
        page = self.fetch(self.path)
        if 'name="code"' in page:
            self.fetch("/sign-in", {"code": "a wrong one " + CODE})
            self.fetch("/sign-in", {"code": CODE, "back": self.path})
            page = self.fetch(self.path)
        return page

    def send(self, path, name, content, kind, **fields):
        files = {name: FileStorage(content, "file.webm", content_type=kind)}
        boundary, body = encode_multipart(fields | files)
        return self.fetch(path, body, f"multipart/form-data; boundary={boundary}")

    def at(self, mode):
        """Go to a mode's page."""
        self.path = mode
        self.id = re.search(r"/conversations/([\w-]+)/ask", self.page()).group(1)
        return f"/conversations/{self.id}"

    def asked(self, reply, openai):
        """Ask, follow the answer, look at it in every way, and return the page."""
        openai.enqueue(reply)
        self.fetch(f"/conversations/{self.id}/ask", {"question": INNOCENT}, HX_Request="true")
        answer = re.findall(r'id="answer-([\w-]+)"', self.page())[-1]
        self.fetch(f"/conversations/{self.id}/answers/{answer}/stream?after=0")
        page = wait_until(lambda: "pending" not in statuses(page := self.page()) and page)
        for view in ("exchange", "markdown", "speech"):
            self.fetch(f"/conversations/{self.id}/answers/{answer}/{view}")
        return page


HEADERS = {"x-request-id": f"{'r' * 280}{KEY}", "x-ratelimit-limit": KEY, "retry-after": KEY, "openai-model": KEY}
ECHO = f"{INNOCENT}: {KEY} and {PASSWORD}."
ESCAPED = json.dumps(ECHO).replace("/", "\\/").replace("+", "\\u002B")


def streamed(*pieces, finish="stop", **more):
    steps = [event(chunk(piece)) for piece in pieces]
    return Reply([*steps, event(chunk(finish=finish) | more), DONE], headers=HEADERS)


def spread(text, size):
    return [text[at : at + size] for at in range(0, len(text), size)]


SUCCESSES = [
    streamed(ECHO, model=KEY, system_fingerprint=KEY, usage={"prompt_tokens": 1, "completion_tokens": 1, KEY: KEY}),
    streamed(*spread(ECHO, 1), finish=KEY),
    streamed(*spread(ECHO, 7)),
    Reply([event(chunk() | {"choices": [{"index": 0, "delta": {"reasoning_content": ECHO}}]}), *streamed(ECHO).steps]),
    Reply([f'{{"choices":[{{"index":0,"message":{{"content":{ESCAPED}}}}}]}}'.encode()], 200, "application/json"),
    Reply.whole(ECHO, ECHO),
]
FAULTS = [
    Reply.error(401, f"Incorrect key: {ECHO}", code=KEY, headers=HEADERS),
    Reply.error(500, f"{'x' * 3980}{KEY}", headers=HEADERS),
    Reply([f"<h1>{'x' * 580} {KEY}{PASSWORD}</h1>".encode()], 502, "text/html", HEADERS),
    Reply([f'{{"error":{{"message":{ESCAPED}}}}}'.encode()], 400, "application/json"),
    Reply([f'{{"detail":[{{"loc":[{ESCAPED}],"msg":{ESCAPED}}}]}}'.encode()], 422, "application/json"),
    Reply([b" " * 99_980 + KEY.encode()], 404, "text/plain"),
    Reply([event({"error": {"message": f"{'x' * 3990}{KEY}", "code": KEY}})]),
    Reply([f'data: {{"error": {ESCAPED}}}\n\n'.encode()]),
    Reply([f"data: <{'x' * 580} {KEY}>\n\n".encode()]),
    Reply([event(chunk("half")), f'data: "{KEY}"\n\n'.encode()]),
    Reply([ECHO.encode()], 200, f"text/{quote(PASSWORD[:4])}; x={KEY}"),
    Reply([event(chunk(finish=KEY)), DONE]),
    Reply([event(chunk(INNOCENT + KEY[:-1])), RESET]),
    Reply([event(chunk(INNOCENT)), *[event(chunk(sign)) for sign in KEY[:30]]]),
    Reply([event(chunk(INNOCENT)), SILENCE]),
    Reply([f"data: [{ESCAPED}]\n\n".encode()]),
    Reply([f'{{"oops":{ESCAPED}}}'.encode()], 200, "application/json"),
    Reply([RESET]),
]


@pytest.fixture
def planted(openai):
    """The settings of a server that holds every secret there is."""
    host = openai.base_url.removeprefix("http://")
    openai.models = Reply(
        [json.dumps({"data": [{"id": "test-model"}, {"id": KEY, "owned_by": PASSWORD, "name": ECHO}]}).encode()],
        content_type="application/json",
        headers=HEADERS,
    )
    return {
        "OPENAI_API_KEY": KEY,
        "OPENAI_BASE_URL": f"http://owner:{quote(PASSWORD, safe='')}@{host}",
        "ACCESS_CODE": CODE,
        "HTTPS_PROXY": f"http://owner:{quote(PASSWORD, safe='')}@127.0.0.1:9",
        "FLASK_DEBUG": "1",
        "OPENAI_LOG": "debug",
        "CHAT_MODEL": "test-model",
        "IMAGE_MODEL": "painter",
        "SPEECH_MODEL": "mouth",
        "TRANSCRIPTION_MODEL": "ears",
        "ANSWER_TIMEOUT": "1",
        "VISITOR_QUESTIONS_PER_MINUTE": "0",
        "ADDRESS_QUESTIONS_PER_MINUTE": "0",
    }


def chat_about_everything(person, openai):
    talk = person.at("/")
    for reply in SUCCESSES:
        page = person.asked(reply, openai)
        assert statuses(page)[-1] == "done" and "[key]" in texts(page)[-1]
    for reply in FAULTS:
        assert statuses(person.asked(reply, openai))[-1] in ("failed", "done")
    turn = re.findall(r'id="turn-([\w-]+)"', person.page())[0]
    for path in (f"turns/{turn}/edit", f"turns/{turn}/question", "export", "turns", "clear", "parameters"):
        person.fetch(f"{talk}/{path}")
    person.fetch(f"{talk}/parameters", {"temperature": "hot", "model": "x" * 999})
    exported = [person.fetch(f"{talk}/export/{kind}") for kind in ("json", "markdown", "notebook")]
    assert all(INNOCENT in file for file in exported)
    person.send(f"{talk}/import", "file", BytesIO(exported[0].encode()), "application/json")
    person.send(f"{talk}/import", "file", BytesIO(b"{"), "application/json")


def use_other_modes(person, openai):
    for mode, success in (
        ("/completion", Reply.completion(*spread(ECHO, 5))),
        (
            "/images",
            Reply.images(PNG, model=KEY, data=[{"url": KEY, "revised_prompt": ECHO, "b64_json": "iVBORw0KGgo="}]),
        ),
    ):
        person.at(mode)
        person.asked(success, openai)
        for reply in FAULTS[:8]:
            assert statuses(person.asked(reply, openai))[-1] == "failed"


def speak_and_listen(person, openai):
    talk = person.at("/")
    answer = re.findall(r'id="answer-([\w-]+)"', person.page())[0]
    for reply in (*FAULTS[:6], Reply.json({"oops": ECHO}), Reply.json({"text": ECHO})):
        openai.enqueue(reply)
        person.send(f"{talk}/transcribe", "audio", BytesIO(b"\x1a\x45\xdf\xa3 a recording"), "audio/webm", question="")
    for reply in (
        *FAULTS[:6],
        Reply.json({"oops": ECHO}),
        Reply([b"ID3 "], content_type="audio/mpeg", headers=HEADERS),
    ):
        openai.enqueue(reply)
        person.fetch(f"{talk}/answers/{answer}/speech", {"part": "1"})


def look_around(person, openai):
    for path in (
        "/models",
        "/models/table",
        "/model",
        "/healthz",
        "/visitor",
        "/sign-in",
        "/no/such",
        "/console",
        "/.env",
        "/?__debugger__=yes",
    ):
        person.fetch(path)
    openai.models = FAULTS[0]
    person.fetch("/models/refresh", {})
    person.fetch("/models")
    person.fetch("/preferences", {"language": "zh-CN", "theme": "dark"})
    for path in ("/", "/completion", "/images", "/models"):
        person.fetch(path)


def kept(folder):
    """Yield name and content of each file, of packed ones what is in them."""
    for path in Path(folder).rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            yield path.name, zlib.decompress(content) if path.name.endswith(".exchanges.json") else content


@pytest.mark.slow
def test_no_secret_comes_out_or_is_kept(serve, openai, planted):
    seen = []
    server = serve(**planted)
    person = Person(server.url, seen)
    chat_about_everything(person, openai)
    use_other_modes(person, openai)
    speak_and_listen(person, openai)
    look_around(person, openai)
    sent = {headers["Authorization"] for headers in openai.headers}
    assert len(sent) == 1 and [found(line.encode()) for line in sent] == [["password"]]  # in place of the key
    lines = " ".join(" ".join(process.cmdline()) for process in server.processes())
    folder = Path(server.settings["DATA_DIR"])
    server.terminate()
    places = [
        *seen,
        *kept(folder),
        ("output", (server.line + server.process.stdout.read()).encode()),
        ("log", server.log.encode()),
        ("processes", lines.encode()),
    ]
    assert [(name, found(content)) for name, content in places if found(content)] == []
    # The search finds what is there: on pages, in records, in what is packed.
    holding = [name for name, content in places if INNOCENT.encode() in content]
    assert len(holding) > 100 and any(name.endswith(".exchanges.json") for name in holding)
    assert found(f"...{KEY[14:30]}...".encode()) == ["key"] and found(base64.b64encode(f"a:{PASSWORD}".encode()))
    modes = {stat.S_IMODE(path.stat().st_mode) for path in [folder, *folder.rglob("*")] if path.is_dir()}
    assert modes == {0o700}
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.rglob("*") if path.is_file()} == {0o600}


def run(*arguments, **environ):
    command = [sys.executable, "-m", "webapp", *arguments]
    environ = {"PATH": os.environ["PATH"], "PORT": "0"} | environ
    return subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=60)


@pytest.mark.slow
def test_a_start_that_fails_repeats_no_secret(tmp_path):
    good = {"DATA_DIR": str(tmp_path), "OPENAI_API_KEY": KEY, "ACCESS_CODE": CODE}
    base = f"http://owner:{quote(PASSWORD, safe='')}@127.0.0.1/v1"
    failing = [
        {"OPENAI_BASE_URL": f"owner:{PASSWORD}@127.0.0.1/v1"},
        {"OPENAI_BASE_URL": f"http://owner:{PASSWORD}@127.0.0.1/v1"},
        {"OPENAI_BASE_URL": f"http://owner:12/{PASSWORD}@127.0.0.1/v1"},
        {"OPENAI_BASE_URL": f"127.0.0.1/v1?key={KEY}"},
        {"OPENAI_BASE_URL": KEY, "OPENAI_API_KEY": base},
        {"OPENAI_API_KEY": f"{KEY} {KEY}", "OPENAI_BASE_URL": base},
        {"OPENAI_BASE_URL": base, "PORT": "none"},
        {"OPENAI_BASE_URL": base, "LOCAL_MODEL": str(next(ROOT.glob("README.md")))},
        {"OPENAI_BASE_URL": base, "DATA_DIR": "/dev/null/x"},
        {"HTTPS_PROXY": f"http://owner:{PASSWORD}@proxy.example:3128"},
        {"https_proxy": f"ftp://{KEY}:{PASSWORD}@proxy.example:3128"},
        {"ALL_PROXY": f"socks9://{KEY}@proxy.example"},
    ]
    with ThreadPoolExecutor(3) as pool:
        stopped = list(pool.map(lambda environ: run(**good | environ), failing))
        shown = pool.submit(run, "--help", **good | failing[0]).result()
    for ended, environ in zip(stopped, failing, strict=True):
        assert ended.returncode == 1 and ended.stdout == "", environ
        assert ended.stderr.startswith("Parley cannot start. ") and ended.stderr.count("\n") == 1
        assert found(ended.stderr.encode()) == []
    assert "is not one that can be used; allowed is an address such as http" in stopped[0].stderr
    assert shown.returncode == 0 and found((shown.stdout + shown.stderr).encode()) == []


def started(server, number):
    """Return the processes that a server has started, once there are so many."""
    return wait_until(lambda: len(found := server.processes()[1:]) >= number and found)


@pytest.mark.model
def test_the_local_models_process_is_given_no_secret(serve):
    names = [setting.name for setting in SETTINGS if setting.secret and setting.name != "OPENAI_API_KEY"]
    proxy = f"http://owner:{quote(PASSWORD, safe='')}@127.0.0.1:9"
    planted = dict.fromkeys(["ACCESS_CODE", "AWS_SESSION_TOKEN", *names], CODE)
    server = serve(HTTPS_PROXY=proxy, AZURE_API_KEY=KEY, **planted)
    worker, model = started(server, 2)
    wait_until(lambda: model.cmdline() != worker.cmdline())  # Until then it is a copy of its parent.
    for name in ("environ", "cmdline"):
        assert found(Path(f"/proc/{model.pid}/{name}").read_bytes()) == [], name


def test_werkzeugs_debugger_cannot_come_on(serve, openai, planted):
    person = Person(serve(**planted).url, [])
    for path in ("/console", "/?__debugger__=yes&cmd=resource&f=debugger.js", "/no/such?__debugger__=yes&cmd=pinauth"):
        page = person.fetch(path)
        assert "EVALEX" not in page and "openShell" not in page and '"auth"' not in page


@pytest.mark.parametrize("name", ["installation.damaged", "new-8vQ2", "notes.txt"])
def test_what_is_ours_is_known_by_its_name(tmp_path, name):
    folder = tmp_path / "data"
    folder.mkdir(mode=0o755)
    (folder / name).touch()
    store.hold(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == (0o755 if name == "notes.txt" else 0o700)


def test_a_folder_that_others_could_open_is_closed_unless_something_foreign_lies_in_it(tmp_path, serve, openai):
    folder = tmp_path / "data"
    for path in (folder, folder / "records", folder / "answers", folder / "files"):
        path.mkdir()
        path.chmod(0o777)
    (folder / "mine.txt").write_text("mine")
    server = serve(OPENAI_BASE_URL=openai.base_url)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o777
    parts = [folder / name for name in ("records", "answers", "files")]
    assert {stat.S_IMODE(path.stat().st_mode) for path in parts} == {0o700}
    (folder / "mine.txt").unlink()
    server.terminate()
    server.start()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_no_crash_leaves_the_memory_in_a_file_and_no_file_is_for_others(serve, openai):
    (worker,) = started(serve(OPENAI_BASE_URL=openai.base_url), 1)
    assert worker.rlimit(psutil.RLIMIT_CORE) == (0, 0)
    assert "\nUmask:\t0077\n" in Path(f"/proc/{worker.pid}/status").read_text()


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8, 13, 100])
def test_a_key_that_is_spread_over_pieces_is_taken_out_and_nothing_else(size):
    text = f"sk sk-proj- {KEY}{KEY} sk-proj-Zq7 and on {KEY[:20]} and s"
    pieces = [(0, piece) for piece in spread(text, size)]
    came = "".join(piece for _, piece in Redaction([KEY]).stream(pieces))
    # The first characters are shown while nobody knows what follows them.
    assert re.sub(r"(sk-p|sk-|sk|s)?\[key\]", "[key]", came) == text.replace(KEY, "[key]")


def test_nothing_of_an_answer_waits_for_more_that_is_not_most_likely_a_key():
    stream = Redaction([KEY]).stream((0, piece) for piece in ("this", " is", " sk-p", " sk-proj", "-tea"))
    assert list(stream) == [(0, "this"), (0, " is"), (0, " sk-p"), (0, " sk-p"), (0, "roj-tea")]


def test_a_placeholder_is_a_word_like_any_other_in_an_answer_and_hidden_in_a_failure():
    redaction = Redaction(["ollama"])
    assert [text for _, text in redaction.stream([(0, "I am "), (0, "ollama.")])] == ["I am ", "ollama."]
    assert redaction.told("Wrong key: ollama") == "Wrong key: [key]"


def test_a_key_in_a_sound_is_taken_out(openai):
    llm = LLM(lambda: Endpoint(openai.base_url, KEY), connect_timeout=2, answer_timeout=10)
    sound, _ = llm.speak({"model": "mouth", "voice": "alloy", "input": f"Say {KEY}."})
    assert sound == b"ID3 Say [key]."


@pytest.mark.parametrize("proxy", ["http://owner:{}@127.0.0.1:9", "http://{}@no-such-host.invalid:1"])
def test_a_proxy_that_does_not_answer_is_told_without_its_password(monkeypatch, proxy):
    monkeypatch.setenv("HTTP_PROXY", proxy.format(quote(PASSWORD, safe="")))
    llm = LLM(lambda: Endpoint("http://api.example.invalid/v1", KEY), connect_timeout=2, answer_timeout=2)
    with pytest.raises(llm_errors.LLMError) as failed:
        list(llm.send("/chat/completions", {"model": "m", "messages": []}, Call()))
    assert found(str(failed.value).encode()) == []


@pytest.mark.parametrize("fault", FAULTS[:6])
def test_a_list_of_models_that_fails_tells_no_secret(config, planted, openai, caplog, fault):
    """Of the real server above it is asked for once only, since nobody gets it anew within some seconds."""
    settings = {name: planted[name] for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "ACCESS_CODE")}
    client = create_app({"TESTING": True, **UNLIMITED, **config, **settings}).test_client()
    client.post("/sign-in", data={"code": CODE})
    openai.models = fault
    shown = client.post("/models/refresh", headers={"HX-Request": "true"}).text
    assert "The list of models did not come" in shown
    assert found((shown + client.get("/models?now=1").text + caplog.text).encode()) == []
