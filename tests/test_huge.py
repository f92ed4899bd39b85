"""Answers far too long to be read: nothing is lost of them, to the last character, and nobody else waits for them."""

import threading

import pytest

from webapp import create_app, pausing
from webapp.beginning import LONGEST, reach
from webapp.exchange import load
from webapp.unfolding import ended

from .conftest import UNLIMITED, Chat, element, statuses, wait_until
from .openai_server import DONE, Reply, chunk, event
from .page_text import PageText
from .visitor import Visitor

SIZE = 10_000_000


def repeated(text):
    return text * (SIZE // len(text.encode()))


def figures():
    """Return 100,000 lines with figures: bare ones, a list, a table."""
    rows = range(100_000 // 3)
    bare = "".join(f"{row * 7919}\n" for row in rows)
    points = "".join(f"{row + 1}. {row / 7:.6f}\n" for row in rows)
    table = "".join(f"| {row} | {row * row} |\n" for row in rows)
    return f"| n | square |\n|--:|--:|\n{table}\n{bare}\n{points}"


def in_events(text, size, together=1):
    """Return the steps of a reply: a text in events of so many characters, so many of them in a write."""
    events = [event(chunk(text[at : at + size])) for at in range(0, len(text), size)]
    return [b"".join(events[at : at + together]) for at in range(0, len(events), together)]


HUGE = {
    "lines": (lambda: repeated("A **line** of words, 也有汉字。\n\n"), 10_000, 1),
    "one endless line in one event": (lambda: repeated("word and 字 "), SIZE, 1),
    "100,000 tiny chunks": (lambda: "".join(f"{n % 10}字 " for n in range(100_000)), 3, 50),
    "100,000 lines with figures": (figures, 1_000, 10),
}


def same(one, other):
    """Compare texts that no failure should print."""
    return one == other


@pytest.mark.slow
@pytest.mark.parametrize("name", HUGE)
def test_a_huge_answer_is_followed_kept_shown_copied_and_exported_to_its_last_character(config, openai, name):
    make, size, together = HUGE[name]
    text = make()
    openai.enqueue(Reply([*in_events(text, size, together), event(chunk(finish="stop")), DONE]))
    app = create_app({"TESTING": True, **UNLIMITED, **config})
    chat = Chat(app.test_client())
    begun = chat.ask("Much?", htmx=True).text
    answer_id = begun.partition('id="answer-')[2].partition('"')[0]
    stream = chat.stream(answer_id).text
    end = reach(0).end("chat", text)  # Of a table less: it is made of signs.
    told = f"Only the first {end:,} of {len(text):,} characters are shown here."

    followed = PageText()
    followed.take(stream)
    assert same(followed.html, ended("chat", f"text-{answer_id}", text[:end], str))
    assert told in stream
    assert stream.endswith("event: end\ndata:\n\n")
    assert len(stream) < 30 * LONGEST, "A table's cells have tags; what is not shown is not sent."

    page = chat.page()
    assert statuses(page) == ["done"]
    assert same(element(page, "text"), followed.html)
    assert told in page
    assert same(chat.client.get(f"/conversations/{chat.id}/answers/{answer_id}/markdown").text, text)
    exported = chat.client.get(f"/conversations/{chat.id}/export/json").json
    assert same(exported["messages"][-1]["content"], text)
    assert same(exported["turns"][0]["answers"][0]["text"], text)
    markdown = chat.client.get(f"/conversations/{chat.id}/export/markdown").text
    assert same(markdown.partition(text)[1:], (text, "\n"))
    notebook = chat.client.get(f"/conversations/{chat.id}/export/notebook").json
    assert same("".join(notebook["cells"][1]["outputs"][0]["text"]), f"{text}\n")
    (exchange,) = load(app.extensions["files"], chat.id, answer_id)
    assert same(exchange.reply["choices"][0]["message"]["content"], text)
    assert not list((app.config["DATA_DIR"] / "answers").iterdir())
    chat.answered("And then?")
    assert same(openai.bodies[-1]["messages"][2], {"role": "assistant", "content": text})
    app.extensions["answers"].shut_down()


def test_a_model_that_is_faster_than_it_is_read_stops_nobody_else(server, openai):
    enough = threading.Event()

    def endless():
        piece = b"".join(event(chunk("so ")) for _ in range(100))
        while not enough.is_set():
            yield piece
        yield from (event(chunk(finish="stop")), DONE)

    openai.enqueue(Reply(endless()))
    visitor, other = Visitor(server.url), Visitor(server.url)
    try:
        visitor.ask("Much?")
        # Each of these comes while the model goes on: there is never nothing to read.
        assert "so so" in wait_until(lambda: "so so" in (page := visitor.page()) and page)
        other.ask("And me?")
        wait_until(lambda: statuses(other.page()) == ["done"])
        assert statuses(visitor.page()) == ["pending"]
        visitor.post(f"/conversations/{visitor.id}/stop")
        assert statuses(visitor.page()) == ["stopped"]
    finally:
        enough.set()


def test_what_is_waited_for_needs_no_pause_and_what_is_not_gets_one(monkeypatch):
    now, slept = [0.0], []
    monkeypatch.setattr(pausing, "monotonic", lambda: now[0])
    monkeypatch.setattr(pausing, "sleep", slept.append)

    def arriving(wait):
        for _ in range(100):
            now[0] += wait
            yield b""

    def used(pieces):
        for _ in pieces:
            now[0] += 0.003

    used(pausing.in_turn(arriving(0.001)))
    assert slept == []
    used(pausing.in_turn(arriving(0.0)))
    assert 10 < len(slept) < 20
    assert set(slept) == {0.001}
