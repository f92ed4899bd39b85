"""Parley in a sub-path, and behind proxies."""

import re
import urllib.request
from ipaddress import ip_network

import pytest
from flask import request

from webapp import create_app

from .conftest import Chat
from .openai_server import Reply

TRUSTED = (ip_network("10.0.0.0/8"), ip_network("127.0.0.1"), ip_network("fd00::/8"))
NAMED = {"TRUSTED_PROXIES": TRUSTED, "ALLOWED_HOSTS": ("chat.example",)}


@pytest.fixture
def client_of(config):
    """Make a client of an application with more settings; each has its own conversation."""
    apps = []

    def make(**settings):
        apps.append(create_app({"TESTING": True, **config, **settings}))
        return apps[-1].test_client()

    yield make
    for app in apps:
        app.extensions["answers"].shut_down()


def heard(client, address, **forwarded):
    """Return what the application takes for the client, the scheme, the host and the sub-path."""
    seen = {}

    @client.application.before_request
    def look():
        seen["all"] = request.remote_addr, request.scheme, request.host, request.script_root

    headers = {f"X-Forwarded-{name.title()}": value for name, value in forwarded.items()}
    client.get("/healthz", headers=headers, environ_overrides={"REMOTE_ADDR": address})
    return seen["all"]


ALL = {"for": "192.0.2.1", "proto": "https", "host": "chat.example", "prefix": "/parley"}
UNTOLD = ("http", "localhost", "")


@pytest.mark.parametrize("address", ["127.0.0.1", "10.1.2.3", "::ffff:10.1.2.3", "fd00::1"])
def test_a_trusted_proxy_is_believed(client_of, address):
    assert heard(client_of(**NAMED), address, **ALL) == ("192.0.2.1", "https", "chat.example", "/parley")


@pytest.mark.parametrize("address", ["192.0.2.7", "::1", "", "unix:", "11.0.0.1"])
def test_nobody_else_is(client_of, address):
    assert heard(client_of(**NAMED), address, **ALL) == (address, *UNTOLD)


def test_without_a_setting_nobody_is(client_of):
    assert heard(client_of(), "127.0.0.1", **ALL) == ("127.0.0.1", *UNTOLD)


@pytest.mark.parametrize(
    ("chain", "client"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("192.0.2.1, 10.0.0.9", "192.0.2.1"),
        ("6.6.6.6, 192.0.2.1, 10.0.0.9, 10.0.0.8", "192.0.2.1"),  # The first was the client's own invention.
        ("10.0.0.9", "10.0.0.9"),
        ("unknown", "unknown"),
        ("", "127.0.0.1"),
    ],
)
def test_the_client_is_the_first_that_is_no_proxy(client_of, chain, client):
    assert heard(client_of(**NAMED), "127.0.0.1", **{"for": chain})[0] == client


@pytest.mark.parametrize("prefix", ["//evil.example", "/a/../b", "parley", "/a b", "https://evil.example", "/ä"])
def test_what_is_no_path_is_no_prefix(client_of, prefix):
    assert heard(client_of(**NAMED), "127.0.0.1", prefix=prefix)[3] == ""


def test_a_scheme_is_one_of_two(client_of):
    assert heard(client_of(**NAMED), "127.0.0.1", proto="gopher")[1] == "http"


def test_the_forwarded_host_has_to_be_allowed(client_of):
    headers = {"X-Forwarded-Host": "evil.example"}
    assert client_of(**NAMED).get("/", headers=headers).status_code == 403


def test_a_name_that_is_not_ours_stays_so_whatever_its_page_says_was_forwarded(client_of):
    headers = {"Host": "evil.example:8000", "X-Forwarded-Host": "localhost"}
    assert client_of(**NAMED).get("/", headers=headers).status_code == 403


@pytest.mark.parametrize("taken_off", [True, False], ids=["taken off", "left on"])
@pytest.mark.parametrize("by", ["setting", "header"])
def test_every_address_of_a_page_is_below_its_sub_path(client_of, by, taken_off):
    client = client_of(BASE_PATH="/a/parley") if by == "setting" else client_of(TRUSTED_PROXIES=TRUSTED)
    headers = {} if by == "setting" else {"X-Forwarded-Prefix": "/a/parley/"}
    seen = "" if taken_off else "/a/parley"
    response = client.get(f"{seen}/", headers=headers)
    assert response.status_code == 200
    addresses = re.findall(r'(?:href|src|action|hx-get|hx-post|hx-sse:connect)="([^"#]+)"', response.text)
    addresses = [address for address in addresses if not address.startswith("data:")]
    assert len(addresses) > 8
    assert [address for address in addresses if not address.startswith("/a/parley/")] == []
    for address in {address for address in addresses if "/static/" in address}:
        assert client.get(address.replace("/a/parley", seen), headers=headers).status_code == 200


def test_a_question_finds_its_way_in_a_sub_path(client_of):
    client = client_of(BASE_PATH="/parley")
    chat = SubPathChat(client)
    response = chat.ask("One?")
    assert response.status_code == 303
    assert response.location.startswith("/parley/#turn-")
    assert "You said: One?" in chat.settled()
    assert client.get(f"/parley/conversations/{chat.id}/export/json").status_code == 200


class SubPathChat(Chat):
    def page(self):
        return self.client.get("/parley/").text

    def post(self, path, **form):
        return self.client.post(f"/parley/conversations/{self.id}/{path}", data=form)


def test_the_page_that_loads_itself_again_stays_in_its_sub_path(client_of, openai):
    openai.enqueue(Reply.text("One ", "two.", delay=30))
    chat = SubPathChat(client_of(BASE_PATH="/parley"))
    chat.ask("One?")
    assert re.search(r'content="1;url=/parley/\?follow=1#turn-', chat.page())
    assert re.search(r'hx-sse:connect="/parley/conversations/', chat.page())


def test_the_sub_path_without_its_slash_leads_to_the_page(client_of):
    response = client_of(BASE_PATH="/parley").get("/parley")
    assert response.status_code == 308
    assert response.location.endswith("/parley/")
    assert "Set-Cookie" not in response.headers


@pytest.mark.parametrize("path", ["/parleys/", "/parley/nowhere", "/other"])
def test_what_only_looks_like_it_is_not_there(client_of, path):
    assert client_of(BASE_PATH="/parley").get(path).status_code == 404


def cookie(client, **forwarded):
    headers = {f"X-Forwarded-{name.title()}": value for name, value in forwarded.items()}
    return client.get("/", headers=headers).headers["Set-Cookie"]


def test_a_cookie_stays_in_its_sub_path(client_of):
    assert "; Path=/parley" in cookie(client_of(BASE_PATH="/parley"))
    assert "; Path=/chat" in cookie(client_of(BASE_PATH="/parley", TRUSTED_PROXIES=TRUSTED), prefix="/chat")
    assert re.search(r"; Path=/(;|$)", cookie(client_of()))


def test_over_https_a_cookie_stays_on_https(client_of):
    assert "; Secure" in cookie(client_of(**NAMED), proto="https")
    assert "Secure" not in cookie(client_of(**NAMED), proto="http")
    assert "Secure" not in cookie(client_of(), proto="https")


@pytest.mark.parametrize("base", ["", "/parley"])
def test_over_https_nobody_but_this_host_can_set_a_cookie(client_of, base):
    client = client_of(**NAMED, BASE_PATH=base)
    kept = cookie(client, proto="https")
    assert kept.startswith(f"__Host-{client.application.config['SESSION_COOKIE_NAME']}=")
    assert {"Secure", "Path=/", "HttpOnly", "SameSite=Lax"} <= set(kept.split("; "))
    assert "Domain" not in kept
    assert not cookie(client, proto="http").startswith("__Host-")


def conversation(client, cookie="", **forwarded):
    """Return the conversation that a visitor with a cookie has, by a client that keeps none."""
    headers = {f"X-Forwarded-{name.title()}": value for name, value in forwarded.items()}
    page = client.application.test_client(use_cookies=False).get("/", headers=headers | {"Cookie": cookie})
    return re.search(r"/conversations/([\w-]+)/ask", page.text)[1], page.headers.get("Set-Cookie", "").split(";")[0]


def test_over_https_a_cookie_without_the_prefix_is_nobodys(client_of):
    client = client_of(**NAMED)
    over_http, plain = conversation(client)
    over_https, prefixed = conversation(client, proto="https")
    assert prefixed.startswith("__Host-") and not plain.startswith("__Host-")
    assert conversation(client, plain) == (over_http, "")
    assert conversation(client, prefixed, proto="https") == (over_https, "")
    # Anybody who can write a page on another name of the site, or on the way, can set one without.
    assert conversation(client, plain, proto="https")[0] != over_http
    assert conversation(client, prefixed.removeprefix("__Host-"), proto="https")[0] != over_https
    assert conversation(client, f"{plain}; {prefixed}", proto="https")[0] == over_https
    # Nor is one with it something else over http.
    assert conversation(client, prefixed)[0] != over_https
    for lookalike in ("__host-", "__Secure-", "__Host-__Host-", " __Host-x"):
        assert conversation(client, prefixed.replace("__Host-", lookalike), proto="https")[0] != over_https


def test_over_https_other_installations_preferences_are_their_own(client_of, tmp_path):
    ours, other = client_of(**NAMED), client_of(**NAMED, DATA_DIR=tmp_path / "other")
    ours.post("/preferences", data={"theme": "dark"}, base_url="https://chat.example")
    (kept,) = (one for one in [ours.get_cookie(f"__Host-{name(ours)}-theme", "chat.example")] if one)
    for client, headers, seen in (
        (ours, {"Cookie": f"{kept.key}=dark"}, True),
        (ours, {"Cookie": "theme=dark"}, False),
        (ours, {"Cookie": "__Host-theme=dark"}, False),
        (other, {"Cookie": f"{kept.key}=dark"}, False),
    ):
        page = client.application.test_client(use_cookies=False).get(
            "/", base_url="https://chat.example", headers=headers
        )
        assert ('data-theme="dark"' in page.text) == seen


def name(client):
    return client.application.config["SESSION_COOKIE_NAME"]


def test_two_in_two_paths_of_a_host_have_visitors_of_their_own(client_of, tmp_path):
    one = client_of(BASE_PATH="/one", DATA_DIR=tmp_path / "one")
    two = client_of(BASE_PATH="/one/two", DATA_DIR=tmp_path / "two")
    names = [cookie(client).partition("=")[0] for client in (one, two)]
    assert names[0] != names[1]


@pytest.mark.parametrize("trusted", ["", "127.0.0.1"])
def test_the_server_itself_believes_nobody_else(serve, openai, trusted):
    server = serve(OPENAI_BASE_URL=openai.base_url, OPENAI_API_KEY="sk-test", TRUSTED_PROXIES=trusted)
    headers = {"X-Forwarded-Proto": "https", "X-Forwarded-Prefix": "/parley", "X-Forwarded-Ssl": "off"}
    with urllib.request.urlopen(urllib.request.Request(server.url, headers=headers)) as response:
        found = response.headers["Set-Cookie"]
        page = response.read().decode()
    assert ("; Secure" in found, found.startswith("__Host-")) == (bool(trusted), bool(trusted))
    assert ('action="/parley/conversations/' in page) == bool(trusted)
