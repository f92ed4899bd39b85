import json
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webapp.exchange import Exchange, in_api_order, load, pretty, pretty_body, save, shortened, that_matter
from webapp.files import Files

EXCHANGE = Exchange(
    "https://api.deepseek.com/v1",
    "/chat/completions",
    {"model": "m", "messages": [{"role": "user", "content": "你好 'you'"}], "seed": 2**70},
    status=200,
    headers={"x-request-id": "req_1"},
    reply={"id": "1", "choices": [], "usage": None},
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@pytest.fixture
def files(tmp_path):
    return Files(tmp_path / "files")


def test_exchanges_are_loaded_as_they_were_saved(files):
    failed = Exchange("", "/completions", {"prompt": "x"}, status=429, headers={"retry-after": "3"}, body="slow down")
    save(files, "talk", "answer", [EXCHANGE, failed])
    assert load(files, "talk", "answer") == [EXCHANGE, failed]


def test_saving_again_replaces(files):
    save(files, "talk", "answer", [Exchange("", "/completions", {})])
    save(files, "talk", "answer", [EXCHANGE])
    assert load(files, "talk", "answer") == [EXCHANGE]


def test_what_was_kept_before_it_was_packed_is_loaded(files):
    save(files, "talk", "answer", [EXCHANGE])
    path = files.path("talk", "answer.exchanges.json")
    path.write_bytes(zlib.decompress(path.read_bytes()))
    assert load(files, "talk", "answer") == [EXCHANGE]


def test_half_a_character_survives(files):
    half = Exchange("", "/chat/completions", {"a": "你\ud83d"}, reply={"b": ["\ude00"]})
    save(files, "talk", "answer", [half])
    assert load(files, "talk", "answer") == [half]


def test_where_nothing_was_recorded_there_is_nothing(files):
    assert load(files, "talk", "answer") == []
    assert load(files, "../talk", "answer") == []
    assert load(files, "talk", "../answer") == []


@pytest.mark.parametrize("content", [b"", b"[{", b'{"a": 1}', b"[1]", b"\xff"])
def test_a_damaged_record_is_none_and_is_logged(files, content, caplog):
    files.write("talk", "answer.exchanges.json", content)
    assert load(files, "talk", "answer") == []
    files.path("talk", "answer.exchanges.json").write_bytes(content)
    assert load(files, "talk", "answer") == []
    assert caplog.text.count("of answer answer") == 2


def test_json_is_indented_by_two_in_its_own_order_and_readable():
    assert pretty({"b": "你好 👩‍💻 é", "a": [1, {"c": None}], "d": {}}) == (
        '{\n  "b": "你好 👩‍💻 é",\n  "a": [\n    1,\n    {\n      "c": null\n    }\n  ],\n  "d": {}\n}'
    )


def test_what_cannot_be_seen_is_an_escape():
    assert pretty("a\u202eb\u2028\x85\ufeff\x1b") == r'"a\u202eb\u2028\u0085\ufeff\u001b"'
    assert pretty({"a": "é\ud83d"}) == '{\n  "a": "é\\ud83d"\n}'


@given(json_values)
def test_pretty_json_means_the_same(value):
    assert json.loads(pretty(value)) == value
    pretty(value).encode()


def test_a_body_is_indented_only_where_it_is_json():
    assert pretty_body('{"error":{"message":"没有"}}') == '{\n  "error": {\n    "message": "没有"\n  }\n}'
    assert pretty_body("<html>Bad gateway") == "<html>Bad gateway"
    assert pretty_body("") == ""
    deep = "[" * 100_000
    assert pretty_body(deep) == deep


def test_the_data_of_images_is_shortened():
    image = "iVBORw0KGgo" + "A" * 5000 + "=="
    shown = shortened({"data": [{"b64_json": image}], "url": f"data:image/png;base64,{image}"})
    assert shown == {
        "data": [{"b64_json": "iVBORw0K… (5,013 characters)"}],
        "url": "data:image/png;base64,iVBORw0K… (5,035 characters)",
    }


@pytest.mark.parametrize("text", ["A" * 100, "word " * 2000, "字" * 5000, "a\n" * 3000])
def test_a_long_text_stays_whole(text):
    assert shortened([text]) == [text]


def test_an_assembled_reply_gets_the_apis_order():
    reply = {
        "provider": "x",
        "usage": {"z": 1, "a": 2},
        "choices": [
            {
                "finish_reason": "stop",
                "native": 1,
                "logprobs": None,
                "message": {"refusal": None, "reasoning": "hm", "content": "Hi", "role": "assistant"},
                "index": 0,
            }
        ],
        "system_fingerprint": None,
        "model": "m",
        "created": 1,
        "object": "chat.completion",
        "id": "1",
    }
    ordered = in_api_order(reply)
    assert ordered == reply
    assert list(ordered) == ["id", "object", "created", "model", "choices", "usage", "system_fingerprint", "provider"]
    assert list(ordered["choices"][0]) == ["index", "message", "logprobs", "finish_reason", "native"]
    assert list(ordered["choices"][0]["message"]) == ["role", "content", "refusal", "reasoning"]
    assert list(ordered["usage"]) == ["z", "a"]


def test_a_completions_choice_begins_with_its_text():
    choice = {"index": 0, "finish_reason": "stop", "text": "a", "logprobs": None}
    assert list(in_api_order({"choices": [choice]})["choices"][0]) == ["text", "index", "logprobs", "finish_reason"]


@pytest.mark.parametrize("reply", [{}, {"choices": None}, {"choices": ["x", {"message": "y"}]}, {"choices": {"a": 1}}])
def test_an_odd_reply_is_ordered_as_far_as_it_goes(reply):
    assert in_api_order(reply) == reply


def test_the_headers_that_matter_are_kept_ids_first():
    headers = {
        "Date": "today",
        "x-ratelimit-remaining-tokens": "7",
        "openai-processing-ms": "12",
        "openai-organization": "acme",
        "Set-Cookie": "__cf_bm=secret",
        "Retry-After": "3",
        "retry-after-ms": "3000",
        "x-should-retry": "true",
        "openai-version": "2020-10-01",
        "anthropic-ratelimit-requests-limit": "5",
        "x-request-id": "req_1",
        "request-id": "2",
        "apim-request-id": "3",
        "x-ms-request-id": "4",
        "x-amzn-requestid": "5",
        "x-ds-trace-id": "6",
        "CF-Ray": "7",
        "authorization": "Bearer sk-1",
    }
    kept = list(that_matter(headers))
    assert kept[:7] == [
        "x-request-id",
        "request-id",
        "apim-request-id",
        "x-ms-request-id",
        "x-amzn-requestid",
        "x-ds-trace-id",
        "CF-Ray",
    ]
    assert set(kept[7:10]) == {"Retry-After", "retry-after-ms", "x-should-retry"}
    assert set(kept[10:12]) == {"x-ratelimit-remaining-tokens", "anthropic-ratelimit-requests-limit"}
    assert set(kept[12:]) == {"openai-processing-ms", "openai-version"}


def test_credentials_in_the_base_url_are_not_shown():
    assert Exchange("https://me:pass@host:8443/v1/", "", {}).shown_base_url == "https://host:8443/v1"
    assert Exchange("http://[::1]:80/v1", "", {}).shown_base_url == "http://[::1]:80/v1"
    assert Exchange("", "", {}).shown_base_url == ""
