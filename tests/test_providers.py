"""The shapes of reply that providers send, each from its bytes to the text on the page and the reply under it."""

import json

import pytest

from webapp.call import Call
from webapp.exchange import Exchange
from webapp.llm import LLM, Endpoint
from webapp.reply import REASONING

from .conftest import WAIT
from .openai_server import DONE, Reply, chunk, event

USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}


@pytest.fixture
def ask(openai):
    llm = LLM(lambda: Endpoint(openai.base_url, "sk-secret"), connect_timeout=WAIT, answer_timeout=WAIT)

    def ask(reply, path="/chat/completions", **fields):
        openai.enqueue(reply)
        call = Call()
        body = {"model": "m", "messages": [], "stream": True} | fields
        texts = {}
        for channel, text in llm.send(path, body, call):
            texts[channel] = texts.get(channel, "") + text
        (exchange,) = call.exchanges
        return texts, call.reply, exchange

    return ask


def parts(*deltas, finish="stop", **top):
    """Return chunks for the deltas of one choice, as dicts."""
    chunks = [{**chunk(), **top} for _ in (*deltas, None)]
    for one, delta in zip(chunks, (*deltas, {}), strict=True):
        one["choices"] = [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": None}]
    chunks[-1]["choices"][0]["finish_reason"] = finish
    return chunks


def stream(*chunks, done=True):
    return Reply([*map(event, chunks), *([DONE] if done else [])])


def test_openai(ask):
    top = {"service_tier": "default", "system_fingerprint": "fp_1", "obfuscation": "xyz"}
    chunks = parts({"role": "assistant", "content": "", "refusal": None}, {"content": "你"}, {"content": "好"}, **top)
    last = {**chunk(), **top, "choices": [], "usage": USAGE}
    texts, reply, exchange = ask(stream(*[{**one, "usage": None} for one in chunks], last))
    assert texts == {0: "你好"}
    assert (reply.usage, reply.finish_reason, reply.model) == (USAGE, "stop", "test-model")
    assert list(exchange.reply.items()) == [
        ("id", "chatcmpl-test"),
        ("object", "chat.completion"),
        ("created", 1),
        ("model", "test-model"),
        (
            "choices",
            [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": "你好", "refusal": None},
                    "logprobs": None,
                    "finish_reason": "stop",
                }
            ],
        ),
        ("usage", USAGE),
        ("service_tier", "default"),
        ("system_fingerprint", "fp_1"),
    ]


def test_azure_begins_without_choices_and_filters_content(ask):
    safe = {"hate": {"filtered": False, "severity": "safe"}}
    first = {"choices": [], "created": 0, "id": "", "model": "", "object": "", "prompt_filter_results": [{"x": safe}]}
    chunks = parts({"role": "assistant", "content": ""}, {"content": "Hi"}, finish="content_filter")
    for one in chunks:
        one["choices"][0]["content_filter_results"] = safe
    texts, reply, exchange = ask(stream(first, *chunks))
    assert texts == {0: "Hi"}
    assert reply.finish_reason == "content_filter"
    assert exchange.reply["id"] == "chatcmpl-test"
    assert exchange.reply["prompt_filter_results"] == [{"x": safe}]
    assert exchange.reply["choices"][0]["content_filter_results"] == safe


def test_deepseek_reasons_and_keeps_the_connection_alive_with_comments(ask):
    usage = USAGE | {"prompt_cache_hit_tokens": 1, "completion_tokens_details": {"reasoning_tokens": 1}}
    chunks = parts(
        {"role": "assistant", "content": None, "reasoning_content": "让我想想"},
        {"content": None, "reasoning_content": "。"},
        {"content": "42", "reasoning_content": None},
    )
    chunks[-1]["usage"] = usage
    alive = b": keep-alive\n\n"
    texts, reply, exchange = ask(Reply([alive, event(chunks[0]), alive, *map(event, chunks[1:]), alive, DONE]))
    assert texts == {REASONING: "让我想想。", 0: "42"}
    assert reply.usage == usage
    message = exchange.reply["choices"][0]["message"]
    assert message == {"role": "assistant", "content": "42", "reasoning_content": "让我想想。"}


def test_openrouter_comments_reasons_and_says_where_the_answer_came_from(ask):
    detail = {"type": "reasoning.text", "text": "Hm", "format": "x", "index": 0}
    chunks = parts(
        {"role": "assistant", "content": "", "reasoning": "Hm", "reasoning_details": [detail]},
        {"role": "assistant", "content": "", "reasoning": ".", "reasoning_details": [detail | {"text": "."}]},
        {"role": "assistant", "content": "Yes"},
        provider="Somewhere",
    )
    chunks[-1]["choices"][0]["native_finish_reason"] = "STOP"
    texts, _, exchange = ask(Reply([b": OPENROUTER PROCESSING\n\n", *map(event, chunks), DONE]))
    assert texts == {REASONING: "Hm.", 0: "Yes"}
    (choice,) = exchange.reply["choices"]
    assert exchange.reply["provider"] == "Somewhere"
    assert choice["native_finish_reason"] == "STOP"
    assert choice["message"]["role"] == "assistant"
    assert choice["message"]["reasoning_details"][0]["text"] == "Hm."


def test_details_that_the_sdk_cannot_join_are_kept_as_they_came(ask):
    detail = {"type": "reasoning.text", "text": "Hm"}
    texts, _, exchange = ask(stream(*parts({"content": "a", "details": [detail]}, {"details": [detail]})))
    assert texts == {0: "a"}
    assert exchange.reply["choices"][0]["message"] == {"content": "a", "details": [detail, detail]}


def test_an_error_in_the_stream_keeps_what_came(ask, openai):
    openai.enqueue(Reply([event(chunk("Half")), event({"error": {"message": "Overloaded", "code": 502}})]))
    llm = LLM(lambda: Endpoint(openai.base_url, "sk-secret"), connect_timeout=WAIT, answer_timeout=WAIT)
    call = Call()
    pieces = llm.send("/chat/completions", {"model": "m", "messages": [], "stream": True}, call)
    assert next(pieces) == (0, "Half")
    with pytest.raises(Exception, match="Overloaded"):
        next(pieces)
    assert call.exchanges[0].reply["choices"][0]["message"]["content"] == "Half"
    assert call.exchanges[0].reply["choices"][0]["finish_reason"] is None


def test_ollama_repeats_the_role_and_has_no_usage(ask):
    chunks = parts({"role": "assistant", "content": "a"}, {"role": "assistant", "content": "b"})
    for one in chunks:
        del one["choices"][0]["logprobs"]
    texts, reply, exchange = ask(stream(*chunks))
    assert texts == {0: "ab"}
    assert reply.usage is None
    assert exchange.reply["choices"][0]["message"] == {"role": "assistant", "content": "ab"}
    assert "usage" not in exchange.reply


def test_llama_cpp_adds_timings(ask):
    chunks = parts({"role": "assistant", "content": None}, {"content": "a"})
    last = {**chunk(), "choices": [], "usage": USAGE, "timings": {"predicted_per_second": 100.5}}
    _, reply, exchange = ask(stream(*chunks, last))
    assert reply.usage == USAGE
    assert exchange.reply["timings"] == {"predicted_per_second": 100.5}


def test_vllm_names_the_stop_sequence(ask):
    chunks = parts({"content": "a"})
    chunks[-1]["choices"][0]["stop_reason"] = "END"
    _, reply, exchange = ask(stream(*chunks))
    assert reply.stop_sequence == "END"
    assert exchange.reply["choices"][0]["stop_reason"] == "END"


def test_mistral_thinks_in_parts(ask):
    thinking = {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm"}]}]}
    texts, _, _ = ask(stream(*parts(thinking, {"content": [{"type": "text", "text": "Yes"}]})))
    assert texts == {REASONING: "Hm", 0: "Yes"}


def test_several_choices_interleaved(ask):
    def piece(index, text, finish=None):
        return {**chunk(), "choices": [{"index": index, "delta": {"content": text}, "finish_reason": finish}]}

    order = [piece(1, "B"), piece(0, "A"), piece(2, "C"), piece(0, "a"), piece(1, "b"), piece(2, "c", "length")]
    order += [piece(0, "", "stop"), piece(1, "", "stop")]
    texts, reply, exchange = ask(stream(*order))
    assert texts == {0: "Aa", 1: "Bb", 2: "Cc"}
    assert reply.finish_reason == "stop", "What counts is the first choice's."
    assert [(one["index"], one["message"]["content"], one["finish_reason"]) for one in exchange.reply["choices"]] == [
        (0, "Aa", "stop"),
        (1, "Bb", "stop"),
        (2, "Cc", "length"),
    ]


def test_logprobs_are_joined(ask):
    chunks = parts({"content": "a"}, {"content": "b"})
    for one, token in zip(chunks, "ab", strict=False):
        one["choices"][0]["logprobs"] = {"content": [{"token": token, "logprob": -0.5, "top_logprobs": []}]}
    _, _, exchange = ask(stream(*chunks))
    assert [one["token"] for one in exchange.reply["choices"][0]["logprobs"]["content"]] == ["a", "b"]


def test_a_tool_call_is_in_the_reply(ask):
    call = {"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": '{"a"'}}
    rest = {"index": 0, "function": {"arguments": ":1}"}}
    chunks = parts({"content": "Wait."}, {"tool_calls": [call]}, {"tool_calls": [rest]}, finish="tool_calls")
    _, reply, exchange = ask(stream(*chunks))
    assert reply.finish_reason == "tool_calls"
    (made,) = exchange.reply["choices"][0]["message"]["tool_calls"]
    assert (made["id"], made["function"]) == ("c", {"name": "f", "arguments": '{"a":1}'})


def test_a_refusal_is_text_and_is_known_as_one(ask):
    texts, reply, exchange = ask(stream(*parts({"role": "assistant", "content": None}, {"refusal": "I won't."})))
    assert texts == {0: "I won't."}
    assert reply.refused
    assert exchange.reply["choices"][0]["message"]["refusal"] == "I won't."


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"])
def test_line_ends_cut_characters_and_a_missing_done(ask, line_end):
    raw = b"".join(event(one) for one in parts({"content": "汉字"}, {"content": "😀"})).replace(b"\n", line_end)
    steps = [raw[at : at + 1] for at in range(len(raw))]
    texts, _, exchange = ask(Reply(steps))
    assert texts == {0: "汉字😀"}
    assert exchange.reply["choices"][0]["message"]["content"] == "汉字😀"


def test_surrogates_in_two_chunks_are_whole_in_the_reply_too(ask):
    def raw(text):
        return b'data: {"choices":[{"index":0,"delta":{"content":"' + text + b'"}}]}\n\n'

    _, _, exchange = ask(Reply([raw(rb"\ud83d"), raw(rb"\ude00"), raw(rb"\ud83d"), DONE]))
    assert exchange.reply["choices"][0]["message"]["content"] == "😀\ufffd"


def test_a_reply_in_one_piece_is_kept_as_it_came(ask):
    whole = {
        "model": "m",
        "id": "x",
        "choices": [{"finish_reason": "stop", "index": 0, "message": {"content": "好", "reasoning_content": "嗯"}}],
        "whatever": {"else": [1]},
    }
    texts, _, exchange = ask(Reply.json(whole), stream=False)
    assert texts == {REASONING: "嗯", 0: "好"}
    assert json.dumps(exchange.reply) == json.dumps(whole)


def test_a_completion(ask):
    texts, reply, exchange = ask(Reply.completion(" a", " b", finish="length"), "/completions", prompt="x")
    assert texts == {0: " a b"}
    assert reply.finish_reason == "length"
    assert exchange.reply["object"] == "text_completion"
    assert exchange.reply["choices"] == [{"index": 0, "text": " a b", "logprobs": None, "finish_reason": "length"}]


def test_the_exchange_says_what_was_sent_where_and_what_helps(ask, openai):
    reply = stream(*parts({"content": "a"}))
    reply.headers = {"X-Request-Id": "req_1", "X-RateLimit-Remaining-Requests": "9", "Set-Cookie": "a=b"}
    _, _, exchange = ask(reply, temperature=0.5)
    assert isinstance(exchange, Exchange)
    assert (exchange.base_url, exchange.path, exchange.status) == (openai.base_url, "/chat/completions", 200)
    assert exchange.request == openai.bodies[0]
    assert {name.lower() for name in exchange.headers} == {"x-request-id", "x-ratelimit-remaining-requests"}


def test_a_failed_call_keeps_status_headers_and_body_without_the_key(openai):
    openai.enqueue(Reply.error(429, "Slow down, sk-secret.", headers={"Retry-After": "7", "X-Request-Id": "req_2"}))
    llm = LLM(lambda: Endpoint(openai.base_url, "sk-secret"), connect_timeout=WAIT, answer_timeout=WAIT)
    call = Call()
    with pytest.raises(Exception, match="Slow down"):
        list(llm.send("/chat/completions", {"model": "m", "messages": [], "stream": True}, call))
    (exchange,) = call.exchanges
    assert exchange.status == 429
    assert {name.lower(): value for name, value in exchange.headers.items()} == {
        "retry-after": "7",
        "x-request-id": "req_2",
    }
    assert json.loads(exchange.body)["error"]["message"] == "Slow down, [key]."
    assert exchange.reply is None


def test_a_private_endpoint_is_not_named(openai):
    llm = LLM(lambda: Endpoint(openai.base_url, "sk-secret", private=True), connect_timeout=WAIT, answer_timeout=WAIT)
    call = Call()
    list(llm.send("/chat/completions", {"model": "m", "messages": [{"role": "user", "content": "a"}]}, call))
    assert call.exchanges[0].base_url == ""
