import json
import random

import pytest

from webapp.llm_errors import BrokenOff, Garbage, LLMError, RateLimited, ServerFailed
from webapp.reply import Reply, read

from .openai_server import DONE, chunk, event

STREAM = "text/event-stream; charset=utf-8"


def texts(*pieces, content_type=STREAM):
    reply = Reply()
    return "".join(text for _, text in read(iter(pieces), content_type, reply)), reply


def test_text_comes_out_in_order_with_what_else_the_reply_says():
    usage = {"prompt_tokens": 3, "completion_tokens": 2}
    last = chunk(usage=usage)
    last["choices"] = []
    text, reply = texts(
        event(chunk("Hello")), event(chunk(", world")), event(chunk(finish="length")), event(last), DONE
    )
    assert text == "Hello, world"
    assert (reply.finish_reason, reply.usage, reply.model) == ("length", usage, "test-model")


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"])
def test_the_cuts_between_pieces_do_not_matter(line_end):
    whole = (
        event(chunk("汉字 é 😀"))
        + b": a comment\n\nevent: message\nid: 7\n"
        + event(chunk(' "quoted"\n'))
        + event(chunk("end", "stop"))
        + DONE
    ).replace(b"\n", line_end)
    for cut in range(1, len(whole)):
        assert texts(whole[:cut], whole[cut:])[0] == '汉字 é 😀 "quoted"\nend'
    for seed in range(50):
        cuts = sorted(random.Random(seed).sample(range(1, len(whole)), 12))
        pieces = [whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
        assert texts(*pieces)[0] == '汉字 é 😀 "quoted"\nend'


def test_what_arrives_together_is_one_piece():
    pieces = list(read(iter([event(chunk("a")) + event(chunk("b")), event(chunk("c", "stop"))]), STREAM, Reply()))
    assert pieces == [(0, "ab"), (0, "c")]


def test_a_missing_done_is_no_harm_where_the_answer_said_that_it_is_finished():
    assert texts(event(chunk("a", "stop")))[0] == "a"


def test_a_last_event_without_its_blank_line_counts():
    assert texts(event(chunk("a", "stop")).rstrip())[0] == "a"


def test_a_stream_that_just_ends_is_broken_off():
    got = []
    with pytest.raises(BrokenOff):
        for piece in read(iter([event(chunk("half an ans"))]), STREAM, Reply()):
            got.append(piece)
    assert got == [(0, "half an ans")]


def test_surrogates_that_arrive_apart_are_joined_and_lone_ones_replaced():
    def raw(text):
        return b'data: {"choices":[{"delta":{"content":"' + text + b'"}}]}\n\n'

    assert texts(raw(rb"a\ud83d"), raw(rb"\ude00b"), DONE)[0] == "a😀b"
    assert texts(raw(rb"\ude00b"), raw(rb"c\ud83d"), DONE)[0] == "\ufffdbc\ufffd"


def test_an_error_in_the_stream_is_the_providers_own():
    with pytest.raises(ServerFailed, match="The engine is on fire"):
        texts(event(chunk("a")), event({"error": {"message": "The engine is on fire", "type": "server_error"}}))
    with pytest.raises(RateLimited, match="slow"):
        texts(event({"error": {"message": "slow", "code": "rate_limit_exceeded"}}))
    with pytest.raises(LLMError, match="a mere string"):
        texts(event({"error": "a mere string"}))


def test_text_that_comes_together_with_an_error_is_kept():
    pieces = read(iter([event(chunk("Half")) + event({"error": {"message": "Overloaded"}})]), STREAM, Reply())
    assert next(pieces) == (0, "Half")
    with pytest.raises(ServerFailed, match="Overloaded"):
        next(pieces)


@pytest.mark.parametrize(
    "payload",
    [b"<html>", b"{", b"[1]", b'"text"', b'{"choices": 5}', b"[" * 100_000, b'{"choices":[{"delta":"\xff"}]}'],
)
def test_garbage_in_the_stream_is_called_that(payload):
    with pytest.raises(Garbage):
        texts(event(chunk("a")), b"data: " + payload + b"\n\n")


def test_a_reply_in_one_piece_is_taken_too():
    whole = {
        "model": "m",
        "choices": [{"message": {"content": "All at once"}, "finish_reason": "stop"}],
        "usage": {"total_tokens": 5},
    }
    text, reply = texts(json.dumps(whole).encode(), content_type="application/json")
    assert (text, reply.finish_reason, reply.usage, reply.model) == ("All at once", "stop", {"total_tokens": 5}, "m")


@pytest.mark.parametrize(
    "body", [b"", b"<html><style>p{}</style><p>Hello</p>", b"{}", b"[]", b'{"choices":[]}', b"\xff\xfe"]
)
def test_a_reply_that_is_no_chat_is_garbage(body):
    with pytest.raises(Garbage, match="did not answer as the API does"):
        texts(body, content_type="text/html")


def test_html_that_is_no_chat_is_shown_without_its_tags():
    with pytest.raises(Garbage, match=r"\(text/html\): Sign in$"):
        texts(b"<html><style>p{}</style><p>Sign in</p>", content_type="text/html")
