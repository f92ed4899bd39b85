"""The whole path in a real Chromium, against the server as people run it."""

import random
import threading
from time import monotonic

import pytest

from .conftest import WAIT, ask, intercept, wait_until
from .openai_server import DONE, SILENCE, Reply, chunk, event

pytestmark = pytest.mark.browser


@pytest.fixture
def page(visit, server):
    return visit(server.url)


def answer(page, status, index=-1):
    """Wait for the last answer to have a status, and return its text."""
    turns = page.locator("article.turn .answer")
    last = turns.nth(index) if index >= 0 else turns.last
    wait_until(lambda: turns.count() and last.get_attribute("data-status") == status)
    return last.locator(".text").text_content().strip()


def text(page):
    return page.locator("article.turn .answer .text").last.text_content().strip()


def box(page):
    return page.locator("#question").input_value()


def words(number, delay=0.01):
    return Reply.text(*[f"word{i} " for i in range(number)], delay=delay)


def test_a_question_is_asked_with_enter_and_answered(page, openai):
    question = page.locator("#question")
    assert page.evaluate("document.activeElement.name") == "question"
    ask(page, "One?")
    assert answer(page, "done") == "You said: One?"
    assert page.locator(".question").all_inner_texts() == ["One?"]
    assert question.input_value() == ""
    assert page.evaluate("document.activeElement.name") == "question"
    assert page.locator(".answer").get_attribute("aria-busy") is None
    assert page.locator("#stop").count() == 0
    page.locator("#question").fill("Two?")
    page.locator("#send").click()
    assert answer(page, "done", 1) == "You said: Two?"
    assert page.evaluate("document.activeElement.name") == "question"
    assert len(openai.bodies) == 2


def test_shift_enter_is_a_new_line_and_the_box_grows_and_shrinks_back(page, openai):
    question = page.locator("#question")
    height = question.bounding_box()["height"]
    question.type("One")
    question.press("Shift+Enter")
    question.type("Two")
    assert box(page) == "One\nTwo"
    assert question.bounding_box()["height"] > height + 10
    question.press("Enter")
    answer(page, "done")
    assert question.bounding_box()["height"] == height
    assert openai.questions == ["One\nTwo"]
    assert page.locator(".question").inner_text() == "One\nTwo"


def test_text_appears_while_the_model_still_speaks(page, openai):
    go_on = threading.Event()
    openai.enqueue(Reply([event(chunk("First. ")), go_on, event(chunk("Second. ")), SILENCE]))
    ask(page, "One?")
    wait_until(lambda: text(page) == "First.")
    go_on.set()
    assert page.locator(".answer").get_attribute("aria-busy") == "true"
    wait_until(lambda: text(page) == "First. Second.")
    assert page.locator(".answer").get_attribute("data-status") == "pending"


def test_white_space_in_code_arrives_as_it_is(page, openai):
    openai.enqueue(Reply.text("```\n", "  two\n", "\n", " ", " ", "\tspaces\n\n", "\n", "end\n```", delay=0.06))
    ask(page, "One?")
    answer(page, "done")
    code = page.locator(".answer .text code")
    assert code.text_content() == "  two\n\n  \tspaces\n\n\nend"
    page.reload()
    assert code.text_content() == "  two\n\n  \tspaces\n\n\nend"


def test_the_models_html_stays_text(page, openai):
    nasty = '<img src=x onerror="document.title=1"><hx-partial hx-target="body">x</hx-partial></template>&lt;'
    openai.enqueue(Reply.text(*nasty, delay=0.005))
    ask(page, nasty)
    assert answer(page, "done") == nasty.replace("&lt;", "<"), "An entity is Markdown, a tag is none."
    assert page.locator(".question").inner_text() == nasty
    assert page.title() == "Parley"


def test_a_reload_in_the_middle_goes_on_and_is_whole(page, openai):
    openai.enqueue(words(150))
    ask(page, "One?")
    for _ in range(3):
        seen = wait_until(lambda: text(page))
        page.reload()
        assert text(page).startswith(seen)
    assert answer(page, "done") == "".join(f"word{i} " for i in range(150)).strip()
    assert len(openai.bodies) == 1


def test_an_answer_is_followed_also_where_the_first_connection_failed(visit, page, openai):
    openai.enqueue(words(30))
    intercept(page, "**/stream*", lambda route: route.abort(), times=2)
    ask(page, "One?")
    wait_until(lambda: "Connection lost" in page.locator(".following").inner_text())
    assert answer(page, "done") == "".join(f"word{i} " for i in range(30)).strip()
    visit.expects = ""


def test_a_network_that_comes_and_goes_loses_nothing_and_doubles_nothing(visit, page, openai):
    openai.enqueue(words(300))
    ask(page, "One?")
    source = random.Random(3)
    for _ in range(4):
        page.wait_for_timeout(source.randrange(100, 300))
        page.context.set_offline(True)
        page.wait_for_timeout(source.randrange(50, 200))
        page.context.set_offline(False)
    assert answer(page, "done") == "".join(f"word{i} " for i in range(300)).strip()
    visit.expects = ""


def test_a_closed_browser_finds_the_whole_answer_when_it_comes_back(visit, server, openai):
    openai.enqueue(words(60))
    first = visit(server.url)
    ask(first, "One?")
    wait_until(lambda: text(first))
    kept = first.context.storage_state()
    first.context.close()
    again = visit(server.url, storage_state=kept)
    assert answer(again, "done") == "".join(f"word{i} " for i in range(60)).strip()


def test_stop_ends_the_answer_and_the_request_and_keeps_the_text(page, openai):
    openai.enqueue(Reply([event(chunk("Half an answer")), SILENCE]))
    ask(page, "One?")
    wait_until(lambda: text(page) == "Half an answer")
    page.locator("#stop").click()
    assert openai.closed_by_client.wait(WAIT)
    assert answer(page, "stopped") == "Half an answer"
    assert page.locator("#stop").count() == 0
    assert page.locator("button.retry").count() == 1
    page.locator("button.continue").click()
    assert answer(page, "done").startswith("Half an answerYou said:")


def test_retry_asks_again(page, openai):
    openai.enqueue(Reply.error(500, "On fire"), Reply.text("Better."))
    ask(page, "One?")
    answer(page, "failed")
    assert "On fire" in page.locator(".failure").inner_text()
    page.locator("button.retry").click()
    assert answer(page, "done") == "Better."
    assert page.locator(".failure").count() == 0
    assert page.locator(".question").all_inner_texts() == ["One?"]


def test_clear_asks_first(page, openai):
    ask(page, "One?")
    answer(page, "done")
    page.once("dialog", lambda dialog: dialog.dismiss())
    page.locator("#clear").click()
    assert page.locator("article.turn").count() == 1
    page.once("dialog", lambda dialog: dialog.accept())
    page.locator("#clear").click()
    wait_until(lambda: page.locator("article.turn").count() == 0)
    assert page.locator(".greeting").is_visible()
    page.reload()
    assert page.locator("article.turn").count() == 0
    ask(page, "Two?")
    answer(page, "done")
    assert [m["content"] for m in openai.bodies[1]["messages"]] == ["You are a helpful assistant.", "Two?"]


def test_clear_stops_what_runs(page, openai):
    openai.enqueue(Reply([event(chunk("Half")), SILENCE]))
    ask(page, "One?")
    wait_until(lambda: text(page) == "Half")
    page.once("dialog", lambda dialog: dialog.accept())
    page.locator("#clear").click()
    assert openai.closed_by_client.wait(WAIT)
    wait_until(lambda: page.locator("article.turn").count() == 0)
    assert page.locator("#stop").count() == 0


def test_two_tabs_show_the_same_conversation(visit, server, openai):
    left = visit(server.url)
    right = visit(server.url, context=left.context)
    openai.enqueue(words(40))
    ask(left, "One?")
    whole = "".join(f"word{i} " for i in range(40)).strip()
    assert answer(right, "done") == whole
    assert answer(left, "done") == whole
    ask(right, "Two?")
    assert answer(left, "done", 1) == "You said: Two?"
    left.once("dialog", lambda dialog: dialog.accept())
    left.locator("#clear").click()
    wait_until(lambda: right.locator("article.turn").count() == 0)


def test_a_second_question_meanwhile_is_refused_and_stays_in_the_box(visit, server, openai):
    left = visit(server.url)
    right = visit(server.url, context=left.context)
    openai.enqueue(Reply([event(chunk("Half")), SILENCE]))
    ask(left, "One?")
    wait_until(lambda: text(left) == "Half")
    for page in (left, right):
        ask(page, "Two?")
        wait_until(lambda page=page: "still being written" in page.locator("#notice").inner_text())
        assert box(page) == "Two?"
        assert page.locator("article.turn").count() == 1
    left.locator("#stop").click()
    answer(left, "stopped")
    left.locator("#question").press("Enter")
    assert answer(left, "done", 1) == "You said: Two?"
    assert left.locator("#notice").inner_text() == ""
    assert openai.questions == ["One?", "Two?"]
    # The refusals are the browser's to log, and nothing else is.
    assert all("409" in problem for problem in visit.problems)
    visit.expects = ""


@pytest.mark.parametrize(("question", "told"), [("  \n ", "empty"), ("x" * 100_001, "100,001 characters")])
def test_a_bad_question_gets_a_message_and_stays_in_the_box(visit, page, openai, question, told):
    ask(page, question)
    wait_until(lambda: told in page.locator("#notice").inner_text())
    assert box(page) == question
    assert openai.bodies == []
    visit.expects = ""


def test_a_question_that_reaches_no_server_stays_in_the_box(visit, page, server, openai):
    server.kill()
    ask(page, "One?")
    wait_until(lambda: "did not answer" in page.locator("#notice").inner_text())
    assert box(page) == "One?"
    server.start()
    page.locator("#question").press("Enter")
    assert answer(page, "done") == "You said: One?"
    assert openai.questions == ["One?"]
    visit.expects = ""


def test_a_draft_survives_a_reload_and_goes_when_it_is_sent(page):
    page.locator("#question").fill("Not sent yet")
    page.reload()
    assert box(page) == "Not sent yet"
    page.locator("#question").press("Enter")
    answer(page, "done")
    page.reload()
    assert box(page) == ""


def test_the_box_has_the_focus_when_an_answer_ends_while_stop_had_it(page, openai):
    more, end = threading.Event(), threading.Event()
    steps = [event(chunk("Half")), more, event(chunk(" and half")), end, event(chunk(finish="stop")), DONE]
    openai.enqueue(Reply(steps))
    ask(page, "One?")
    wait_until(lambda: text(page) == "Half")
    page.locator("#stop").focus()
    more.set()
    wait_until(lambda: text(page) == "Half and half")
    assert page.evaluate("document.activeElement.id") == "stop"
    end.set()
    answer(page, "done")
    wait_until(lambda: page.evaluate("document.activeElement.id") == "question")


def test_the_models_box_opens_and_closes(page):
    page.locator("#model-button").click()
    assert page.locator("#model-more").is_visible()
    page.keyboard.press("Escape")
    assert not page.locator("#model-more").is_visible()
    page.locator("#model-button").click()
    page.locator(".greeting").click()
    assert not page.locator("#model-more").is_visible()


def test_a_server_killed_in_mid_answer_and_started_again_is_followed_by_the_open_page(visit, page, server, openai):
    openai.enqueue(Reply([event(chunk("Half an answer")), SILENCE]))
    ask(page, "One?")
    wait_until(lambda: text(page) == "Half an answer")
    server.kill()
    wait_until(lambda: "Connection lost" in page.locator(".following").inner_text())
    server.start()
    assert answer(page, "interrupted") == "Half an answer"
    assert page.locator("button.retry").is_visible()
    assert page.locator("button.continue").is_visible()
    visit.expects = ""


def test_an_enter_that_confirms_a_candidate_does_not_send(page, openai):
    question = page.locator("#question")
    for order in ({"isComposing": True}, {"keyCode": 229}):
        question.fill("zhong")
        question.dispatch_event("keydown", {"key": "Enter", "bubbles": True, "cancelable": True} | order)
    assert box(page) == "zhong"
    assert page.locator("article.turn").count() == 0


def test_a_double_click_on_send_is_one_question(page, openai):
    page.locator("#question").fill("One?")
    page.locator("#send").dblclick()
    answer(page, "done")
    assert page.locator("article.turn").count() == 1
    assert openai.questions == ["One?"]


def test_what_is_typed_while_the_answer_comes_stays(page, openai):
    openai.enqueue(words(50))
    ask(page, "One?")
    page.locator("#question").type("and then")
    answer(page, "done")
    assert box(page) == "and then"


def test_a_long_answer_at_once_is_shown_whole_in_few_updates(page, openai):
    openai.enqueue(Reply([*[event(chunk(f"word{i} ")) for i in range(2000)], event(chunk(finish="stop")), DONE]))
    page.evaluate("window.updates = 0; document.addEventListener('htmx:sse:after:message', () => window.updates++)")
    began = monotonic()
    ask(page, "One?")
    assert answer(page, "done") == "".join(f"word{i} " for i in range(2000)).strip()
    assert page.evaluate("window.updates") <= 30 * (monotonic() - began) + 3


def test_the_page_stays_at_its_end_while_the_reader_is_there_and_only_then(page, openai):
    def distance():
        return page.evaluate("document.documentElement.scrollHeight - innerHeight - scrollY")

    gate = threading.Event()
    lines = [part for _ in range(150) for part in (event(chunk("line\n\n")), 0.005)]
    openai.enqueue(Reply([*lines, gate, *lines, event(chunk(finish="stop")), DONE]))
    ask(page, "One?")
    wait_until(lambda: text(page).count("line") == 150)
    # Between a piece of text and the frame that shows it, the end is further down.
    wait_until(lambda: page.evaluate("scrollY") > 500 and distance() < 60)
    end = distance()
    page.mouse.move(300, 300)
    page.mouse.wheel(0, -400)
    wait_until(lambda: distance() > end + 399)
    reading = page.evaluate("scrollY")
    gate.set()
    answer(page, "done")
    assert page.evaluate("scrollY") == reading
    page.reload()
    wait_until(lambda: abs(page.evaluate("scrollY") - reading) < 2)
    page.mouse.wheel(0, 100_000)
    wait_until(lambda: distance() < 2)
    page.reload()
    wait_until(lambda: page.evaluate("scrollY") > reading and distance() < 60)


def test_nothing_is_wider_than_a_narrow_phone(visit, server, openai):
    page = visit(server.url, viewport={"width": 320, "height": 640}, is_mobile=True, has_touch=True)
    openai.enqueue(Reply([event(chunk("x" * 500 + " 汉字" * 100)), SILENCE]))
    page.locator("#question").fill("y" * 200)
    page.locator("#question").press("Enter")
    assert page.locator("article.turn").count() == 0, "A phone's return key is a new line."
    page.locator("#send").tap()
    wait_until(lambda: text(page))
    page.locator("#model-button").tap()
    assert page.evaluate("document.documentElement.scrollWidth") == 320
    page.locator("#stop").tap()
    answer(page, "stopped")
    assert page.evaluate("document.documentElement.scrollWidth") == 320


def test_without_a_script_everything_can_be_done(visit, server, openai):
    page = visit(server.url, java_script_enabled=False)
    gate = threading.Event()
    openai.enqueue(Reply([event(chunk("Half ")), gate, event(chunk("an answer")), SILENCE]))
    page.locator("#question").fill("One?")
    page.locator("#send").click()
    # The page loads itself again every second.
    wait_until(lambda: text(page) == "Half")
    gate.set()
    wait_until(lambda: text(page) == "Half an answer")
    page.locator("#stop").click()
    # The page's own reload may come in between; either way it is stopped in the end.
    page.locator('.answer[data-status="stopped"]').wait_for()
    assert openai.closed_by_client.wait(WAIT)
    page.locator("button.retry").click()
    wait_until(lambda: text(page) == "You said: One?")
    openai.enqueue(Reply.text("One, ", finish="length"), Reply.text("two."))
    page.locator("#question").fill("Count.")
    page.locator("#send").click()
    wait_until(lambda: text(page) == "One,")
    wait_until(lambda: page.locator("button.continue").count())
    page.locator("button.continue").click()
    wait_until(lambda: text(page) == "One, two.")
    page.locator("#clear").click()
    page.get_by_role("heading", name="Clear this conversation?").wait_for()
    page.get_by_role("link", name="Keep it").click()
    assert page.locator("article.turn").count() == 2
    page.locator("#clear").click()
    page.get_by_role("button", name="Clear conversation").click()
    assert page.locator("article.turn").count() == 0


def test_nothing_is_loaded_from_elsewhere(visit, server):
    page = visit("about:blank")
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(server.url)
    ask(page, "One?")
    answer(page, "done")
    assert all(url.startswith(server.url) for url in asked)


@pytest.mark.model
def test_the_local_model_knows_the_capital_of_china(visit, serve):
    page = visit(serve().url)
    assert "SmolLM2-135M-Instruct" in page.locator("header").inner_text()
    ask(page, "What is the capital of China?")
    assert "Beijing" in answer(page, "done")
    ask(page, "Write a long story about a fox.")
    wait_until(lambda: page.locator("article.turn").count() == 2 and len(text(page)) > 20)
    page.reload()
    page.locator("#stop").click()
    assert len(answer(page, "stopped")) > 20
