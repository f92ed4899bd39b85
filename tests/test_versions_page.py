"""Versions in a real Chromium."""

import pytest
from playwright.sync_api import expect

from .openai_server import Reply

pytestmark = pytest.mark.browser


@pytest.fixture
def page(visit, live):
    return visit(live)


def ask(page, question):
    count = page.locator(".answer[data-status=done]").count()
    page.locator("#question").fill(question)
    page.locator("#question").press("Enter")
    expect(page.locator(".answer[data-status=done]")).to_have_count(count + 1)


def test_a_question_is_edited_in_its_place_and_its_versions_switch(page, openai):
    ask(page, "One?")
    ask(page, "Two?")
    page.locator(".edit").first.click()
    box = page.locator(".edit-form textarea")
    expect(box).to_be_focused()
    expect(box).to_have_value("One?")
    expect(page.locator(".question")).to_have_text(["Two?"])
    box.fill("1?")
    page.locator(".edit-form button.primary").click()
    expect(page.locator(".question")).to_have_text(["1?"])
    expect(page.locator(".answer[data-status=done] .text")).to_have_text(["You said: 1?"])
    expect(page.locator("#question")).to_be_focused()
    page.reload()
    expect(page.locator(".question-actions .pager")).to_contain_text("2 / 2")
    page.get_by_role("button", name="Earlier version of this question").click()
    expect(page.locator(".question")).to_have_text(["One?", "Two?"])
    # The button that had the focus has nowhere to lead; the one beside it takes it.
    expect(page.get_by_role("button", name="Later version of this question")).to_be_focused()
    page.reload()
    expect(page.locator(".question")).to_have_text(["One?", "Two?"])
    ask(page, "Three?")
    assert [message["content"] for message in openai.bodies[-1]["messages"]][1::2] == ["One?", "Two?", "Three?"]


def test_cancel_brings_the_question_back_and_the_focus(page):
    ask(page, "One?")
    page.locator(".edit").click()
    page.locator(".edit-form textarea").fill("Something else")
    page.locator(".cancel").click()
    expect(page.locator(".question")).to_have_text("One?")
    expect(page.locator(".edit")).to_be_focused()
    # Who cancels gives up what was typed.
    page.locator(".edit").click()
    expect(page.locator(".edit-form textarea")).to_have_value("One?")
    page.locator(".edit-form textarea").press("Escape")
    expect(page.locator(".edit")).to_be_focused()


def test_up_in_an_empty_box_edits_the_last_question_from_its_end(page):
    ask(page, "One?")
    ask(page, "Two?")
    page.locator("#question").press("ArrowUp")
    expect(page.locator(".edit-form textarea")).to_have_value("Two?")
    expect(page.locator(".edit-form textarea")).to_be_focused()
    page.keyboard.type("?")
    expect(page.locator(".edit-form textarea")).to_have_value("Two??")
    page.keyboard.press("Home")
    page.locator("#question").focus()
    page.locator(".edit-form textarea").focus()
    page.keyboard.type("x")
    expect(page.locator(".edit-form textarea")).to_have_value("xTwo??")
    page.locator(".edit-form textarea").fill("2?")
    page.keyboard.press("Enter")
    expect(page.locator(".question")).to_have_text(["One?", "2?"])


def test_what_is_typed_into_an_edit_stays_where_another_tab_changes_something(visit, page, live):
    ask(page, "One?")
    other = visit(live, context=page.context)
    page.locator(".edit").click()
    page.locator(".edit-form textarea").fill("1, really?")
    ask(other, "Two?")
    expect(page.locator(".answer[data-status=done]")).to_have_count(2)
    expect(page.locator(".edit-form textarea")).to_have_value("1, really?")
    page.locator(".edit-form button.primary").click()
    expect(page.locator(".question")).to_have_text(["1, really?"])
    expect(other.locator(".question")).to_have_text(["1, really?"])
    expect(other.locator(".answer[data-status=done]")).to_have_count(1)


def test_an_edit_that_is_refused_says_why_beside_what_was_typed(visit, page):
    ask(page, "One?")
    page.locator(".edit").click()
    page.locator(".edit-form textarea").fill("  ")
    page.locator(".edit-form button.primary").click()
    expect(page.locator(".edit-notice")).to_contain_text("empty")
    expect(page.locator(".edit-form textarea")).to_have_value("  ")
    visit.expects = ""


def test_answers_switch_and_the_focus_stays(page, openai):
    openai.enqueue(Reply.text("First."), Reply.text("Second."), Reply.text("Third."))
    ask(page, "One?")
    for number in (2, 3):
        page.locator(".retry").click()
        expect(page.locator(".outcome-actions .pager")).to_contain_text(f"{number} / {number}")
    text = page.locator(".answer .text")
    expect(text).to_have_text("Third.")
    back = page.get_by_role("button", name="Earlier answer")
    back.click()
    expect(text).to_have_text("Second.")
    expect(back).to_be_focused()
    back.press("Enter")
    expect(text).to_have_text("First.")
    expect(page.get_by_role("button", name="Later answer")).to_be_focused()
    page.reload()
    expect(text).to_have_text("First.")
    ask(page, "Two?")
    assert [message["content"] for message in openai.bodies[-1]["messages"]][1:] == ["One?", "First.", "Two?"]


def test_without_a_script_a_question_is_edited_on_a_page_of_its_own(visit, live, openai):
    page = visit(live, java_script_enabled=False)
    page.locator("#question").fill("One?")
    page.locator("#send").click()
    page.locator(".answer[data-status=done]").wait_for()
    page.locator(".edit").click()
    page.locator(".edit-form textarea").fill("1?")
    page.locator(".edit-form button.primary").click()
    expect(page.locator(".answer[data-status=done] .text")).to_have_text("You said: 1?")
    page.get_by_role("button", name="Earlier version of this question").click()
    expect(page.locator(".question")).to_have_text(["One?"])
    page.locator(".edit").click()
    page.locator(".cancel").click()
    expect(page.locator(".question")).to_have_text(["One?"])


@pytest.mark.parametrize("mode", ["/completion", "/images"])
def test_a_prompt_is_edited_in_every_mode(visit, live, mode):
    page = visit(live + mode)
    page.locator("#question").fill("Once")
    page.locator("#question").press("Enter")
    expect(page.locator(".answer[data-status=done]")).to_have_count(1)
    page.locator(".edit").click()
    page.locator(".edit-form textarea").fill("Twice")
    page.locator(".edit-form button.primary").click()
    expect(page.locator(".question")).to_have_text(["Twice"])
    expect(page.locator(".answer[data-status=done]")).to_have_count(1)
    page.get_by_role("button", name="Earlier version of this question").click()
    expect(page.locator(".question")).to_have_text(["Once"])


def test_a_version_that_comes_back_is_shown_where_the_reader_is(page, openai):
    for number in range(8):
        openai.enqueue(Reply.text("word " * 500))
        ask(page, f"Question {number}?")
    page.locator(".edit").nth(3).click()
    page.locator(".edit-form textarea").fill("Anew?")
    page.keyboard.press("Enter")
    expect(page.locator(".question")).to_have_count(4)
    expect(page.locator(".answer[data-status=done]")).to_have_count(4)
    back = page.get_by_role("button", name="Earlier version of this question")
    back.scroll_into_view_if_needed()
    top = back.bounding_box()["y"]
    back.click()
    expect(page.locator(".question")).to_have_count(8)
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    assert abs(back.bounding_box()["y"] - top) < 2


def test_a_pager_that_comes_in_moves_no_button(page):
    ask(page, "One?")
    left = page.locator(".retry").bounding_box()["x"]
    page.locator(".retry").click()
    expect(page.locator(".outcome-actions .pager")).to_contain_text("2 / 2")
    assert page.locator(".retry").bounding_box()["x"] == left


def test_the_focus_goes_to_what_took_the_buttons_place(page, openai):
    ask(page, "One?")
    for _ in range(2):
        page.locator(".leave-out").press("Enter")
        expect(page.locator(".take-back")).to_be_focused()
        page.keyboard.press("Enter")
        expect(page.locator(".leave-out")).to_be_focused()


def test_a_choice_that_is_kept_has_the_focus_of_its_button(page, openai):
    page.get_by_role("link", name="Parameters").click()
    page.locator("#panel [name=n]").fill("2")
    page.locator("#panel [name=n]").press("Enter")
    expect(page.locator("#panel")).to_be_hidden()
    openai.enqueue(Reply.whole("First", "Second"))
    ask(page, "One?")
    page.get_by_role("button", name="Keep this one").press("Enter")
    expect(page.get_by_text("Choice 2 of 2: kept")).to_be_focused()
