"""A very long text on a page: its beginning, how much there is, and the way to the whole."""

import json
import re
import threading
from html import unescape
from random import Random

import pytest

from webapp import beginning, create_app
from webapp.beginning import Beginning, shown
from webapp.unfolding import ended

from .conftest import element, wait_until
from .openai_server import DONE, Reply, chunk, event
from .page_text import PageText
from .test_modes import Mode

LONGEST = 60
SOURCE = "**A** line.\n\n" * 4 + "Then `a[^1] line` that **is cut [in](https://example.org) half**.\n\n[^1]: A note.\n"


@pytest.fixture(autouse=True)
def short(monkeypatch):
    for name in ("LONGEST", "LONGEST_BESIDE"):
        monkeypatch.setattr(beginning, name, LONGEST)


@pytest.fixture
def patient(monkeypatch):
    """Let a page be told how long a text is only where it has to be."""
    monkeypatch.setattr(beginning, "TOLD_EVERY", 1e9)


def pieces_of(source, seed):
    random, pieces = Random(seed), []
    while source:
        cut = random.choice((1, 2, 5, 30, 200))
        pieces, source = [*pieces, source[:cut]], source[cut:]
    return pieces


@pytest.mark.parametrize("mode", ["chat", "completion"])
@pytest.mark.parametrize("seed", range(20))
def test_at_every_length_a_page_that_follows_shows_what_a_page_that_is_loaded_does(mode, seed):
    page, text, came = PageText(), Beginning(mode, "t", "", str), ""
    for piece in pieces_of(SOURCE, seed):
        came += piece
        page.apply(text.feed(piece))
        page.apply(text.flush())
        assert page.html == shown(mode, "t", came, str, pending=True, broken_off=False)
        assert text.position == len(came)
    page.apply(text.finish(SOURCE, anew=False, broken_off=True))
    assert page.html == shown(mode, "t", SOURCE, str, pending=False, broken_off=True)
    assert page.html == ended(mode, "t", SOURCE[:LONGEST], str)


@pytest.mark.parametrize("length", [0, 5, LONGEST, LONGEST + 1, 100])
@pytest.mark.parametrize("mode", ["chat", "completion"])
def test_who_begins_to_follow_at_any_length_comes_to_the_same(mode, length):
    page = PageText(shown(mode, "t", SOURCE[:length], str, pending=True, broken_off=False))
    text = Beginning(mode, "t", SOURCE[:length], str)
    page.apply([text.anew()])
    page.apply(text.finish(SOURCE, anew=False, broken_off=False))
    assert page.html == ended(mode, "t", SOURCE[:LONGEST], str)


@pytest.mark.parametrize("signs", [0, 1, 9, 10, 30])
@pytest.mark.parametrize("seed", range(5))
def test_of_a_text_full_of_signs_less_is_shown_in_the_same_way(signs, seed, monkeypatch):
    monkeypatch.setattr(beginning, "LONGEST", 1000)
    monkeypatch.setattr(beginning, "MOST_SIGNS", signs)
    end = beginning.reach(0).end("chat", SOURCE)
    assert sum(map(SOURCE[:end].count, "*\n.`[]^(:/)")) == signs and SOURCE[end] in "*\n.`[^"
    page, text, came = PageText(), Beginning("chat", "t", "", str), ""
    for piece in pieces_of(SOURCE, seed):
        came += piece
        page.apply(text.feed(piece))
        page.apply(text.flush())
        assert page.html == shown("chat", "t", came, str, pending=True, broken_off=False)
        assert (text.end, text.is_long) == (min(end, len(came)), len(came) > end)
    page.apply(text.finish(SOURCE, anew=False, broken_off=True))
    assert page.html == ended("chat", "t", SOURCE[:end], str)
    assert shown("completion", "t", SOURCE, str, pending=False, broken_off=False) == SOURCE, (
        "Nothing is Markdown there."
    )


def test_ordinary_text_is_not_what_has_too_many_signs(monkeypatch):
    monkeypatch.undo()
    words = "An answer of some *ordinary* length, with `words`: and so on; like this.\n\n1. One of many\n2. **Two**\n\n"
    code = "```python\ndef name(value: int) -> str:\n    return str([value, 1, 2])\n```\n\n"
    for text in (words * 1_000, code * 1_000, "你好，世界。" * 30_000):
        assert beginning.reach(0).end("chat", text) == len(text)


@pytest.mark.parametrize("extra", [0, 1])
def test_what_just_fits_is_shown_whole_and_one_more_is_told(extra):
    text = "x" * (LONGEST + extra)
    assert shown("completion", "t", text, str, pending=False, broken_off=False) == "x" * LONGEST
    growing = Beginning("completion", "t", text[:-1], str)
    growing.feed(text[-1:])
    assert growing.tells(now=False) == bool(extra)


def test_the_length_is_told_at_first_and_then_now_and_then(patient, monkeypatch):
    text = Beginning("chat", "t", "x" * LONGEST, str)
    assert not text.tells(now=True)
    text.feed("x")
    assert text.tells(now=False)
    text.feed("x")
    assert text.waits
    assert not text.tells(now=False)
    assert text.tells(now=True)
    assert not text.waits
    monkeypatch.setattr(beginning, "TOLD_EVERY", 0)
    text.feed("x")
    assert text.tells(now=False)


# --- Through the application ---


def rest(html):
    """Return the notes behind texts, as words and with their links."""
    found = re.findall(r'<p class="rest" id="rest-([\w-]+)"( hidden)?>(.*?)</p>', html, re.DOTALL)
    return {
        name.partition("-")[0] + re.sub("^[^-]*-.{22}", "", name): (
            " ".join(unescape(re.sub("<[^>]*>", "", content)).split()),
            unescape("".join(re.findall('href="([^"]+)"', content))),
        )
        for name, hidden, content in found
        if not hidden
    }


def test_a_page_says_how_much_of_an_answer_it_does_not_show_and_leads_to_it(chat, openai):
    openai.enqueue(Reply.text(SOURCE))
    page = chat.answered("One?")
    assert element(page, "text") == ended("chat", f"text-{_id(page)}", SOURCE[:LONGEST], str)
    told, link = rest(page)["text"]
    assert told == f"Only the first 60 of {len(SOURCE)} characters are shown here. Download the whole text"
    whole = chat.client.get(link)
    assert (whole.text, whole.mimetype) == (SOURCE, "text/plain")
    assert chat.client.get(f"/conversations/{chat.id}/export/json").json["turns"][0]["answers"][0]["text"] == SOURCE
    chat.client.post("/preferences", data={"language": "zh-CN"})
    assert rest(chat.page())["text"][0] == f"这里只显示 {len(SOURCE)} 个字符中的前 60 个。下载全文"


def test_what_is_shown_whole_has_no_note(chat, openai):
    openai.enqueue(Reply.text("x" * LONGEST))
    assert "rest-text" not in chat.answered("One?")


def test_a_long_answer_is_sent_whole_with_the_next_question(chat, openai):
    openai.enqueue(Reply.text(SOURCE))
    chat.answered("One?")
    chat.answered("Two?")
    assert openai.bodies[-1]["messages"][2]["content"] == SOURCE


def test_a_follower_gets_the_beginning_and_then_the_length_alone(chat, openai):
    openai.enqueue(Reply.text(*pieces_of(SOURCE, 1), delay=0.01))
    chat.ask("One?")
    stream = chat.stream().text
    page = PageText()
    page.take(stream)
    assert page.html == ended("chat", f"text-{_id(chat.page())}", SOURCE[:LONGEST], str)
    told = rest(stream.replace("\ndata: ", "\n"))["text"][0]
    assert told.startswith(f"Only the first 60 of {len(SOURCE)} characters are shown here.")
    assert stream.endswith("event: end\ndata:\n\n")


def test_a_page_in_the_middle_says_how_much_there_is_so_far_and_goes_on_from_there(chat, openai, patient):
    gate = threading.Event()
    openai.enqueue(Reply([event(chunk(SOURCE[:100])), gate, event(chunk(SOURCE[100:], "stop")), DONE]))
    chat.ask("One?")
    page = wait_until(lambda: "characters so far" in (page := chat.page()) and page)
    assert rest(page)["text"][0].startswith("Only the first 60 of 100 characters so far are shown here.")
    link = rest(page)["text"][1]
    assert (chat.client.get(link).text, chat.client.get(link).status_code) == (SOURCE[:100], 202)
    gate.set()
    chat.settled()
    for headers in ({}, {"Last-Event-ID": "100"}):
        stream = chat.stream(after=100, headers=headers).text
        shown = PageText(element(page, "text"))
        shown.take(stream)
        assert shown.html == element(page, "text")
        assert f"Only the first 60 of {len(SOURCE)} characters are shown here." in stream


def test_who_connects_again_gets_the_beginning_and_the_length_anew(chat, openai):
    gate = threading.Event()
    openai.enqueue(Reply([event(chunk(SOURCE[:100])), gate, event(chunk(SOURCE[100:], "stop")), DONE]))
    chat.ask("One?")
    page = wait_until(lambda: "characters so far" in (page := chat.page()) and page)
    polled = chat.client.get(
        f"/conversations/{chat.id}/answers/{_id(page)}/stream?poll=1", headers={"Last-Event-ID": "100"}
    ).text
    shown = PageText("<p>Something old</p>")
    shown.take(polled)
    assert shown.html == element(page, "text")
    assert "Only the first 60 of 100 characters so far" in polled
    gate.set()
    chat.settled()


def test_each_choice_and_the_reasoning_has_its_own_note_and_its_own_whole(chat, openai):
    chat.post("parameters", n="3")
    texts = ["a" * 61, "b" * 60, "c" * 99]
    choices = [
        {
            "index": index,
            "message": {"content": text, "reasoning": "r" * 70 if not index else None},
            "finish_reason": "stop",
        }
        for index, text in enumerate(texts)
    ]
    openai.enqueue(Reply.json({"choices": choices}))
    page = chat.answered("One?")
    assert set(rest(page)) == {"text", "text-2", "reasoning"}
    for name, whole in (("text", texts[0]), ("text-2", texts[2]), ("reasoning", "r" * 70)):
        assert f"60 of {len(whole)} characters" in rest(page)[name][0]
        assert chat.client.get(rest(page)[name][1]).text == whole
    # Another choice that is kept takes the first place.
    chat.post(f"turns/{chat.turn_id()}/keep/2")
    page = chat.page()
    assert {chat.client.get(link).text for _, link in rest(page).values()} == {texts[0], texts[2], "r" * 70}
    address = f"/conversations/{chat.id}/answers/{_id(page)}/markdown"
    assert chat.client.get(address).text == texts[2]
    assert chat.client.get(f"{address}?channel=7").text == ""
    assert chat.client.get(f"{address}?channel=x").text == texts[2]


def test_an_answer_goes_on_and_its_versions_keep_their_notes(chat, openai):
    openai.enqueue(Reply.text("x" * 70, finish="length"), Reply.text("y" * 30), Reply.text("short"))
    chat.answered("One?")
    chat.post(f"turns/{chat.turn_id()}/continue")
    page = chat.settled()
    assert "60 of 100 characters" in rest(page)["text"][0]
    assert chat.client.get(rest(page)["text"][1]).text == "x" * 70 + "y" * 30
    chat.post(f"turns/{chat.turn_id()}/retry")
    assert rest(chat.settled()) == {}
    chat.post(f"turns/{chat.turn_id()}/answer", answer="1")
    assert "60 of 100 characters" in rest(chat.page())["text"][0]


def test_of_a_long_request_and_reply_the_beginning_is_shown_and_all_of_it_can_be_had(chat, openai, app):
    openai.enqueue(Reply.text(SOURCE, finish="length"), Reply.text("more"))
    chat.answered("One?")
    chat.post(f"turns/{chat.turn_id()}/continue")
    chat.settled()
    address = f"/conversations/{chat.id}/answers/{_id(chat.page())}/exchange"
    panel = chat.client.get(address).text
    links = [unescape(link) for link in re.findall(f'href="({address}/[^"]+)" download', panel)]
    assert [link.rpartition("/")[2] for link in links] == [
        f"{name}-{number}" for number in (1, 2) for name in ("request", "curl", "python", "reply")
    ]
    for link in links:
        whole = chat.client.get(link)
        shown = re.search(rf'<pre [^>]*id="{link.rpartition("/")[2]}"[^>]*>\n(.*?)</pre>', panel, re.DOTALL).group(1)
        assert unescape(shown) == whole.text[:LONGEST]
        assert f"60 of {len(whole.text):,} characters are shown here." in panel
        assert whole.mimetype == "text/plain"
    assert json.loads(chat.client.get(links[0]).text) == openai.bodies[0]
    assert json.loads(chat.client.get(links[7]).text)["choices"][0]["message"]["content"] == "more"
    for name in ("reply-0", "reply-3", "reply-1.txt", "exchange-1", "reply", f"reply-{'9' * 5000}"):
        assert chat.client.get(f"{address}/{name}").status_code == 404
    assert app.test_client().get(links[0]).status_code == 404


def test_a_completion_that_no_prompt_may_be_as_long_as_is_not_offered_for_editing(config, openai):
    app = create_app({"TESTING": True, **config, "MAX_QUESTION_CHARS": 20})
    prompt = Mode(app.test_client(), "/completion")
    for length, offered in ((15, True), (16, False)):
        openai.enqueue(Reply.completion("x" * length))
        page = prompt.answered("Once.")
        assert ('class="go-on' in page.rpartition("<article")[2]) == offered
        assert ("x" * length in prompt.page(**{"from": prompt.turn_id()}).partition("<textarea")[2]) == offered
    app.extensions["answers"].shut_down()


def _id(page):
    return re.findall(r'id="answer-([\w-]+)"', page)[-1]
