"""Over https, behind a real nginx with the example's configuration, in a real Chromium."""

import os
import re
import shutil
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import expect

from . import nginx
from .conftest import WAIT, launch
from .test_nginx import behind, follows_piece_by_piece

__all__ = ["behind"]  # A fixture.

EXAMPLE = (Path(__file__).parent.parent / "deploy/nginx-https.conf").read_text()
CODE = "open sesame 7"
HSTS = "max-age=31536000"

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not nginx.find() and "CI" not in os.environ, reason=nginx.HELP),
    pytest.mark.skipif(not shutil.which("openssl") and "CI" not in os.environ, reason=nginx.OPENSSL_HELP),
]


@pytest.fixture
def place(behind, openai):
    """Return where Parley is over https; `http` is where it is not."""
    proxy = behind(EXAMPLE, TRUSTED_PROXIES="127.0.0.1", ALLOWED_HOSTS="chat.example.org", ACCESS_CODE=CODE)

    class Place(str):
        http = f"http://chat.example.org:{proxy.port}"

    return Place(f"https://chat.example.org:{proxy.secure_port}")


@pytest.fixture(scope="module")
def chromium(playwright):
    # The certificate is nobody's that a browser knows.
    browser = launch(playwright, "--host-resolver-rules=MAP chat.example.org 127.0.0.1", "--ignore-certificate-errors")
    yield browser
    browser.close()


@pytest.fixture
def new_page(chromium):
    contexts = []

    def make(**options):
        contexts.append(chromium.new_context(ignore_https_errors=True, **options))
        page = contexts[-1].new_page()
        page.set_default_timeout(WAIT * 1000)
        return page

    yield make
    for context in contexts:
        context.close()


def sign_in(page, code=CODE):
    page.locator("#code").fill(code)
    page.locator("#code").press("Enter")
    expect(page.locator("#question")).to_be_visible()
    page.wait_for_load_state()


def own(page):
    """Return the cookies by their names, and check that each is this very host's, over https alone."""
    cookies = page.context.cookies()
    for cookie in cookies:
        assert cookie["name"].startswith("__Host-parley-"), cookie["name"]
        assert (cookie["secure"], cookie["httpOnly"], cookie["sameSite"]) == (True, True, "Lax")
        assert (cookie["domain"], cookie["path"]) == ("chat.example.org", "/")
    return {cookie["name"]: cookie["value"] for cookie in cookies}


def test_all_of_it_works_over_https(place, new_page, openai):
    page = new_page(locale="en")
    seen = []
    page.on("response", lambda response: seen.append(response))
    page.goto(f"{place.http}/completion?turns=x")  # nginx leads from http to https, and Parley to the sign-in page.
    assert page.url == f"{place}/sign-in?back=/completion?turns%3Dx"
    assert own(page) == {}, "Who is not let in gets no cookie."
    sign_in(page)
    assert page.url == f"{place}/completion?turns=x"
    page.goto(place)
    follows_piece_by_piece(page, openai)
    (session,) = own(page)
    page.locator("#menu-button").click()
    page.locator("button[name=language][value=zh-CN]").click()
    expect(page.locator("html")).to_have_attribute("lang", "zh-CN")
    expect(page.locator(".answer .text")).to_have_text("One two three.")
    assert own(page).keys() == {session, f"{session}-language"}
    assert page.evaluate("[isSecureContext, document.cookie, location.protocol]") == [True, "", "https:"]

    # In a sub-path it is the same visitor, whose cookies are the whole host's.
    page.goto(f"{place}/parley/")
    expect(page.locator(".answer .text")).to_have_text("One two three.")
    follows_piece_by_piece(page, openai)
    assert own(page).keys() == {session, f"{session}-language"}

    before = own(page)[session]
    page.locator("#menu-button").click()
    page.locator("#sign-out").click()
    expect(page.locator("#code")).to_be_visible()
    assert page.url == f"{place}/parley/sign-in"
    assert own(page)[session] != before
    page.goto(place)
    expect(page.locator("#code")).to_be_visible()

    secure = [response for response in seen if response.url.startswith("https:")]
    assert [response.url for response in secure if response.headers.get("strict-transport-security") != HSTS] == []
    assert len(secure) > 20 and {200, 303} <= {response.status for response in secure}
    assert any("/stream" in response.url for response in secure)
    plain = [response for response in seen if response.url.startswith("http:")]
    assert [(response.status, response.headers["location"]) for response in plain] == [
        (301, f"{place}/completion?turns=x")
    ]


def test_without_a_script_it_does_as_well(place, new_page, openai):
    page = new_page(java_script_enabled=False)
    page.goto(f"{place}/parley/")
    page.locator("#code").fill(CODE)
    page.locator("#code").press("Enter")
    page.locator("#question").fill("Without a script?")
    page.locator("#send").click()
    expect(page.locator(".answer .text")).to_have_text("You said: Without a script?")
    assert page.url.startswith(f"{place}/parley/")
    own(page)


@pytest.fixture
def planter():
    """A server of somebody else's under the same name, on plain http: it sets the cookies of its query."""

    class Planter(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            for cookie in self.path.partition("?")[2].split("&"):
                self.send_header("Set-Cookie", cookie)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Planter)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    yield f"http://chat.example.org:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_a_cookie_that_was_planted_over_http_is_nobodys(place, new_page, planter, openai):
    """Somebody on the way plants a session of their own, so that what is typed lands with them."""
    thief = new_page()
    thief.goto(place)
    sign_in(thief)
    thief.locator("#question").fill("Theirs?")
    thief.locator("#question").press("Enter")
    expect(thief.locator(".answer[data-status=done]")).to_be_visible()
    ((name, value),) = own(thief).items()
    plain = name.removeprefix("__Host-")

    page = new_page()
    planted = [f"{plain}={value}", f"{name}={value}", f"{name}={value};Secure;Path=/", f"__host-{plain}={value}"]
    page.goto(f"{planter}/?{'&'.join(planted)}&{plain}-theme=dark&theme=dark")
    kept = {cookie["name"] for cookie in page.context.cookies()}
    assert plain in kept and "theme" in kept, "They are sent over https, too."
    assert name not in kept, "The browser keeps nobody else's."
    page.goto(place)
    expect(page.locator("#code")).to_be_visible()
    sign_in(page)
    assert page.locator(".question").count() == 0
    assert re.search(r"data-theme", page.content()) is None
    mine = {cookie["name"]: cookie["value"] for cookie in page.context.cookies()}
    assert mine[name] != value and mine[plain] == value
