"""On paper, a conversation is a transcript."""

import pytest
from playwright.sync_api import expect

from .openai_server import Reply

pytestmark = pytest.mark.browser


def test_a_print_has_the_words_and_nothing_to_press(visit, live, openai):
    page = visit(live, color_scheme="dark")
    openai.enqueue(Reply.text("An answer. " * 300))
    page.locator("#question").fill("One?")
    page.locator("#question").press("Enter")
    expect(page.locator(".answer")).to_have_attribute("data-status", "done")
    page.emulate_media(media="print")
    seen = page.evaluate("""() => [...document.querySelectorAll("button, a, textarea, header, footer, dialog, summary")]
        .filter((one) => one.checkVisibility()).map((one) => one.outerHTML.slice(0, 60))""")
    assert seen == []
    for words in ("You", "One?", "Answer"):
        expect(page.locator("article.turn").get_by_text(words, exact=True)).to_be_visible()
    colours = page.locator(".text").evaluate(
        "text => [getComputedStyle(text).color, getComputedStyle(document.body).backgroundColor]"
    )
    assert colours == ["rgb(0, 0, 0)", "rgb(255, 255, 255)"]
    assert page.pdf(format="A4").startswith(b"%PDF")
