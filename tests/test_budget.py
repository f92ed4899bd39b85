import json
from pathlib import Path
from threading import Event, Thread
from time import time

import msgspec
import pytest

from webapp import create_app
from webapp.budget import DAY, Budget, BudgetSpent
from webapp.records import RecordFiles

from .conftest import WAIT, Chat, statuses
from .openai_server import DONE, Reply, chunk, event

SAMPLES = Path(__file__).parent / "samples"
NIGHT = 1_767_225_600  # 00:00 UTC of a day


class Clock:
    def __init__(self, now=NIGHT + 20 * 3600 + 40 * 60):
        self.now = now

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def records(tmp_path):
    return RecordFiles(tmp_path / "records", 3600)


def test_what_is_spent_is_refused_with_when_it_begins_anew(records, clock):
    budget = Budget(records, 100_000, None, clock)
    budget.spend("a", 99_999)
    budget.check("b")
    budget.spend("b", 1)
    with pytest.raises(BudgetSpent) as refused:
        budget.check("c")
    assert refused.value.status == 429
    assert str(refused.value) == (
        "Today's budget of 100,000 tokens is spent. It begins anew at 00:00 UTC, in 3 h 20 min. Nothing was sent."
    )


def test_a_visitors_budget_is_their_own(records, clock):
    budget = Budget(records, None, 50, clock)
    budget.spend("a", 60)
    budget.check("b")
    with pytest.raises(BudgetSpent, match="Your budget of 50 tokens for today is spent"):
        budget.check("a")


@pytest.mark.parametrize(
    ("seconds", "told"), [(1, "in 1 min."), (61, "in 2 min."), (3590, "in 1 h 0 min."), (DAY, "in 24 h 0 min.")]
)
def test_the_wait_is_never_told_too_short(records, seconds, told):
    budget = Budget(records, 1, None, Clock(NIGHT + DAY - seconds))
    budget.spend("a", 1)
    with pytest.raises(BudgetSpent, match=told):
        budget.check("a")


def test_a_new_day_begins_anew(records, clock):
    budget = Budget(records, 10, 10, clock)
    budget.spend("a", 10)
    clock.now = NIGHT + DAY - 1
    with pytest.raises(BudgetSpent):
        budget.check("a")
    clock.now += 1
    budget.check("a")
    assert budget.left("a") == 10


def test_what_is_left_is_the_less_of_both(records, clock):
    budget = Budget(records, 100, 40, clock)
    budget.spend("a", 30)
    budget.spend("b", 50)
    assert budget.left("a") == 10
    assert budget.left("c") == 20
    budget.spend("c", 90)
    assert budget.left("a") == 0


def test_without_a_limit_nothing_is_counted(records):
    budget = Budget(records, None, None)
    budget.spend("a", 10**9)
    budget.check("a")
    assert budget.left("a") is None
    assert not list(records.folder.iterdir())


def test_what_is_spent_survives_a_restart(tmp_path, records, clock):
    Budget(records, 10, None, clock).spend("a", 10)
    again = Budget(RecordFiles(tmp_path / "records", 3600), 10, None, clock)
    with pytest.raises(BudgetSpent):
        again.check("a")


def test_a_record_names_no_visitor_and_is_gone_after_two_days(records, clock):
    Budget(records, 10, None, clock).spend("secret-visitor", 10)
    (path,) = records.folder.iterdir()
    expiry, value = path.read_text().split("\n")
    assert "secret" not in value
    assert DAY < int(expiry) - time() <= 2 * DAY


@pytest.mark.parametrize(
    "nonsense", [[1], 5, {"all": "x", "visitors": {}}, {"all": None}, {"all": 3, "visitors": {"x": None}}]
)
def test_a_record_that_makes_no_sense_counts_as_none_and_is_set_aside(records, clock, nonsense):
    budget = Budget(records, 10, None, clock)
    records.set("budget:2026-01-01", nonsense)
    budget.check("a")
    budget.spend("a", 1)
    assert budget.left("a") == 9
    assert records.read_aside("budget:2026-01-01", "damaged") == nonsense


@pytest.mark.parametrize("nonsense", [[1], {"tokens": "x"}, {}])
def test_a_visitors_record_that_makes_no_sense_concerns_nobody_else(records, clock, nonsense):
    budget = Budget(records, 100, 10, clock)
    budget.spend("a", 4)
    budget.spend("b", 4)
    own = next(path for path in records.folder.iterdir() if b'"tokens"' in path.read_bytes())
    own.write_bytes(own.read_bytes().partition(b"\n")[0] + b"\n" + msgspec.json.encode(nonsense))
    assert sorted((budget.left("a"), budget.left("b"))) == [6, 10]
    assert own.with_suffix(".damaged").exists()


def test_what_was_spent_under_an_earlier_version_counts(records, clock):
    """A record of all visitors in one, as it was kept before each had their own."""
    records.set("budget:2026-01-01", json.loads((SAMPLES / "budget-version-1.json").read_text()))
    budget = Budget(records, 100, 10, clock)
    assert (budget.left("a"), budget.left("b")) == (4, 10)
    budget.spend("a", 1)
    assert budget.left("a") == 3
    budget.forget("a")
    assert budget.left("a") == 10
    budget.check("b")
    assert Budget(records, 51, None, clock).left("b") == 8


def test_what_one_visitor_spends_costs_the_same_beside_many(records, clock):
    budget = Budget(records, 10**6, 10**6, clock)
    for number in range(50):
        budget.spend(f"visitor {number}", 1)
    assert max(path.stat().st_size for path in records.folder.iterdir()) < 60


def test_nothing_is_lost_where_many_spend_at_once(records, clock):
    budget = Budget(records, 10**9, None, clock)
    threads = [Thread(target=lambda: [budget.spend("a", 1) for _ in range(10)]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert budget.left("a") == 10**9 - 80


def test_what_an_answer_spent_counts_for_a_question_that_comes_before_it_is_counted(config, openai, monkeypatch):
    app = create_app({"TESTING": True, **config, "TOKEN_BUDGET": 50})
    budget, reached, go_on = app.extensions["budget"], Event(), Event()
    spend = budget.spend

    def held(*spent):
        reached.set()
        assert go_on.wait(WAIT)
        spend(*spent)

    monkeypatch.setattr(budget, "spend", held)
    openai.enqueue(Reply([event(chunk("Yes", "stop", usage={"prompt_tokens": 45, "completion_tokens": 5})), DONE]))
    chat = Chat(app.test_client())
    chat.ask("One?")
    assert reached.wait(WAIT)
    assert statuses(chat.page()) == ["done"]
    (running,) = app.extensions["answers"]._running.values()
    wait = running.settled.wait
    monkeypatch.setattr(running.settled, "wait", lambda seconds: (go_on.set(), wait(seconds)))
    assert chat.ask("Two?").status_code == 429
    assert openai.questions == ["One?"]
    app.extensions["answers"].shut_down()
