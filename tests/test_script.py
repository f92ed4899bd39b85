"""The page's own script stays small, and what is not needed at first comes later."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import expect

from .conftest import intercept

ROOT = Path(__file__).parent.parent
SCRIPTS = {path.name: path.read_text() for path in (ROOT / "static").glob("*.js")}


def sent(app, name):
    """Return how many bytes a script takes on the wire."""
    client = app.test_client()
    url = client.get(f"/static/{name}").location
    return len(client.get(url, headers={"Accept-Encoding": "gzip"}).data)


def test_the_script_of_every_page_stays_under_6_kb(app):
    assert sent(app, "parley.js") <= 6_000


@pytest.mark.parametrize("name", sorted(set(SCRIPTS) - {"parley.js"}))
def test_a_script_that_comes_later_stays_under_3_kb(app, name):
    assert sent(app, name) <= 3_000


def test_scripts_are_sent_without_what_only_people_read(app):
    client = app.test_client()
    for name, text in SCRIPTS.items():
        received = client.get(f"/static/{name}", follow_redirects=True).text
        assert "/*" not in received, name
        assert not re.search(r"^\s*//", received, re.MULTILINE), name
        kept = re.sub(r"^\s*//.*|/\*(?s:.*?)\*/", "", text, flags=re.MULTILINE)
        assert "".join(received.split()) == "".join(kept.split())


def test_no_script_holds_a_sentence():
    for name, text in SCRIPTS.items():
        code = re.sub(r"/\*.*?\*/|//[^\n]*", "", text, flags=re.DOTALL)
        said = [literal for literal in re.findall(r'"([^"\n]*)"|`([^`]*)`', code) for literal in literal if literal]
        assert not [one for one in said if re.match(r"[A-Z][a-z]+ [a-z]+", one)], name


@pytest.mark.browser
def test_a_first_visit_fetches_one_script_of_ours_and_the_others_come_when_they_are_used(visit, live):
    page = visit("about:blank")
    fetched = []
    page.on("request", lambda request: fetched.append(request.url.rpartition("/")[2]))
    page.goto(live)
    page.wait_for_load_state("networkidle")
    assert [name for name in fetched if name in SCRIPTS] == ["parley.js"]
    page.keyboard.press("Control+/")
    expect(page.locator("#keys")).to_be_visible()
    assert "keys.js" in fetched


@pytest.mark.browser
def test_a_script_that_cannot_be_fetched_is_told_and_tried_again(visit, live):
    page = visit(live)
    intercept(page, "**/keys.js", lambda route: route.abort())
    page.keyboard.press("Control+/")
    expect(page.locator("#notice")).to_contain_text("did not answer")
    page.unroute("**/keys.js")
    page.keyboard.press("Control+/")
    expect(page.locator("#keys")).to_be_visible()
    visit.expects = ""
