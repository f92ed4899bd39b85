"""What is said to those who do not see the page, what the tab shows, and what is copied."""

import re
from threading import Event

import pytest
from playwright.sync_api import expect

from .conftest import Chat, ask, wait_until
from .openai_server import DONE, SILENCE, Reply, chunk, event

MARKDOWN = "# Title\n\n**Bold** and `code`,\n\n- 一\n- 二\n"


def test_an_answers_markdown_is_its_owners_alone(chat, app):
    page = chat.answered("One?")
    answer = re.findall(r'id="answer-([\w-]+)"', page)[-1]
    reply = chat.client.get(f"/conversations/{chat.id}/answers/{answer}/markdown")
    assert (reply.status_code, reply.text, reply.content_type) == (200, "You said: One?", "text/plain; charset=utf-8")
    other = Chat(app.test_client())
    assert other.client.get(f"/conversations/{chat.id}/answers/{answer}/markdown").status_code == 404
    assert chat.client.get(f"/conversations/{chat.id}/answers/nowhere/markdown").status_code == 404


def test_the_conversation_is_a_log_that_is_not_read_piece_by_piece(chat):
    assert re.search('<section id="conversation" role="log" aria-live="off"', chat.page())


@pytest.fixture
def page(visit, live):
    page = visit("about:blank")
    page.clock.install()
    page.goto(live)
    return page


def told(page, text):
    expect(page.locator("body > .told")).to_have_text(text)


@pytest.mark.browser
def test_an_answer_is_told_at_its_beginning_now_and_then_and_whole_at_its_end(page, openai):
    openai.enqueue(Reply([event(chunk("Half ")), SILENCE]), Reply.text("All of it."))
    ask(page)
    told(page, "Answering…")
    assert page.title() == "… Parley"
    expect(page.locator(".answer .text")).to_have_text("Half ")
    told(page, "Answering…")
    page.clock.run_for(15_000)
    told(page, "Still answering…")
    page.locator("#stop").click()
    told(page, "Stopped.")
    assert page.title() == "Parley"
    ask(page, "Two?")
    told(page, "All of it.")


@pytest.mark.browser
def test_of_a_long_answer_the_beginning_is_told_and_how_long_it_is(page, openai):
    openai.enqueue(Reply.text("字" * 700, " word" * 700))
    ask(page)
    told(page, re.compile("^字{700}( word)+.*… The answer goes on: it has 1400 words.$"))


@pytest.mark.browser
def test_behind_a_panel_nothing_is_lost(page, openai):
    gate = Event()
    openai.enqueue(Reply([event(chunk("Half")), gate, event(chunk(" and half.")), event(chunk(finish="stop")), DONE]))
    ask(page)
    page.get_by_role("link", name="Parameters").click()
    expect(page.locator("#panel")).to_be_visible()
    gate.set()
    expect(page.locator("#panel > .told")).to_have_text("Half and half.")


@pytest.mark.browser
def test_a_hidden_tab_shows_that_the_answer_is_complete(page, openai):
    gate = Event()
    openai.enqueue(Reply([event(chunk("Half")), gate, event(chunk(" and half.")), event(chunk(finish="stop")), DONE]))
    ask(page)
    expect(page.locator(".answer .text")).to_contain_text("Half")
    hide = """(hidden) => {
      Object.defineProperty(document, "hidden", {value: hidden, configurable: true});
      document.dispatchEvent(new Event("visibilitychange"));
    }"""
    page.evaluate(hide, True)
    gate.set()

    def later():
        page.clock.run_for(15_000)
        return page.title() == "● Parley"

    wait_until(later)
    page.evaluate(hide, False)
    page.clock.run_for(1000)
    expect(page.locator(".answer")).to_have_attribute("data-status", "done")
    assert page.title() == "Parley"


WITHOUT_CLIPBOARD = "delete Navigator.prototype.clipboard"


@pytest.mark.browser
@pytest.mark.parametrize("script", ["", WITHOUT_CLIPBOARD])
def test_an_answer_is_copied_as_markdown_or_as_shown(visit, live, openai, script):
    page = visit(live, permissions=["clipboard-read", "clipboard-write"])
    page.evaluate("window.pasted = navigator.clipboard.read.bind(navigator.clipboard)")
    page.evaluate(script)
    openai.enqueue(Reply.text(MARKDOWN))
    ask(page)
    page.get_by_role("button", name="Copy", exact=True).click()
    expect(page.locator(".copy-markdown")).to_have_text("Copied")
    # While it is copied to, a clipboard cannot be read.
    texts = """async () => {
      const [item] = await pasted();
      const text = async (type) => [type, await (await item.getType(type)).text()];
      return Promise.all(item.types.map(text)).then(Object.fromEntries, () => null);
    }"""
    wait_until(lambda: page.evaluate(texts) == {"text/plain": MARKDOWN})
    expect(page.locator(".copy-markdown")).to_be_focused()
    page.get_by_role("button", name="Copy as shown").click()
    expect(page.locator(".copy-shown")).to_have_text("Copied")
    copied = wait_until(lambda: (read := page.evaluate(texts)) and "text/html" in read and read)
    assert copied["text/plain"].strip() == page.locator(".answer .text").inner_text().strip()
    assert "Title" in copied["text/html"]
    page.keyboard.press("Control+/")
    expect(page.locator("#keys")).to_be_visible()
    page.keyboard.press("c")
    wait_until(lambda: page.evaluate(texts) == {"text/plain": MARKDOWN})


@pytest.mark.browser
def test_back_asks_before_it_leaves_what_was_typed_into_a_panel(visit, live):
    page = visit(live)
    page.get_by_role("link", name="Parameters").click()
    page.locator("#panel [name=temperature]").fill("0.5")
    page.once("dialog", lambda dialog: dialog.dismiss())
    page.evaluate("history.back()")
    expect(page.locator("#panel")).to_be_visible()
    expect(page.locator("#panel [name=temperature]")).to_have_value("0.5")
    page.once("dialog", lambda dialog: dialog.accept())
    page.evaluate("history.back()")
    expect(page.locator("#panel")).to_be_hidden()
    assert page.evaluate("history.state") is None


@pytest.mark.browser
def test_a_panels_head_stays_in_sight_and_covers_nothing(visit, live):
    page = visit(live, viewport={"width": 390, "height": 700})
    page.get_by_role("link", name="Parameters").click()
    page.locator("#panel").evaluate("panel => panel.scrollTo(0, 500)")
    head = page.locator("#panel-title").bounding_box()
    close = page.get_by_role("button", name="Close").bounding_box()
    assert head["y"] <= 0.5
    assert close["y"] >= 0 and close["y"] + close["height"] <= head["y"] + head["height"]
    assert page.locator("#panel").evaluate("panel => panel.scrollWidth <= panel.clientWidth")


CODE = "Hi\n\n```python\nx = 1\n```\n"


@pytest.mark.browser
def test_what_is_told_and_copied_as_shown_is_without_the_titles_of_code(visit, live, openai):
    page = visit(live, permissions=["clipboard-read", "clipboard-write"])
    openai.enqueue(Reply.text(CODE))
    ask(page)
    expect(page.locator(".code-title .copy")).to_be_visible()
    told(page, re.compile(r"^Hi\s+x = 1\s*$"))
    page.get_by_role("button", name="Copy as shown").click()
    expect(page.locator(".copy-shown")).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()").split() == ["Hi", "x", "=", "1"]
    html = "navigator.clipboard.read().then(([item]) => item.getType('text/html')).then((kept) => kept.text())"
    assert "Python" not in page.evaluate(html)


@pytest.mark.browser
def test_a_button_that_says_copied_leaves_its_neighbours_where_they_are(visit, live):
    page = visit(live, permissions=["clipboard-read", "clipboard-write"])
    ask(page)
    button = page.locator(".copy-markdown")
    button.wait_for()
    before = page.locator(".copy-shown").bounding_box()["x"]
    button.click()
    expect(button).to_have_text("Copied")
    assert page.locator(".copy-shown").bounding_box()["x"] == before
    assert button.evaluate("button => button.scrollWidth <= button.clientWidth")
