"""Whatever is sent: it is never our error, costs bounded time and memory, and loses nothing of what is there."""

import io
import json
import re
import zipfile
from email.message import Message
from urllib.parse import quote_from_bytes, unquote_to_bytes, urlsplit

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from webapp import create_app, forms
from webapp.candidate import KINDS, BadImport, TooLarge
from webapp.conversation import MODES
from webapp.importing import read
from webapp.json_file import MOST_HALVES
from webapp.json_file import entries as json_entries
from webapp.parameter_table import parameters_of

from .conftest import Chat, conversation_of, statuses
from .openai_server import OpenAIServer

ASKING = ("question", "turn", "single", "turns")
PARAMETERS = {parameter.name for mode in MODES for parameter in parameters_of(mode)}
PARAMETERS |= {f"{parameter.name}_none" for mode in MODES for parameter in parameters_of(mode)}

# Every address there is, and the names that it looks for in a form, a file or the query.
FIELDS = {
    "static": (),
    "current": (),
    "meter.estimate": ASKING,
    "chat.page": ("turns", "from"),
    "chat.completion": ("turns", "from"),
    "chat.images": ("turns", "from"),
    "chat.ask": ASKING,
    "chat.stop": ("turns",),
    "chat.clear": ("confirmed",),
    "chat.confirm_clear": (),
    "chat.older": ("before",),
    "chat.stream": ("after",),
    "chat.unsaved": (),
    "chat.model": ("conversation",),
    "chat.healthz": (),
    "turns.retry": ("turns",),
    "turns.resume": ("turns",),
    "turns.edit": ("turns",),
    "turns.question": ("turns",),
    "turns.ask_anew": ASKING,
    "turns.show_version": ("version", "turns"),
    "turns.show_answer": ("answer", "turns"),
    "turns.keep": ("turns",),
    "turns.leave_out": ("turns",),
    "turns.take_back": ("turns",),
    "panel.parameters": ("defaults",),
    "panel.save": tuple(sorted(PARAMETERS)),
    "preferences.save": ("language", "theme", "back"),
    "inspector.exchange": (),
    "inspector.markdown": ("channel",),
    "inspector.part": (),
    "transfer.panel": ("added", *KINDS),
    "transfer.download": (),
    "transfer.take": ("file", "import"),
    "transfer.choices": tuple(KINDS),
    "transfer.choose": ("choice",),
    "models.page": ("now", "find"),
    "models.table": ("find",),
    "models.refresh": (),
    "models.use": ("mode", "model", "default"),
    "media.file": ("download",),
    "speech.transcribe": ("audio", *ASKING),
    "speech.read_aloud": ("part",),
    "speech.listen": (),
    "sign_in.page": ("back",),
    "sign_in.enter": ("back", "typed", "code"),
    "sign_in.leave": ("back",),
    "visitor.page": (),
    "visitor.confirm": (),
    "visitor.delete": (),
    "visitor.deleted": (),
}
# What follows an answer stays open while there is more to come; of a failing endpoint's audio the page tells as 502.
UPSTREAM = {"speech.read_aloud": {502, 504}, "speech.transcribe": {502, 504}}
KEPT = "What was asked before all this?"

NASTY = [
    "",
    " ",
    "\0",
    "a\0b",
    "\r\nSet-Cookie: a=b",
    "\r\n\r\n<script>",
    "..",
    "../../etc/passwd",
    "..\\..",
    "/",
    "//evil.example",
    "%",
    "%%",
    "%00",
    "%2e%2e%2f",
    "%c0%ae",
    "%ff",
    "%u0041",
    "\ud800",
    "\udc00\ud800",
    "\ufeff",
    "\u202egpj.exe",
    "\u2028",
    "A\u0301" * 50,
    "\U0010ffff",
    "👩‍👩‍👧‍👦" * 20,
    "ﷺ",
    "İ",
    "ß",
    "１２",
    "٣",
    "²",
    "①",
    "-1",
    "0",
    "1e999",
    "-0",
    "NaN",
    "Infinity",
    "1_000",
    "0x10",
    "9" * 5000,
    "-" + "9" * 4300,
    "18446744073709551616",
    "1" + "0" * 309,
    "{}",
    "[]",
    "null",
    '{"a":1,"a":2}',
    '{"a":NaN}',
    '{"a":1e999}',
    '{"a":' + "9" * 5000 + "}",
    '{"a":' * 3000 + "1" + "}" * 3000,
    "[" * 90_000,
    '{"\\ud800":"\\udfff"}',
    '{"__proto__":{"a":1}}',
    '{"model":"x","messages":[]}',
    "chat",
    "image",
    "completion",
    "yes",
    "no",
    "json_schema",
    "auto",
    "<script>alert(1)</script>",
    "'\"><img src=x onerror=1>",
    "{{7*7}}",
    "{0.__class__}",
    "%(a)s",
    "%s%n",
    "${7*7}",
    "{name!r:>9999999}",
    "http://evil.example/",
    "javascript:1",
    "https:evil.example",
    "/\\evil.example",
    "/%0d%0aa:b",
    "/?" + "&a=b" * 200,
    "CON",
    "a.md.exe",
    "0:1,1:2",
    "-1:5",
    "99999999999999",
    ",".join(f"{n}:{n}" for n in range(10)),
    ":" * 500,
    "a" * 41,
    "-" * 40,
    "é" * 300,
    "x" * 100_001,
]
TEXTS = st.one_of(
    st.sampled_from(NASTY),
    st.text(max_size=30),
    st.text(st.characters(categories=["Cs", "Cc", "Cf", "Zl", "Mn"]), max_size=12),
)
SENT = st.one_of(TEXTS.map(lambda text: text.encode(errors="surrogatepass")), st.binary(max_size=40))
HEADER_VALUES = SENT.map(lambda value: re.sub(rb"[\r\n\0]", b"?", value[:8000]).decode("latin-1"))
HEADERS = [
    "HX-Request",
    "HX-Target",
    "HX-Current-URL",
    "Last-Event-ID",
    "Range",
    "If-Range",
    "If-None-Match",
    "If-Modified-Since",
    "Accept",
    "Accept-Language",
    "Accept-Encoding",
    "Cookie",
    "Content-Encoding",
    "Content-Length",
    "Content-Type",
    "Expect",
    "X-Forwarded-For",
    "X-Forwarded-Host",
    "X-Forwarded-Prefix",
    "Sec-Fetch-Site",
    "Origin",
    "Referer",
    "Authorization",
    "Host",
]


def urlencoded(fields):
    return b"&".join(
        quote_from_bytes(name).encode() + b"=" + quote_from_bytes(value).encode() for name, value in fields
    )


def part(name, content, filename=None, kind=b"application/octet-stream"):
    named = b'; filename="%s"\r\nContent-Type: %s' % (filename, kind) if filename is not None else b""
    return b'--x\r\nContent-Disposition: form-data; name="%s"%s\r\n\r\n%s\r\n' % (name, named, content)


@st.composite
def bodies(draw, names):
    """Return a content type and a body with the fields of a route: repeated, left out, or in another form."""
    name = st.one_of(st.sampled_from([*names, "question"]).map(str.encode), SENT)
    fields = draw(st.lists(st.tuples(name, SENT), max_size=6))
    form = draw(st.sampled_from(["urlencoded", "urlencoded", "urlencoded", "multipart", "broken", "json", "raw"]))
    if form == "urlencoded":
        return "application/x-www-form-urlencoded", urlencoded(fields)
    if form == "json":
        return "application/json", draw(st.sampled_from([b"[" * 100_000, b'{"question":"x"}', b"NaN", b"\xff"]))
    if form == "raw":
        return draw(HEADER_VALUES), draw(SENT)
    files = draw(st.lists(st.tuples(st.sampled_from([b"file", b"audio", b"question"]), SENT, SENT, SENT), max_size=2))
    body = b"".join([part(*field) for field in fields] + [part(*file) for file in files])
    kind = "multipart/form-data; boundary=x"
    if form == "multipart":
        return kind, body + b"--x--\r\n"
    cut = draw(st.integers(0, len(body)))
    return draw(
        st.sampled_from([kind, "multipart/form-data", "multipart/form-data; boundary=", "multipart/mixed; boundary=é"])
    ), body[:cut]


class Visitor(Chat):
    """A visitor whose first question is answered, whatever has happened since."""

    def __init__(self, app):
        self.app = app
        super().__init__(app.test_client())
        self.parts = {}
        self.begin()

    def begin(self, *before):
        """Ask anew in an empty conversation, after what else is to be asked first."""
        self.post("clear", confirmed="1")
        for question in before:
            self.send_form("ask", [(b"question", question.encode(errors="surrogatepass"))])
            self.settled()
        self.answered(KEPT)
        turn = self.record().turns[0]
        self.parts = {"conversation_id": self.id, "turn_id": turn.id, "answer_id": turn.answer.id}

    def send_form(self, path, fields):
        return self.client.post(
            f"/conversations/{self.id}/{path}", data=urlencoded(fields), content_type=forms.URLENCODED
        )

    def record(self):
        return conversation_of(self.app, self.id)

    def send(self, method, path, query=b"", kind="", body=b"", headers=()):
        """Send the bytes of an address as they are, which a test client would have put in order."""
        environ = {"PATH_INFO": unquote_to_bytes(path).decode("latin-1"), "QUERY_STRING": query.decode("latin-1")}
        environ |= {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in headers}
        for name in ("CONTENT_TYPE", "CONTENT_LENGTH"):
            if f"HTTP_{name}" in environ:
                environ[name] = environ.pop(f"HTTP_{name}")
        return self.client.open("/", method=method, data=body, content_type=kind, environ_overrides=environ)

    def begin_if_asked_to(self, endpoint):
        """Begin anew where a request was a valid one to delete everything."""
        if endpoint == "visitor.delete" and (now := self.conversation_id()) != self.id:
            self.id = now
            self.begin()
        if endpoint in ("chat.clear", "visitor.delete") and not self.record().turns:
            self.begin()

    def still_there(self):
        """Check that the page loads, and that what was asked and answered before stands in the record."""
        assert self.client.get("/").status_code == 200
        turns = [turn for turn in self.record().every_turn() if turn.question == KEPT]
        assert turns and turns[0].answers[0].text and turns[0].answers[0].status == "done"
        if len(self.record().turns) > 12:
            self.begin()


@pytest.fixture(scope="module")
def visitor(tmp_path_factory):
    openai = OpenAIServer()
    settings = {"VISITOR_QUESTIONS_PER_MINUTE": 0, "ADDRESS_QUESTIONS_PER_MINUTE": 0}
    settings |= {"OPENAI_BASE_URL": openai.base_url, "OPENAI_API_KEY": "sk-test", "CHAT_MODEL": "test-model"}
    folder = tmp_path_factory.mktemp("hostile") / "data"
    app = create_app({"TESTING": True, "DATA_DIR": folder, "TRANSCRIPTION_MODEL": "a", "SPEECH_MODEL": "b", **settings})
    yield Visitor(app)
    app.extensions["answers"].shut_down()
    openai.close()


def test_every_address_is_among_those_that_are_tried(app):
    assert {rule.endpoint for rule in app.url_map.iter_rules()} == FIELDS.keys()


@st.composite
def requests(draw, rule, parts):
    """Return a request for a rule: its ids the visitor's own or anything, and all that can come with it."""
    path = rule.rule.encode()
    for name in sorted(rule.arguments):
        own = parts.get(name, {"index": "0", "kind": "json", "filename": "style.css"}.get(name, "x"))
        value = draw(st.one_of(st.just(own.encode()), st.just(own.encode()), SENT))
        path = re.sub(
            rb"<(\w+:)?%s>" % name.encode(), lambda _, v=value: quote_from_bytes(v[:3000], safe="").encode(), path
        )
    names = FIELDS[rule.endpoint]
    query = b""
    if draw(st.booleans()):
        name = st.one_of(st.sampled_from([*names, "turns"]).map(str.encode), SENT)
        query = urlencoded(draw(st.lists(st.tuples(name, SENT.map(lambda value: value[:2000])), max_size=4)))
    method = draw(
        st.sampled_from(
            [*sorted(rule.methods - {"OPTIONS"}), *sorted(rule.methods - {"HEAD", "OPTIONS"})] * 3 + ["PUT", "BREW"]
        )
    )
    kind, body = draw(bodies(names)) if method in ("POST", "PUT", "BREW") else ("", b"")
    headers = draw(st.lists(st.tuples(st.sampled_from(HEADERS), HEADER_VALUES), max_size=2))
    if draw(st.booleans()):
        headers.append(("HX-Request", "true"))
    return method, path, query, kind, body, headers


@pytest.mark.slow
# A file that breaks off in the middle is left to the collector by werkzeug's parser.
@pytest.mark.filterwarnings("ignore:Unclosed file <tempfile.Spooled:ResourceWarning")
def test_nothing_that_is_sent_to_any_address_is_our_error(visitor):
    rules = sorted(visitor.app.url_map.iter_rules(), key=lambda rule: rule.endpoint)

    @settings(max_examples=400, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(st.data())
    def try_one(data):
        rule = data.draw(st.sampled_from(rules))
        sent = data.draw(requests(rule, visitor.parts))
        response = visitor.send(*sent)
        status, text = response.status_code, response.get_data(as_text=True)
        response.close()
        assert status < 500 or status in UPSTREAM.get(rule.endpoint, ()), (status, text)
        assert not re.search(r"[\r\n\0]", "".join(f"{name}{value}" for name, value in response.headers))
        visitor.settled()
        visitor.begin_if_asked_to(rule.endpoint)
        visitor.still_there()

    try_one()


def test_a_host_that_is_none_is_refused_in_words(client):
    for host in ("9" * 300, "a..b", "[", "a b", "ü" * 100, "<script>", "%00"):
        response = client.get("/", environ_overrides={"HTTP_HOST": host})
        assert response.status_code in (400, 403)
        assert response.text.strip() and "<script>" not in response.text


@given(
    st.one_of(st.binary(), st.lists(st.sampled_from([b"%", b"%4", b"%41", b"a", b"%e4%bd%a0"])).map(b"".join)),
    st.integers(3, 9),
)
def test_what_is_unquoted_in_parts_is_what_it_was_in_one(body, size):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(forms, "AT_ONCE", size)
        assert forms.unquoted(body) == unquote_to_bytes(body)


@pytest.mark.parametrize("path", ["ask", "parameters", "estimate", "transcribe", "import"])
@pytest.mark.parametrize("body", [b"a&" * 300, b"question=" + b"%" * 500_000, b"a=" + b"x" * 7_000_000])
def test_a_form_that_is_none_of_ours_is_too_large(chat, path, body):
    response = chat.client.post(f"/conversations/{chat.id}/{path}", data=body, content_type=forms.URLENCODED)
    assert response.status_code == 413
    assert re.search("more than can be sent|may be|much too large|larger than", response.text)
    assert not statuses(chat.page())


def test_a_body_without_a_length_is_bounded_too(chat):
    environ = {"wsgi.input_terminated": True, "HTTP_TRANSFER_ENCODING": "chunked", "CONTENT_LENGTH": ""}
    for path in ("ask", "parameters", "transcribe", "import"):
        body = io.BytesIO(b"question=" + b"x" * 30_000_000)
        address = f"/conversations/{chat.id}/{path}"
        response = chat.client.post(
            address, input_stream=body, content_type=forms.URLENCODED, environ_overrides=environ
        )
        assert response.status_code == 413
        assert body.tell() < 8_000_000


def test_a_form_in_bytes_that_are_no_text_is_read_all_the_same(chat):
    response = chat.client.post("/preferences", data=b"theme=dark&back=/%ff\xff", content_type=forms.URLENCODED)
    assert response.status_code == 303
    assert "theme=dark" in response.headers["Set-Cookie"]


# Files

BOMBS = {
    "numbers": b"[" + b"0," * 3_000_000 + b"0]",
    "objects": b"[" + b"{}," * 3_000_000 + b"{}]",
    "objects in one": b'{"messages":[' + b"{}," * 900_000 + b"{}]}",
    "lists in one": b'{"messages":[' + b"[]," * 900_000 + b"[]",
    "names": b'{"messages":[{' + b",".join(b'"%07d":1' % n for n in range(1_100_000)) + b"}]}",
    "messages": b"[" + b'{"role":"user","content":"a"},' * 300_000 + b"{}]",
    "entries": b"[" + b"{}," * 150_000 + b"{}]",
    "conversations": b"[" + b'{"messages":[{"role":"user","content":"a"}]},' * 51_000 + b"{}]",
    "halves": b'["' + rb"\ud800" * (MOST_HALVES + 1) + b'"]',
    "brackets": b"[" * 3_000_000,
    "NaN": b"[" + b"NaN," * 2_400_000 + b"1]",
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_file_that_stands_for_too_much_is_refused(name):
    with pytest.raises(BadImport):
        read(BOMBS[name], 50 * 2**20)


def test_an_archive_of_very_many_files_is_refused():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for number in range(1_001):
            archive.writestr(f"../{number}/conversations.json", "[]")
    with pytest.raises(TooLarge):
        read(file.getvalue(), 50 * 2**20)


def test_brackets_and_commas_in_a_text_are_text():
    text = '[{,"\\' * 300_000
    (packed,) = read(json.dumps([{"role": "user", "content": text}]).encode(), 50 * 2**20).packed
    assert packed.opened().turns[0].question == text


@given(st.text(st.characters(codec=None) | st.sampled_from('\ud83d\ude00\udc00\\u"')))
@example("\ud800\ud800\udc00\udc00")
@example("\\\ud800")
@example("\\ud800")
def test_halves_of_characters_are_mended_and_nothing_else(text):
    whole = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace") if text else ""
    found, _ = json_entries(json.dumps([text]).encode())
    assert json.loads(bytes(found[0])).encode("utf-16", "surrogatepass").decode("utf-16", "replace") == whole
    if whole == text:
        assert json.loads(bytes(found[0])) == text


# Names of files, and where one is sent to


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(question=TEXTS)
def test_an_exports_name_holds_nothing_but_a_name(visitor, question):
    visitor.begin(question)
    for kind in ("markdown", "json", "notebook"):
        response = visitor.client.get(f"/conversations/{visitor.id}/export/{kind}")
        assert response.status_code == 200
        header = response.headers["Content-Disposition"]
        message = Message()
        message["Content-Disposition"] = header
        assert not re.search(r"[\r\n\0/\\]|\.\.", message.get_filename())
        if kind != "markdown":
            json.loads(response.data)
    visitor.still_there()


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    back=st.one_of(
        TEXTS,
        st.lists(
            st.sampled_from(["/", "\\", "//", "evil.example", "http:", "%2f", "%0d%0a", "?", "#", "@", "\t", "."])
        ).map("".join),
    )
)
def test_a_choice_leads_back_to_our_own_pages_alone(visitor, back):
    body = urlencoded([(b"back", back.encode(errors="surrogatepass")), (b"theme", b"dark")])
    response = visitor.client.post("/preferences", data=body, content_type=forms.URLENCODED)
    assert response.status_code == 303
    location = response.headers["Location"]
    assert location.startswith("/") and location[1:2] not in ("/", "\\") and not urlsplit(location).netloc
