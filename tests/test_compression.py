"""Pages are compressed; streams, files and small answers are not."""

import gzip

import pytest

GZIP = {"Accept-Encoding": "gzip, deflate, br, zstd"}


def test_a_page_is_compressed(client):
    response = client.get("/", headers=GZIP)
    assert response.headers["Content-Encoding"] == "gzip"
    assert "Accept-Encoding" in response.headers["Vary"]
    assert "<title>Parley" in gzip.decompress(response.data).decode()
    assert response.headers["Content-Length"] == str(len(response.data))


def test_a_page_is_plain_for_who_takes_no_gzip(client):
    response = client.get("/", headers={"Accept-Encoding": "br"})
    assert "Content-Encoding" not in response.headers
    assert "Accept-Encoding" in response.headers["Vary"]
    assert "<title>Parley" in response.text


def test_a_refusal_is_a_page_as_well(client):
    response = client.get("/nowhere", headers=GZIP)
    assert response.status_code == 404
    assert "Accept-Encoding" in response.headers["Vary"]


def test_what_is_small_stays_as_it_is(chat):
    response = chat.client.post(f"/conversations/{chat.id}/ask", data={}, headers=GZIP | {"HX-Request": "true"})
    assert response.status_code == 422
    assert "Content-Encoding" not in response.headers


def test_a_stream_stays_as_it_is(chat):
    chat.answered("One? " * 500)
    response = chat.stream(headers=GZIP)
    assert response.mimetype == "text/event-stream"
    assert "Content-Encoding" not in response.headers


@pytest.mark.parametrize("kind", ["json", "markdown", "notebook"])
def test_a_file_stays_as_it_is(chat, kind):
    chat.answered("One? " * 500)
    response = chat.client.get(f"/conversations/{chat.id}/export/{kind}", headers=GZIP)
    assert response.status_code == 200
    assert "Content-Encoding" not in response.headers
