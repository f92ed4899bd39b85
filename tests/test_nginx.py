"""Behind a real nginx: with its defaults, in a sub-path, compressing, and holding everything back."""

import os
import threading
from pathlib import Path

import pytest
from playwright.sync_api import expect

from . import nginx
from .conftest import ask, launch, wait_until
from .openai_server import DONE, Reply, chunk, event

EXAMPLE = (Path(__file__).parent.parent / "deploy/nginx.conf").read_text()
DEFAULTS = "server { listen 80; location / { proxy_pass http://127.0.0.1:8000; } }"
COMPRESSING = DEFAULTS.replace("listen 80;", "listen 80; gzip on; gzip_proxied any; gzip_types *;")
BUFFERING = DEFAULTS.replace("listen 80;", "listen 80; proxy_buffering on; proxy_ignore_headers X-Accel-Buffering;")
SUB_PATH = """server { listen 80; location /parley/ {
    proxy_pass http://127.0.0.1:8000/; proxy_set_header X-Forwarded-Prefix /parley; } }"""

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not nginx.find() and "CI" not in os.environ, reason=nginx.HELP),
]


@pytest.fixture
def behind(serve, openai, tmp_path):
    """Start Parley behind an nginx with a configuration."""
    started = []

    def start(configuration, **settings):
        server = serve(OPENAI_BASE_URL=openai.base_url, OPENAI_API_KEY="sk-test", CHAT_MODEL="test-model", **settings)
        started.append(nginx.Nginx(tmp_path / "nginx", server.url, configuration))
        wait_until(started[-1].listens)
        return started[-1]

    yield start
    for each in started:
        each.close()


class Slow:
    """An answer that goes on when it is told to."""

    def __init__(self, openai, *pieces):
        self.gates = [threading.Event() for _ in pieces]
        steps = [step for piece, gate in zip(pieces, self.gates, strict=True) for step in (event(chunk(piece)), gate)]
        openai.enqueue(Reply([*steps, event(chunk(finish="stop")), DONE]))

    def go_on(self):
        next(gate for gate in self.gates if not gate.is_set()).set()


def follows_piece_by_piece(page, openai):
    """Check that each piece of an answer is in the page while the model still waits to send the next."""
    slow = Slow(openai, "One ", "two ", "three.")
    ask(page)
    text = page.locator(".answer .text").last
    expect(text).to_have_text("One")
    slow.go_on()
    expect(text).to_have_text("One two")
    slow.go_on()
    expect(text).to_have_text("One two three.")
    assert page.locator(".answer").last.get_attribute("data-status") == "pending"
    slow.go_on()
    expect(page.locator(".answer").last).to_have_attribute("data-status", "done")
    expect(text).to_have_text("One two three.")
    expect(page.locator(".polling, .following")).to_have_count(0)


@pytest.mark.parametrize("configuration", [DEFAULTS, COMPRESSING], ids=["defaults", "compressing"])
def test_nothing_comes_in_a_lump(behind, visit, openai, configuration):
    page = visit(behind(configuration).url)
    follows_piece_by_piece(page, openai)


def test_in_a_sub_path(behind, visit, openai):
    page = visit(f"{behind(SUB_PATH, TRUSTED_PROXIES='127.0.0.1').url}/parley/")
    follows_piece_by_piece(page, openai)
    page.reload()
    expect(page.locator(".answer .text")).to_have_text("One two three.")
    page.locator(".exchange-link").click()
    expect(page.locator("#request-1")).to_be_visible()
    assert {cookie["path"] for cookie in page.context.cookies()} == {"/parley"}


@pytest.mark.parametrize("path", ["/", "/parley/"])
def test_with_the_example(behind, playwright, openai, path):
    """As the example has it: under a name, on plain http, where browsers send no `Sec-Fetch-Site`."""
    proxy = behind(EXAMPLE, TRUSTED_PROXIES="127.0.0.1", ALLOWED_HOSTS="chat.example.org")
    browser = launch(playwright, "--host-resolver-rules=MAP chat.example.org 127.0.0.1")
    page = browser.new_page()
    page.goto(f"http://chat.example.org:{proxy.port}{path}")
    follows_piece_by_piece(page, openai)
    plain = browser.new_page(java_script_enabled=False)
    plain.goto(f"http://chat.example.org:{proxy.port}{path}")
    plain.locator("#question").fill("Without a script?")
    plain.locator("#send").click()
    expect(plain.locator(".answer .text")).to_have_text("You said: Without a script?")
    browser.close()


def test_where_nginx_asks_under_a_name_of_its_own_the_browsers_name_can_be_allowed(behind, playwright, openai):
    proxy = behind(DEFAULTS, ALLOWED_HOSTS="chat.example.org")
    browser = launch(playwright, "--host-resolver-rules=MAP chat.example.org 127.0.0.1")
    page = browser.new_page()
    page.goto(f"http://chat.example.org:{proxy.port}/")
    follows_piece_by_piece(page, openai)
    browser.close()


def test_the_page_polls_where_everything_is_held_back(behind, visit, openai):
    page = visit(behind(BUFFERING).url)
    requests = []
    page.on("request", lambda request: "/stream" in request.url and requests.append(request.url))
    follows_piece_by_piece(page, openai)
    assert "poll" not in requests[0]
    assert all("poll=1" in url for url in requests[1:])
    assert len(requests) > 3
    follows_piece_by_piece(page, openai)


def test_where_nothing_is_held_back_nothing_polls(behind, visit, openai):
    page = visit(behind(DEFAULTS).url)
    slow = Slow(openai, "One.")
    ask(page)
    expect(page.locator(".answer .text")).to_have_text("One.")
    expect(page.locator(".following")).to_have_count(1)
    expect(page.locator(".polling")).to_have_count(0)
    slow.go_on()
    expect(page.locator(".answer")).to_have_attribute("data-status", "done")
