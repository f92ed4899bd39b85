"""The events of an answer, as a browser takes them apart."""

import re

import pytest

from webapp.following import _event

from .openai_server import Reply


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
