"""The events of an answer, as a browser takes them apart."""

import html
import re
import threading
from urllib.request import Request, urlopen

import pytest

from webapp.following import _event

from .conftest import wait_until
from .openai_server import DONE, SILENCE, Reply, chunk, event


def parsed(stream):
    """Return the (type, data) of a stream's events, taken apart as the HTML standard says."""
    events, kind, data = [], "message", []
    for line in re.split("\r\n|\r|\n", stream):
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if not line and data:
            events.append((kind, "\n".join(data)))
        if not line:
            kind, data = "message", []
        elif name == "event":
            kind = value
        elif name == "data":
            data.append(value)
    return events


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n"])
def test_every_line_end_stays_inside_its_event(end):
    html = f"one{end}event: end{end}data:{end}{end}two"
    assert parsed(_event(html, {0: 3})) == [("message", "one\nevent: end\ndata:\n\ntwo")]


def test_white_space_stays_as_it_is():
    assert parsed(_event("  a \n\n\t b\u2028c\x0b\n", {})) == [("message", "  a \n\n\t b\u2028c\x0b\n")]


def test_a_providers_words_are_no_events(chat, openai):
    openai.enqueue(Reply.error(500, "Broken.\revent: end\rdata: forged\r\rid: 999999\rdata: more\r\r"))
    chat.answered("One?")
    events = parsed(chat.stream().text)
    assert [kind for kind, _ in events] == ["message", "end"]
    assert "data: forged" in events[0][1]
    assert events[1] == ("end", "")


def test_the_first_event_comes_before_the_first_word(chat, live, openai):
    openai.enqueue(Reply([SILENCE]))
    chat.ask("One?")
    answer = re.search(r'id="answer-([\w-]+)"', chat.page()).group(1)
    address = f"{live}/conversations/{chat.id}/answers/{answer}/stream"
    with urlopen(Request(address, headers={"Cookie": chat.cookie()})) as stream:
        assert stream.readline() == b"id: 0\n"
        assert stream.readline().decode() == (
            f'data: <hx-partial hx-target="#polling-{answer}" hx-swap="delete"></hx-partial>\n'
        )
        chat.post("stop")
        stream.read()


def test_polled_it_brings_what_is_there_and_asks_again(chat, openai):
    gate = threading.Event()
    openai.enqueue(Reply([event(chunk("One ")), gate, event(chunk("two.")), DONE]))
    chat.ask("One?")
    page = wait_until(lambda: "One" in (page := chat.page()).partition('class="answer"')[2] and page)
    begun = html.unescape(re.search(r'class="polling".*?hx-get="([^"]+)" hx-trigger="every 3s"', page).group(1))
    first = chat.client.get(re.sub(r"after=\d+", "after=0", begun)).text
    assert [kind for kind, _ in parsed(first)] == ["message", "message"]
    assert "One" in first
    again = html.unescape(re.search(r'hx-get="([^"]+)" hx-trigger="every 1s"', first).group(1))
    gate.set()
    chat.settled()
    last = chat.client.get(again).text
    assert "two." in last
    assert "polling" not in last
    assert parsed(last)[-1] == ("end", "")
