"""What every answer of the server tells a browser: each address, each method, each error."""

import re

import pytest

from webapp import create_app

from .conftest import Chat

ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=(), display-capture=(), usb=(), payment=()",
}
PAGE = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "connect-src": "'self'",
    "img-src": "'self' data:",
    "media-src": "'self'",
    "form-action": "'self'",
    "base-uri": "'none'",
    "frame-ancestors": "'none'",
    "require-trusted-types-for": "'script'",
    "trusted-types": "parley",
}
FILE = {"default-src": "'none'", "frame-ancestors": "'none'", "sandbox": ""}
METHODS = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "DELETE", "TRACE")
# As a browser asks on behalf of another site's page.
ELSEWHERE = {
    "Origin": "https://evil.example",
    "Sec-Fetch-Site": "cross-site",
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "HX-Request",
}


def policy(response):
    directives = [directive.partition(" ") for directive in response.headers["Content-Security-Policy"].split("; ")]
    return {name: value for name, _, value in directives}


def check(response, what="", *, is_file=False):
    headers = response.headers
    for name, value in ALWAYS.items():
        assert headers.getlist(name) == [value], (what, name)
    assert policy(response) == (FILE if is_file else PAGE), what
    told = "Sec-Fetch-Site" in response.request.headers
    assert headers.getlist("Referrer-Policy") == ["no-referrer" if told else "same-origin"], what
    assert not [name for name, _ in headers if name.lower().startswith("access-control")], what
    assert "*" not in headers.get("Timing-Allow-Origin", ""), what
    secure = response.request.scheme == "https"
    assert headers.getlist("Strict-Transport-Security") == (["max-age=31536000"] if secure else []), what
    for cookie in headers.getlist("Set-Cookie"):
        kept = set(cookie.split("; "))
        assert {"HttpOnly", "SameSite=Lax", "Path=/"} <= kept, what
        assert ("Secure" in kept, cookie.startswith("__Host-")) == (secure, secure), what


def addresses(app, chat):
    """Yield every route's address, with ids that there are and with ones that there are not."""
    page = chat.page()
    ids = {
        "conversation_id": chat.id,
        "turn_id": chat.turn_id(),
        "answer_id": re.search(r'id="answer-([\w-]+)"', page)[1],
        "kind": "markdown",
        "filename": "style.css",
        "version": "0123456789ab",
        "index": 0,
    }
    adapter = app.create_url_adapter(None) or app.url_map.bind("localhost")
    for rule in app.url_map.iter_rules():
        yield adapter.build(
            rule.endpoint, {name: ids.get(name, "none") for name in rule.arguments}, force_external=False
        )
        if rule.arguments:
            unknown = {name: 9 if name == "index" else "none" for name in rule.arguments}
            yield adapter.build(rule.endpoint, unknown, force_external=False)
    yield from ("/nowhere", "/conversations", "//", "/static/", "/../etc/passwd", "/conversations/%00/ask")


def walk(app, chat, base, headers):
    statuses = set()
    for address in addresses(app, chat):
        for method in METHODS:
            response = app.test_client().open(address, method=method, base_url=base, headers=headers)
            check(response, f"{method} {address}")
            statuses.add(response.status_code)
            response.close()
            response = chat.client.open(address, method=method, base_url=base, headers=headers)
            check(response, f"{method} {address}, its owner's")
            statuses.add(response.status_code)
            response.close()
    return statuses


@pytest.mark.parametrize("base", ["http://localhost", "https://chat.example"])
@pytest.mark.parametrize("headers", [ELSEWHERE, {"HX-Request": "true"}], ids=["elsewhere", "htmx"])
def test_every_address_and_every_refusal_carries_all_headers(config, base, headers):
    app = create_app({**config, "ALLOWED_HOSTS": ("chat.example",)})
    chat = Chat(app.test_client())
    chat.answered("One?")
    statuses = walk(app, chat, base, headers)
    app.extensions["answers"].shut_down()
    assert {200, 302, 404, 405} <= statuses
    assert 500 not in statuses
    assert (403 in statuses) == (headers is ELSEWHERE)


def test_so_do_the_errors_that_no_route_has(chat, app, monkeypatch):
    check(chat.client.get("/", headers={"Host": "evil.example"}), "another's name")
    large = chat.post("ask", question="x" * 2_000_000)
    assert large.status_code == 413
    check(large, "too large")
    broken = chat.client.post(f"/conversations/{chat.id}/ask", data=b"question=%ff%fe", content_type="x/y")
    check(broken, "no form")

    def fails(*_):
        raise RuntimeError

    app.config["PROPAGATE_EXCEPTIONS"] = False
    monkeypatch.setattr(app.extensions["store"], "load", fails)
    for headers in ({}, {"HX-Request": "true"}, {"Accept": "text/plain"}):
        failed = chat.client.get("/", headers=headers)
        assert failed.status_code == 500
        check(failed, "a fault of our own")


def test_a_file_of_a_conversation_may_do_nothing_at_all(chat, app):
    files = app.extensions["files"]
    files.write(chat.id, "a.png", b"x")
    for name in ("a.png", "a.png?download=b"):
        response = chat.client.get(f"/conversations/{chat.id}/files/{name}")
        assert response.status_code == 200
        check(response, name, is_file=True)
        response.close()


def test_a_stream_carries_them_too(chat):
    chat.answered("One?")
    response = chat.stream()
    assert response.mimetype == "text/event-stream"
    check(response, "a stream")


def test_https_is_not_demanded_of_what_else_runs_on_this_machine(client):
    response = client.get("/", base_url="https://localhost")
    assert "Strict-Transport-Security" not in response.headers
