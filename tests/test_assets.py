"""Static files: named by content, kept for ever, compressed once."""

import gzip
import re
from pathlib import Path

import pytest

from webapp.assets import JOINED, Assets

STATIC = Path(__file__).parent.parent / "static"


@pytest.fixture
def address(app):
    def of(name):
        with app.test_request_context():
            return app.url_for("static", filename=name)

    return of


def test_an_address_holds_the_contents_hash(address):
    assert re.fullmatch("/static/[0-9a-f]{12}/parley.js", address("parley.js"))
    assert re.fullmatch("/static/[0-9a-f]{12}/vendor/htmx-4.0.1.min.js", address("vendor/htmx-4.0.1.min.js"))


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("vendor/hx-sse-4.0.1.min.js", "text/javascript; charset=utf-8"),
        ("icon.svg", "image/svg+xml"),
        ("vendor/htmx-4.0.1.min.js", "text/javascript; charset=utf-8"),
    ],
)
def test_a_file_is_kept_for_ever(client, address, name, kind):
    response = client.get(address(name))
    assert response.data == (STATIC / name).read_bytes()
    assert response.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert response.headers["Content-Type"] == kind
    assert response.headers["Vary"] == "Accept-Encoding"
    assert "Content-Encoding" not in response.headers
    assert "Set-Cookie" not in response.headers


@pytest.mark.parametrize("accepted", ["gzip", "gzip, deflate, br", "*", "br;q=1, gzip;q=0.1"])
def test_it_is_compressed_for_who_takes_that(client, address, accepted):
    response = client.get(address("parley.js"), headers={"Accept-Encoding": accepted})
    assert response.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(response.data) == client.get(address("parley.js")).data
    assert response.headers["Content-Length"] == str(len(response.data))


@pytest.mark.parametrize("accepted", ["", "br", "gzip;q=0", "identity"])
def test_it_is_plain_for_who_does_not(client, address, accepted):
    response = client.get(address("parley.js"), headers={"Accept-Encoding": accepted})
    assert "Content-Encoding" not in response.headers
    assert response.headers["Vary"] == "Accept-Encoding"


def test_what_is_known_already_is_not_sent_again(client, address):
    tag = client.get(address("parley.js")).headers["ETag"]
    for headers in ({"If-None-Match": tag}, {"If-None-Match": tag, "Accept-Encoding": "gzip"}):
        response = client.get(address("parley.js"), headers=headers)
        assert response.status_code == 304
        assert response.data == b""
        assert response.headers["Cache-Control"].endswith("immutable")
    assert client.get(address("parley.js"), headers={"If-None-Match": 'W/"another"'}).status_code == 200


def test_head_says_what_get_sends(client, address):
    headers = {"Accept-Encoding": "gzip"}
    head, get = (ask(address("parley.js"), headers=headers) for ask in (client.head, client.get))
    assert head.data == b""
    assert dict(head.headers) == dict(get.headers)


@pytest.mark.parametrize("path", ["/static/0123456789ab/parley.js", "/static/parley.js"])
def test_another_address_leads_to_the_file_of_today(client, address, path):
    response = client.get(path)
    assert (response.status_code, response.location) == (302, address("parley.js"))
    assert response.headers["Cache-Control"] == "no-cache"


def test_so_does_one_in_a_folder(client, address):
    name = "vendor/htmx-4.0.1.min.js"
    for path in (f"/static/{name}", f"/static/0123456789ab/{name}"):
        assert client.get(path).location == address(name)


@pytest.mark.parametrize(
    "path", ["no.css", "0123456789ab/no.css", "../webapp/config.py", "x/../../README.md", "vendor/"]
)
def test_there_is_nothing_else(client, path):
    assert client.get(f"/static/{path}").status_code == 404


def test_who_works_on_a_file_sees_its_change(tmp_path):
    (tmp_path / "one.css").write_text("a {} /* why */")
    watched, once = Assets(tmp_path, watched=True), Assets(tmp_path, watched=False)
    before = watched.find("one.css")
    assert before.content.endswith(b"/* why */")
    (tmp_path / "one.css").write_text("a { color: red }")
    (tmp_path / "two.css").write_text("b {}")
    assert watched.find("one.css").content == b"a { color: red }"
    assert watched.find("one.css").version != before.version
    assert watched.find("two.css")
    assert once.find("one.css").content == b"a {} "


def test_what_pages_load_together_is_one_file(client, address):
    for name, parts in JOINED.items():
        response = client.get(address(name))
        assert response.content_type == "text/javascript; charset=utf-8"
        sent = [client.get(address(part)).data for part in parts]
        assert response.data == b";\n".join(sent)


def test_a_style_sheet_comes_without_what_only_people_read(client, address):
    sheet = (STATIC / "style.css").read_text()
    assert not re.search(r"""["'(][^"')\n]*/\*""", sheet), "What looks like a comment there would be taken for one."
    served = client.get(address("style.css"))
    assert served.content_type == "text/css; charset=utf-8"
    assert "/*" in sheet
    assert "/*" not in served.text
    assert re.sub(r"\s+", "", re.sub(r"/\*.*?\*/", "", sheet, flags=re.DOTALL)) == re.sub(r"\s+", "", served.text)


def test_what_does_not_get_smaller_is_sent_as_it_is(tmp_path):
    (tmp_path / "short.txt").write_text("a")
    assert Assets(tmp_path, watched=False).find("short.txt").packed is None
