"""The modes in a real Chromium: what streams beside an answer's text, and what a click changes."""

import re
import threading

import pytest
from playwright.sync_api import expect

from .conftest import WAIT, ask
from .openai_server import DONE, SILENCE, Reply, chunk, event

pytestmark = pytest.mark.browser


@pytest.fixture
def page(visit, server):
    return visit(server.url)


def last(page, status):
    answer = page.locator("article.turn .answer").last
    expect(answer).to_have_attribute("data-status", status)
    return answer


def delta(index=0, finish=None, **fields):
    return event({"choices": [{"index": index, "delta": fields, "finish_reason": finish}]})


def test_reasoning_streams_into_a_fold_that_stays_open(page, openai):
    answer, end = threading.Event(), threading.Event()
    thoughts = [delta(reasoning_content="First "), delta(reasoning_content="second.")]
    openai.enqueue(Reply([*thoughts, answer, delta(content="It is 42"), end, delta(finish="stop"), DONE]))
    ask(page, "One?")
    page.locator(".reasoning summary").click()
    expect(page.locator(".thoughts")).to_have_text("First second.")
    expect(page.locator(".answer .text")).to_have_text("")
    answer.set()
    expect(page.locator(".answer .text")).to_have_text("It is 42")
    end.set()
    last(page, "done")
    expect(page.locator(".reasoning")).to_have_attribute("open", "")
    expect(page.locator(".thoughts")).to_have_text("First second.")
    page.reload()
    expect(page.locator(".thoughts")).to_have_text("First second.")
    expect(page.locator(".thoughts")).to_be_hidden()


def test_an_answer_without_reasoning_has_no_fold(page):
    ask(page, "One?")
    last(page, "done")
    expect(page.locator(".reasoning:visible")).to_have_count(0)


def test_a_reload_in_the_middle_goes_on_with_every_channel(page, openai):
    go_on = threading.Event()
    openai.enqueue(
        Reply([delta(reasoning="Hm"), delta(content="Half"), go_on, delta(content=" and half", finish="stop"), DONE])
    )
    ask(page, "One?")
    expect(page.locator(".answer .text")).to_have_text("Half")
    page.reload()
    expect(page.locator(".thoughts")).to_have_text("Hm")
    go_on.set()
    last(page, "done")
    expect(page.locator(".answer .text")).to_have_text("Half and half")


def test_choices_stream_side_by_side_and_one_is_kept(page, openai):
    page.get_by_role("link", name="Parameters").click()
    page.locator("#parameters [name=n]").fill("2")
    page.get_by_role("button", name="Save").click()
    expect(page.locator(".parameters-set")).to_have_text("n 2")
    both = threading.Event()
    openai.enqueue(
        Reply([delta(0, content="A"), both, delta(1, content="B"), delta(0, "stop"), delta(1, "stop"), DONE])
    )
    ask(page, "One?")
    texts = page.locator(".choice-of-many .text")
    expect(texts.nth(0)).to_have_text("A")
    both.set()
    last(page, "done")
    expect(texts.nth(1)).to_have_text("B")
    page.get_by_role("button", name="Keep this one").click()
    expect(page.locator(".kept .text")).to_have_text("B")
    ask(page, "Two?")
    expect(page.locator(".answer[data-status=done]")).to_have_count(2)
    assert openai.bodies[-1]["messages"][2] == {"role": "assistant", "content": "B"}


def test_the_line_of_what_is_still_sent_comes_without_a_reload(page, openai):
    for number in range(2):
        ask(page, f"{number}?")
        expect(page.locator(".answer[data-status=done]")).to_have_count(number + 1)
    openai.enqueue(Reply.error(400, "too long", code="context_length_exceeded"))
    ask(page, "2?")
    expect(page.locator(".window-line")).to_have_count(1)
    last(page, "done")
    below = page.locator("article.turn", has=page.locator(".window-line"))
    assert below.locator(".question").inner_text() == openai.bodies[-1]["messages"][1]["content"]


def test_a_turn_is_left_out_and_taken_back(page, openai):
    ask(page, "One?")
    last(page, "done")
    page.get_by_role("button", name="Leave out").click()
    expect(page.locator(".left-out")).to_have_count(1)
    page.get_by_role("button", name="Include again").click()
    expect(page.locator(".left-out")).to_have_count(0)


def test_a_single_question_is_asked_with_the_switch(page, openai):
    ask(page, "One?")
    last(page, "done")
    page.get_by_label("Single question").check()
    ask(page, "Two?")
    expect(page.locator(".single")).to_have_count(1)
    expect(page.locator(".answer[data-status=done]")).to_have_count(2)
    assert [one["content"] for one in openai.bodies[-1]["messages"]][1:] == ["Two?"]


def test_a_completion_goes_on_from_its_prompt(visit, server, openai):
    page = visit(f"{server.url}/completion")
    openai.enqueue(Reply.completion(" upon", " a time", finish="length"), Reply.completion(", long ago"))
    ask(page, "Once")
    last(page, "done")
    tops = [page.locator(part).bounding_box()["y"] for part in (".question", ".answer .text")]
    assert tops[0] == tops[1], "The text goes on in the prompt's line."
    page.get_by_role("button", name="Continue").click()
    expect(page.locator(".answer .text")).to_have_text(" upon a time, long ago")
    page.get_by_role("link", name="Edit and go on").click()
    expect(page.locator("#question")).to_have_value("Once upon a time, long ago")


def test_images_are_shown_enlarged_and_saved(visit, server, openai, tmp_path):
    page = visit(f"{server.url}/images")
    ask(page, "A red dot")
    last(page, "done")
    image = page.locator(".picture img")
    assert image.evaluate("image => image.decode().then(() => image.naturalWidth)") == 1
    assert image.get_attribute("alt") == "A red dot"
    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()
    assert download.value.suggested_filename == "A-red-dot-1.png"
    with page.context.expect_page() as opened:
        page.get_by_title("Show it in full size").click()
    assert re.search(r"/files/[\w-]+\.png$", opened.value.url)


def test_an_image_that_is_being_drawn_can_be_stopped(visit, server, openai):
    page = visit(f"{server.url}/images")
    openai.enqueue(Reply(wait=SILENCE))
    ask(page, "A red dot")
    expect(page.locator(".following")).to_have_text("Drawing…")
    page.locator("#stop").click()
    last(page, "stopped")
    assert openai.closed_by_client.wait(WAIT)


def test_every_mode_is_reached_from_every_other(page):
    for name, heading in (("Completion", "Begin a text"), ("Images", "What should it look like?"), ("Chat", "What wo")):
        page.get_by_role("navigation").get_by_role("link", name=name).click()
        expect(page.locator(".greeting-title")).to_contain_text(heading)
        expect(page.locator(".bar > .modes [aria-current=page]")).to_have_text(name)


def test_what_a_model_writes_is_text_on_every_channel(page, openai):
    nasty = '<details open class="reasoning"><script>document.title="x"</script>'
    openai.enqueue(Reply([delta(reasoning=nasty), delta(content=nasty), event(chunk(finish="stop")), DONE]))
    ask(page, "One?")
    last(page, "done")
    assert page.locator(".thoughts").text_content().strip() == nasty
    assert page.title() == "Parley"
