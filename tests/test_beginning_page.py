"""A very long answer in a browser: what is shown of it while it comes, and that all of it is copied."""

import json
from threading import Event

import pytest
from playwright.sync_api import expect

from webapp import beginning

from .conftest import ask
from .openai_server import DONE, Reply, chunk, event

pytestmark = pytest.mark.browser

TEXT = "# A head\n\n" + "A line of **bold** words, 和汉字。\n\n" * 60


@pytest.fixture(autouse=True)
def short(monkeypatch):
    for name in ("LONGEST", "LONGEST_BESIDE"):
        monkeypatch.setattr(beginning, name, 1_200)


def told(page, words):
    expect(page.locator(".answer > .rest")).to_have_text(words)


@pytest.mark.parametrize("loaded_again", [False, True])
def test_a_page_says_how_much_there_is_and_copies_all_of_it(visit, live, openai, loaded_again):
    gates = [Event(), Event()]
    pieces = [
        event(chunk(TEXT[:1_000])),
        gates[0],
        event(chunk(TEXT[1_000:1_500])),
        gates[1],
        event(chunk(TEXT[1_500:])),
    ]
    openai.enqueue(Reply([*pieces, event(chunk(finish="stop")), DONE]))
    page = visit(live, permissions=["clipboard-read", "clipboard-write"])
    ask(page)
    expect(page.locator(".text strong").nth(20)).to_be_visible()
    expect(page.locator(".rest:visible")).to_have_count(0)
    gates[0].set()
    told(page, "Only the first 1,200 of 1,500 characters so far are shown here. Download all so far")
    if loaded_again:
        page.reload()
        told(page, "Only the first 1,200 of 1,500 characters so far are shown here. Download all so far")
    with page.expect_download() as downloading:
        page.get_by_role("link", name="Download all so far").click()
    assert downloading.value.path().read_text() == TEXT[:1_500]
    gates[1].set()
    told(page, f"Only the first 1,200 of {len(TEXT):,} characters are shown here. Download the whole text")
    expect(page.locator(".answer")).to_have_attribute("data-status", "done")
    expect(page.locator("body > .told")).to_contain_text(f"Only the first 1,200 of {len(TEXT):,} characters")
    followed = page.locator(".answer .text").inner_html()
    page.reload()
    assert page.locator(".answer .text").inner_html() == followed
    page.locator(".copy-markdown").click()
    expect(page.locator(".copy-markdown")).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == TEXT
    page.locator(".copy-shown").click()
    expect(page.locator(".copy-shown")).to_have_text("Copied")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied.endswith(f"\n\nOnly the first 1,200 of {len(TEXT):,} characters are shown here.")
    with page.expect_download() as downloading:
        page.get_by_role("link", name="Download the whole text").click()
    assert downloading.value.suggested_filename == "answer.md"
    assert downloading.value.path().read_text() == TEXT


def test_without_a_script_it_is_the_same(visit, live, openai):
    gate = Event()
    openai.enqueue(Reply([event(chunk(TEXT[:1_500])), gate, event(chunk(TEXT[1_500:], "stop")), DONE]))
    page = visit(live, java_script_enabled=False)
    page.locator("#question").fill("Much?")
    page.get_by_role("button", name="Send").click()
    told(page, "Only the first 1,200 of 1,500 characters so far are shown here. Download all so far")
    gate.set()
    told(page, f"Only the first 1,200 of {len(TEXT):,} characters are shown here. Download the whole text")


def test_reasoning_that_is_long_has_its_own_note(visit, live, openai):
    thought = chunk()
    thought["choices"][0]["delta"] = {"reasoning": "r" * 2_000}
    openai.enqueue(Reply([event(thought), event(chunk("Short.", "stop")), DONE]))
    page = visit(live)
    ask(page)
    expect(page.locator(".answer")).to_have_attribute("data-status", "done")
    page.locator(".reasoning summary").click()
    expect(page.locator(".reasoning .rest")).to_contain_text("Only the first 1,200 of 2,000 characters are shown here.")
    expect(page.locator(".answer > .rest:visible")).to_have_count(0)


def test_a_long_reply_is_copied_whole_from_its_panel(visit, live, openai):
    openai.enqueue(Reply.text(TEXT))
    page = visit(live, permissions=["clipboard-read", "clipboard-write"])
    ask(page)
    page.locator(".exchange-link").click()
    expect(page.locator("#panel .rest")).to_have_count(1)
    page.locator('[data-copy="reply-1"]').click()
    page.locator('[data-copy="reply-1"]', has_text="Copied").wait_for()
    assert json.loads(page.evaluate("navigator.clipboard.readText()"))["choices"][0]["message"]["content"] == TEXT
    page.locator('[data-copy="request-1"]').click()
    page.locator('[data-copy="request-1"]', has_text="Copied").wait_for()
    assert json.loads(page.evaluate("navigator.clipboard.readText()")) == openai.bodies[0]
