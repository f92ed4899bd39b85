"""What every answer of the server tells a browser: each address, each method, each error."""

import re

import pytest
from limits import RateLimitItemPerHour

from webapp import create_app

from .conftest import UNLIMITED, Chat

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


CODE = "open sesame 7"
STYLES = [{}, {"HX-Request": "true"}, {"HX-Request": "true", "Accept": "text/plain"}]


def kinds(app, closed, monkeypatch):
    """Yield by its status every kind of response that there is, as a page, a fragment and a text."""
    chat = Chat(app.test_client())
    chat.answered("One?")
    app.extensions["files"].write(chat.id, "a.png", bytes(range(10)))
    answer = re.search(r'id="answer-([\w-]+)"', chat.page())[1]
    style = re.search(r'href="(/static/[^"]+style.css)"', chat.page())[1]
    own, stranger = f"/conversations/{chat.id}", Chat(app.test_client())
    app.extensions["answers"].room._max_turns = 1

    def get(path, client=chat.client, **headers):
        return client.get(path, headers=headers, buffered=True)

    yield 206, get(f"{own}/files/a.png", Range="bytes=0-4")
    yield 416, get(f"{own}/files/a.png", Range="bytes=90-")
    yield 304, get(f"{own}/files/a.png", **{"If-None-Match": get(f"{own}/files/a.png").headers["ETag"]})
    yield 200, get(style)
    yield 304, get(style, **{"If-None-Match": get(style).headers["ETag"]})
    yield 302, get("/static/style.css")
    yield 308, get("/visitor//deleted")
    for kind in ("markdown", "json", "notebook"):
        yield 200, get(f"{own}/export/{kind}")
    yield 200, get(f"{own}/answers/{answer}/stream")
    yield 200, get(f"{own}/answers/{answer}/stream?poll=1")
    yield 200, get("/healthz")
    yield 204, chat.post("stop", htmx=True)
    yield 303, chat.post("clear")
    yield 200, chat.post("estimate", question="Half")
    yield 400, chat.client.post(f"{own}/ask", data=b"question=%ff", content_type="application/x-www-form-urlencoded")
    for headers in STYLES:

        def post(path, client=chat.client, headers=headers, **form):
            return client.post(path, data=form, headers=headers)

        yield 413, post(f"{own}/ask", question="More?")
        yield 413, post(f"{own}/ask", question="x" * 3_000_000)
        yield 422, post(f"{own}/ask", question=" ")
        yield 422, post(f"{own}/parameters", temperature="hot")
        yield 422, post("/models/use", model="")
        yield 404, get("/nowhere", **headers)
        yield 404, get(own + "/export/json", stranger.client, **headers)
        yield 405, post("/visitor", client=app.test_client())
        yield 403, post(f"{own}/ask", headers=headers | {"Sec-Fetch-Site": "cross-site"}, question="Theirs?")
        yield 401, post(f"{own}/ask", client=closed.test_client(), question="Mine?")
        yield 303, get("/", closed.test_client())
        yield 401, closed.test_client().post("/sign-in", data={"code": "a wrong code"}, headers=headers)
        with monkeypatch.context() as broken:
            broken.setattr(app.extensions["store"], "load", lambda *_: 1 / 0)
            yield 500, get("/", **headers)
            broken.setattr(app.extensions["store"], "load", lambda *_: (_ for _ in ()).throw(OSError(28, "Full")))
            yield 503, get("/", **headers)
    for _ in range(4):
        closed.test_client().post("/sign-in", data={"code": "a wrong code"})
    yield 429, closed.test_client().post("/sign-in", data={"code": CODE})
    app.extensions["answers"].rates._newcomers = app.extensions["answers"].rates._visitor = (RateLimitItemPerHour(1),)
    app.extensions["answers"].rates.count_visitor("127.0.0.1")
    for headers in STYLES:
        yield 429, stranger.client.post(f"/conversations/{stranger.id}/ask", data={"question": "?"}, headers=headers)


def test_every_kind_of_response_carries_all_headers(config, tmp_path, monkeypatch):
    app = create_app({**config, **UNLIMITED})
    closed = create_app({**config, **UNLIMITED, "DATA_DIR": tmp_path / "closed", "ACCESS_CODE": CODE})
    seen = set()
    for status, response in kinds(app, closed, monkeypatch):
        path = response.request.path
        assert response.status_code == status, path
        is_file = "/files/" in path and status in (200, 206, 304)
        check(response, f"{status} {path}", is_file=is_file)
        response.close()
        seen.add(status)
    app.extensions["answers"].shut_down()
    assert len(seen) == 18


def test_https_is_not_demanded_of_what_else_runs_on_this_machine(client):
    response = client.get("/", base_url="https://localhost")
    assert "Strict-Transport-Security" not in response.headers
