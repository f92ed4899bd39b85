import pytest

from webapp import create_app

from .conftest import Chat, wait_until


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 303),
        ({"Sec-Fetch-Site": "same-origin"}, 303),
        ({"Sec-Fetch-Site": "none"}, 303),
        ({"Origin": "http://localhost"}, 303),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Origin": "http://localhost"}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://["}, 403),
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


@pytest.mark.parametrize(
    ("settings", "host", "status"),
    [
        ({}, "localhost:8000", 200),
        ({}, "127.0.0.1", 200),
        ({}, "[::1]:8000", 200),
        ({}, "evil.example", 403),
        ({}, "[", 403),
        ({}, "", 403),
        ({}, "127.0.0.1.evil.example", 403),
        ({"ALLOWED_HOSTS": ("chat.example",)}, "chat.example", 200),
        ({"ALLOWED_HOSTS": ("chat.example",)}, "localhost", 200),
        ({"ALLOWED_HOSTS": ("chat.example",)}, "evil.example", 403),
        ({"HOST": "0.0.0.0"}, "chat.example", 200),
    ],
)
def test_only_its_own_names_are_answered(config, settings, host, status):
    with create_app({**config, **settings}).test_client() as client:
        assert client.get("/", headers={"Host": host}).status_code == status


@pytest.mark.parametrize(
    ("origin", "status"),
    [("http://chat.example:8080", 303), ("https://chat.example", 303), ("http://evil.example", 403), ("http://[", 403)],
)
def test_a_page_that_a_proxy_asks_for_under_another_name_is_ours_where_it_is_named(config, origin, status):
    app = create_app({**config, "ALLOWED_HOSTS": ("chat.example",)})
    with app.test_client() as client:
        response = client.post(
            f"/conversations/{Chat(client).id}/clear", data={"confirmed": "yes"}, headers={"Origin": origin}
        )
    app.extensions["answers"].shut_down()
    assert response.status_code == status


@pytest.mark.parametrize("path", ["/", "/static/style.css", "/healthz", "/nowhere"])
def test_every_response_carries_the_policy(client, path):
    headers = client.get(path, buffered=True).headers
    assert "default-src 'none'; script-src 'self'; style-src 'self'" in headers["Content-Security-Policy"]
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "same-origin"
    assert not any(name.startswith("Access-Control") for name, _ in headers)


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
