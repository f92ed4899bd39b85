"""So many streams follow answers at once; a page that is refused one asks instead, and misses nothing."""

import threading
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from playwright.sync_api import expect

from webapp.rates import Streams, TooMany

from .conftest import UNLIMITED, WAIT, Chat, ask, conversation_of, wait_until
from .openai_server import DONE, SILENCE, Reply, chunk, event


@pytest.fixture
def config(config):
    return config | {"VISITOR_STREAMS": 1, "MAX_STREAMS": 2}


def open_streams(app):
    return app.extensions["streams"]._open.total()


def test_streams_are_counted_by_visitor_and_in_all_until_they_end():
    streams = Streams(UNLIMITED | {"VISITOR_STREAMS": 2, "MAX_STREAMS": 3})
    first, _, _ = streams.open("a"), streams.open("a"), streams.open("b")
    for visitor in ("a", "b", "c"):
        with pytest.raises(TooMany):
            streams.open(visitor)
    assert "c" not in streams._open
    first()
    streams.open("c")
    assert streams._open == {"a": 1, "b": 1, "c": 1}


def test_no_limit_is_none():
    streams = Streams(UNLIMITED)
    ends = [streams.open("a") for _ in range(3_000)]
    for end in ends:
        end()
    assert not streams._open


@pytest.fixture
def follow(live):
    """Begin to read an answer's stream, or what else is asked of its address; return the reply."""

    def follow(chat, query="after=0", **headers):
        answer = chat.page().partition('id="answer-')[2].partition('"')[0]
        address = f"{live}/conversations/{chat.id}/answers/{answer}/stream?{query}"
        request = Request(address, headers={"Cookie": chat.cookie(), **headers}, method="GET")
        try:
            return urlopen(request, timeout=WAIT)
        except HTTPError as refused:
            return refused

    return follow


def begun(app, openai):
    """Return a visitor whose answer has half come."""
    openai.enqueue(Reply([event(chunk("Half")), SILENCE]))
    chat = Chat(app.test_client())
    chat.ask("One?")
    wait_until(lambda: "Half" in chat.page())
    return chat


def test_one_stream_too_many_is_told_when_to_come_back_and_gets_the_text_by_asking(app, openai, follow):
    chat = begun(app, openai)
    with follow(chat) as followed:
        assert followed.readline() and open_streams(app) == 1
        for language, says in (("en", "may be at once"), ("zh-CN", "已达上限")):
            with follow(chat, **{"Accept-Language": language}) as refused:
                assert (refused.status, refused.headers["Retry-After"]) == (429, "10")
                assert says in refused.read().decode()
        with follow(chat, "after=0&poll=1") as asked:
            assert asked.status == 200 and "Half" in asked.read().decode()
        head = chat.client.head(
            f"/conversations/{chat.id}/answers/{conversation_of(app, chat.id).pending.answer.id}/stream"
        )
        assert head.status_code == 200
        assert open_streams(app) == 1, "Neither who asks nor who looks at the head is counted."
        chat.post("stop")
        assert followed.read().endswith(b"event: end\ndata:\n\n")
    wait_until(lambda: not open_streams(app))
    with follow(chat) as again:
        assert "Half" in again.read().decode()
    wait_until(lambda: not open_streams(app))


def test_all_streams_together_leave_connections_free(app, openai, follow):
    chats = [begun(app, openai) for _ in range(3)]
    streams = [follow(chat) for chat in chats]
    assert [stream.status for stream in streams] == [200, 200, 429]
    for chat, stream in zip(chats, streams, strict=True):
        chat.post("stop")
        stream.read()
        stream.close()
    wait_until(lambda: not open_streams(app))


@pytest.mark.browser
def test_a_second_tab_asks_where_it_may_not_follow_and_shows_every_word(app, live, visit, openai):
    go_on, end = threading.Event(), threading.Event()
    openai.enqueue(
        Reply([event(chunk("First. ")), go_on, event(chunk("Second. ")), end, event(chunk("Third.", "stop")), DONE])
    )
    page = visit(live)
    ask(page)
    expect(page.locator(".answer .text")).to_have_text("First.")
    other = visit(live, context=page.context)
    expect(other.locator(".polling")).to_have_attribute("hx-trigger", "every 1s")
    expect(page.locator(".polling")).to_have_count(0)
    go_on.set()
    for tab in (page, other):
        expect(tab.locator(".answer .text")).to_have_text("First. Second.")
    end.set()
    for tab in (page, other):
        expect(tab.locator(".answer")).to_have_attribute("data-status", "done")
        expect(tab.locator(".answer .text")).to_have_text("First. Second. Third.")
    visit.expects = ""  # The console tells of every 429.
