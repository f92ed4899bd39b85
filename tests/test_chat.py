import random
import re
import socket
from html import unescape
from urllib.parse import quote
from urllib.request import Request, urlopen

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from webapp import create_app

from .conftest import WAIT, Chat, element, statuses, texts, wait_until
from .openai_server import DONE, RESET, SILENCE, Reply, chunk, event
from .page_text import PageText, words


def percent_encoded(text):
    return b"turn=x&question=" + quote(text, errors="surrogatepass").encode()


def streamed(events, page=None):
    """Return the words that a stream's events put into a page's text."""
    page = page or PageText()
    page.take(events)
    return words(page.html)


def test_the_page_is_empty_and_names_the_model(chat, openai):
    page = chat.page()
    assert "What would you like to know?" in page
    assert "test-model" in page
    assert 'id="conversation" role="log"' in page
    assert 'name="question"' in page
    assert statuses(page) == []
    assert openai.paths == []


def test_a_plain_browser_asks_and_is_sent_back_to_the_page(chat, openai):
    response = chat.ask("What is 1 < 2?")
    assert response.status_code == 303
    assert response.location.startswith("/#turn-")
    page = chat.settled()
    assert statuses(page) == ["done"]
    assert '<div class="question" dir="auto">What is 1 &lt; 2?</div>' in page
    assert texts(page) == ["You said: What is 1 &lt; 2?"]
    assert len(openai.bodies) == 1


def test_htmx_gets_the_turn_and_what_changes_around_it(chat, openai):
    openai.enqueue(Reply([SILENCE]))
    fragment = chat.ask("One?", htmx=True).text
    assert fragment.startswith('<article class="turn"')
    assert "<html" not in fragment
    assert statuses(fragment) == ["pending"]
    assert 'aria-busy="true"' in fragment
    assert 'hx-sse:connect="/conversations/' in fragment
    assert 'hx-target="#actions"' in fragment
    assert 'id="stop"' in fragment


def test_every_question_is_sent_with_what_came_before(chat, openai):
    for question in ("One?", "Two?", "Three?"):
        chat.answered(question)
    assert [message["content"] for message in openai.bodies[-1]["messages"]] == [
        "You are a helpful assistant.",
        "One?",
        "You said: One?",
        "Two?",
        "You said: Two?",
        "Three?",
    ]
    assert openai.bodies[-1].keys() == {"model", "messages", "stream", "stream_options"}
    assert len(openai.bodies) == 3


def test_line_breaks_are_kept_and_the_models_html_is_text(chat, openai):
    openai.enqueue(Reply.text("a\n\n<script>alert(1)</script>\r\n  b"))
    page = chat.answered("One?")
    assert texts(page) == ["a\n&lt;script&gt;alert(1)&lt;/script&gt;\nb"]


def test_a_page_without_a_script_follows_a_running_answer(chat, openai):
    openai.enqueue(Reply([event(chunk("Half an")), SILENCE]))
    chat.ask("One?")
    page = wait_until(lambda: texts(page := chat.page()) == ["Half an"] and page)
    assert statuses(page) == ["pending"]
    assert re.search(r'<noscript><meta http-equiv="refresh" content="1;url=/\?follow=1#turn-', page)
    assert chat.post("stop").status_code == 303
    page = chat.page()
    assert statuses(page) == ["stopped"]
    assert texts(page) == ["Half an"]
    assert "http-equiv" not in page
    assert openai.closed_by_client.wait(WAIT)


def test_a_second_question_meanwhile_is_refused_and_stays_in_the_box(chat, openai):
    openai.enqueue(Reply([SILENCE]))
    chat.ask("One?")
    response = chat.ask("Two <b>?")
    assert response.status_code == 409
    assert "still being written" in response.text
    assert "Two &lt;b&gt;?</textarea>" in response.text
    assert "http-equiv" not in response.text, "A page that loads itself again would lose what was typed."
    assert response.text.count('class="turn"') == 1

    fragment = chat.ask("Two?", htmx=True)
    assert fragment.status_code == 409
    assert (
        fragment.text.strip()
        == '<p class="notice">An answer is still being written. Wait for it or stop it, then send again.</p>'
    )
    wait_until(lambda: openai.questions)
    assert openai.questions == ["One?"]


def test_the_same_form_sent_twice_is_one_turn_and_one_request(chat, openai):
    for _ in range(2):
        assert chat.ask("One?", turn="the-form").status_code == 303
    assert statuses(chat.settled()) == ["done"]
    assert chat.ask("One?", turn="the-form").status_code == 303
    assert statuses(chat.page()) == ["done"]
    assert openai.questions == ["One?"]


def test_retry_asks_again_and_keeps_the_earlier_answer(chat, openai):
    openai.enqueue(Reply.text("First."), Reply.text("Second."))
    chat.answered("One?")
    assert chat.post(f"turns/{chat.turn_id()}/retry").status_code == 303
    page = chat.settled()
    assert texts(page) == ["Second."]
    assert "Answer 2 of 2" in page
    assert "First." not in page
    assert [m["content"] for m in openai.bodies[1]["messages"]] == ["You are a helpful assistant.", "One?"]


def test_retry_with_htmx_returns_the_whole_turn(chat):
    chat.answered("One?")
    fragment = chat.post(f"turns/{chat.turn_id()}/retry", htmx=True).text
    assert fragment.startswith('<article class="turn"')
    assert statuses(fragment) == ["pending"]


def test_an_answer_cut_at_its_limit_can_be_continued(chat, openai):
    openai.enqueue(Reply.text("One, ", finish="length"), Reply.text("two."))
    page = chat.answered("Count.")
    assert 'class="continue quiet"' in page
    assert "Cut off at the limit" in page
    chat.post(f"turns/{chat.turn_id()}/continue")
    page = chat.settled()
    assert texts(page) == ["One, two."]
    assert 'class="continue' not in page


def test_an_answer_that_is_done_cannot_be_continued(chat):
    page = chat.answered("One?")
    assert 'class="continue' not in page
    assert 'class="retry' in page
    assert chat.post(f"turns/{chat.turn_id()}/continue").status_code == 422


def test_clear_asks_first_and_leaves_nothing(chat, openai, app):
    chat.answered("One?")
    openai.enqueue(Reply([event(chunk("Half")), SILENCE]))
    chat.ask("Two?")
    wait_until(lambda: len(openai.bodies) == 2)
    response = chat.post("clear")
    assert response.status_code == 303
    asked = chat.client.get(response.location)
    assert "Clear this conversation?" in asked.text
    assert "is stopped" in asked.text
    assert len(statuses(chat.page())) == 2
    assert chat.post("clear", confirmed="yes").status_code == 303
    assert statuses(chat.page()) == []
    assert openai.closed_by_client.wait(WAIT)
    assert not list((app.config["DATA_DIR"] / "answers").iterdir())
    assert "One?" not in "".join(path.read_text() for path in (app.config["DATA_DIR"] / "records").iterdir())


def test_clear_with_htmx_returns_the_empty_conversation(chat):
    page = chat.page()
    assert 'hx-confirm="Clear this conversation?' in page
    chat.answered("One?")
    fragment = chat.post("clear", htmx=True).text
    assert fragment.startswith('<section id="conversation"')
    assert "article" not in fragment
    assert statuses(chat.page()) == []


@pytest.mark.parametrize(
    ("reply", "told", "helps"),
    [
        (Reply.error(401, "Incorrect API key provided."), "Incorrect API key provided.", "Check OPENAI_API_KEY"),
        (Reply.error(404, "The model does not exist"), "The model does not exist", "Set CHAT_MODEL"),
        (Reply.error(429, "Slow down.", headers={"Retry-After": "20"}), "Slow down.", "Try again in 20 s."),
        (Reply.error(429, "No money.", code="insufficient_quota"), "No money.", "plan and billing"),
        (Reply.error(400, "Too long", code="context_length_exceeded"), "Too long", "larger context window"),
        (Reply.error(500, "On fire"), "On fire", "provider&#39;s side"),
        (Reply([event(chunk("Half")), RESET]), "broke off", "Continue takes up"),
        (Reply([b"data: {oops\n\n"]), "{oops", "Check OPENAI_BASE_URL"),
        (Reply([event(chunk(finish="stop")), DONE]), "no text", "Retry"),
    ],
)
def test_a_fault_is_told_in_its_turn_with_what_helps(chat, openai, reply, told, helps):
    openai.enqueue(reply)
    page = chat.answered("One?")
    assert statuses(page) == ["failed"]
    assert ">One?</div>" in page
    failure = re.search(r'<div class="failure".*?</div>', page, re.DOTALL).group()
    assert told in failure
    assert helps in failure.replace("'", "&#39;")
    assert 'class="retry' in page


@pytest.mark.parametrize("reply", [Reply(wait=SILENCE), Reply([SILENCE]), Reply([event(chunk("Half")), SILENCE])])
def test_a_model_that_falls_silent_is_told_before_and_between_its_tokens(config, openai, reply):
    openai.enqueue(reply)
    with create_app({**config, "ANSWER_TIMEOUT": 1}).test_client() as client:
        page = Chat(client).answered("One?")
    assert statuses(page) == ["failed"]
    assert "The model was silent for 1 s." in page
    assert "raise ANSWER_TIMEOUT" in page
    assert texts(page) == (["Half"] if reply.steps[1:] else [""])


def test_an_endpoint_that_is_not_there_is_told(config):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        dead = f"http://127.0.0.1:{unused.getsockname()[1]}/v1"
    with create_app({**config, "OPENAI_BASE_URL": dead}).test_client() as client:
        page = Chat(client).answered("One?")
    assert "The model cannot be reached" in page
    assert f"No connection to {dead}: Connection refused" in page
    assert 'class="retry' in page


def test_a_password_in_the_endpoints_address_is_nowhere_to_be_seen(config, caplog):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        place = f"127.0.0.1:{unused.getsockname()[1]}/v1"
    with create_app({**config, "OPENAI_BASE_URL": f"http://owner:s3cret@{place}"}).test_client() as client:
        chat = Chat(client)
        page = chat.answered("One?")
        answer_id = re.search(r'id="answer-([\w-]+)"', page).group(1)
        of_answer = client.get(f"/conversations/{chat.id}/answers/{answer_id}/exchange").text
        exports = [
            client.get(f"/conversations/{chat.id}/export/{kind}").text for kind in ("json", "markdown", "notebook")
        ]
        models = client.get("/models?now=1").text
    assert f"No connection to http://{place}: " in page
    assert f"http://{place}" in of_answer
    for told in (page, of_answer, models, *exports, caplog.text):
        assert "s3cret" not in told


def test_a_text_that_came_before_a_fault_stays_and_can_be_continued(chat, openai):
    openai.enqueue(Reply([event(chunk("Half an answer")), RESET]))
    page = chat.answered("One?")
    assert texts(page) == ["Half an answer"]
    assert 'class="continue' in page


def test_a_question_without_an_answer_says_that_it_is_not_sent_any_more(chat, openai):
    openai.enqueue(Reply.error(500, "On fire"))
    chat.answered("One?")
    page = chat.answered("Two?")
    assert "Later questions are sent without this one" in page
    assert [m["content"] for m in openai.bodies[-1]["messages"]] == ["You are a helpful assistant.", "Two?"]


@pytest.mark.parametrize(
    ("question", "status", "told"),
    [
        ("", 422, "empty"),
        (" \n\t ", 422, "empty"),
        ("a\0b", 422, "U+0000"),
        ("a\x1b[0m", 422, "U+001B"),
        ("x" * 100_001, 413, "100,001 characters"),
        ("汉" * 100_001, 413, "100,001 characters"),
        ("😀" * 100_001, 413, "100,001 characters"),
    ],
)
def test_a_bad_question_is_refused_with_a_message_and_stays_in_the_box(chat, openai, question, status, told):
    response = chat.ask(question)
    assert response.status_code == status
    assert told in response.text
    box = re.search(r'<textarea id="question"[^>]*>\n(.*?)</textarea>', response.text, re.DOTALL).group(1)
    assert unescape(box) == unescape(question)
    assert chat.ask(question, htmx=True).status_code == status
    assert openai.bodies == []
    assert statuses(chat.page()) == []


def test_the_longest_question_is_taken(chat, openai):
    chat.answered("😀" * 100_000)
    assert openai.questions == ["😀" * 100_000]


def test_the_limit_is_a_setting(config):
    with create_app({**config, "MAX_QUESTION_CHARS": 3}).test_client() as client:
        assert Chat(client).ask("four").status_code == 413


def test_a_form_without_its_field_is_refused(chat):
    response = chat.post("ask", text="One?")
    assert response.status_code == 422
    assert "without its question field" in response.text


@pytest.mark.parametrize("body", [b"question=%ff%fe", b"question=%ED%A0%80", b"question=\xff", b"question=%C3"])
def test_bytes_that_are_no_text_are_refused(chat, openai, body):
    response = chat.client.post(
        f"/conversations/{chat.id}/ask", data=body, content_type="application/x-www-form-urlencoded"
    )
    assert response.status_code == 400
    assert "not text in UTF-8" in response.text
    assert openai.bodies == []


def test_a_form_of_many_parts_is_read_too(chat, openai):
    response = chat.client.post(
        f"/conversations/{chat.id}/ask", data={"question": "汉字?"}, content_type="multipart/form-data"
    )
    assert response.status_code == 303
    wait_until(lambda: openai.questions == ["汉字?"])


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    body=st.one_of(st.binary(), st.binary().map(lambda value: b"question=" + value), st.text().map(percent_encoded)),
    kind=st.sampled_from(
        ["application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/plain", "", "x"]
    ),
)
def test_no_body_is_a_server_error(chat, body, kind):
    response = chat.client.post(f"/conversations/{chat.id}/ask", data=body, content_type=kind)
    assert response.status_code in (303, 400, 409, 413, 422)
    chat.post("clear", confirmed="yes")


def test_a_body_beyond_all_limits_is_refused(chat):
    for headers in ({}, {"HX-Request": "true"}):
        response = chat.client.post(
            f"/conversations/{chat.id}/ask", data={"question": "x" * 2_000_000}, headers=headers
        )
        assert response.status_code == 413
        assert "more than can be sent at once" in response.text


def test_somebody_elses_ids_are_unknown(chat, app, openai):
    chat.answered("My secret?")
    turn, answer = chat.turn_id(), re.search(r'id="answer-([\w-]+)"', chat.page()).group(1)
    stranger = Chat(app.test_client())
    for conversation_id in (chat.id, "nobody", "..%2f..", "%00"):
        base = f"/conversations/{conversation_id}"
        for path in ("ask", "stop", "clear", f"turns/{turn}/retry", f"turns/{turn}/continue"):
            response = stranger.client.post(f"{base}/{path}", data={"question": "Two?"})
            assert response.status_code == 404
            assert "My secret" not in response.text
        assert stranger.client.get(f"{base}/answers/{answer}/stream").status_code == 404
    assert openai.questions == ["My secret?"]


def test_a_question_to_an_unknown_conversation_stays_in_the_box(chat):
    response = chat.client.post("/conversations/nobody/ask", data={"question": "Two?"})
    assert response.status_code == 404
    assert "Two?</textarea>" in response.text
    assert f"/conversations/{chat.id}/ask" in response.text


def test_unknown_turns_and_answers_are_unknown(chat):
    for path in ("turns/nobody/retry", "turns/nobody/continue"):
        assert chat.post(path).status_code == 404
    assert chat.stream("nobody").status_code == 404


def test_a_visitor_without_a_session_owns_nothing(app):
    assert app.test_client().post("/conversations/x/ask", data={"question": "One?"}).status_code == 404


def test_the_stream_brings_the_text_and_then_the_end(chat, openai):
    openai.enqueue(Reply.text("Hello,\n", "\n", " wor", "ld", delay=0.05))
    chat.ask("One?")
    response = chat.stream()
    assert response.mimetype == "text/event-stream"
    assert response.headers["Cache-Control"] == "no-cache, no-transform"
    assert response.headers["X-Accel-Buffering"] == "no"
    events = response.text
    assert streamed(events) == "Hello, world"
    assert 'hx-swap="outerMorph"' in events
    assert 'data-status="done"' in events
    assert events.endswith("event: end\ndata:\n\n")


def test_the_end_does_not_repeat_the_text(chat, openai):
    openai.enqueue(Reply.text("Once only."))
    chat.ask("One?")
    assert chat.stream().text.count("Once only.") == 1


@pytest.mark.parametrize("position", [0, 5, 11, 99])
def test_an_answer_that_ended_meanwhile_comes_whole_whatever_the_page_has(chat, openai, position):
    openai.enqueue(Reply.text("Hello world"))
    chat.answered("One?")
    for response in (chat.stream(after=position), chat.stream(headers={"Last-Event-ID": str(position)})):
        assert streamed(response.text, PageText("<p>Something old</p>")) == "Hello world"


@pytest.mark.parametrize("position", [11, 99])
def test_a_page_that_claims_to_show_more_than_there_is_gets_what_there_is(chat, live, openai, position):
    openai.enqueue(Reply([event(chunk("Hello")), SILENCE]))
    chat.ask("One?")
    url = live + unescape(re.search(r'hx-sse:connect="([^"]+)"', chat.page()).group(1))
    headers = {"Cookie": chat.cookie(), "Last-Event-ID": str(position)}
    wait_until(lambda: texts(chat.page()) == ["Hello"])
    with urlopen(Request(url, headers=headers)) as response:
        chat.post("stop")
        assert streamed(response.read().decode(), PageText("<p>Something old</p>")) == "Hello"


@pytest.mark.parametrize("position", ["-1", "x", "", "٣"])
def test_a_position_that_is_none_begins_at_the_beginning(chat, position):
    chat.answered("One?")
    assert streamed(chat.stream(after=position).text) == "You said: One?"


def test_cutting_the_connection_anywhere_loses_nothing_and_doubles_nothing(chat, live, openai):
    source = random.Random(7)
    text = "".join(source.choice("ab 汉字😀\n<&>é*`- ") for _ in range(600))
    openai.enqueue(Reply.text(*text, delay=0.002))
    chat.ask("One?")
    page = chat.page()
    shown = PageText(element(page, "text"))
    url = live + unescape(re.search(r'hx-sse:connect="([^"]+)"', page).group(1))
    cookie = {"Cookie": chat.cookie()}
    position = {}
    for _ in range(50):
        with urlopen(Request(url, headers=cookie | position)) as response:
            received = response.read(source.randrange(1, 900))
        # As in a browser, only events that came whole count.
        whole = received.decode(errors="ignore").rpartition("\n\n")[0]
        shown.take(whole)
        if ids := re.findall(r"^id: (\d+)$", whole, re.MULTILINE):
            position = {"Last-Event-ID": ids[-1]}
    with urlopen(Request(url, headers=cookie | position)) as response:
        shown.take(response.read().decode())
    assert shown.html == element(chat.settled(), "text")


def test_the_stream_of_a_cleared_answer_just_ends(chat, live, openai):
    openai.enqueue(Reply([event(chunk("Half")), SILENCE]))
    chat.ask("One?")
    url = live + unescape(re.search(r'hx-sse:connect="([^"]+)"', chat.page()).group(1))
    with urlopen(Request(url, headers={"Cookie": chat.cookie()})) as response:
        chat.post("clear", confirmed="yes")
        # It may come to its own end before.
        assert re.search(rb"\nevent: (end|parley:gone)\ndata:\n\n$", response.read())


def test_bytes_sent_grow_with_the_text_and_not_with_its_square(chat, openai):
    def sent(words):
        openai.enqueue(Reply.text(*["word "] * words, delay=0.001))
        chat.ask(f"{words}?")
        return len(chat.stream().data)

    short, long = sent(200), sent(800)
    assert long < 6 * short


def test_the_first_models_name_comes_after_the_page(config, openai):
    openai.models = Reply([b'{"object":"list","data":[{"id":"found"}]}'], content_type="application/json", wait=0.3)
    with create_app({**config, "CHAT_MODEL": None}).test_client() as client:
        page = client.get("/").text
        assert "model not known yet" in page
        assert 'hx-get="/model?conversation=' in page
        named = wait_until(lambda: "found" in (fragment := client.get("/model").text) and fragment)
        assert 'hx-trigger="load' not in named
        chat = Chat(client)
        chat.answered("One?")
    assert openai.bodies[0]["model"] == "found"


def test_a_dead_list_of_models_does_not_delay_the_page_and_is_told_in_the_turn(config, openai):
    openai.models = Reply.error(500, "No list today.")
    with create_app({**config, "CHAT_MODEL": None}).test_client() as client:
        chat = Chat(client)
        page = chat.answered("One?")
    assert "No list today." in page
    assert statuses(page) == ["failed"]
    assert openai.bodies == []


def test_health_touches_neither_model_nor_session(client, openai):
    response = client.get("/healthz")
    assert (response.status_code, response.json["status"]) == (200, "ok")
    assert "Set-Cookie" not in response.headers
    assert openai.paths == []
