"""What a first visit costs, counted in a real Chromium with an empty cache, against the server as people run it."""

from urllib.parse import urlsplit

import pytest

from .conftest import wait_until
from .openai_server import Reply

pytestmark = pytest.mark.browser

MOST_BYTES = 40_000
MOST_REQUESTS = 5


@pytest.fixture
def server(serve, openai):
    return serve(OPENAI_BASE_URL=openai.base_url, OPENAI_API_KEY="sk-test", CHAT_MODEL="test-model")


class Wire:
    """What a page asks for, and the bytes that come for it: heads and bodies as they are sent."""

    def __init__(self, page):
        self.sent = {}
        self.received = {}
        devtools = page.context.new_cdp_session(page)
        devtools.send("Network.enable")
        devtools.on("Network.requestWillBeSent", self._send)
        devtools.on("Network.loadingFinished", self._finish)

    def _send(self, event):
        if not event["request"]["url"].startswith("data:"):
            self.sent[event["requestId"]] = event["request"]["url"]

    def _finish(self, event):
        if event["requestId"] in self.sent:
            self.received[event["requestId"]] = event["encodedDataLength"]

    @property
    def size(self):
        return sum(self.received.values())


@pytest.fixture
def arrive(visit, browser):
    """Open an address with an empty cache; return the page and what went over the wire once all is quiet."""
    contexts = []

    def open_page(url, cookies=()):
        contexts.append(browser.new_context())
        contexts[-1].add_cookies(cookies)
        page = visit("about:blank", contexts[-1])
        wire = Wire(page)
        page.goto(url, wait_until="networkidle")
        wait_until(lambda: page.title() and len(wire.received) == len(wire.sent))
        return page, wire

    yield open_page
    for context in contexts:
        context.close()


def check(wire, url):
    assert len(wire.sent) <= MOST_REQUESTS, list(wire.sent.values())
    assert wire.size <= MOST_BYTES, {wire.sent[each]: size for each, size in wire.received.items()}
    assert {urlsplit(each).netloc for each in wire.sent.values()} == {urlsplit(url).netloc}


def test_a_first_visit_is_light(arrive, server, visit):
    for path in ("/", "/completion", "/images", "/models", "/nowhere"):
        _, wire = arrive(server.url + path)
        check(wire, server.url)
    visit.expects = ""  # The browser reports the 404.


def test_so_it_is_where_the_models_have_to_be_asked_for(arrive, serve, openai):
    openai.models = Reply.json({"data": [{"id": name} for name in ("gpt-test", "whisper-test", "tts-test")]})
    server = serve(OPENAI_BASE_URL=openai.base_url, OPENAI_API_KEY="sk-test")
    for _ in range(2):  # The first visitor may come before the list of models.
        _, wire = arrive(server.url)
        check(wire, server.url)


def test_each_panel_is_light_as_a_page_of_its_own(arrive, server):
    first, _ = arrive(server.url)
    first.locator("#question").fill("One?")
    first.locator("#question").press("Enter")
    first.locator(".answer[data-status=done]").wait_for()
    conversation = first.locator("#composer").get_attribute("action").removesuffix("/ask")
    answer = first.locator(".answer").get_attribute("id").removeprefix("answer-")
    for path in ("parameters", "export", "clear", f"answers/{answer}/exchange"):
        url = f"{server.url}{conversation}/{path}"
        page, wire = arrive(url, first.context.cookies())
        assert page.locator("h1").count() == 1
        check(wire, url)


def test_a_second_visit_asks_for_the_page_alone(arrive, server):
    page, wire = arrive(server.url)
    wire.received.clear()
    wire.sent.clear()
    page.goto(server.url, wait_until="networkidle")
    wait_until(lambda: wire.received)
    # What the browser's own cache gives is reported as received with no bytes.
    assert len([size for size in wire.received.values() if size]) == 1


def test_the_page_is_painted_before_any_script_has_come(visit, server):
    page = visit("about:blank")
    held = []
    page.route("**/*.js", lambda route: held.append(route))
    page.goto(server.url, wait_until="commit")
    wait_until(lambda: page.evaluate("performance.getEntriesByName('first-contentful-paint').length"))
    assert held
    assert page.locator("#question").is_visible()
    assert page.evaluate("typeof htmx") == "undefined"
    page.unroute_all()
