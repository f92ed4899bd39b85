import pytest

from webapp.media import download_name


@pytest.fixture
def files(app):
    return app.extensions["files"]


def get(chat, name="a.mp3", **options):
    return chat.client.get(f"/conversations/{chat.id}/files/{name}", buffered=True, **options)


def test_a_file_is_served_to_its_owner_as_nothing_that_could_run(chat, files):
    files.write(chat.id, "a.mp3", b"0123456789")
    response = get(chat)
    assert (response.status_code, response.data) == (200, b"0123456789")
    assert response.headers["Content-Type"] == "audio/mpeg"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'; sandbox"
    assert response.headers["Cache-Control"] == "private, max-age=31536000, immutable"
    assert response.headers["Content-Disposition"] == "inline; filename=a.mp3"
    assert "Set-Cookie" not in response.headers


def test_a_file_is_nobody_elses(chat, files, app):
    files.write(chat.id, "a.mp3", b"0123456789")
    with app.test_client() as other:
        other.get("/")
        assert other.get(f"/conversations/{chat.id}/files/a.mp3").status_code == 404
    with app.test_client() as stranger:
        assert stranger.get(f"/conversations/{chat.id}/files/a.mp3").status_code == 404


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.png", "image/png"),
        ("a.jpg", "image/jpeg"),
        ("a.webp", "image/webp"),
        ("a.gif", "image/gif"),
        ("a.wav", "audio/wav"),
        ("a.ogg", "audio/ogg"),
        ("a.opus", "audio/ogg"),
        ("a.flac", "audio/flac"),
        ("a.aac", "audio/aac"),
    ],
)
def test_each_ending_has_its_type_whatever_the_content_looks_like(chat, files, name, kind):
    files.write(chat.id, name, b"<html><script>alert(1)</script>")
    assert get(chat, name).headers["Content-Type"] == kind


@pytest.mark.parametrize("name", ["a.json", "a.svg", "a.html", "a.log", "a", "a.mp3.json"])
def test_other_files_are_not_served(chat, files, name):
    files.write(chat.id, name, b"secret")
    response = get(chat, name)
    assert response.status_code == 404
    assert "secret" not in response.text


@pytest.mark.parametrize(
    "name",
    ["..%2fa.mp3", "%2e%2e/a.mp3", "../a.mp3", "..", "a%00.mp3", "a.mp3%0a", "%2fetc%2fa.mp3", "A.MP3", "missing.mp3"],
)
def test_a_name_that_leads_elsewhere_is_not_found(chat, files, app, name):
    files.write(chat.id, "b.mp3", b"0123456789")
    (files.folder / "a.mp3").write_bytes(b"outside")
    response = get(chat, name)
    assert response.status_code == 404
    assert b"outside" not in response.data


def test_a_part_is_served_for_seeking(chat, files):
    files.write(chat.id, "a.mp3", b"0123456789")
    response = get(chat, headers={"Range": "bytes=2-4"})
    assert (response.status_code, response.data) == (206, b"234")
    assert response.headers["Content-Range"] == "bytes 2-4/10"
    assert response.headers["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'; sandbox"
    assert get(chat, headers={"Range": "bytes=-3"}).data == b"789"
    assert get(chat, headers={"Range": "bytes=20-30"}).status_code == 416
    assert get(chat).headers["Accept-Ranges"] == "bytes"


def test_what_a_browser_has_is_not_sent_again(chat, files):
    files.write(chat.id, "a.mp3", b"0123456789")
    response = get(chat, headers={"If-None-Match": get(chat).headers["ETag"]})
    assert (response.status_code, response.data) == (304, b"")
    assert response.headers["Cache-Control"] == "private, max-age=31536000, immutable"


def test_a_download_gets_the_name_that_was_asked_for(chat, files):
    files.write(chat.id, "a.png", b"0123456789")
    response = get(chat, "a.png", query_string={"download": "长城 at dawn.png"})
    assert response.headers["Content-Disposition"] == (
        "attachment; filename=\" at dawn.png\"; filename*=UTF-8''%E9%95%BF%E5%9F%8E%20at%20dawn.png"
    )


def test_a_downloads_name_cannot_add_a_header(chat, files):
    files.write(chat.id, "a.png", b"0123456789")
    response = get(chat, "a.png", query_string={"download": 'x"\r\nSet-Cookie: a=b\r\n; filename=evil.exe'})
    assert response.status_code == 200
    assert "Set-Cookie" not in response.headers
    assert response.headers["Content-Disposition"] == 'attachment; filename="x Set-Cookie a=b; filename=evil.exe.png"'


@pytest.mark.parametrize(
    ("suggested", "name"),
    [
        ("A cat.png", "A cat.png"),
        ("", "file.png"),
        ("../../etc/passwd", "etc passwd.png"),
        ("...", "file.png"),
        ("a\u202egnp.exe", "agnp.exe.png"),
        ("x" * 500, "x" * 100 + ".png"),
        ("CON: <1>?", "CON 1.png"),
    ],
)
def test_a_downloads_name_can_be_used_anywhere(suggested, name):
    assert download_name(suggested, "png") == name
