import json
import re
import threading
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from time import time
from unittest.mock import ANY

import pytest

from webapp import create_app, store
from webapp.conversation import FORMAT_VERSION, Answer, Conversation, Turn, Unknown
from webapp.conversations import Store, Unreadable, own_id
from webapp.records import DAY, RecordFiles

from .conftest import UNLIMITED, Chat

SAMPLES = Path(__file__).parent / "samples"


@pytest.fixture
def records(tmp_path):
    return RecordFiles(tmp_path / "records", 3600)


@pytest.fixture
def conversations(records):
    return Store(records)


def files(records):
    return sorted(path.name for path in records.folder.iterdir())


def test_a_record_comes_back_as_it_was(records):
    records.set("a", {"汉字": [1, "\n", None]})
    assert records.get("a") == {"汉字": [1, "\n", None]}
    assert records.get("b") is None
    records.delete("a")
    assert records.get("a") is None


def test_a_record_is_for_its_owner_alone_and_its_name_gives_no_key_away(records):
    records.set("session:secret", {})
    (path,) = records.folder.iterdir()
    assert path.stat().st_mode & 0o777 == 0o600
    assert records.folder.stat().st_mode & 0o777 == 0o700
    assert "secret" not in path.name


def test_an_expired_record_is_none_and_is_removed(records):
    records.set("old", 1, timeout=-1)
    records.set("new", 2)
    assert records.get("old") is None
    records.remove_expired()
    assert len(files(records)) == 1
    assert records.get("new") == 2


def test_a_write_that_fails_raises_and_leaves_the_old_record(records, monkeypatch):
    records.set("a", "old")

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        records.set("a", "new")
    assert records.get("a") == "old"
    assert len(files(records)) == 1


DEEP = b"99999999999\n" + b"[" * 100_000


@pytest.mark.parametrize("content", [b"", b"garbage", b"99999999999\n{trunc", b"99999999999\n\xff", DEEP])
def test_a_damaged_record_is_set_aside_and_not_overwritten(records, content):
    records.set("a", 1)
    (path,) = records.folder.iterdir()
    path.write_bytes(content)
    assert records.get("a") is None
    records.set("a", 2)
    assert records.get("a") == 2
    (aside,) = records.folder.glob("*.damaged")
    assert aside.read_bytes() == content


def test_the_last_record_that_was_set_aside_has_the_plain_name_and_all_of_them_go_with_it(records):
    for content in (b"first", b"second", b"third"):
        records.set("a", 1)
        path = records._path("a")
        path.write_bytes(content)
        assert records.get("a") is None
        assert path.with_suffix(".damaged").read_bytes() == content
    assert sorted(path.read_bytes() for path in records.folder.iterdir()) == [b"first", b"second", b"third"]
    records.delete("a")
    assert files(records) == []


def test_a_record_beside_many_is_deleted_without_a_look_at_the_others(records, monkeypatch):
    monkeypatch.setattr("webapp.records.each", None)
    records.set("a", 1)
    records.set("b", 2)
    records.delete("a")
    assert (records.get("a"), records.get("b"), records.ids_in("a")) == (None, 2, set())


def test_a_damaged_record_that_somebody_mends_meanwhile_is_read(records, monkeypatch):
    records.set("a", 1)
    path = records._path("a")
    path.write_bytes(b"garbage")
    held = records._locks.held

    @contextmanager
    def mended(name):
        with held(name):
            path.write_bytes(b"99999999999\n2")  # as by who had the lock before
            yield

    monkeypatch.setattr(records._locks, "held", mended)
    assert records.read("a") == 2
    assert files(records) == [path.name]


def test_a_record_is_written_and_removed_by_one_at_a_time(records):
    """What is found to be over may be written anew at that moment."""
    done = []

    def off_loop(function, *arguments):
        if function.__name__ in ("write_whole", "_remove_if_over"):
            done.append((function.__name__, records._locks._locks[arguments[0].name].held.locked()))
        return function(*arguments)

    records.off_loop = off_loop
    records.set("a", 1, timeout=-1)
    records.remove_expired()
    assert done == [("write_whole", True), ("_remove_if_over", True)]


def test_a_conversation_comes_back_as_it_was(conversations):
    turn = Turn("One?", answers=[Answer(text="1", status="done", usage={"total_tokens": 3})])
    saved = Conversation(owner="me", turns=[turn])
    conversations.save(saved)
    assert conversations.load(saved.id, "me") == saved


@pytest.mark.parametrize("owner", ["you", ""])
def test_somebody_elses_conversation_is_unknown_like_one_that_never_was(conversations, owner):
    mine = Conversation(owner="me")
    conversations.save(mine)
    for conversation_id in (mine.id, "never"):
        with pytest.raises(Unknown, match="not here any more"):
            conversations.load(conversation_id, owner)


@pytest.mark.parametrize(
    "record",
    [
        {"turns": 5},
        {"owner": "me", "id": "x", "turns": [{"question": "?", "answers": []}]},
        {"owner": "me", "id": "x", "turns": [{"question": "?", "answers": [{}], "shown": 5}]},
        {"owner": "me", "id": "x", "set_aside": {"y": [{"question": "?", "answers": [{}], "shown": -2}]}},
    ],
)
def test_a_conversation_that_is_no_conversation_is_set_aside(conversations, records, record):
    own = own_id("me", "chat")
    records.set(f"conversation:{own}", record)
    with pytest.raises(Unreadable, match="set aside"):
        conversations.load(own, "me")
    (aside,) = records.folder.glob("*.damaged")
    assert conversations.load(own, "me") == Conversation(
        owner="me", id=own, replaces=aside.name, created=ANY, version=FORMAT_VERSION
    )


@pytest.mark.parametrize("more", [{}, {"turns": "of another form"}, {"owner": 5}])
def test_a_newer_format_is_set_aside_and_comes_back(conversations, records, more):
    own = own_id("me", "chat")
    newer = {"owner": "me", "id": own, "turns": [{"question": "Old?", "answers": [{}]}], "version": FORMAT_VERSION + 1}
    records.set(f"conversation:{own}", newer | more)
    with pytest.raises(Unreadable):
        conversations.load(own, "me")
    assert records.read_aside(f"conversation:{own}", "newer") == newer | more
    with conversations.editing(own, "me") as edited:
        edited.ask("New?", "")
    conversations.take_back(own, "me")
    assert [turn.question for turn in conversations.load(own, "me").turns] == ["New?"]


def test_what_was_asked_beside_a_newer_record_goes_behind_it(conversations, records, monkeypatch):
    own = own_id("me", "chat")
    turns = [{"question": "Old?", "id": "turn-0", "answers": [{}]}]
    records.set(f"conversation:{own}", {"owner": "me", "id": own, "turns": turns, "version": FORMAT_VERSION + 1})
    with pytest.raises(Unreadable):
        conversations.load(own, "me")
    with conversations.editing(own, "me") as edited:
        edited.ask("New?", "")
    monkeypatch.setattr("webapp.conversations.FORMAT_VERSION", FORMAT_VERSION + 1)
    conversations.take_back(own, "me")
    assert [turn.question for turn in conversations.load(own, "me").turns] == ["Old?", "New?"]
    conversations.take_back(own, "me")
    assert len(conversations.load(own, "me").turns) == 2


@pytest.fixture
def newer(conversations, records, monkeypatch):
    """A record of a newer Parley's, something that was asked beside it, and that newer Parley; return its id."""
    own = own_id("me", "chat")
    turns = [{"question": "Old?", "id": "turn-0", "answers": [{"status": "done"}]}]
    records.set(f"conversation:{own}", {"owner": "me", "id": own, "turns": turns, "version": FORMAT_VERSION + 1})
    with pytest.raises(Unreadable):
        conversations.load(own, "me")
    with conversations.editing(own, "me") as edited:
        edited.ask("New?", "")
        edited.turns[0].answer.status = "done"
    monkeypatch.setattr("webapp.conversations.FORMAT_VERSION", FORMAT_VERSION + 1)
    return own


@pytest.mark.parametrize("step", ["set", "delete_aside"])
def test_a_newer_record_whose_way_back_was_cut_off_is_there_once(conversations, records, newer, monkeypatch, step):
    with monkeypatch.context() as patch:

        def cut_off(*_):
            raise OSError("It was killed.")

        patch.setattr(records, step, cut_off)
        with pytest.raises(OSError, match="killed"):
            conversations.take_back(newer, "me")
    with conversations.editing(newer, "me") as edited:
        edited.ask("Newest?", "")
    conversations.take_back(newer, "me")
    questions = [turn.question for turn in conversations.load(newer, "me").turns]
    assert questions == ["Old?", "New?", "Newest?"]
    assert not records.aside(f"conversation:{newer}", "newer")


def test_who_looks_does_not_wait_for_a_change_that_is_being_saved(conversations):
    own = own_id("me", "chat")
    conversations.save(Conversation(owner="me", id=own))
    with conversations.editing(own, "me"):
        looking = threading.Thread(target=conversations.take_back, args=(own, "me"), daemon=True)
        looking.start()
        looking.join(10)
        assert not looking.is_alive()


def test_changes_at_once_are_all_kept(conversations):
    talk = Conversation(owner="me")
    conversations.save(talk)

    def append(number):
        with conversations.editing(talk.id, "me") as edited:
            edited.turns.append(Turn(str(number), answers=[Answer(status="done")]))

    threads = [threading.Thread(target=append, args=(number,)) for number in range(30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(int(turn.question) for turn in conversations.load(talk.id, "me").turns) == list(range(30))


def test_a_change_that_fails_is_not_saved(conversations):
    talk = Conversation(owner="me")
    conversations.save(talk)
    with pytest.raises(Unknown), conversations.editing(talk.id, "me") as edited:
        edited.turns.append(Turn("One?", answers=[Answer(status="done")]))
        edited.turn("nobody")
    assert conversations.load(talk.id, "me").turns == []


@pytest.fixture
def written(app, monkeypatch):
    """The keys of the records that are written from here on."""
    keys = []
    records = app.config["SESSION_CACHELIB"]
    keep = records.set
    monkeypatch.setattr(records, "set", lambda key, value, timeout=None: keys.append(key) or keep(key, value, timeout))
    return keys


def test_the_session_is_written_once_and_again_only_after_a_day(chat, client, written, monkeypatch):
    client.get("/")
    assert written == []
    chat.answered("One?")
    assert sum(key.startswith("session:") for key in written) == 1
    client.get("/")
    chat.answered("Two?")
    client.get("/static/style.css", buffered=True)
    assert sum(key.startswith("session:") for key in written) == 1
    later = time() + DAY + 1
    monkeypatch.setattr(store, "time", lambda: later)
    monkeypatch.setattr("webapp.records.time", lambda: later)
    client.get("/")
    assert sum(key.startswith("session:") for key in written) == 2


def test_the_sessions_cookie_is_no_scripts_and_no_other_sites(client):
    cookie = client.get("/").headers["Set-Cookie"]
    assert cookie.startswith("parley-")
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie


@pytest.mark.parametrize("sid", ["../../etc/passwd", "x" * 3000, "%00", "汉"])
def test_a_made_up_session_id_gets_a_new_session(client, sid):
    client.set_cookie(client.application.config["SESSION_COOKIE_NAME"], sid)
    response = client.get("/")
    assert response.status_code == 200
    assert sid not in response.headers["Set-Cookie"]


def test_two_servers_on_one_host_do_not_take_each_others_visitors(config, tmp_path):
    first, second = (create_app({**config, "DATA_DIR": tmp_path / name}) for name in ("first", "second"))
    chat = Chat(first.test_client())
    Chat(second.test_client())
    cookie = chat.client.get_cookie(first.config["SESSION_COOKIE_NAME"])
    other = second.test_client()
    other.set_cookie(cookie.key, cookie.value)
    response = other.get("/")
    assert not response.headers["Set-Cookie"].startswith(f"{cookie.key}=")
    again = create_app({**config, "DATA_DIR": tmp_path / "first"})
    assert again.config["SESSION_COOKIE_NAME"] == cookie.key


@pytest.fixture
def place(app):
    """Return where a record lies, by its key."""
    folder = app.extensions["store"].records.folder
    return lambda key: folder / sha256(key.encode()).hexdigest()


def test_a_page_whose_record_is_damaged_begins_anew_and_says_so_until_it_is_cleared(app, chat, place, caplog):
    chat.answered("One?")
    path = place(f"conversation:{chat.id}")
    path.write_bytes(whole := path.read_bytes()[:-20])
    other = Chat(app.test_client())
    other.answered("Theirs?")
    assert "One?" not in (page := chat.page())
    assert f"{path.name}.damaged" in page
    assert f"{path.name}.damaged" in caplog.text
    assert path.with_suffix(".damaged").read_bytes() == whole
    assert f"{path.name}.damaged" in chat.answered("Two?")
    assert "Theirs?" in other.page()
    assert "damaged" not in other.page()
    chat.post("clear", confirmed="yes")
    assert "damaged" not in chat.page()
    assert path.with_suffix(".damaged").exists()


@pytest.mark.parametrize("htmx", [False, True])
def test_a_question_to_a_damaged_conversation_is_not_lost(chat, place, htmx):
    chat.answered("One?")
    place(f"conversation:{chat.id}").write_bytes(b"garbage")
    refused = chat.post("ask", htmx=htmx, question="Two?")
    assert refused.status_code == 409
    assert "set aside" in refused.text
    assert htmx or "Two?" in refused.text
    assert "Two?" in chat.answered("Two?")


def test_who_signed_in_and_whose_session_is_damaged_begins_anew_and_is_told_so(config):
    app = create_app({"TESTING": True, **UNLIMITED, **config, "ACCESS_CODE": "open sesame 7"})
    client = app.test_client()
    client.post("/sign-in", data={"code": "open sesame 7"})
    chat = Chat(client)
    chat.answered("One?")
    records = app.extensions["store"].records
    path = records._path(f"session:{client.get_cookie(app.config['SESSION_COOKIE_NAME']).value}")
    path.write_bytes(b"")
    client.post("/sign-in", data={"code": "open sesame 7"})
    page = chat.page()
    assert "One?" not in page
    assert f"{path.name}.damaged" in page
    assert records.has(f"conversation:{chat.id}")


def test_who_came_without_a_code_is_known_by_the_cookie_when_their_session_is_damaged(chat, place, caplog):
    chat.answered("One?")
    path = place(f"session:{chat.cookie().partition('=')[2]}")
    path.write_bytes(b"")
    assert "One?" in chat.page()
    assert f"{path.name}.damaged" in caplog.text
    assert "Two?" in chat.answered("Two?")
    assert path.exists()


def test_what_a_visitor_rarely_opens_lives_as_long_as_the_visitor(chat, app, monkeypatch):
    now = time()
    monkeypatch.setattr(store, "time", lambda: now)
    monkeypatch.setattr("webapp.records.time", lambda: now)
    images = Chat(chat.client)
    images.id = id_of(chat.client.get("/images").text)
    images.ask("A cat")
    for _ in range(app.config["SESSION_DAYS"] + 5):
        now += DAY + 1
        chat.page()
        app.extensions["store"].records.remove_expired()
    assert "A cat" in chat.client.get("/images").text


def test_somebody_elses_id_is_refused_without_a_look_at_the_record(chat, app, monkeypatch):
    chat.answered("One?")
    stranger = Chat(app.test_client())
    read = []
    monkeypatch.setattr(app.extensions["store"], "load", lambda *arguments: read.append(arguments))
    for conversation_id in (chat.id, "never"):
        assert stranger.client.get(f"/conversations/{conversation_id}/export").status_code == 404
        path = f"/conversations/{conversation_id}/turns/x/leave-out"
        assert stranger.client.post(path, headers={"HX-Request": "true"}).status_code == 404
    assert read == []


def test_whoever_asks_for_a_conversation_is_looked_at_again_behind_the_rules_of_addresses(chat, app, monkeypatch):
    chat.answered("One?")
    stranger = Chat(app.test_client())
    assert stranger.client.get(f"/model?conversation={chat.id}").status_code == 404
    read = []
    monkeypatch.setattr(app.extensions["store"], "load", lambda *arguments: read.append(arguments))
    for conversation_id in (chat.id, "never"):
        with app.test_request_context("/", headers={"Cookie": stranger.cookie()}):
            with pytest.raises(Unknown):
                store.loaded(conversation_id)
            with pytest.raises(Unknown), store.editing(conversation_id):
                pass
    assert read == []


def test_a_visitor_whose_conversation_is_gone_gets_an_empty_one(chat, app):
    chat.answered("One?")
    app.config["SESSION_CACHELIB"].delete(f"conversation:{chat.id}")
    assert "One?" not in chat.page()
    assert "Two?" in Chat(chat.client).answered("Two?")


PATHS = ("/", "/completion", "/images")


def id_of(page):
    return re.search(r"/conversations/([\w-]+)/ask", page).group(1)


def test_modes_that_are_opened_at_once_stay_where_they_were(chat, app):
    cookie = chat.cookie()
    barrier = threading.Barrier(6)
    opened = []

    def visit(path):
        client = app.test_client(use_cookies=False)
        barrier.wait()
        opened.append((path, id_of(client.get(path, headers={"Cookie": cookie}).text)))

    threads = [threading.Thread(target=visit, args=(path,)) for path in PATHS * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({opened_id for _, opened_id in opened}) == 3
    assert {(path, id_of(chat.client.get(path).text)) for path in PATHS} == set(opened)


def test_a_first_look_at_a_mode_writes_no_session(chat, written):
    ids = [id_of(chat.client.get(path).text) for path in PATHS]
    assert written == []
    assert len(set(ids)) == 3


def test_a_session_that_names_its_conversations_keeps_them(chat, app):
    own = {"conversation": "old-chat", "completion": "old-completion"}
    with chat.client.session_transaction() as session:
        session.update(own)
        owner = session["visitor"]
    app.extensions["store"].save(Conversation(owner=owner, id="old-chat", turns=[Turn("One?", answers=[Answer()])]))
    assert "One?" in chat.page()
    assert id_of(chat.page()) == "old-chat"
    assert id_of(chat.client.get("/completion").text) != "old-completion", "It is gone."


def test_a_conversation_that_is_only_read_lives_as_long_as_its_session(chat, app, monkeypatch):
    now = time()
    monkeypatch.setattr(store, "time", lambda: now)
    monkeypatch.setattr("webapp.records.time", lambda: now)
    chat.answered("One?")
    for _ in range(app.config["SESSION_DAYS"] + 5):
        now += DAY + 1
        assert "One?" in chat.page()
    now += DAY * app.config["SESSION_DAYS"]
    assert "One?" in chat.page()
    now += DAY * (app.config["SESSION_DAYS"] + store.SLACK) + 1
    assert app.config["SESSION_CACHELIB"].get(f"conversation:{chat.id}") is None


def test_looking_at_the_models_begins_no_conversation(client, app):
    assert client.get("/models?now=1").status_code == 200
    assert files(app.extensions["store"].records) == []


def test_a_record_of_version_1_is_read_and_saved_as_the_current_one(conversations):
    record = json.loads((SAMPLES / "conversation-version-1.json").read_text())
    conversations.records.set("conversation:conversation-1", record)
    talk = conversations.load("conversation-1", "visitor-1")
    assert [turn.question for turn in talk.turns] == ["你好，世界？", "Broken?", "Half?"]
    assert [answer.text for answer in talk.turns[0].answers] == ["你", "你好！"]
    assert talk.turns[1].answer.failure.retry_after == 2
    assert talk.turns[2].answer.can_continue
    conversations.save(talk)
    assert conversations.records.get("conversation:conversation-1")["version"] == FORMAT_VERSION


def test_a_record_of_version_2_is_read_and_its_last_answers_are_shown(conversations):
    record = json.loads((SAMPLES / "conversation-version-2.json").read_text())
    conversations.records.set("conversation:conversation-2", record)
    talk = conversations.load("conversation-2", "visitor-1")
    first, second = talk.turns
    assert [answer.text for answer in first.answers] == ["First.", "B"]
    assert (first.answer.id, first.number, first.answer.kept) == ("a1", 2, 1)
    assert (second.answer.continues, second.single, second.left_out) == (["a2"], True, True)
    assert (talk.parameters, talk.sent_from, talk.counted) == ({"temperature": 0.5, "n": 2}, "turn-2", "a3")
    conversations.save(talk)
    saved = conversations.records.get("conversation:conversation-2")
    assert saved.pop("version") == FORMAT_VERSION
    assert saved == {name: value for name, value in record.items() if name != "version"}
