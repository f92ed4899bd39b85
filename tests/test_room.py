"""What there is no room for, on the server's disk or for a visitor, is refused before anything is kept or paid."""

from threading import Event
from types import SimpleNamespace

import pytest

from .conftest import Chat, statuses, texts, wait_until
from .openai_server import DONE, Reply, chunk, event
from .test_speech import read
from .test_speech import send as dictate
from .test_transfer import CHATGPT, MESSAGES, questions, send


@pytest.fixture
def config(config):
    return config | {
        "SPEECH_MODEL": "mouth",
        "TRANSCRIPTION_MODEL": "ears",
        "MIN_FREE_MB": 5,
        "VISITOR_IMPORT_MB_PER_HOUR": 6,
        "ADDRESS_IMPORT_MB_PER_HOUR": 9,
    }


@pytest.fixture
def disk(monkeypatch):
    """The disk, and how much of it is free."""
    disk = SimpleNamespace(free=2**40)
    monkeypatch.setattr("webapp.room.shutil.disk_usage", lambda folder: disk)
    return disk


def kept(app, part="files"):
    return sorted(path.name for path in (app.config["DATA_DIR"] / part).glob("**/*") if path.is_file())


@pytest.mark.parametrize(("language", "says"), [("en", "disk of this server is almost full"), ("zh-CN", "磁盘快满了")])
def test_with_little_left_of_the_disk_nothing_new_is_taken(app, chat, openai, disk, language, says):
    chat.client.set_cookie("language", language)
    chat.answered("One?")
    disk.free = 5 * 2**20 - 1
    before, asked = kept(app), list(openai.paths)
    turn = chat.turn_id()
    replies = [
        chat.ask("Two?"),
        chat.ask("Two?", htmx=True),
        chat.post(f"turns/{turn}/retry"),
        chat.post(f"turns/{turn}/edit", question="Two?"),
        send(chat, MESSAGES),
        send(chat, CHATGPT, htmx=True),
        read(chat),
        dictate(chat, htmx=True),
    ]
    assert [reply.status_code for reply in replies] == [507] * len(replies)
    assert all(says in reply.text for reply in replies)
    assert "Two?</textarea>" in replies[0].text and "Two?" in replies[3].text
    assert (kept(app), openai.paths, chat.turn_id()) == (before, asked, turn)
    assert chat.post("clear", confirmed="yes").status_code == 303, "Whoever makes room is let."
    disk.free += 1
    assert "Two?" in chat.answered("Two?")


def test_an_answer_under_way_is_saved_while_nothing_new_is_taken(chat, openai, disk):
    go_on = Event()
    openai.enqueue(Reply([event(chunk("Half")), go_on, event(chunk(" and half.", "stop")), DONE]))
    chat.ask("One?")
    wait_until(lambda: "Half" in chat.page())
    disk.free = 0
    go_on.set()
    page = chat.settled()
    assert statuses(page) == ["done"] and texts(page) == ["Half and half."]


def test_an_import_may_not_take_what_is_to_be_left_free(chat, disk):
    disk.free = 5 * 2**20 + 100_000
    long = [MESSAGES[0], {"role": "assistant", "content": "x" * 100_000}]
    assert send(chat, long).status_code == 507
    assert send(chat, MESSAGES).status_code == 303


def test_what_is_read_aloud_and_what_an_import_offers_has_its_place_in_a_visitors_room(app, chat, openai):
    chat.answered("One?")
    app.extensions["answers"].room._visitor_mb = 1
    offered = [{"messages": [MESSAGES[0], {"role": "assistant", "content": "x" * 300_000}]}] * 4
    reply = send(chat, offered)
    assert reply.status_code == 413 and "can be kept" in reply.text
    assert not [name for name in kept(app) if name.startswith("import-")]
    app.extensions["files"].write(chat.id, "a.png", bytes(2**20))
    asked = list(openai.paths)
    for reply in (read(chat), dictate(chat, htmx=True)):
        assert reply.status_code == 413 and "can be kept" in reply.text
    assert openai.paths == asked, "Nothing is paid for what could not be kept."


@pytest.mark.parametrize(("language", "says"), [("en", "MB an hour"), ("zh-CN", "每小时最多")])
def test_imports_are_counted_by_visitor_and_by_address(app, language, says):
    first, second = (Chat(app.test_client()) for _ in range(2))
    for chat in (first, second):
        chat.client.set_cookie("language", language)
    for _ in range(3):  # Each counts twice: as a file, and as what is kept of it.
        assert send(first, MESSAGES).status_code == 303
    before = len(questions(first.page()))
    for htmx in (False, True):
        reply = send(first, MESSAGES, htmx=htmx)
        assert reply.status_code == 429 and 3500 < int(reply.headers["Retry-After"]) <= 3600
        assert says in reply.text
    assert len(questions(first.page())) == before
    assert send(second, CHATGPT).status_code == 303
    assert send(second, MESSAGES).status_code == 429, "Of what is kept of it there is no more room in the hour."
    assert "One?" in second.answered("One?"), "Questions are counted by themselves."


@pytest.mark.parametrize(
    ("limit", "says"),
    [("MOST_ANSWERS", "2 answers with their versions; one may have 1"), ("MOST_MB", "without its files")],
)
def test_a_conversation_is_never_more_than_can_be_read_with_each_page(chat, openai, monkeypatch, limit, says):
    chat.answered("One?")
    monkeypatch.setattr(f"webapp.room.{limit}", 1 if limit == "MOST_ANSWERS" else 0.0001)
    turn = chat.turn_id()
    for reply in (chat.ask("Two?"), chat.post(f"turns/{turn}/retry"), send(chat, MESSAGES)):
        assert reply.status_code == 413 and says in reply.text
    assert chat.turn_id() == turn and len(openai.paths) == 1
    chat.post("clear", confirmed="yes")
    monkeypatch.undo()
    assert "Two?" in chat.answered("Two?")
