import json
import math
import re
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from webapp.conversation import Mode
from webapp.json_text import MAX_CHARS, MAX_DEPTH, parse_object
from webapp.parameter_table import TABLE, groups_of, parameters_of
from webapp.parameters import is_reasoning_model, read, request_fields, shown, summary

ROOT = Path(__file__).parent.parent
MODES = get_args(Mode)

# How long an example may take is a matter of the machine.
ANY_TIME = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

# What is typed into a field, the mode, the value, and what of it is in a request of a model that does not reason.
SET = [
    ("chat", "temperature", "0", 0, {"temperature": 0}),
    ("chat", "temperature", " .7 ", 0.7, {"temperature": 0.7}),
    ("chat", "temperature", "2.0", 2.0, {"temperature": 2.0}),
    ("chat", "temperature", "1e-1", 0.1, {"temperature": 0.1}),
    ("chat", "top_p", "1", 1, {"top_p": 1}),
    ("chat", "presence_penalty", "-2", -2, {"presence_penalty": -2}),
    ("completion", "frequency_penalty", "+1.5", 1.5, {"frequency_penalty": 1.5}),
    ("chat", "max_tokens", "1", 1, {"max_tokens": 1}),
    ("chat", "n", "8", 8, {"n": 8}),
    ("image", "n", "10", 10, {"n": 10}),
    ("chat", "seed", "-9223372036854775808", -(2**63), {"seed": -(2**63)}),
    ("chat", "seed", "007", 7, {"seed": 7}),
    ("chat", "stop", "###\r\n\r\n User:\n", ["###", " User:"], {"stop": ["###", " User:"]}),
    ("completion", "stop", r"\n" + "\n" + r"\\n" + "\n" + r"a\tb\d", ["\n", r"\n", "a\tb\\d"], None),
    ("chat", "reasoning_effort", "none", "none", {"reasoning_effort": "none"}),
    ("chat", "verbosity", "low", "low", {"verbosity": "low"}),
    ("chat", "response_format", "json_object", "json_object", {"response_format": {"type": "json_object"}}),
    ("chat", "json_schema", '{"type": "object"}', {"type": "object"}, {}),
    ("chat", "logprobs", "yes", True, {"logprobs": True}),
    ("chat", "logprobs", "no", False, {"logprobs": False}),
    ("completion", "logprobs", "0", 0, {"logprobs": 0}),
    ("completion", "echo", "yes", True, {"echo": True}),
    ("completion", "suffix", "\n}  ", "\n}  ", {"suffix": "\n}  "}),
    ("chat", "user", "某人 ", "某人", {"user": "某人"}),
    ("chat", "model", " gpt-4o ", "gpt-4o", {}),
    ("chat", "system_prompt", "Be brief.\r\nAlways.", "Be brief.\nAlways.", {}),
    ("chat", "stream", "no", False, {}),
    ("chat", "context_tokens", "4096", 4096, {}),
    ("chat", "extra", '{"top_k": 40, "tools": []}', {"top_k": 40, "tools": []}, {"top_k": 40, "tools": []}),
    ("image", "size", " 1536 × 864", "1536x864", {"size": "1536x864"}),
    ("image", "size", "auto", "auto", {"size": "auto"}),
    ("image", "quality", "hd", "hd", {"quality": "hd"}),
    ("image", "background", "transparent", "transparent", {"background": "transparent"}),
]


def names(cases):
    """Return short names for cases whose texts are long or odd."""
    return [f"{mode}-{name}-{number}" for number, (mode, name, *_) in enumerate(cases)]


@pytest.mark.parametrize(("mode", "name", "typed", "value", "sent"), SET, ids=names(SET))
def test_what_is_typed_becomes_a_value_and_part_of_a_request(mode, name, typed, value, sent):
    values, errors = read(mode, {name: typed})
    assert (values, errors) == ({name: value}, {})
    assert type(values[name]) is type(value)
    assert request_fields(mode, values, "gpt-4o") == ({name: value} if sent is None else sent)


WRONG = [
    ("chat", "temperature", "3", "0 to 2; 3 is out of range."),
    ("chat", "temperature", "-0.1", "0 to 2; -0.1 is out of range."),
    ("chat", "temperature", "1e999", "0 to 2; 1e999 is out of range."),
    ("chat", "temperature", "NaN", "0 to 2; NaN is not a number."),
    ("chat", "temperature", "Infinity", "0 to 2; Infinity is not a number."),
    ("chat", "temperature", "0,7", "0 to 2; 0,7 is not a number: write 0.7."),
    ("chat", "temperature", "０.７", "0 to 2; ０.７ is not a number: write it in the digits 0 to 9."),
    ("chat", "temperature", "٣", "0 to 2; ٣ is not a number: write it in the digits 0 to 9."),
    ("chat", "temperature", "1_0", "0 to 2; 1_0 is not a number."),
    ("chat", "temperature", "9" * 5000, f"0 to 2; {'9' * 40}… is out of range."),
    ("chat", "n", "9", "1 to 8, whole; 9 is out of range."),
    ("chat", "n", "1.5", "1 to 8, whole; 1.5 is not a whole number."),
    ("chat", "n", "9" * 5000, f"1 to 8, whole; {'9' * 40}… is out of range."),
    ("image", "n", "11", "1 to 10, whole; 11 is out of range."),
    ("chat", "max_tokens", "0", "1 to 10,000,000, whole; 0 is out of range."),
    ("chat", "seed", str(2**63), f"Any whole number of 64 bits; {2**63} is out of range."),
    ("chat", "top_logprobs", "21", "0 to 20, whole; 21 is out of range."),
    ("completion", "logprobs", "6", "0 to 5, whole; 6 is out of range."),
    ("chat", "verbosity", "loud", "Low, medium or high; loud is none of these."),
    ("chat", "logprobs", "perhaps", "Yes or no; perhaps is neither."),
    ("image", "size", "10x", "Auto, or width x height such as 1536x1024; 10x is none of these."),
    ("chat", "stop", "1\n2\n3\n4\n5", "Up to 4, one a line; these are 5."),
    ("chat", "stop", "x" * 201, f"Up to 200 characters each; {'x' * 40}… has 201."),
    ("chat", "user", "x" * 129, "Up to 128 characters; this has 129."),
    ("chat", "user", "a\nb", "Text without control characters; character 2 is U+000A."),
    ("chat", "system_prompt", "a\x00", "Text without control characters; character 2 is U+0000."),
    ("chat", "system_prompt", "\ud800", "Text without control characters; character 1 is U+D800."),
    ("chat", "extra", '{"top_k": 40,', "Not JSON at line 1, column 14: "),
    ("chat", "extra", '{\n  "top_k" 40}', "Not JSON at line 2, column 11: Expecting ':' delimiter."),
    ("chat", "extra", "[1]", 'One JSON object, {"name": value, …}; this is an array.'),
    ("chat", "extra", "null", 'One JSON object, {"name": value, …}; this is null.'),
    ("chat", "extra", '"x"', 'One JSON object, {"name": value, …}; this is a string.'),
    ("chat", "extra", '{"a": NaN}', "JSON has no NaN; write a number, or null."),
    ("chat", "extra", '{"a": -Infinity}', "JSON has no -Infinity; write a number, or null."),
    ("chat", "extra", '{"a": 1e999}', "Numbers that a computer can hold; 1e999 is too large."),
    ("chat", "extra", f'{{"a": {2**64}}}', f"Numbers of at most 64 bits; {2**64} is larger."),
    ("chat", "extra", f'{{"a": {"9" * 5000}}}', f"Numbers of at most 64 bits; {'9' * 20}… is larger."),
    ("chat", "extra", '{"a": {"b": 1, "b": 2}}', 'Each name once in an object; "b" is there twice.'),
    ("chat", "extra", '{"a": "\\ud800"}', "Text that UTF-8 can carry; \\ud800 is half a character."),
    ("chat", "extra", '{"a":' * 40 + "[]" + "}" * 40, f"At most {MAX_DEPTH} objects and arrays within each other"),
    ("chat", "extra", '{"a":' + "[" * 90_000, f"At most {MAX_DEPTH} objects and arrays within each other"),
    ("chat", "extra", json.dumps({"a": "x" * MAX_CHARS}), "Up to 20,000 characters of JSON without white space"),
    ("chat", "extra", "{" + " " * 100_000 + "}", "One JSON object of up to 100,000 characters; this has 100,002."),
    ("chat", "extra", '{"messages": []}', "Comes from Parley itself: messages. Take it out here."),
    ("chat", "extra", '{"stream_options": {}}', "Comes from Parley itself: stream_options."),
    ("image", "extra", '{"stream": true}', "Comes from Parley itself: stream."),
    ("image", "extra", '{"response_format": "url"}', "Comes from Parley itself: response_format."),
    ("completion", "extra", '{"prompt": ""}', "Comes from Parley itself: prompt."),
    ("chat", "extra", '{"model": "x", "seed": 1, "stream": 1}', "Has a field of its own: model, seed, stream. Set it"),
    ("chat", "json_schema", '{"name": "my schema", "schema": {}}', '"name" takes up to 64 letters'),
    ("chat", "json_schema", '{"name": "x", "schema": {}, "strict": 1}', '"strict" takes true or false.'),
    ("chat", "response_format", "json_schema", None),
]


@pytest.mark.parametrize(("mode", "name", "typed", "message"), WRONG, ids=names(WRONG))
def test_what_cannot_be_used_has_a_message_and_no_value(mode, name, typed, message):
    values, errors = read(mode, {name: typed})
    if message is None:
        assert errors == {"json_schema": "The response format json_schema needs its schema here."}
    else:
        assert list(errors) == [name]
        assert errors[name].startswith(message)
        assert name not in values


def test_one_wrong_field_does_not_keep_the_others_from_being_read():
    values, errors = read("chat", {"temperature": "3", "top_p": "0.9", "seed": "x"})
    assert values == {"top_p": 0.9}
    assert list(errors) == ["temperature", "seed"]


def test_messages_come_in_the_order_of_the_form():
    form = {"extra": "[", "response_format": "json_schema", "n": "0"}
    assert list(read("chat", form)[1]) == ["n", "json_schema", "extra"]


@pytest.mark.parametrize("mode", MODES)
def test_what_is_not_set_is_not_sent(mode):
    assert read(mode, {}) == ({}, {})
    assert read(mode, dict.fromkeys((parameter.name for parameter in TABLE), " \r\n")) == ({}, {})
    assert request_fields(mode, {}, "o3") == {}
    assert summary(mode, {}) == []
    assert set(shown(mode, {}).values()) == {""}


def test_a_mode_reads_and_sends_its_own_parameters_alone():
    assert read("completion", {"verbosity": "low", "echo": "no"})[0] == {"echo": False}
    assert request_fields("image", {"temperature": 1, "size": "auto"}, "m") == {"size": "auto"}


def test_the_system_prompt_may_be_nothing_or_the_servers():
    assert read("chat", {"system_prompt": ""}) == ({}, {})
    assert read("chat", {"system_prompt": " ", "system_prompt_none": "yes"}) == ({"system_prompt": ""}, {})
    assert read("chat", {"system_prompt": "x", "system_prompt_none": "yes"})[1] == {
        "system_prompt": "Either a text, or none: empty the field or untick the box."
    }
    assert shown("chat", {"system_prompt": ""})["system_prompt_none"] == "yes"


def test_top_log_probabilities_go_with_log_probabilities_alone():
    assert list(read("chat", {"top_logprobs": "3"})[1]) == ["top_logprobs"]
    assert list(read("chat", {"top_logprobs": "3", "logprobs": "no"})[1]) == ["top_logprobs"]
    values, errors = read("chat", {"top_logprobs": "3", "logprobs": "yes"})
    assert not errors
    assert request_fields("chat", values, "m") == {"logprobs": True, "top_logprobs": 3}


@pytest.mark.parametrize(
    ("typed", "sent"),
    [
        ({"type": "object"}, {"name": "answer", "schema": {"type": "object"}}),
        ({"title": "City", "type": "object"}, {"name": "City", "schema": {"title": "City", "type": "object"}}),
        ({"title": "A city"}, {"name": "answer", "schema": {"title": "A city"}}),
        ({"name": "x", "schema": {}, "strict": True}, {"name": "x", "schema": {}, "strict": True}),
        ({"schema": {}}, {"name": "answer", "schema": {}}),
        ({"type": "json_schema", "json_schema": {"name": "x", "schema": {}}}, {"name": "x", "schema": {}}),
        ({"properties": {"schema": {}}}, {"name": "answer", "schema": {"properties": {"schema": {}}}}),
    ],
)
def test_a_schema_is_taken_bare_or_whole(typed, sent):
    values, errors = read("chat", {"response_format": "json_schema", "json_schema": json.dumps(typed)})
    assert not errors
    assert values["json_schema"] == typed
    assert request_fields("chat", values, "m") == {"response_format": {"type": "json_schema", "json_schema": sent}}


@pytest.mark.parametrize(
    "name",
    [
        "o1",
        "o1-preview",
        "o3-mini",
        "o4-mini-2025-04-16",
        "gpt-5",
        "gpt-5.4-mini",
        "GPT-5-nano",
        "gpt-6-astra",
        "openai/gpt-5",
        "openrouter/openai/o3",
        "openai/o4-mini:free",
        "ft:o4-mini-2025-04-16:us::x",
    ],
)
def test_reasoning_models_get_max_completion_tokens(name):
    assert is_reasoning_model(name)
    assert request_fields("chat", {"max_tokens": 5, "seed": 1}, name) == {"seed": 1, "max_completion_tokens": 5}
    assert request_fields("completion", {"max_tokens": 5}, name) == {"max_tokens": 5}


@pytest.mark.parametrize(
    "name",
    [
        "gpt-4o",
        "gpt-4.1",
        "gpt-35-turbo",
        "gpt-3.5-turbo",
        "chatgpt-4o-latest",
        "deepseek-reasoner",
        "deepseek-r1",
        "openai/gpt-oss-120b",
        "gpt-oss-20b",
        "o200k",
        "qwen3-8b",
        "ollama",
        "openai/",
        "my-gpt-5",
    ],
)
def test_other_models_get_max_tokens(name):
    assert not is_reasoning_model(name)
    assert request_fields("chat", {"max_tokens": 5}, name) == {"max_tokens": 5}


def test_a_request_has_the_tables_order_and_the_further_fields_last():
    form = {"extra": '{"a": 1}', "user": "u", "stop": "x", "temperature": "1", "max_tokens": "9", "top_p": "1"}
    values, errors = read("chat", form)
    assert not errors
    order = ["temperature", "top_p", "max_tokens", "stop", "user", "a"]
    assert list(request_fields("chat", values, "m")) == order
    assert list(request_fields("chat", dict(reversed(values.items())), "m")) == order


def test_max_completion_tokens_can_be_a_further_field_but_not_beside_max_tokens():
    form = {"extra": '{"max_completion_tokens": 5}'}
    assert request_fields("chat", read("chat", form)[0], "deployment") == {"max_completion_tokens": 5}
    assert list(read("chat", {**form, "max_tokens": "5"})[1]) == ["extra"]


def test_the_summary_says_what_is_set_in_few_words():
    form = {"temperature": "0.2", "top_p": "0.9", "stop": "\\n\nUser: ", "stream": "no", "extra": '{"top_k": 4}'}
    values = read("chat", {**form, "system_prompt": "Be brief. " * 9, "logprobs": "yes"})[0]
    assert " · ".join(summary("chat", values)) == (
        'own system prompt · temperature 0.2 · top_p 0.9 · stop "\\n" "User: " · stream off · logprobs · top_k'
    )
    assert summary("chat", {"system_prompt": "", "model": "m"}) == ["model m", "no system prompt"]


TYPED = st.one_of(
    st.text(max_size=10),
    st.from_regex(r"[-+]?[0-9.eE]{1,12}", fullmatch=True),
    st.text(alphabet="\\nrt \n\r\tx", max_size=20),
    st.sampled_from([typed for _, _, typed, _ in WRONG] + [typed for _, _, typed, *_ in SET]),
)
NAMES = [parameter.name for parameter in TABLE] + ["system_prompt_none"]
FORMS = st.dictionaries(st.sampled_from(NAMES), TYPED, max_size=6)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    # No surrogates: they are refused.
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=10),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=20,
)


@ANY_TIME
@given(st.sampled_from(MODES), FORMS)
def test_reading_never_fails_and_what_is_shown_is_read_as_the_same(mode, form):
    values, errors = read(mode, form)
    assert not (values.keys() & errors.keys())
    alone = {name: value for name, value in values.items() if name not in ("response_format", "top_logprobs")}
    assert read(mode, shown(mode, alone)) == (alone, {})
    if not errors:
        assert read(mode, shown(mode, values)) == (values, {})
    request_fields(mode, values, "o3")
    summary(mode, values)


@ANY_TIME
@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=5), JSON, max_size=4))
def test_json_comes_back_as_it_was_typed(value):
    assert parse_object(json.dumps(value)) == value


@ANY_TIME
@given(st.sampled_from(MODES), st.dictionaries(st.sampled_from(NAMES), JSON, max_size=6))
def test_what_somebody_elses_record_holds_can_be_shown_and_read(mode, foreign):
    summary(mode, foreign)
    values, _ = read(mode, shown(mode, foreign))
    assert all(not isinstance(value, float) or math.isfinite(value) for value in values.values())


@pytest.mark.parametrize("mode", MODES)
def test_a_mode_has_each_name_once_and_every_group_has_a_title(mode):
    names = [parameter.name for parameter in parameters_of(mode)]
    assert len(names) == len(set(names))
    assert [parameter.name for group in groups_of(mode).values() for parameter in group] == names


def test_every_parameter_is_documented():
    documented = []
    for line in (ROOT / "docs/parameters.md").read_text().splitlines():
        cells = [cell.strip() for cell in line.replace("\\|", "¦").strip("|").split("|")]
        if len(cells) == 4 and re.fullmatch("`[a-z_]+`", cells[0]):
            documented.append((cells[0].strip("`"), cells[1], cells[2], cells[3]))
    assert documented == [(one.name, ", ".join(one.modes), one.allowed, one.what) for one in TABLE]
