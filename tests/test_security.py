import re
import socket

import pytest

from webapp import create_app

from .conftest import WAIT, Chat, wait_until

OURS = "http://localhost"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 303),
        ({"Sec-Fetch-Site": "same-origin"}, 303),
        ({"Sec-Fetch-Site": "same-origin", "Origin": "null"}, 303),
        ({"Sec-Fetch-Site": "none"}, 303),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Origin": OURS}, 403),
        ({"Sec-Fetch-Site": "same-site", "Origin": OURS}, 403),
        # No browser writes it so; what is not known is not ours.
        ({"Sec-Fetch-Site": "Same-Origin"}, 403),
        ({"Sec-Fetch-Site": "SAME-SITE"}, 403),
        ({"Sec-Fetch-Site": ""}, 403),
        ({"Sec-Fetch-Site": "same-origin, cross-site"}, 403),
        ({"Sec-Fetch-Site": " cross-site "}, 403),
        ({"Sec-Fetch-Site": "anything-new"}, 403),
        ({"Origin": OURS}, 303),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": ""}, 403),
        ({"Origin": "http://["}, 403),
        ({"Origin": "http://localhost:81"}, 403),
        ({"Origin": "http://localhost:8000"}, 403),
        ({"Origin": "http://localhost.evil.example"}, 403),
        ({"Origin": "http://evil.example/localhost"}, 403),
        ({"Origin": "http://localhost@evil.example"}, 403),
        ({"Origin": "http://evil.example@localhost"}, 403),
        ({"Origin": "http://evil.example#localhost"}, 403),
        ({"Origin": f"{OURS} http://evil.example"}, 403),
        ({"Origin": f"http://evil.example {OURS}"}, 403),
        ({"Origin": f"{OURS}, http://evil.example"}, 403),
        ({"Origin": "localhost"}, 403),
        ({"Origin": "//localhost"}, 403),
        ({"Origin": "file://localhost"}, 403),
        ({"Origin": "chrome-extension://localhost"}, 403),
        ({"Origin": "http://localhost."}, 403),
        ({"Origin": "http://127.0.0.1"}, 403),
    ],
)
def test_a_change_that_another_site_asks_for_is_refused(chat, openai, headers, status):
    response = chat.client.post(f"/conversations/{chat.id}/ask", data={"question": "One?"}, headers=headers)
    assert response.status_code == status
    if status == 403:
        assert "another site" in response.text
        assert "One?" in response.text, "What was typed is given back."
        assert openai.bodies == []
    else:
        wait_until(lambda: openai.bodies)


NAMED = {"ALLOWED_HOSTS": ("chat.example",)}


@pytest.mark.parametrize(
    ("settings", "host", "status"),
    [
        ({}, "localhost:8000", 200),
        ({}, "LOCALHOST:8000", 200),
        ({}, "127.0.0.1", 200),
        ({}, "[::1]:8000", 200),
        ({}, "[::1]", 200),
        ({}, "evil.example", 403),
        ({}, "[", 403),
        ({}, "[::1", 403),
        ({}, "::1", 403),
        ({}, "[::ffff:127.0.0.1]", 403),
        ({}, "", 403),
        ({}, ":8000", 403),
        ({}, "localhost.", 403),
        ({}, "localhost:port", 403),
        ({}, "localhost:8000:8000", 403),
        ({}, "127.0.0.1.evil.example", 403),
        ({}, "127.1", 403),
        ({}, "2130706433", 403),
        ({}, "0.0.0.0", 403),
        ({}, "evil.example@localhost", 403),
        ({}, "localhost@evil.example", 403),
        ({}, "evil.example/localhost", 403),
        ({}, "localhost/evil.example", 403),
        ({}, "localhost?evil.example", 403),
        ({}, "localhost#evil.example", 403),
        ({}, "localhost\\evil.example", 403),
        ({}, "localhost,evil.example", 403),
        ({}, "localhost evil.example", 403),
        ({}, "local%68ost", 403),
        (NAMED, "chat.example", 200),
        (NAMED, "Chat.Example:8443", 200),
        (NAMED, "localhost", 200),
        (NAMED, "evil.example", 403),
        (NAMED, "sub.chat.example", 403),
        (NAMED, "chat.example.evil.example", 403),
        ({"HOST": "0.0.0.0"}, "chat.example", 200),
    ],
)
def test_only_its_own_names_are_answered(config, settings, host, status):
    with create_app({**config, **settings}).test_client() as client:
        assert client.get("/", headers={"Host": host}).status_code == status


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        (["GET / HTTP/1.1", "Host: localhost"], 200),
        (["GET http://evil.example/ HTTP/1.1", "Host: evil.example"], 403),
        (["GET http://localhost/ HTTP/1.1", "Host: evil.example"], 403),
        (["GET / HTTP/1.1", "Host: localhost", "Host: evil.example"], 4),
        (["GET / HTTP/1.1", "Host: evil.example", "Host: localhost"], 4),
        (["GET / HTTP/1.1", "Host: localhost", "X-Forwarded-Host: evil.example"], 200),
        (["GET / HTTP/1.0"], 200),  # No browser leaves it out.
        (["GET //evil.example/ HTTP/1.1", "Host: localhost"], 4),
        (["CONNECT evil.example:443 HTTP/1.1", "Host: evil.example:443"], 4),
    ],
)
def test_no_form_of_a_request_gets_around_the_name(server, lines, status):
    """By the server as people run it: what it makes of a request, no client of the tests would send."""
    with socket.create_connection(("127.0.0.1", int(server.settings["PORT"])), timeout=WAIT) as connection:
        connection.sendall("\r\n".join([*lines, "Connection: close", "", ""]).encode())
        head = connection.makefile("rb").read()
    assert head.split()[1].startswith(str(status).encode()), head[:200]
    assert b"Location: http" not in head and b"Location: //" not in head


@pytest.mark.parametrize(
    ("host", "origin", "status"),
    [
        # A proxy that asks under a name of its own.
        ("127.0.0.1:8000", "http://chat.example:8080", 303),
        ("127.0.0.1:8000", "https://chat.example", 303),
        ("127.0.0.1:8000", "http://evil.example", 403),
        ("127.0.0.1:8000", "http://[", 403),
        ("127.0.0.1:8000", "http://127.0.0.1:9000", 403),
        ("127.0.0.1:8000", "http://evil.example@chat.example", 403),
        ("127.0.0.1:8000", "http://chat.example/evil", 403),
        ("127.0.0.1:8000", "ftp://chat.example", 403),
        # One that passes it on, or none: then the port tells our page from another program's on the same machine.
        ("chat.example:8080", "http://chat.example:8080", 303),
        ("chat.example:8080", "http://Chat.Example:8080", 303),
        ("chat.example:8080", "http://chat.example:9000", 403),
        ("chat.example:8080", "http://chat.example", 403),
        ("chat.example", "http://chat.example:9000", 403),
        ("chat.example", "http://chat.example", 303),
    ],
)
def test_whose_page_an_origin_is(config, host, origin, status):
    app = create_app({**config, **NAMED})
    with app.test_client() as client:
        response = client.post(
            f"/conversations/{Chat(client).id}/clear",
            data={"confirmed": "yes"},
            headers={"Origin": origin, "Host": host},
        )
    app.extensions["answers"].shut_down()
    # Another name has another session, whose conversation this is not; it was let in all the same.
    assert (403 if response.status_code == 403 else 303) == status


@pytest.mark.parametrize(
    ("origin", "status"), [("https://localhost", 303), (OURS, 403), ("https://localhost:444", 403)]
)
def test_what_came_over_https_was_not_asked_for_by_a_page_over_http(client, origin, status):
    base = "https://localhost"
    id_ = re.search(r"/conversations/([\w-]+)/ask", client.get("/", base_url=base).text)[1]
    response = client.post(
        f"/conversations/{id_}/clear", data={"confirmed": "yes"}, headers={"Origin": origin}, base_url=base
    )
    assert response.status_code == status


def test_pages_are_kept_by_no_cache(client):
    assert client.get("/").headers["Cache-Control"] == "no-store"


def test_pages_hold_nothing_that_the_policy_forbids(chat):
    page = chat.answered("One?")
    for forbidden in ("<style", "style=", "onclick", "javascript:", "hx-on", "js:"):
        assert forbidden not in page


def test_the_key_is_nowhere(chat, app):
    chat.answered("One?")
    assert "sk-test" not in chat.page()
    for path in app.config["DATA_DIR"].rglob("*"):
        assert path.is_dir() or b"sk-test" not in path.read_bytes()
