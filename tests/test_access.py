"""Nobody in who does not belong: a rule for every address, the access code, and nothing typed lost on the way in."""

import re
from html import unescape
from http.cookiejar import CookieJar
from types import SimpleNamespace
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, ProxyHandler, Request, build_opener, urlopen

import pytest
from playwright.sync_api import expect

from webapp import create_app
from webapp.access import RULES, Door
from webapp.config import SettingError, read

from .conftest import UNLIMITED, WAIT, Chat, intercept, statuses, texts, wait_until
from .openai_server import SILENCE, Reply, chunk, event
from .test_accessible import check

CODE = "open sesame 7"
ID = re.compile(r"[A-Za-z0-9_-]{20,44}")

# Rules


def test_every_address_has_a_rule_and_every_rule_an_address(app):
    assert {rule.endpoint for rule in app.url_map.iter_rules()} == set(RULES)


def test_no_view_of_an_owners_runs_for_somebody_else(app):
    owner, stranger = Chat(app.test_client()), Chat(app.test_client())
    ran = []
    for endpoint in [endpoint for endpoint, rule in RULES.items() if rule == "owner"]:
        app.view_functions[endpoint] = lambda **values: ran.append(values) or "Here."
    for method, path in addresses(app, owner.id, {}):
        assert method == "OPTIONS" or stranger.client.open(path, method=method).status_code == 404, path
    assert ran == []
    assert owner.client.get(f"/conversations/{owner.id}/export").text == "Here."


def test_what_names_a_conversation_is_its_owners(app):
    named = {rule.endpoint for rule in app.url_map.iter_rules() if "conversation_id" in rule.arguments}
    assert named == {endpoint for endpoint, rule in RULES.items() if rule == "owner"}


def test_a_new_address_without_a_rule_is_not_found(config):
    app = create_app({"TESTING": True, **config})
    app.add_url_rule("/forgotten", "forgotten", lambda: "Here.")
    assert app.test_client().get("/forgotten").status_code == 404


def addresses(app, conversation_id, others):
    """Yield each method and address that names a conversation, with real ids in it."""
    with app.test_request_context():
        for rule in app.url_map.iter_rules():
            if "conversation_id" in rule.arguments:
                values = {name: others.get(name, 1) for name in rule.arguments} | {"conversation_id": conversation_id}
                path = app.url_map.bind("localhost").build(rule.endpoint, values)
                yield from ((method, path) for method in sorted(rule.methods))


@pytest.mark.parametrize("htmx", [False, True])
def test_somebody_elses_ids_are_like_unknown_ones_at_every_address(app, htmx):
    owner, stranger = Chat(app.test_client()), Chat(app.test_client())
    owner.answered("A secret?")
    answer = re.findall(r'id="answer-([\w-]+)"', owner.page())[-1]
    real = {
        "turn_id": owner.turn_id(),
        "answer_id": answer,
        "name": f"{answer}.png",
        "kind": "json",
        "import_id": "a" * 22,
    }
    unknown = {name: value if name == "kind" else "z" * 22 for name, value in real.items()}
    tried, expected = 0, []
    headers = {"Last-Event-ID": "3"} | ({"HX-Request": "true"} if htmx else {})  # As a stream that connects again.
    for ids, conversation_id in ((real, owner.id), (unknown, "y" * len(owner.id))):
        for number, (method, path) in enumerate(addresses(app, conversation_id, ids)):
            reply = stranger.client.open(path, method=method, data={"question": "Mine?"}, headers=headers)
            body = ID.sub("ID", reply.text.replace(answer, "z" * 22))
            assert method == "OPTIONS" or reply.status_code == 404, (method, path)
            assert "secret" not in reply.text
            if ids is real:
                expected.append((reply.status_code, body))
            else:
                assert (reply.status_code, body.replace("ID.png", "ID")) == (
                    expected[number][0],
                    expected[number][1].replace("ID.png", "ID"),
                ), (method, path)
            tried += 1
    assert tried > 100
    # Nor do somebody else's turns and answers come by way of one's own conversation.
    for method, path in addresses(app, stranger.id, real):
        if any(real[name] in path for name in ("turn_id", "answer_id")):
            reply = stranger.client.open(path, method=method, data={"question": "Mine?", "version": 1, "answer": 1})
            assert method == "OPTIONS" or reply.status_code == 404, (method, path)
    assert "A secret?" in owner.page()


# The setting


@pytest.mark.parametrize("nonsense", ["short", "aaaaaaaa", " blank at the ends ", "a\tb\tc\td\te", "x" * 201])
def test_a_code_that_is_none_is_refused_and_not_shown(nonsense):
    with pytest.raises(SettingError) as told:
        read({"ACCESS_CODE": nonsense})
    assert "ACCESS_CODE is not one that can be used; allowed is a code of 8 to 200" in str(told.value)
    assert nonsense not in str(told.value)


def test_of_what_is_typed_as_a_code_no_more_is_looked_at_than_a_code_may_have(monkeypatch):
    looked = []
    monkeypatch.setattr("webapp.access.normalize", lambda form, text: looked.append(len(text)) or text)
    assert not Door(CODE, b"x" * 32).opens("\ufdfa" * 1_000_000)  # Each of them is 18 characters in plain form.
    assert max(looked) <= 1000


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "chat.example.org"])
def test_beyond_this_machine_there_is_a_code_or_a_word_that_none_is_wanted(host):
    with pytest.raises(SettingError, match="ACCESS_CODE"):
        read({"HOST": host})
    assert read({"HOST": host, "ACCESS_CODE": CODE})["ACCESS_CODE"] == CODE
    assert read({"HOST": host, "ALLOW_ANYONE": "1"})


def test_that_anybody_may_come_is_said_in_the_log(config, caplog):
    create_app({"TESTING": True, **config, "HOST": "0.0.0.0"})
    assert "ALLOW_ANYONE=1" in caplog.text and "at your expense" in caplog.text
    caplog.clear()
    create_app({"TESTING": True, **config, "HOST": "0.0.0.0", "ACCESS_CODE": CODE})
    create_app({"TESTING": True, **config})
    assert caplog.text == ""


def test_without_a_code_there_is_nothing_to_sign_in_to(client):
    assert client.get("/sign-in").location == client.post("/sign-in", data={"code": CODE}).location == "/"
    assert "sign-out" not in client.get("/").text


# The door


@pytest.fixture
def config(config):
    return {**config, **UNLIMITED}


@pytest.fixture
def closed(config):
    app = create_app({"TESTING": True, **config, "ACCESS_CODE": CODE})
    yield app
    app.extensions["answers"].shut_down()


def sign_in(client, code=CODE, **more):
    return client.post("/sign-in", data={"code": code, **more})


def session_id(client):
    cookie = client.get_cookie(client.application.config["SESSION_COOKIE_NAME"])
    return cookie and cookie.value


def test_all_but_the_open_addresses_are_closed(closed):
    client = closed.test_client()
    open_ones = 0
    with closed.test_request_context():
        adapter = closed.url_map.bind("localhost")
        for rule in closed.url_map.iter_rules():
            values = dict.fromkeys(rule.arguments, "x" * 22) | ({"index": 1} if "index" in rule.arguments else {})
            for method in rule.methods:
                path = adapter.build(rule.endpoint, values)
                reply = client.open(path, method=method, headers={"HX-Request": "true"})
                if RULES[rule.endpoint] == "open":
                    open_ones += 1
                    assert reply.status_code != 401 or rule.endpoint == "sign_in.enter"
                else:
                    assert reply.status_code == 401, (method, path)
                    assert method == "HEAD" or 'href="/sign-in"' in reply.text
    assert open_ones and session_id(client) is None, "Who is not let in gets no session."


@pytest.mark.parametrize("typed", [CODE, f"  {CODE}\n", "ｏｐｅｎ sesame 7"])
def test_the_code_opens_and_leads_to_the_page_that_was_asked_for(closed, typed):
    client = closed.test_client()
    reply = client.get("/images?turns=x")
    assert (reply.status_code, reply.location) == (303, "/sign-in?back=/images?turns%3Dx")
    page = client.get(reply.location)
    back = unescape(re.search(r'name="back" value="([^"]*)"', page.text)[1])
    assert sign_in(client, typed, back=back).location == "/images?turns=x"
    assert client.get("/images").status_code == 200
    assert client.get("/sign-in").location == "/"


def test_nobody_is_led_elsewhere(closed):
    for address in ("//evil.example/", "//evil.example/models", "https://evil.example/models"):
        assert sign_in(closed.test_client(), back=address).location == "/"


def test_a_wrong_code_is_told_beside_the_field(closed):
    client = closed.test_client()
    for code, status, told in ((" ", 422, "Type the access code."), ("nonsense", 401, "That is not the access code.")):
        reply = sign_in(client, code, back="/images", typed="A question")
        assert reply.status_code == status and told in reply.text
        assert 'aria-invalid="true" aria-describedby="code-error"' in reply.text
        assert "A question</textarea>" in reply.text and 'value="/images"' in reply.text
        assert code.strip() == "" or code not in reply.text
    assert client.get("/").status_code == 303


def test_the_session_has_another_id_inside_and_keeps_what_was_the_visitors(config, closed):
    before = create_app({"TESTING": True, **config}).test_client()
    chat = Chat(before)
    chat.answered("Before there was a code")
    planted = session_id(before)
    client = closed.test_client()
    client.set_cookie(closed.config["SESSION_COOKIE_NAME"], planted)
    sign_in(client)
    assert session_id(client) != planted
    assert "Before there was a code" in client.get("/").text
    thief = closed.test_client()
    thief.set_cookie(closed.config["SESSION_COOKIE_NAME"], planted)
    assert thief.get("/").status_code == 303
    sign_in(thief)
    assert "Before there was a code" not in thief.get("/").text, "Who planted it has nothing of it, code or not."
    thief = closed.test_client()
    inside = session_id(client)
    client.post("/sign-out")
    assert session_id(client) not in (inside, planted)
    thief.set_cookie(closed.config["SESSION_COOKIE_NAME"], inside)
    assert thief.get("/").status_code == client.get("/").status_code == 303
    sign_in(client)
    assert "Before there was a code" in client.get("/").text


def test_a_request_that_was_on_its_way_does_not_bring_an_old_id_back(closed):
    """As that which notes a use, once a day: it read the session before that was left, and writes it then."""
    client = closed.test_client()
    sign_in(client)
    inside = session_id(client)
    sessions = closed.config["SESSION_CACHELIB"]
    read = sessions.get(f"session:{inside}")
    client.post("/sign-out")
    assert not sessions.set(f"session:{inside}", read | {"seen": 1})
    thief = closed.test_client()
    thief.set_cookie(closed.config["SESSION_COOKIE_NAME"], inside)
    assert thief.get("/").status_code == 303


def test_a_disk_that_is_full_at_sign_in_takes_nobodys_conversations(closed, monkeypatch, caplog):
    client = closed.test_client()
    sign_in(client)
    Chat(client).answered("Mine")
    before = session_id(client)
    records = closed.extensions["store"].records
    with monkeypatch.context() as full:
        full.setattr(records, "set", lambda *_, **__: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        full.setitem(closed.config, "PROPAGATE_EXCEPTIONS", False)
        assert sign_in(client).status_code == 503
    assert session_id(client) == before
    assert "Mine" in client.get("/").text


def test_another_code_ends_all_access(config, closed):
    client = closed.test_client()
    sign_in(client)
    Chat(client).answered("Mine")
    for code, status in ((CODE, 200), ("another code", 303)):
        later = create_app({"TESTING": True, **config, "ACCESS_CODE": code}).test_client()
        later.set_cookie(closed.config["SESSION_COOKIE_NAME"], session_id(client))
        assert later.get("/").status_code == status
    sign_in(later, "another code")
    assert "Mine" in later.get("/").text


def test_the_proof_of_one_installation_is_none_in_another(config, closed, tmp_path):
    other = create_app({"TESTING": True, **config, "ACCESS_CODE": CODE, "DATA_DIR": tmp_path / "other"})
    assert other.extensions["door"].proof != closed.extensions["door"].proof
    again = create_app({"TESTING": True, **config, "ACCESS_CODE": CODE})
    assert again.extensions["door"].proof == closed.extensions["door"].proof
    secret = config["DATA_DIR"] / "secret"
    assert len(secret.read_bytes()) == 32 and secret.stat().st_mode & 0o777 == 0o600


def test_a_damaged_secret_is_made_anew(config, closed, caplog):
    (config["DATA_DIR"] / "secret").write_bytes(b"")
    again = create_app({"TESTING": True, **config, "ACCESS_CODE": CODE})
    assert again.extensions["door"].proof != closed.extensions["door"].proof
    assert "has to sign in again" in caplog.text


@pytest.mark.parametrize("language", ["en", "zh-CN"])
def test_wrong_codes_are_slowed_down_by_the_address_that_a_trusted_proxy_names(config, language):
    def app(**more):
        return create_app({"TESTING": True, **config, "ACCESS_CODE": CODE, **more})

    def enter(client, code, forwarded):
        client.set_cookie("language", language)
        return client.post("/sign-in", data={"code": code}, headers={"X-Forwarded-For": forwarded})

    client = app().test_client()
    for number in range(5):
        assert enter(client, "wrong", f"192.0.2.{number}").status_code == 401
    reply = enter(client, CODE, "192.0.2.99")  # What anybody says of themselves does not count.
    assert reply.status_code == 429 and 0 < int(reply.headers["Retry-After"]) <= 60
    assert f"{reply.headers['Retry-After']}\N{NO-BREAK SPACE}{'s' if language == 'en' else '秒'}" in reply.text
    assert client.get("/").status_code == 303

    behind = app(TRUSTED_PROXIES=read({"TRUSTED_PROXIES": "127.0.0.1"})["TRUSTED_PROXIES"]).test_client()
    for number in range(6):  # Only what the proxy added, at the end, counts.
        reply = enter(behind, "wrong", f"10.0.0.{number}, 192.0.2.7")
    assert reply.status_code == 429
    assert enter(behind, CODE, "192.0.2.7, 192.0.2.8").status_code == 303


@pytest.mark.parametrize("name", ["X-Forwarded-For", "Forwarded", "X-Real-IP", "X-Client-IP", "True-Client-IP"])
def test_nobody_escapes_by_what_they_say_of_themselves(closed, name):
    replies = []
    for number in range(7):
        said = f"for=192.0.2.{number}" if name == "Forwarded" else f"192.0.2.{number}"
        replies.append(closed.test_client().post("/sign-in", data={"code": "a wrong code"}, headers={name: said}))
    assert [reply.status_code for reply in replies] == [401] * 5 + [429] * 2


def test_what_says_whether_a_code_or_a_proof_is_right_takes_as_long_for_any(closed, monkeypatch):
    """It is `compare_digest` alone that tells, of texts of one length, whatever was typed."""
    compared = []

    def noted(*pair):
        compared.append(tuple(map(len, pair)))
        return True

    monkeypatch.setattr("webapp.access.hmac", SimpleNamespace(compare_digest=noted))
    assert all(closed.extensions["door"].opens(typed) for typed in ("", "x", CODE, CODE[:-1], "汉" * 5000))
    assert compared == [(64, 64)] * 5
    client = closed.test_client()
    sign_in(client)
    monkeypatch.setattr("webapp.store.compare_digest", lambda *pair: False)
    assert client.get("/").status_code == 303


def test_another_code_ends_what_streams_as_well(serve, openai):
    endpoint = {"OPENAI_BASE_URL": openai.base_url, "OPENAI_API_KEY": "sk-test", "CHAT_MODEL": "test-model"}
    server = serve(ACCESS_CODE=CODE, **endpoint)
    opener = build_opener(HTTPCookieProcessor(CookieJar()), ProxyHandler({}))

    def opened(path, **form):
        return opener.open(f"{server.url}{path}", urlencode(form).encode() if form else None, timeout=WAIT)

    openai.enqueue(Reply([event(chunk("Half")), SILENCE]))
    page = opened("/sign-in", code=CODE).read().decode()
    opened(re.search(r"/conversations/[\w-]+/ask", page)[0], question="One?")
    page = opened("/").read().decode()
    path = re.search(r'hx-sse:connect="([^"]+)"', page)[1].partition("?")[0]
    with opened(path) as stream:
        while b"Half" not in stream.readline():
            pass
        server.settings["ACCESS_CODE"] = "another code"
        server.terminate()
        server.start()
        assert b"event: end" in stream.read(), "It ended with the server that knew the code."
    assert opened(path).url.partition("?")[0] == f"{server.url}/sign-in"
    with pytest.raises(HTTPError, match="401"):
        opened(path.replace("/stream", "/speech"), part="1")
    assert "Half" in opened("/sign-in", code="another code").read().decode()


def test_what_was_typed_without_access_comes_into_the_box(closed):
    client = closed.test_client()
    reply = client.post(
        f"/conversations/{'x' * 22}/ask",
        data={"question": "\nLong <thoughts>"},
        headers={"Referer": "http://localhost/completion"},
    )
    assert reply.status_code == 401
    assert "\n\nLong &lt;thoughts&gt;</textarea>" in reply.text and 'value="/completion"' in reply.text
    page = sign_in(client, back="/completion", typed="\r\nLong <thoughts>")
    assert page.status_code == 200
    assert "\n\nLong &lt;thoughts&gt;</textarea>" in page.text and "Begin a text" in page.text


def test_other_fields_are_given_back_too(closed):
    reply = closed.test_client().post(f"/conversations/{'x' * 22}/parameters", data={"seed": "7", "user": ""})
    assert reply.status_code == 401 and "seed: 7</textarea>" in reply.text


def test_who_is_no_browser_hears_it_by_the_status(closed):
    reply = closed.test_client().get("/", headers={"Accept": "*/*"})
    assert reply.status_code == 401


def test_an_answer_goes_on_when_somebody_signs_out(closed, openai):
    client = closed.test_client()
    sign_in(client)
    chat = Chat(client)
    openai.enqueue(Reply([event(chunk("Half")), SILENCE]))
    chat.ask("One?")
    wait_until(lambda: texts(chat.page()) == ["Half"])
    client.post("/sign-out")
    assert chat.stream("x" * 22).status_code == 303
    assert client.get(f"/conversations/{chat.id}/answers/x/stream", headers={"HX-Request": "true"}).status_code == 401
    sign_in(client)
    assert (statuses(chat.page()), texts(chat.page())) == (["pending"], ["Half"])


def test_who_is_not_signed_in_any_more_hears_what_is_true(closed):
    def told(path, **form):
        send = client.post if path.startswith("POST ") else client.get
        reply = send(path.split()[-1], data=form, headers={"HX-Request": "true"})
        assert reply.status_code == 401
        return reply.text

    client, conversation = closed.test_client(), f"/conversations/{'x' * 22}"
    assert "not signed in. What you typed is still here." in told(f"POST {conversation}/ask", question="One?")
    assert "so the answer was not stopped" in told(f"POST {conversation}/stop")
    assert "so nothing was done" in told(f"POST {conversation}/turns/{'x' * 22}/retry", answer_id="abcd1234")
    assert "An answer that is being written goes on." in told("/completion")
    assert "You are not signed in. <a" in told(f"{conversation}/export")
    # What is in no box afterwards stays where it is, and the code is typed elsewhere.
    assert 'target="_blank"' in told(f"POST {conversation}/parameters", system="You are a pirate.")
    assert 'target="_blank"' in told(f"POST {conversation}/turns/{'x' * 22}/edit", question="One?")
    assert 'target="_blank"' not in told(f"POST {conversation}/ask", question="One?")


def test_who_signed_out_is_told_for_a_while_what_is_kept_and_who_sees_it(closed):
    client = closed.test_client()
    sign_in(client)
    client.post("/sign-out")
    for _ in range(2):
        assert "whoever signs in here next sees them" in client.get("/sign-in").text
    assert "data-left" not in closed.test_client().get("/sign-in").text
    sign_in(client)
    assert client.get_cookie("farewell") is None
    client.post("/visitor/delete")
    assert "data-left" not in client.get("/sign-in").text  # That is another farewell.
    assert "data-left" in client.get("/visitor/deleted").text


# In a browser


@pytest.fixture
def app(request, config):
    """Closed for the tests in a browser, which use `live`."""
    code = {"ACCESS_CODE": CODE} if "live" in request.fixturenames else {}
    app = create_app({"TESTING": True, **UNLIMITED, **config, **code})
    yield app
    app.extensions["answers"].shut_down()


@pytest.mark.parametrize("address", ["/sign-out", "/visitor/delete"])
def test_a_stream_ends_when_its_visitor_leaves(app, live, openai, monkeypatch, address):
    monkeypatch.setattr("webapp.answers.HEARTBEAT", 0.05)
    client = app.test_client()
    sign_in(client)
    chat, other = Chat(client), app.test_client()
    openai.enqueue(Reply([event(chunk("Half")), SILENCE]))
    chat.ask("One?")
    wait_until(lambda: texts(chat.page()) == ["Half"])
    path = unescape(re.search(r'hx-sse:connect="([^"]+)"', chat.page()).group(1))
    with urlopen(Request(live + path, headers={"Cookie": chat.cookie()})) as stream:
        stream.readline()
        sign_in(other)
        other.post(address)  # Somebody else's leaving is nothing to this one.
        for _ in range(10):
            assert b"parley:gone" not in stream.readline()
        client.post(address)
        assert stream.read().endswith(b"event: parley:gone\ndata:\n\n")


@pytest.mark.browser
@pytest.mark.parametrize("address", ["/sign-out", "/visitor/delete"])
def test_another_tab_that_follows_an_answer_hears_that_its_visitor_left(visit, live, openai, monkeypatch, address):
    monkeypatch.setattr("webapp.answers.HEARTBEAT", 0.05)
    page = with_half_an_answer(visit(live), openai)
    page.request.post(f"{live}{address}")
    expect(page.locator("#notice")).to_contain_text("not signed in. An answer that is being written goes on.")
    expect(page.locator(".following, .polling, #stop")).to_have_count(0)
    visit.expects = ""


@pytest.mark.browser
@pytest.mark.parametrize(
    "looks", [{"locale": "en"}, {"locale": "zh-CN", "color_scheme": "dark", "viewport": {"width": 390, "height": 844}}]
)
@pytest.mark.parametrize("script", [True, False])
def test_signing_in_with_the_keyboard_alone(visit, live, looks, script):
    page = visit(f"{live}/completion", **looks, java_script_enabled=script)
    expect(page.locator("#code")).to_be_focused()
    if script:
        check(page, "the sign-in page")
    page.keyboard.type("wrong code")
    page.keyboard.press("Enter")
    expect(page.locator("#code-error")).to_be_visible()
    expect(page.locator("#code")).to_be_focused()
    if script:
        check(page, "the sign-in page with an error")
    page.keyboard.type(CODE)
    page.keyboard.press("Enter")
    expect(page.locator("#question")).to_be_visible()
    assert page.url.endswith("/completion")
    page.locator("#menu-button").click()
    page.locator("#sign-out").click()
    expect(page.locator("#code")).to_be_visible()
    visit.expects = ""  # The console tells of every 401.


def with_half_an_answer(page, openai):
    """Sign in on a page, and let an answer stand on it that does not go on."""
    sign_in_on(page)
    openai.enqueue(Reply([event(chunk("Half")), SILENCE]))
    page.locator("#question").fill("One?")
    page.keyboard.press("Enter")
    expect(page.locator(".answer .text")).to_contain_text("Half")
    return page


def sign_in_on(page):
    """Sign in as a person does, and wait for the page with its scripts."""
    page.locator("#code").fill(CODE)
    with page.expect_event("load"):
        page.keyboard.press("Enter")


@pytest.mark.browser
def test_who_is_signed_out_meanwhile_keeps_what_they_typed(visit, live):
    page = visit(live)
    sign_in_on(page)
    page.locator("#question").fill("Long thoughts")
    page.request.post(f"{live}/sign-out")
    page.context.clear_cookies(name="farewell")  # As where the session ran out by itself.
    page.locator("#send").click()
    expect(page.locator("#notice")).to_contain_text("not signed in")
    expect(page.locator("#question")).to_have_value("Long thoughts")
    page.locator("#notice a").click()
    sign_in_on(page)
    expect(page.locator("#question")).to_have_value("Long thoughts")
    visit.expects = ""


@pytest.mark.browser
def test_what_was_typed_goes_with_who_signs_out_in_every_tab(visit, live):
    page = visit(live)
    sign_in_on(page)
    page.locator("#question").fill("A draft")
    other = visit(f"{live}/completion", page.context)
    other.locator("#question").fill("Another draft")
    page.locator("#menu-button").click()
    page.locator("#sign-out").click()
    expect(page.locator("[data-left]")).to_contain_text("You are signed out")
    expect(other.locator("#code")).to_be_visible()
    for tab in (page, other):
        sign_in_on(tab) if tab is page else tab.reload()
        expect(tab.locator("#question")).to_have_value("")
    visit.expects = ""  # An estimate may have been on its way.


@pytest.mark.browser
def test_an_answer_that_is_followed_by_somebody_signed_out_says_so_and_is_there_afterwards(visit, live, openai):
    page = with_half_an_answer(visit(live), openai)
    page.request.post(f"{live}/sign-out")
    page.evaluate("new BroadcastChannel('parley').postMessage('changed')")  # Another tab asks for the page anew.
    expect(page.locator("#notice")).to_contain_text("not signed in")
    expect(page.locator(".answer .text")).to_contain_text("Half")
    page.locator("#notice a").click()
    sign_in_on(page)
    expect(page.locator(".answer .text")).to_contain_text("Half")
    visit.expects = ""


@pytest.mark.browser
def test_a_stream_that_is_not_let_in_any_more_says_so_once_and_stops_asking(visit, live, app, openai):
    page = visit(live)
    sign_in_on(page)
    openai.enqueue(Reply([event(chunk("Half")), SILENCE]))

    def close(route):
        app.extensions["door"] = Door("another code", b"")
        route.continue_()

    intercept(page, "**/stream**", close)
    page.locator("#question").fill("One?")
    page.keyboard.press("Enter")
    expect(page.locator("#notice")).to_contain_text("not signed in")
    expect(page.locator(".following, .polling")).to_have_count(0)
    expect(page.locator(".question")).to_contain_text("One?")
    visit.expects = ""
