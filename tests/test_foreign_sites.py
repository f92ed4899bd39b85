"""What pages of other sites can do to a visitor in a real browser, who has the cookie: nothing.

The other site is on another port: under the same host it is the same site to the browser, which sends our cookie along;
under another name of this machine it is another site altogether.
"""

import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from flask import request
from playwright.sync_api import expect

from webapp import create_app

from .conftest import UNLIMITED, ask, launch, wait_until
from .openai_server import PNG

pytestmark = pytest.mark.browser

HOSTS = ["127.0.0.1", "localhost"]
FORMS = ["application/x-www-form-urlencoded", "multipart/form-data", "text/plain"]


class Page(BaseHTTPRequestHandler):
    """An empty page, which lets everybody do everything."""

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>Elsewhere</title><link rel=icon href=data:,><body>")

    def log_message(self, *_):
        pass


@pytest.fixture
def app(config):
    """Ours, with what it was asked: a browser does not always tell of what it then blocks."""
    app = create_app({"TESTING": True, **UNLIMITED, **config, "ALLOWED_HOSTS": ("chat.example",)})
    app.asked = []

    @app.after_request
    def note(response):
        app.asked.append((request.method, request.path, request.headers.get("Origin"), response.status_code))
        return response

    yield app
    app.extensions["answers"].shut_down()


@pytest.fixture
def elsewhere():
    """Return the port of another site."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    yield server.server_port
    server.shutdown()
    server.server_close()


@pytest.fixture
def ours(visit, live, app):
    """The visitor's page with a question, its answer and an image."""
    page = visit(live)
    ask(page, "Mine?")
    expect(page.locator(".answer[data-status=done]")).to_be_visible()
    page.conversation = re.search(r"/conversations/(\w+)/ask", page.content())[1]
    page.turn = page.locator("article.turn").get_attribute("id").removeprefix("turn-")
    page.answer = page.locator(".answer").get_attribute("id").removeprefix("answer-")
    app.extensions["files"].write(page.conversation, "a.png", PNG)
    page.cookies = page.context.cookies()
    yield page
    visit.expects = ""  # The browser tells of each thing that is refused.


def posts(app, page):
    """Yield the addresses that take forms, by the table of them."""
    ids = {"conversation_id": page.conversation, "turn_id": page.turn, "answer_id": page.answer, "index": 0}
    adapter = app.url_map.bind("127.0.0.1")
    for rule in app.url_map.iter_rules():
        if "POST" in rule.methods:
            values = {name: ids.get(name, "x") for name in rule.arguments}
            yield adapter.build(rule.endpoint, values, method="POST")


@pytest.fixture
def theirs(visit, ours, elsewhere, host):
    """Another site's page in the same browser: under that name, at another port."""
    return visit(f"http://{host}:{elsewhere}", context=ours.context)


def unchanged(page, openai):
    """Check that nothing was asked and nothing changed."""
    page.reload()
    expect(page.locator(".question")).to_have_text(["Mine?"])
    expect(page.locator(".answer .text")).to_have_text(["You said: Mine?"])
    assert openai.questions == ["Mine?"]
    assert page.context.cookies() == page.cookies


FIELDS = {"question": "Theirs?", "confirmed": "yes", "theme": "dark", "model": "theirs", "version": "1", "answer": "1"}
SUBMIT = """([address, type, fields, frame]) => {
    if (frame) document.body.append(Object.assign(document.createElement("iframe"), {name: frame}));
    const form = document.createElement("form");
    Object.assign(form, {action: address, method: "post", enctype: type, target: frame});
    for (const [name, value] of Object.entries(fields)) {
        form.append(Object.assign(document.createElement("input"), {name, value}));
    }
    document.body.append(form);
    form.submit();
}"""


@pytest.mark.parametrize("host", HOSTS)
def test_no_form_of_another_page_is_taken(live, app, ours, theirs, elsewhere, openai, host):
    own = f"/conversations/{ours.conversation}/ask"
    with theirs.expect_navigation(url=f"{live}{own}") as there:
        theirs.evaluate(SUBMIT, [f"{live}{own}", FORMS[0], FIELDS, ""])
    sent = there.value.request.all_headers()
    assert sent["sec-fetch-site"] == ("same-site" if host == "127.0.0.1" else "cross-site")
    assert ("cookie" in sent) == (host == "127.0.0.1")
    assert there.value.status == 403
    expect(theirs.locator("body")).to_contain_text("another site")

    # All the others at once, each in a frame of its own.
    theirs.goto(f"http://{host}:{elsewhere}")
    paths, before = list(posts(app, ours)), len(app.asked)
    for number, path in enumerate(paths):
        theirs.evaluate(SUBMIT, [f"{live}{path}", FORMS[number % len(FORMS)], FIELDS, f"frame-{number}"])
    wait_until(lambda: len(app.asked) >= before + len(paths), 30)
    origin = f"http://{host}:{elsewhere}"
    assert sorted(app.asked[before:]) == sorted(("POST", path, origin, 403) for path in paths)
    assert len(paths) > 20
    unchanged(ours, openai)


@pytest.mark.parametrize("host", HOSTS[:1])
def test_no_form_of_a_page_without_an_origin_is_taken(live, app, ours, theirs, openai, host):
    """A sandboxed frame sends `Origin: null`, as a page would that does not want to be known."""
    path = f"/conversations/{ours.conversation}/ask"
    before = len(app.asked)
    theirs.evaluate(
        """action => {
            const frame = document.createElement("iframe");
            frame.sandbox = "allow-scripts allow-forms";
            frame.srcdoc = `<form method=post action="${action}"><input name=question value=Theirs?></form>
                <script>document.forms[0].submit()</script>`;
            document.body.append(frame);
        }""",
        f"{live}{path}",
    )
    wait_until(lambda: len(app.asked) > before, 30)
    assert app.asked[before:] == [("POST", path, "null", 403)]
    unchanged(ours, openai)


FETCHES = """async ([address, conversation, answer]) => {
    const at = path => `${address}/conversations/${conversation}/${path}`;
    const body = new URLSearchParams({question: "Theirs?", confirmed: "yes"});
    const results = {};
    const attempt = async (name, path, options) => {
        try {
            const reply = await fetch(path, {credentials: "include", ...options});
            results[name] = [reply.type, (await reply.text()).length];
        } catch (error) {
            results[name] = error.name;
        }
    };
    for (const mode of ["no-cors", "cors"]) {
        for (const path of ["ask", "clear", "stop", "estimate"]) {
            await attempt(`${mode} ${path}`, at(path), {mode, method: "POST", body});
        }
        for (const path of ["export/json", "files/a.png", `answers/${answer}/markdown`, `answers/${answer}/stream`]) {
            await attempt(`${mode} ${path}`, at(path), {mode});
        }
        await attempt(`${mode} page`, address, {mode});
        await attempt(`${mode} deletion`, `${address}/visitor/delete`, {mode, method: "POST", body});
    }
    await attempt("htmx", at("ask"), {method: "POST", body, headers: {"HX-Request": "true"}});
    await attempt("json", at("ask"), {method: "POST", body: "{}", headers: {"Content-Type": "application/json"}});
    navigator.sendBeacon(at("ask"), body);
    results.events = await new Promise(resolve => {
        const source = new EventSource(at(`answers/${answer}/stream`), {withCredentials: true});
        source.onerror = () => { source.close(); resolve("Error"); };
        source.onmessage = source.onopen = () => resolve("read");
    });
    return results;
}"""


@pytest.mark.parametrize("host", HOSTS)
def test_no_script_of_another_page_changes_or_reads_anything(live, ours, theirs, openai, host):
    results = theirs.evaluate(FETCHES, [live, ours.conversation, ours.answer])
    assert len(results) == 23
    for name, result in results.items():
        assert result in ("TypeError", "Error", ["opaque", 0]), name
    unchanged(ours, openai)


LOADS = """async ([address, conversation, answer]) => {
    const at = path => `${address}/conversations/${conversation}/${path}`;
    const load = (tag, attributes) => new Promise(resolve => {
        const element = Object.assign(document.createElement(tag), attributes);
        element.onload = element.onloadeddata = () => resolve("loaded");
        element.onerror = () => resolve("refused");
        document.body.append(element);
    });
    window.onerror = () => { window.ran = true; };
    return {
        image: await load("img", {src: at("files/a.png")}),
        export: await load("script", {src: at("export/json")}),
        stream: await load("script", {src: at(`answers/${answer}/stream`)}),
        page: await load("script", {src: address}),
        script: await load("script", {src: `${address}/static/parley.js`}),
        style: await load("link", {rel: "stylesheet", href: `${address}/`}),
        sound: await load("audio", {src: at("files/a.png")}),
        ran: Boolean(window.ran),
    };
}"""


@pytest.mark.parametrize("host", HOSTS)
def test_nothing_of_ours_loads_into_another_page(live, ours, theirs, openai, host):
    results = theirs.evaluate(LOADS, [live, ours.conversation, ours.answer])
    assert results.pop("ran") is False
    assert results and set(results.values()) == {"refused"}, results
    assert theirs.evaluate("typeof htmx") == "undefined"
    unchanged(ours, openai)


@pytest.mark.parametrize("host", HOSTS)
def test_no_page_of_ours_is_shown_in_a_frame(live, app, ours, theirs, host):
    paths = ["/", "/visitor", f"/conversations/{ours.conversation}/clear", "/nowhere"]
    file = f"/conversations/{ours.conversation}/files/a.png"
    for tag, source, addresses in (
        ("iframe", "src", [*paths, file]),
        ("embed", "src", paths),
        ("object", "data", paths),
    ):
        for path in addresses:
            theirs.evaluate(
                """([tag, source, address]) => new Promise(resolve => {
                    const element = document.createElement(tag);
                    element[source] = address;
                    element.onload = element.onerror = resolve;
                    document.body.append(element);
                })""",
                [tag, source, f"{live}{path}"],
            )
            assert app.asked[-1][1] == path
    assert [frame.url for frame in theirs.frames if frame.url.startswith(live)] == []
    assert len(theirs.frames) > 4, "They are there, and empty."


@pytest.mark.parametrize("host", HOSTS)
def test_a_window_that_another_page_opens_is_out_of_its_hands(live, ours, theirs, openai, host):
    with theirs.expect_popup() as opened:
        theirs.evaluate("address => { window.theirs = window.open(address, 'named') }", f"{live}/?from={ours.turn}")
    popup = opened.value
    expect(popup.locator("#question")).to_be_visible()
    assert popup.evaluate("[window.opener, window.name]") == [None, ""]
    theirs.wait_for_function("window.theirs.closed")
    assert popup.locator(".question").count() == 1, "It is only shown to the visitor."
    popup.close()
    unchanged(ours, openai)


@pytest.mark.parametrize("host", ["chat.example", "evil.chat.example", "evil.example"])
def test_over_plain_http_the_origin_tells(config, playwright, live, openai, elsewhere, host):
    """Beyond this machine a browser sends no `Sec-Fetch-Site` on plain http."""
    browser = launch(playwright, "--host-resolver-rules=MAP *.example 127.0.0.1")
    page = browser.new_page()
    address = f"http://chat.example:{live.rpartition(':')[2]}"
    page.goto(address)
    ask(page, "Mine?")
    expect(page.locator(".answer[data-status=done]")).to_be_visible()
    conversation = re.search(r"/conversations/(\w+)/ask", page.content())[1]
    for path in ("ask", "clear"):
        page.goto(f"http://{host}:{elsewhere}")
        action = f"{address}/conversations/{conversation}/{path}"
        with page.expect_navigation(url=action) as there:
            page.evaluate(SUBMIT, [action, FORMS[0], FIELDS, ""])
        sent = there.value.request.all_headers()
        assert (sent.get("sec-fetch-site"), sent["origin"]) == (None, f"http://{host}:{elsewhere}")
        assert there.value.status == 403
    page.goto(address)
    expect(page.locator(".question")).to_have_text(["Mine?"])
    assert openai.questions == ["Mine?"]
    browser.close()
