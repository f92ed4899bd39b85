import json
from decimal import Decimal

import pytest

from webapp.prices import Prices, PricesError, read
from webapp.tokens import Counts

from .conftest import ROOT

LIST = {
    "currency": "USD",
    "per": 1_000_000,
    "models": {
        "big": {"input": 2.5, "cached_input": 0.25, "output": 10},
        "big-*": {"input": 1, "output": 2},
        "big-mini*": {"input": 0.1, "output": 0.2},
        "painter": {"image": 0.04},
        "reader": {"input": 0.02},
    },
}


@pytest.fixture
def write(tmp_path):
    def write(content):
        path = tmp_path / "prices.json"
        path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
        return path

    return write


@pytest.fixture
def prices(write):
    return read(write(LIST))


def test_prompt_and_completion_cost_what_the_list_says(prices):
    assert prices.cost("big", Counts(1000, None, 100, None, 1100)) == Decimal("0.0035")


def test_cached_tokens_cost_their_own_price_or_else_the_inputs(prices):
    counts = Counts(1_000_000, 600_000, 0, None, 1_000_000)
    assert prices.cost("big", counts) == Decimal("1.15")
    assert prices.cost("big-one", counts) == 1


def test_reasoning_is_a_part_of_the_completion(prices):
    assert prices.cost("big", Counts(0, None, 100, 90, 100)) == prices.cost("big", Counts(0, None, 100, None, 100))


def test_a_whole_name_counts_before_a_beginning_and_a_longer_beginning_before_a_shorter(prices):
    assert prices.of("big").output == 10
    assert prices.of("big-2026").output == 2
    assert prices.of("big-mini").output == prices.of("big-mini-2").output == Decimal("0.2")


def test_no_price_is_invented(prices):
    counts = Counts(10, None, 10, None, 20)
    assert prices.cost("small", counts) is None
    assert prices.cost("", counts) is None
    assert prices.cost("reader", counts) is None
    assert prices.cost("reader", Counts(10, None, 0, None, 10)) == Decimal("0.0000002")
    assert prices.cost("big", Counts()) is None
    assert prices.cost("big", Counts(total=20)) is None
    assert prices.cost("big", Counts(completion=20, total=20, estimated=True)) is None
    assert not read(None)
    assert read(None).cost("big", counts) is None


def test_pictures_cost_by_the_piece(prices):
    assert prices.cost("painter", Counts(), pictures=3) == Decimal("0.12")
    assert prices.cost("painter", Counts(50, None, 4000, None, 4050), pictures=1) == Decimal("0.04")
    assert prices.cost("big", Counts(), pictures=3) is None


@pytest.mark.parametrize(
    ("currency", "cost", "shown"),
    [
        ("USD", "0.0123", "$0.0123"),
        ("CNY", "0.02", "¥0.02"),
        ("EUR", "0.02", "EUR 0.02"),
        ("USD", "0", "$0.00"),
        ("USD", "0.00003", "< $0.0001"),
        ("EUR", "0.00003", "< EUR 0.0001"),
        ("USD", "0.00016", "$0.0002"),
        ("USD", "0.5", "$0.50"),
        ("USD", "0.123", "$0.123"),
        ("USD", "0.99999", "$1.00"),
        ("USD", "1234.567", "$1,234.57"),
    ],
)
def test_an_amount_is_shown_as_people_read_it(currency, cost, shown):
    assert Prices({}, currency).shown(Decimal(cost)) == shown


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ('{"models": {\n "a" {}}}', "line 2, column 6 is no JSON"),
        ("[]", "the file is []; allowed is an object with currency, per, models"),
        ({"models": {}, "model": {}}, "the file has 'model'; allowed are currency, per, models"),
        ({}, "models is missing"),
        ({"models": {"a": 3}}, "models → 'a' is 3; allowed is an object with input, cached_input, output, image"),
        ({"models": {"a": {"imput": 1}}}, "models → 'a' has 'imput'"),
        ({"models": {"a": {"input": "1"}}}, "models → 'a' → input is \"1\"; allowed is a number from 0"),
        ({"models": {"a": {"input": -1}}}, "models → 'a' → input is -1;"),
        ('{"models": {"a": {"input": NaN}}}', "models → 'a' → input is NaN;"),
        ({"models": {"a": {"input": True}}}, "models → 'a' → input is true;"),
        ({"models": {"a": {"input": None}}}, "models → 'a' → input is null;"),
        ('{"models": {"a": {}, "a": {}}}', "the name 'a' stands twice"),
        ({"models": {"a*b": {}}}, "a * may stand at a name's end alone"),
        ({"models": {"": {}}}, "models has the name ''"),
        ({"models": {}, "per": 0}, "per is 0; allowed is the whole number"),
        ({"models": {}, "per": 1.5}, "per is 1.5;"),
        ({"models": {}, "currency": ""}, 'currency is ""; allowed is a short name'),
        ("[" * 100_000, "recursion"),
    ],
)
def test_a_broken_list_is_refused_with_what_is_wrong_and_where(write, content, told):
    path = write(content)
    with pytest.raises(PricesError) as refused:
        read(path)
    assert str(refused.value).startswith(f"PRICES is {str(path)!r}, which cannot be used: ")
    assert told in str(refused.value)


def test_a_list_that_cannot_be_read_is_refused(tmp_path):
    with pytest.raises(PricesError, match="No such file"):
        read(tmp_path / "none.json")
    (tmp_path / "prices.json").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(PricesError):
        read(tmp_path / "prices.json")


def test_the_example_can_be_read_and_names_no_real_model():
    prices = read(ROOT / "docs/prices.example.json")
    assert prices.cost("made-up-model", Counts(1000, 500, 100, None, 1100)) == Decimal("0.00105")
    assert all(name.startswith("made-up") for name in prices.models)
