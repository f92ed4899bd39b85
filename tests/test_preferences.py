"""Language and theme: plain cookies, a way back, and no flash."""

import re

import pytest
from playwright.sync_api import expect

from webapp import create_app, excerpt

from .conftest import wait_until
from .openai_server import Reply


def cookies(reply):
    return {cookie.split("=")[0]: cookie for cookie in reply.headers.getlist("Set-Cookie")}


def test_a_choice_is_a_plain_cookie_for_a_year(client):
    reply = client.post("/preferences", data={"language": "zh-CN", "theme": "dark", "back": "/images?from=a"})
    assert (reply.status_code, reply.headers["Location"]) == (303, "/images?from=a")
    kept = cookies(reply)
    assert kept.keys() == {"language", "theme"}, "The session is neither read nor written."
    for cookie in kept.values():
        assert {"Max-Age=31536000", "Path=/", "SameSite=Lax", "HttpOnly"} <= set(cookie.split("; "))
        assert "Secure" not in cookie
    page = client.get("/").text
    assert '<html lang="zh-CN" data-theme="dark">' in page
    assert '<meta name="color-scheme" content="dark">' in page
    assert re.findall(r'<meta name="theme-color" content="(\S+)">', page) == ["#17181a"]


def test_over_https_it_is_this_hosts_and_this_installations_alone(config):
    client = create_app({"TESTING": True, **config, "BASE_PATH": "/chat"}).test_client()
    page = client.get("/chat/models?now=1").text
    back = re.search(r'name="back" value="([^"]*)"', page)[1]
    assert 'action="/chat/preferences"' in page
    reply = client.post("/chat/preferences", data={"theme": "light", "back": back}, base_url="https://localhost")
    assert reply.headers["Location"] == "/chat/models?now=1"
    name = f"__Host-{client.application.config['SESSION_COOKIE_NAME']}-theme"
    assert {"Secure", "Path=/", "HttpOnly", "SameSite=Lax"} <= set(cookies(reply)[name].split("; "))
    assert 'data-theme="light"' in client.get("/chat/", base_url="https://localhost").text
    reply = client.post("/chat/preferences", data={"theme": ""}, base_url="https://localhost")
    assert {"Secure", "Path=/", "Max-Age=0"} <= set(cookies(reply)[name].split("; "))
    assert "data-theme" not in client.get("/chat/", base_url="https://localhost").text


def test_an_empty_choice_takes_it_back(client):
    client.post("/preferences", data={"theme": "dark"})
    client.post("/preferences", data={"theme": ""})
    page = client.get("/").text
    assert "data-theme" not in page and page.count('media="(prefers-color-scheme:') == 2


@pytest.mark.parametrize("form", [{}, {"theme": "purple"}, {"language": "tlh"}, {"language": "x" * 5000}])
def test_nonsense_changes_nothing(client, form):
    client.set_cookie("theme", "dark")
    reply = client.post("/preferences", data=form)
    assert (reply.status_code, cookies(reply)) == (303, {})


@pytest.mark.parametrize(
    "back",
    [
        "//evil.example/",
        "https://evil.example/",
        "/\\evil.example",
        "\\\\evil.example",
        "javascript:alert(1)",
        "/nowhere",
        "/preferences",
        "/models/use",
        "/\n/evil.example",
        "http:///evil.example",
        "[",
        "x" * 5000,
        "",
    ],
)
def test_the_way_back_leads_only_to_our_own_pages(client, back):
    assert client.post("/preferences", data={"back": back}).headers["Location"] == "/"


def test_every_page_has_the_choices_and_leads_back_to_itself(chat):
    for address in ("/", "/images", "/models?now=1", f"/conversations/{chat.id}/parameters"):
        page = chat.client.get(address).text
        back = re.search(r'name="back" value="([^"]*)"', page)[1]
        assert chat.client.post("/preferences", data={"back": back}).headers["Location"] == address
        assert page.count('aria-pressed="true"') - page.count('id="microphone" aria-pressed="true"') == 2


def test_a_choice_works_without_a_script_and_is_marked(visit, live, openai):
    page = visit(live, java_script_enabled=False)
    page.locator("#menu-button").click()
    page.get_by_role("button", name="中文").click()
    expect(page.locator("html")).to_have_attribute("lang", "zh-CN")
    page.locator("#menu-button").click()
    expect(page.get_by_role("button", name="中文")).to_have_attribute("aria-pressed", "true")
    # A click that is a plain form does not wait for its answer; an expectation does.
    page.get_by_role("button", name="深色").click()
    expect(page.locator("body")).to_have_css("background-color", "rgb(23, 24, 26)")
    page.locator("#menu-button").click()
    page.get_by_role("button", name="浅色").click()
    expect(page.locator("body")).to_have_css("background-color", "rgb(251, 250, 247)")


@pytest.fixture
def long_page(visit, live, openai):
    page = visit(live)
    for number in range(4):
        openai.enqueue(Reply.text("word " * 600))
        page.locator("#question").fill(f"Question {number}?")
        page.locator("#question").press("Enter")
        expect(page.locator(".answer[data-status=done]")).to_have_count(number + 1)
    return page


def scroll_to_the_second_turn(page):
    page.evaluate("scrollTo({ top: document.querySelectorAll('.turn')[1].offsetTop - 150, behavior: 'instant' })")
    # Two frames: its event has come.
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    return page.locator(".question").nth(1).bounding_box()["y"]


@pytest.mark.browser
def test_a_choice_leaves_the_reader_where_they_are(long_page):
    top = scroll_to_the_second_turn(long_page)
    long_page.locator("#menu-button").click()
    long_page.get_by_role("button", name="Dark").click()
    expect(long_page.locator("html")).to_have_attribute("data-theme", "dark")
    expect(long_page.locator("#menu-button")).to_be_focused()
    assert abs(long_page.locator(".question").nth(1).bounding_box()["y"] - top) < 2
    long_page.reload()
    expect(long_page.locator("#question")).to_be_focused()
    assert abs(long_page.locator(".question").nth(1).bounding_box()["y"] - top) < 2


@pytest.mark.browser
def test_who_reads_turns_that_a_new_page_does_not_show_finds_them_again(long_page, monkeypatch):
    top = scroll_to_the_second_turn(long_page)
    monkeypatch.setattr(excerpt, "MOST_TURNS", 1)
    long_page.locator("#menu-button").click()
    long_page.get_by_role("button", name="Dark").click()
    expect(long_page.locator("html")).to_have_attribute("data-theme", "dark")
    question = long_page.get_by_text("Question 1?")
    wait_until(lambda: question.count() and abs(question.bounding_box()["y"] - top) < 2)
