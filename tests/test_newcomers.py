"""Who has only looked leaves nothing behind, and from one address only so many can be new in an hour."""

import re

import pytest

from webapp import create_app
from webapp.access import KEEPS_NOTHING, RULES
from webapp.config import read

from .conftest import UNLIMITED, Chat, wait_until
from .test_transfer import send

CODE = "open sesame 7"


@pytest.fixture
def app_of(config):
    """Make applications with more settings."""
    apps = []

    def make(**settings):
        apps.append(create_app({"TESTING": True, **UNLIMITED, **config, **settings}))
        return apps[-1]

    yield make
    for app in apps:
        app.extensions["answers"].shut_down()


def kept(app):
    """Return what there is of records, files and logs."""
    folder = app.config["DATA_DIR"]
    return [path for part in ("records", "files", "answers") for path in (folder / part).glob("**/*") if path.is_file()]


def session_id(client):
    return client.get_cookie(client.application.config["SESSION_COOKIE_NAME"]).value


# Looking


def test_who_only_looks_leaves_nothing_and_is_still_known(app, client):
    chat = Chat(client)
    for path in ("/", "/completion", "/images", "/models?now=1", "/visitor", f"/conversations/{chat.id}/parameters"):
        assert client.get(path).status_code == 200
    for path in (f"/conversations/{chat.id}/estimate", f"/conversations/{chat.id}/stop", "/models/refresh"):
        assert client.post(path, data={"question": "Half a thou"}).status_code < 400
    assert kept(app) == []
    assert Chat(client).id == chat.id
    assert "One?" in chat.answered("One?")
    assert kept(app)
    assert Chat(client).id == chat.id


def test_pages_that_other_sites_load_leave_nothing(app):
    """An image of any website may be one of our addresses, as often as it likes, and its browser sends no cookie."""
    headers = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}
    for path in ("/", "/completion", "/images", "/models", "/model", "/visitor", "/nothing"):
        assert app.test_client().get(path, headers=headers).status_code in (200, 404)
    assert kept(app) == []


def test_what_keeps_nothing_is_what_is_exempt(app):
    """Anything else that is sent is counted: an address that is forgotten here is counted, and no hole."""
    posts = {rule.endpoint for rule in app.url_map.iter_rules() if "POST" in rule.methods}
    assert {endpoint for endpoint in posts if RULES[endpoint] != "open"} >= KEEPS_NOTHING


def test_after_a_restart_the_open_page_goes_on(app_of, app, client):
    chat = Chat(client)
    later = app_of().test_client()
    later.set_cookie(app.config["SESSION_COOKIE_NAME"], session_id(client))
    chat.client = later
    assert "One?" in chat.answered("One?")


@pytest.mark.parametrize(
    "change",
    [
        lambda sid: sid[:-1] + ("0" if sid[-1] != "0" else "1"),
        lambda sid: "0" + sid,
        lambda sid: re.sub(r"\..", lambda match: "." + ("a" if match[0] != ".a" else "b"), sid, count=1),
        lambda sid: sid.rpartition(".")[0] + ".",
        lambda sid: sid.rpartition(".")[0],
        lambda sid: "." + sid.rpartition(".")[2],
        lambda sid: ".",
        lambda sid: "x.y.z",
        lambda sid: "汉.字.\udc80",
    ],
)
def test_a_changed_id_is_nobodys(app, client, change):
    chat = Chat(client)
    sessions = app.config["SESSION_CACHELIB"]
    assert sessions.told(session_id(client))
    assert sessions.told(change(session_id(client))) is None
    if change(session_id(client)).isascii():
        client.set_cookie(app.config["SESSION_COOKIE_NAME"], change(session_id(client)))
        assert Chat(client).id != chat.id


def test_an_id_is_good_in_its_installation_and_for_a_sessions_life(app, client, app_of, tmp_path, monkeypatch):
    Chat(client)
    other = app_of(DATA_DIR=tmp_path / "other")
    assert other.config["SESSION_CACHELIB"].told(session_id(client)) is None
    sessions = app.config["SESSION_CACHELIB"]
    begun = sessions.told(session_id(client))["seen"]
    life = app.extensions["store"].records.lifetime
    monkeypatch.setattr("webapp.sessions.time", lambda: begun + life - 1)
    assert sessions.told(session_id(client))
    monkeypatch.setattr("webapp.sessions.time", lambda: begun + life)
    assert sessions.told(session_id(client)) is None


def test_the_id_does_not_give_the_conversation_away(client):
    chat = Chat(client)
    told = client.application.config["SESSION_CACHELIB"].told(session_id(client))
    assert told["visitor"] not in session_id(client)
    assert told["visitor"] not in chat.page()


def test_who_deletes_all_is_somebody_else_for_a_tab_that_still_has_the_cookie(app, chat):
    chat.answered("One?")
    old = session_id(chat.client)
    chat.client.post("/visitor/delete")
    assert kept(app) == []
    chat.client.set_cookie(app.config["SESSION_COOKIE_NAME"], old)
    assert Chat(chat.client).id != chat.id
    assert session_id(chat.client) != old


# So many of them


@pytest.fixture
def narrow(app_of):
    """An application that takes two new visitors from an address, and has had them."""
    app = app_of(ADDRESS_VISITORS_PER_HOUR=2, MAX_QUESTION_CHARS=1000)
    app.known = [Chat(app.test_client()) for _ in range(2)]
    for chat in app.known:
        chat.answered("Let in?")
    return app


@pytest.mark.parametrize("language", ["en", "zh-CN"])
@pytest.mark.parametrize("htmx", [False, True])
def test_one_too_many_is_told_for_how_long_and_keeps_what_was_typed(narrow, openai, language, htmx):
    client = narrow.test_client()
    client.set_cookie("language", language)
    chat, before = Chat(client), len(kept(narrow))
    reply = chat.ask("One <thought>?", htmx=htmx)
    assert reply.status_code == 429
    assert 3500 < int(reply.headers["Retry-After"]) <= 3600
    assert ("60\xa0min" if language == "en" else "60\xa0分钟") in reply.text
    assert htmx or "One &lt;thought&gt;?</textarea>" in reply.text
    assert ("<!doctype" in reply.text) == (not htmx)
    assert len(kept(narrow)) == before and openai.questions == ["Let in?"] * 2
    # Who was there before notices nothing, and looking is still free.
    assert "Still here?" in narrow.known[0].answered("Still here?")
    assert Chat(narrow.test_client()).page()


def test_a_dropped_cookie_gains_nothing_and_the_hour_ends(narrow, monkeypatch):
    for _ in range(3):
        assert Chat(narrow.test_client()).ask("New?").status_code == 429
    chat = Chat(narrow.test_client())
    window = narrow.extensions["answers"].rates._window
    now = window._clock()
    monkeypatch.setattr("limits.storage.memory.time.time", lambda: now + 3601)
    assert "Now?" in chat.answered("Now?")


def test_every_address_that_keeps_something_asks_first(narrow):
    """By the table of addresses, so that a new one is asked as well."""
    client = narrow.test_client()
    chat, before, tried = Chat(client), len(kept(narrow)), 0
    adapter = narrow.url_map.bind("localhost")
    for rule in narrow.url_map.iter_rules():
        if "POST" not in rule.methods or RULES[rule.endpoint] == "open" or rule.endpoint in KEEPS_NOTHING:
            continue
        values = dict.fromkeys(rule.arguments, "x" * 22) | {"conversation_id": chat.id, "index": 0}
        path = adapter.build(rule.endpoint, {name: values[name] for name in rule.arguments}, method="POST")
        for headers in ({}, {"HX-Request": "true"}, {"Accept": "text/plain"}):
            reply = client.post(path, data={"question": "Typed", "seed": "7"}, headers=headers)
            assert (reply.status_code, int(reply.headers["Retry-After"]) > 3500) == (429, True), path
            assert "More new visitors come from your network" in reply.text, path
            assert headers or "Typed</textarea>" in reply.text, path
            tried += 1
    assert tried > 40 and len(kept(narrow)) == before


@pytest.mark.parametrize("path", ["import", "transcribe"])
def test_beside_a_file_what_was_typed_is_kept_too(narrow, path):
    chat = Chat(narrow.test_client())
    assert narrow.config["MAX_CONTENT_LENGTH"] < 100_000
    reply = send(chat, bytes(100_000), path, question="Typed beside")
    assert reply.status_code == 429
    assert "Typed beside</textarea>" in reply.text


def test_what_anybody_says_of_their_address_does_not_count(app_of):
    proxies = read({"TRUSTED_PROXIES": "127.0.0.1"})["TRUSTED_PROXIES"]
    for trusted, statuses in ((None, [303, 429]), (proxies, [303, 303])):
        app = app_of(ADDRESS_VISITORS_PER_HOUR=1, TRUSTED_PROXIES=trusted)
        got = []
        for number in range(2):
            chat = Chat(app.test_client())
            path = f"/conversations/{chat.id}/ask"
            said = {"X-Forwarded-For": f"192.0.2.{number}"}
            got.append(chat.client.post(path, data={"question": "One?"}, headers=said).status_code)
        assert got == statuses


def test_signing_in_as_somebody_new_counts_once_and_only_with_the_right_code(app_of):
    app = app_of(ADDRESS_VISITORS_PER_HOUR=1, ACCESS_CODE=CODE)
    client, other = app.test_client(), app.test_client()
    client.post("/sign-in", data={"code": "a wrong code"})
    assert client.post("/sign-in", data={"code": CODE}).status_code == 303
    assert "One?" in Chat(client).answered("One?")
    client.post("/sign-out")
    assert client.post("/sign-in", data={"code": CODE}).status_code == 303
    reply = other.post("/sign-in", data={"code": CODE, "typed": "Long thoughts"})
    assert reply.status_code == 429 and int(reply.headers["Retry-After"]) > 3500
    assert "More new visitors come" in reply.text and "Long thoughts</textarea>" in reply.text
    assert CODE not in reply.text
    assert other.get("/").status_code == 303


def test_a_disk_that_is_full_when_somebody_new_asks_takes_nothing_from_them(app, chat, monkeypatch):
    """The session's record comes last; until it is there, the cookie says who it is."""
    records, whole = app.extensions["store"].records, app.extensions["store"].records.set

    def full(key, value, timeout=None):
        if key.startswith("session:"):
            raise OSError(28, "No space left on device")
        return whole(key, value, timeout)

    with monkeypatch.context() as patched:
        patched.setattr(records, "set", full)
        assert chat.ask("One?").status_code == 303
        wait_until(lambda: "You said: One?" in chat.page())
    assert "Two?" in chat.answered("Two?") and "One?" in chat.page()
