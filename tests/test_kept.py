"""A data folder as version 0.1.0 left it, read for ever: each kind of record and file, and what else may lie there."""

import re
import shutil
from pathlib import Path

import msgspec
import pytest

from webapp import create_app

from .conftest import UNLIMITED, Chat, conversation_of, owner_of, statuses, texts
from .test_speech import send, source

SAMPLE = Path(__file__).parent / "samples" / "data-0.1.0"
SESSION = "F0TDw8tLsXvfk27LdFF3gP2KcLS27BSJn8jJ22d0Vdk"
CODE = "sample-access-code"
ANSWER = "JVtH1AzwDiMDvI9eeGFPvA"


@pytest.fixture
def config(config, tmp_path):
    shutil.copytree(SAMPLE, config["DATA_DIR"], copy_function=shutil.copy)  # Its files are of now.
    more = {"ACCESS_CODE": CODE, "TRANSCRIPTION_MODEL": "ears", "SPEECH_MODEL": "mouth", "SPEECH_VOICE": "nova"}
    return config | more


@pytest.fixture
def come_back(app):
    """Come back with the cookie of that time; the first page is what settles."""

    def open_page():
        client = app.test_client()
        client.set_cookie(app.config["SESSION_COOKIE_NAME"], SESSION)
        return Chat(client)

    return open_page


def test_all_of_it_is_read(app, come_back, openai):
    kept = come_back()  # By the installation's name, and signed in by its secret.
    page = kept.page()
    assert (statuses(page), texts(page)) == (["done", "done"], ["You said: 你好，世界？", "Kept beside its log."])
    assert conversation_of(app, kept.id).turns[1].answer.usage["total_tokens"] == 7
    completion = kept.client.get("/completion").text
    assert statuses(completion) == ["interrupted"]
    assert "a time 很久" in completion
    exchange = kept.client.get(f"/conversations/{kept.id}/answers/{ANSWER}/exchange").text
    assert "test-model" in exchange and "你好，世界？" in exchange
    assert send(kept, htmx=True).text == "What was said."
    heard = kept.client.post(f"/conversations/{kept.id}/answers/{ANSWER}/speech", headers={"HX-Request": "true"})
    assert kept.client.get(source(heard), buffered=True).status_code == 200
    assert [path for path in openai.paths if "audio" in path] == [], "It was paid for."
    offered = kept.client.get(f"/conversations/{kept.id}/import/import-1").text
    assert re.findall(r'<span dir="auto">(.*?)</span>', offered) == ["First", "Second"]
    chosen = kept.client.post(f"/conversations/{kept.id}/import/import-1", data={"choice": "1"})
    assert chosen.status_code == 303
    assert texts(kept.page())[-1] == "Yes."
    assert not list(app.config["DATA_DIR"].rglob("*.damaged"))


def test_a_field_that_is_not_known_yet_ends_nothing(app, come_back):
    """As a newer Parley may write it. A conversation says by its version that it is of a newer form."""
    for path in app.config["DATA_DIR"].rglob("*.json"):
        if path.name.startswith("transcription"):
            continue
        name = app.extensions["files"]
        packed = path.name.endswith(".exchanges.json")
        content = name.read(path.parent.name, path.name) if packed else path.read_bytes()
        first, line_end, rest = content.partition(b"\n")
        value = msgspec.json.decode(first)
        for one in value if isinstance(value, list) else [value]:
            one["newer"] = {"than": ["this"]}
        path.write_bytes(msgspec.json.encode(value) + line_end + rest)
    kept = come_back()
    assert texts(kept.page())[-1] == "Kept beside its log."
    assert "test-model" in kept.client.get(f"/conversations/{kept.id}/answers/{ANSWER}/exchange").text
    assert "Second" in kept.client.get(f"/conversations/{kept.id}/import/import-1").text


NONSENSE = [
    b"[" * 100_000,
    b'{"x":' * 100_000,
    b"",
    b"{",
    b"\xff\x00garbage",
    b"[]",
    b"5",
    b"null",
    b'"x"',
    b'{"visitor":5}',
    b'{"visitor":"x"}',
]


@pytest.mark.parametrize("content", NONSENSE)
def test_a_session_that_is_none_is_set_aside_and_its_visitor_begins_anew(app, come_back, content):
    path = app.extensions["store"].records._path(f"session:{SESSION}")
    path.write_bytes(b"4102444800\n" + content if content else content)
    client = app.test_client()
    client.set_cookie(app.config["SESSION_COOKIE_NAME"], SESSION)
    assert client.get("/", follow_redirects=True).status_code == 200
    assert client.post("/sign-in", data={"code": CODE}).status_code == 303
    assert "Fresh?" in Chat(client).answered("Fresh?")
    if content != b"null":  # which is none, as if there were no record
        assert path.with_suffix(".damaged").read_bytes().endswith(content)


@pytest.mark.parametrize("content", NONSENSE[:-2])
def test_an_answer_beside_its_log_that_is_none_is_set_aside_and_the_log_is_taken(app, come_back, content):
    path = app.config["DATA_DIR"] / "answers" / "answer-late.settled.json"
    path.write_bytes(content)
    page = come_back().page()
    assert (statuses(page)[-1], texts(page)[-1]) == ("interrupted", "Kept beside")
    assert path.with_suffix(".damaged").read_bytes() == content
    assert not path.exists()


@pytest.mark.parametrize("content", [b"", b"x" * 31, b"x" * 33, b"\0" * 5])
def test_a_secret_that_is_none_is_set_aside_and_all_sign_in_again(config, content):
    path = config["DATA_DIR"] / "secret"
    path.write_bytes(content)
    app = create_app({"TESTING": True, **UNLIMITED, **config})
    client = app.test_client()
    client.set_cookie(app.config["SESSION_COOKIE_NAME"], SESSION)
    assert client.get("/").status_code == 303
    assert client.post("/sign-in", data={"code": CODE}).status_code == 303
    kept = Chat(client)
    assert texts(kept.page())[0] == "You said: 你好，世界？", "What is theirs stays theirs."
    assert path.with_suffix(".damaged").read_bytes() == content
    assert len(path.read_bytes()) == 32
    app.extensions["answers"].shut_down()


def test_a_conversation_of_a_newer_form_concerns_no_other(app, come_back):
    records = app.extensions["store"].records
    key = "conversation:4fce734c0c7d56d4f6925c3972365100"
    records.set(key, records.get(key) | {"version": 1000, "turns": "of another form"})
    kept = come_back()
    assert f"{records._path(key).name}.newer" in kept.page()
    assert "a time 很久" in kept.client.get("/completion").text
    assert owner_of(app, kept.id)
