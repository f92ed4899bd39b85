"""Too much at once, at every address that takes forms: refused in words, whoever asks and however.

The addresses come from the application's own table, so that a new one is tried without a word here.
"""

import re
from io import BytesIO

import pytest
from limits import RateLimitItemPerMinute

from webapp.access import RULES

from .conftest import UNLIMITED, Chat
from .openai_server import Reply

CODE = "open sesame 7"
FORM, MULTIPART = "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"
PART = b'--x\r\nContent-Disposition: form-data; name="%s"\r\n\r\n1\r\n'
# Its type, and its bytes; what is empty only says that it is a gigabyte.
TOO_MUCH = {
    "a gigabyte": (FORM, b""),
    "a gigabyte in parts": (MULTIPART, b""),
    "fields": (FORM, b"question=Typed&" + b"&".join(b"a%d=1" % number for number in range(300))),
    "parts": (MULTIPART, b"".join(PART % str(number).encode() for number in range(300)) + b"--x--\r\n"),
    "escapes": (FORM, b"question=" + b"%" * 5000),
}
STYLES = {"plain": {}, "htmx": {"HX-Request": "true"}, "script": {"HX-Request": "true", "Accept": "text/plain"}}
SOUNDS = {"speech.read_aloud", "speech.transcribe"}
# Those that change what the next ones would find.
LAST = ["chat.clear", "sign_in.leave", "visitor.delete"]


@pytest.fixture(params=["open", "signed in", "signed out"])
def access(request):
    return request.param


@pytest.fixture
def config(config, access):
    closed = {} if access == "open" else {"ACCESS_CODE": CODE}
    models = {"SPEECH_MODEL": "mouth", "TRANSCRIPTION_MODEL": "ears"}
    return {**config, **UNLIMITED, **models, **closed, "MAX_QUESTION_CHARS": 100}


def posts(app, **ids):
    """Yield the endpoint and the address of each that takes forms; what deletes comes last."""
    adapter = app.url_map.bind("localhost")
    rules = [rule for rule in app.url_map.iter_rules() if "POST" in rule.methods]
    for rule in sorted(rules, key=lambda rule: rule.endpoint in LAST):
        values = {name: ids.get(name, "x" * 22) for name in rule.arguments}
        yield rule.endpoint, adapter.build(rule.endpoint, values, method="POST")


def visitor(app, access):
    client = app.test_client()
    if access == "signed in":
        client.post("/sign-in", data={"code": CODE})
    return client


def message(reply, style):
    """Return what a refusal says, and check that it comes as it was asked for."""
    if style == "script" and reply.mimetype == "text/plain":
        return reply.text
    assert ("<!doctype" in reply.text) == (style == "plain")
    said = re.search(r'class="notice">(.*?)</p>|</h1>\s*<p>(.*?)</p>|"code-error"[^>]*>(.*?)</p>', reply.text, re.S)
    return next(words for words in said.groups() if words)


@pytest.mark.parametrize("language", ["en", "zh-CN"])
@pytest.mark.parametrize("style", STYLES)
def test_what_is_too_large_is_refused_in_words_at_every_address(app, access, openai, style, language):
    refused = set()
    for kind, (mimetype, body) in TOO_MUCH.items():
        client = visitor(app, access)
        client.set_cookie("language", language)
        own = "x" * 22 if access == "signed out" else Chat(client).id

        def send(path, body, mimetype, client=client):
            size = {} if body else {"CONTENT_LENGTH": str(10**9)}
            return client.post(path, data=body, content_type=mimetype, headers=STYLES[style], environ_overrides=size)

        for endpoint, path in posts(app, conversation_id=own, index=0):
            reply = send(path, body, mimetype)
            if access == "signed out" and RULES[endpoint] != "open":
                assert reply.status_code == 401, path
            elif reply.status_code != 413:
                # It looks at no form, or another reason came first: as with an empty one.
                assert reply.status_code == client.post(path, headers=STYLES[style]).status_code, (kind, path)
            else:
                refused.add(endpoint)
                words = message(reply, style)
                assert bool(re.search("[一-鿿]", words)) == (language == "zh-CN"), (path, words)
    assert refused >= {"preferences.save", "sign_in.enter"}
    if access != "signed out":
        assert refused >= {
            "chat.ask",
            "turns.ask_anew",
            "panel.save",
            "transfer.take",
            "speech.transcribe",
            "models.use",
        }
    assert openai.paths == []


@pytest.fixture
def busy(app, access, openai):
    """A visitor with an answer that could go on, and one that is whole."""
    chat = Chat(visitor(app, access))
    openai.enqueue(Reply.text("Cut", finish="length"))
    chat.answered("One?")
    return chat


def spend_visitor(app):
    app.extensions["answers"].rates._visitor = one_a_minute()


def spend_address(app):
    app.extensions["answers"].rates._address = one_a_minute()


def one_a_minute():
    return (RateLimitItemPerMinute(1),)


def spend_budget(app):
    app.extensions["budget"].total = 1
    app.extensions["budget"].spend("x", 5)


def fill_answers(app):
    app.extensions["answers"].rates._answers = 1
    app.extensions["answers"]._running["another"] = type("Running", (), {"owner": "x"})


@pytest.mark.parametrize("access", ["open", "signed in"], indirect=True)
@pytest.mark.parametrize("style", ["plain", "htmx"])
@pytest.mark.parametrize("spend", [spend_visitor, spend_address, spend_budget, fill_answers])
def test_when_there_is_no_more_to_be_had_no_address_asks_the_model(app, busy, openai, spend, style):
    turn = busy.turn_id()
    answer = re.findall(r'id="answer-([\w-]+)"', busy.page())[-1]
    spend(app)
    if spend in (spend_visitor, spend_address):
        app.extensions["answers"].rates.count_question(visitor_of(app, busy), "127.0.0.1")
    asked, refused = len(openai.paths), set()
    not_counted = SOUNDS if spend is fill_answers else set()  # Speech is no answer.
    ids = {"conversation_id": busy.id, "turn_id": turn, "answer_id": answer, "index": 0}
    for endpoint, path in posts(app, **ids):
        if endpoint in LAST or endpoint in not_counted:
            continue
        form = {"question": "Typed <b>", "model": "test-model", "code": CODE}
        if endpoint == "speech.transcribe":
            form["audio"] = (BytesIO(b"RIFF0000WAVE"), "a.wav")
        reply = busy.client.post(path, data=form, headers=STYLES[style])
        if reply.status_code == 429:
            refused.add(endpoint)
            assert 0 < int(reply.headers["Retry-After"]) <= 86_400, path
            assert len(message(reply, style)) > 40
            takes_text = endpoint in ("chat.ask", "turns.ask_anew", "speech.transcribe")
            assert style == "htmx" or not takes_text or "Typed &lt;b&gt;</textarea>" in reply.text, path
        assert len(openai.paths) == asked, path
    costs = {"chat.ask", "turns.ask_anew", "turns.retry", "turns.resume"}
    assert refused == (costs | SOUNDS) - not_counted
    app.extensions["answers"]._running.pop("another", None)
    assert busy.page().count("<article") == 1, "Nothing of it is kept."


def visitor_of(app, chat):
    cookie = chat.cookie().partition("=")[2]
    return app.config["SESSION_CACHELIB"].get(f"session:{cookie}")["visitor"]
