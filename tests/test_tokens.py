import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webapp.conversation import Answer, Conversation, Turn
from webapp.tokens import Counts, added, calibration, counted, estimate, estimate_messages, estimated_usage, of_answer

from .conftest import ROOT

SAMPLES = json.loads((ROOT / "bench/texts.json").read_bytes())


@pytest.mark.parametrize(
    ("usage", "counts"),
    [
        # OpenAI
        (
            {
                "prompt_tokens": 1234,
                "completion_tokens": 56,
                "total_tokens": 1290,
                "prompt_tokens_details": {"cached_tokens": 1000, "audio_tokens": 0},
                "completion_tokens_details": {"reasoning_tokens": 40, "audio_tokens": 0},
            },
            Counts(1234, 1000, 56, 40, 1290),
        ),
        # its images, transcriptions and responses
        (
            {
                "input_tokens": 50,
                "output_tokens": 4160,
                "total_tokens": 4210,
                "input_tokens_details": {"text_tokens": 50},
            },
            Counts(50, None, 4160, None, 4210),
        ),
        (
            {
                "input_tokens": 14,
                "input_tokens_details": {"cached_tokens": 4},
                "output_tokens": 9,
                "output_tokens_details": {"reasoning_tokens": 2},
            },
            Counts(14, 4, 9, 2, 23),
        ),
        ({"type": "duration", "seconds": 9}, Counts()),
        # DeepSeek
        (
            {
                "prompt_tokens": 100,
                "completion_tokens": 20,
                "total_tokens": 120,
                "prompt_cache_hit_tokens": 64,
                "prompt_cache_miss_tokens": 36,
            },
            Counts(100, 64, 20, None, 120),
        ),
        # reasoning beside the completion and not in it: xAI, which says how much, and Gemini, which does not
        (
            {
                "prompt_tokens": 10,
                "completion_tokens": 5,
                "total_tokens": 115,
                "completion_tokens_details": {"reasoning_tokens": 100},
            },
            Counts(10, None, 105, 100, 115),
        ),
        ({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 45}, Counts(10, None, 35, 30, 45)),
        # nulls, other types, a total too few
        (
            {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": None, "prompt_tokens_details": None},
            Counts(7, None, 3, None, 10),
        ),
        ({"prompt_tokens": 7.0, "completion_tokens": "3", "total_tokens": 1}, Counts(7, None, 3, None, 10)),
        ({"total_tokens": 12}, Counts(total=12)),
        ({"prompt_tokens": 5, "prompt_tokens_details": {"cached_tokens": 9}}, Counts(prompt=5, cached=5)),
        ({"prompt_tokens": -1, "completion_tokens": True, "total_tokens": float("nan")}, Counts()),
        ({"prompt_tokens": "many", "completion_tokens": [1], "total_tokens": 1e300}, Counts()),
        (None, Counts()),
        ("none", Counts()),
    ],
)
def test_every_providers_usage_is_understood(usage, counts):
    assert counted(usage) == counts


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda values: st.dictionaries(
            st.sampled_from(
                ["prompt_tokens", "output_tokens", "total_tokens", "prompt_tokens_details", "cached_tokens"]
            ),
            values,
        ),
    )
)
def test_no_usage_is_too_strange(usage):
    counts = counted(usage)
    assert all(value is None or value >= 0 for value in (counts.prompt, counts.completion, counts.total))


def answered(text="Yes.", **more):
    return Answer(status="done", text=text, **more)


def total_of(talk):
    return added(of_answer(answer) for turn in talk.every_turn() for answer in turn.answers)


def test_a_total_is_what_all_answers_spent_the_earlier_ones_too():
    first = {"prompt_tokens": 10, "completion_tokens": 2, "completion_tokens_details": {"reasoning_tokens": 1}}
    second = {"prompt_tokens": 20, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 8}}
    talk = Conversation(
        "me", turns=[Turn("?", answers=[answered(usage=first), answered(usage=second)]), Turn("?", answers=[Answer()])]
    )
    assert total_of(talk) == Counts(30, 8, 5, 1, 35)
    assert total_of(Conversation("me")) == Counts()


def test_a_total_says_when_a_part_of_it_is_estimated():
    usage = {"prompt_tokens": 10, "completion_tokens": 2}
    talk = Conversation("me", turns=[Turn("?", answers=[answered(usage=usage), answered("No", usage=None)])])
    assert total_of(talk) == Counts(10, None, 2, None, 12), "Of what nobody counted, none is invented."
    talk.turns[0].answers[1] = answered(usage=usage, usage_estimated=True)
    assert total_of(talk) == Counts(20, None, 4, None, 24, estimated=True)


def test_what_no_part_knows_stays_unknown():
    assert added([Counts(), Counts(total=5), Counts(prompt=1)]) == Counts(prompt=1, total=5)


@pytest.mark.parametrize("kind", SAMPLES)
def test_an_estimate_is_near_what_tokenizers_of_today_make_of_a_text(kind):
    # The families differ among themselves, by language up to threefold; the nearest one is near.
    allowed = 0.15 if kind.startswith(("English", "Chinese", "Python", "C and", "JSON", "Markdown")) else 0.35
    for sample in SAMPLES[kind]:
        errors = [abs(estimate(sample["text"]) / exact - 1) for exact in sample["tokens"]]
        assert min(errors) < allowed, (errors, sample["text"])


def test_estimates_of_nothing_of_one_sign_and_of_anything():
    assert estimate("") == 0
    assert estimate(" ") == 1
    assert estimate("\ud800") >= 1
    assert estimate("word " * 1_000_000) == pytest.approx(1_000_000, rel=0.1)


def test_calibrating_brings_an_estimate_to_the_model_and_stays_sensible():
    text = SAMPLES["Chinese, prose"][0]["text"]
    assert estimate(text, calibration(estimate(text), 202)) == pytest.approx(202, rel=0.2)
    assert estimate(text * 9, calibration(estimate(text * 9), 9 * 202)) == pytest.approx(9 * 202, rel=0.03)
    assert calibration(10, 1_000_000) == 4
    assert calibration(1, 60) < 3
    assert calibration(1_000_000, 10) == 0.25
    assert calibration(10, None) == calibration(0, 5) == calibration(10, 0) == 1


def test_each_message_costs_what_the_template_puts_around_it():
    message = {"role": "user", "content": "Hello"}
    assert estimate_messages([message, message]) - estimate_messages([message]) == estimate("Hello") + 5


def test_an_estimated_usage_has_the_apis_form():
    usage = estimated_usage([{"role": "user", "content": "Why?"}], "Because.", "Well, why?")
    counts = counted(usage, estimated=True)
    assert counts.prompt == estimate_messages([{"role": "user", "content": "Why?"}])
    assert counts.reasoning == estimate("Well, why?")
    assert counts.completion == estimate("Because.") + counts.reasoning
    assert counts.estimated
