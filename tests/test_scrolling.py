"""The page follows an answer while the reader is at its end, and only then."""

import threading

import pytest
from playwright.sync_api import expect

from .conftest import wait_until
from .openai_server import SILENCE, Reply, chunk, event

pytestmark = pytest.mark.browser

LINES = "line\n\n" * 80


@pytest.fixture
def more():
    return threading.Event()


@pytest.fixture
def page(visit, live, openai, more):
    """A page with a long answer, of which as much again comes when `more` is set."""
    openai.enqueue(Reply([event(chunk(LINES)), more, event(chunk(LINES)), event(chunk("The end.")), SILENCE]))
    page = visit(live)
    page.locator("#question").fill("One?")
    page.locator("#question").press("Enter")
    wait_until(lambda: page.evaluate("scrollY") > 1000 and away(page) < 8)
    return page


def away(page):
    return page.evaluate("document.documentElement.scrollHeight - innerHeight - scrollY")


def comes(page, more):
    more.set()
    expect(page.locator(".text").last).to_contain_text("The end.")


def test_a_reader_at_the_end_is_taken_along(page, more):
    comes(page, more)
    wait_until(lambda: away(page) < 8)
    expect(page.locator("#to-end")).to_be_hidden()


# Registered before the scrolling begins: its end may come before anybody asks for it.
SCROLLED_UP = """() => {
  const away = () => document.documentElement.scrollHeight - innerHeight - scrollY > 10;
  window.scrolled = new Promise((done) => addEventListener("scrollend", () => away() && done()));
}"""


@pytest.mark.parametrize("how", ["wheel", "key", "script"])
def test_who_scrolls_up_stays_there_and_one_press_brings_them_back(page, more, how):
    if how == "key":
        page.locator(".text").click()
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    page.evaluate(SCROLLED_UP)
    if how == "wheel":
        page.mouse.move(300, 300)
        page.mouse.wheel(0, -30)
    elif how == "key":
        page.keyboard.press("PageUp")
    else:  # as find-in-page does
        page.evaluate("scrollTo(0, 100)")
    page.evaluate("() => window.scrolled")
    reading = page.evaluate("scrollY")
    comes(page, more)
    jump = page.get_by_role("button", name="New text below")
    expect(jump).to_be_visible()
    assert page.evaluate("scrollY") == reading
    jump.click()
    assert away(page) < 8
    expect(jump).to_be_hidden()
    expect(page.locator("#question")).to_be_focused()


def test_after_the_press_following_goes_on(page, more):
    page.evaluate("scrollTo(0, 0)")
    page.get_by_role("button", name="Jump to the end").click()
    comes(page, more)
    wait_until(lambda: away(page) < 8)


def test_a_selection_that_is_being_dragged_is_not_moved(page, more):
    box = page.locator(".text").last.bounding_box()
    y = page.evaluate("innerHeight") / 3
    page.mouse.move(box["x"] + 5, y)
    page.mouse.down()
    page.mouse.move(box["x"] + 30, y + 40, steps=3)
    before = page.evaluate("scrollY")
    comes(page, more)
    assert page.evaluate("scrollY") == before
    page.mouse.up()
    assert page.evaluate("scrollY") == before
    assert page.evaluate("getSelection().toString()")


def test_an_address_with_a_turn_stays_at_that_turn(page, visit, live, openai):
    turn = page.locator("article.turn").get_attribute("id")
    page.goto("about:blank")
    page.goto(f"{live}/#{turn}")
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    assert page.evaluate("scrollY") < 300
    expect(page.locator("#to-end")).to_be_visible()


def test_typing_while_reading_above_does_not_move_the_page(page):
    page.evaluate("scrollTo(0, 300)")
    page.locator("#question").press_sequentially("and then more", delay=5)
    assert page.evaluate("scrollY") == 300


def test_a_click_on_a_panel_and_back_leaves_the_page_where_it_was(page):
    page.evaluate("scrollTo(0, 300)")
    page.get_by_role("link", name="Parameters").click()
    expect(page.locator("#panel")).to_be_visible()
    page.go_back()
    expect(page.locator("#panel")).to_be_hidden()
    assert page.evaluate("scrollY") == 300


def test_new_text_is_below_only_where_its_answer_goes_on_out_of_sight(visit, live, openai):
    page = visit(live)
    gates = [threading.Event(), threading.Event()]
    for number, reply in enumerate([Reply.text("Short."), Reply.text(LINES)]):
        openai.enqueue(reply)
        page.locator("#question").fill("One?")
        page.locator("#question").press("Enter")
        expect(page.locator(".answer[data-status=done]")).to_have_count(number + 1)
    page.evaluate("scrollTo(0, 0)")
    openai.enqueue(Reply([event(chunk("line\n\n" * 4)), gates[0], event(chunk(LINES)), gates[1]]))
    page.locator(".retry").first.click()
    expect(page.locator(".answer[aria-busy] .text")).to_contain_text("line")
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    expect(page.locator("#to-end")).not_to_have_class("news")
    gates[0].set()
    expect(page.locator("#to-end")).to_have_class("news")
    gates[1].set()


@pytest.mark.parametrize("size", [(390, 664), (320, 568), (844, 390)])
@pytest.mark.parametrize("path", ["/", "/completion"])
def test_an_empty_page_begins_at_its_top(visit, live, size, path):
    width, height = size
    page = visit(f"{live}{path}", viewport={"width": width, "height": height}, is_mobile=True, has_touch=True)
    page.wait_for_load_state("networkidle")
    assert page.evaluate("document.documentElement.scrollHeight - innerHeight") > 0  # There is something to scroll.
    assert page.evaluate("scrollY") == 0
    expect(page.locator(".greeting-title")).to_be_in_viewport(ratio=1)


def test_so_it_does_when_it_was_cleared(visit, live, openai):
    openai.enqueue(Reply.text(LINES))
    page = visit(live, viewport={"width": 390, "height": 568})
    page.locator("#question").fill("One?")
    page.locator("#send").click()
    page.locator('.answer[data-status="done"]').wait_for()
    wait_until(lambda: page.evaluate("scrollY") > 1000 and away(page) < 8)
    page.on("dialog", lambda dialog: dialog.accept())
    page.locator("#clear").click()
    expect(page.locator(".turn")).to_have_count(0)
    wait_until(lambda: page.evaluate("scrollY") == 0)
    page.locator("#question").fill("Two?")
    page.locator("#send").click()
    page.locator('.answer[data-status="done"]').wait_for()
    wait_until(lambda: away(page) < 8)
