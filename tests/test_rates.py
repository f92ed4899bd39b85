"""How often something may be asked: exact windows, refusals that say for how long, and what does not count."""

import threading
from time import sleep
from types import SimpleNamespace

import pytest

from webapp.conversation import Answer, Conversation, Turn
from webapp.rates import Rates, TooMany, Tries, network_of

from .conftest import UNLIMITED, Chat, wait_until
from .openai_server import SILENCE, Reply, chunk, event


@pytest.fixture
def clock(monkeypatch):
    """The time of the counts, which stands still."""
    clock = SimpleNamespace(now=1_000_000.0)
    clock.time = lambda: clock.now
    monkeypatch.setattr("limits.storage.memory.time", clock)
    return clock


def rates(clock, **limits):
    return Rates(UNLIMITED | limits, clock.time)


def refused(count):
    with pytest.raises(TooMany) as told:
        count()
    assert told.value.headers == {"Retry-After": str(told.value.retry_after)}
    return told.value.retry_after


def test_a_visitor_waits_as_long_as_is_said_and_no_longer(clock):
    some = rates(clock, VISITOR_QUESTIONS_PER_MINUTE=2)
    some.count_question("a", "192.0.2.1")
    clock.now += 20.5
    some.count_question("a", "192.0.2.1")
    assert refused(lambda: some.count_question("a", "192.0.2.1")) == 40
    some.count_question("b", "192.0.2.1")
    clock.now += 39
    assert refused(lambda: some.count_question("a", "192.0.2.1")) == 1
    clock.now += 1
    some.count_question("a", "192.0.2.1")


def test_an_address_has_a_limit_for_all_its_visitors_and_a_refusal_counts_nowhere(clock):
    some = rates(clock, VISITOR_QUESTIONS_PER_MINUTE=2, ADDRESS_QUESTIONS_PER_MINUTE=3)
    for visitor in "abc":
        some.count_question(visitor, "192.0.2.1")
    for _ in range(5):
        refused(lambda: some.count_question("a", "192.0.2.1"))
    some.count_question("a", "192.0.2.2")  # Its second: the refused ones were not counted.
    refused(lambda: some.count_question("a", "192.0.2.3"))


def test_an_address_has_so_many_new_visitors_in_an_hour(clock):
    some = rates(clock, ADDRESS_VISITORS_PER_HOUR=2)
    some.count_visitor("192.0.2.1")
    clock.now += 60
    some.count_visitor("192.0.2.1:4711")
    assert refused(lambda: some.count_visitor("192.0.2.1")) == 3540
    some.count_visitor("192.0.2.2")
    clock.now += 3540
    some.count_visitor("192.0.2.1")


def test_imports_count_with_their_size_for_the_visitor_and_for_the_address(clock):
    some = rates(clock, VISITOR_IMPORT_MB_PER_HOUR=10, ADDRESS_IMPORT_MB_PER_HOUR=15)
    some.count_import("a", "192.0.2.1", 8 * 2**20)
    some.count_import("a", "192.0.2.1", 1)
    some.count_import("a", "192.0.2.1", 2**20 + 1)  # What begins below the limit may go beyond it.
    assert refused(lambda: some.count_import("a", "192.0.2.2", 1)) == 3600
    for visitor in "bcde":
        some.count_import(visitor, "192.0.2.1", 1)
    refused(lambda: some.count_import("f", "192.0.2.1", 1))
    some.count_import("f", "192.0.2.2", 1)
    clock.now += 3600
    some.count_import("a", "192.0.2.1", 1)


def together(number, act):
    """Let so many do the same thing at the same moment; return how many were not refused."""
    barrier, done = threading.Barrier(number), []

    def run():
        barrier.wait()
        try:
            act()
        except TooMany:
            return
        done.append(1)

    threads = [threading.Thread(target=run) for _ in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(done)


def slowed(monkeypatch, one, name):
    """Let others go on, if they may, behind a look that something else depends on."""
    real = getattr(one, name)

    def look(*arguments):
        found = real(*arguments)
        sleep(0.01)
        return found

    monkeypatch.setattr(one, name, look)


def test_questions_and_visitors_at_the_same_moment_are_counted_one_by_one(clock, monkeypatch):
    some = rates(clock, VISITOR_QUESTIONS_PER_MINUTE=5, ADDRESS_VISITORS_PER_HOUR=5)
    slowed(monkeypatch, some._window, "full")
    assert together(20, lambda: some.count_question("a", "192.0.2.1")) == 5
    assert together(20, lambda: some.count_visitor("192.0.2.1")) == 5


def test_no_limit_is_none(clock):
    some = rates(clock)
    for _ in range(1000):
        some.count_question("a", "x")
        some.count_visitor("x")
        some.count_import("a", "x", 2**30)
    some.check_answers("a", ["a"] * 1000)


def test_counts_go_with_their_time(clock):
    some = rates(clock, VISITOR_QUESTIONS_PER_MINUTE=5, ADDRESS_QUESTIONS_PER_MINUTE=5)
    storage = some._window._limiter.storage
    for number in range(500):
        some.count_question(f"visitor-{number}", f"10.0.{number // 250}.{number % 250}")
    assert len(storage.storage) == 1000
    clock.now += 61
    # What is over goes when something else is counted.
    some.count_question("a", "b")
    wait_until(lambda: some._window.count([]) or len(storage.storage) == 2)
    assert len(storage.expirations) == 2 and len(storage.locks) <= 2 and not storage.events


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("192.0.2.7:4711", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("[2001:db8:1:2:ffff::1]:443", "2001:db8:1:2::"),
        ("fe80::1%eth0", "fe80::"),
        ("unknown", "unknown"),
        ("", ""),
        ("x" * 5000, "x" * 64),
    ],
)
def test_what_counts_as_one_address(address, network):
    assert network_of(address) == network


# Wrong codes


def test_after_some_wrong_codes_the_right_one_waits_too(clock):
    tries = Tries(clock.time)
    for _ in range(5):
        assert not tries.attempt("192.0.2.1", lambda: False)
    looked = []
    assert refused(lambda: tries.attempt("192.0.2.1", lambda: looked.append(1) or True)) == 60
    assert not looked, "Not even compared: no answer tells a right code from a wrong one."
    assert tries.attempt("192.0.2.2", lambda: True)
    clock.now += 60
    assert tries.attempt("192.0.2.1", lambda: True)


def test_right_codes_do_not_count(clock):
    tries = Tries(clock.time)
    assert all(tries.attempt("192.0.2.1", lambda: True) for _ in range(500))


def test_who_goes_on_waits_for_longer(clock):
    tries = Tries(clock.time)
    for _ in range(6):
        for _ in range(5):
            tries.attempt("192.0.2.1", lambda: False)
        clock.now += 60
    assert refused(lambda: tries.attempt("192.0.2.1", lambda: False)) == 3600 - 360


def test_many_addresses_together_are_slowed_down_and_one_ipv6_network_is_one(clock):
    tries = Tries(clock.time)
    for number in range(60):
        tries.attempt(f"10.0.0.{number}", lambda: False)
    refused(lambda: tries.attempt("192.0.2.1", lambda: True))
    tries = Tries(clock.time)
    for number in range(5):
        tries.attempt(f"2001:db8::{number}", lambda: False)
    refused(lambda: tries.attempt("2001:db8::ffff", lambda: True))


def test_tries_at_the_same_moment_are_counted_one_by_one():
    tries, looked = Tries(), []

    def is_right():
        looked.append(1)
        sleep(0.01)  # in which the others go on, if they may
        return False

    assert together(30, lambda: tries.attempt("192.0.2.1", is_right)) == len(looked) == 5


# On the page


@pytest.fixture
def config(config):
    return {**config, "VISITOR_QUESTIONS_PER_MINUTE": 2, "SPEECH_MODEL": "mouth", "TRANSCRIPTION_MODEL": "ears"}


@pytest.mark.parametrize("htmx", [False, True])
@pytest.mark.parametrize("language", ["en", "zh-CN"])
def test_too_many_questions_are_refused_with_what_was_typed(chat, openai, htmx, language):
    chat.client.set_cookie("language", language)
    for _ in range(2):
        chat.answered("One?")
    reply = chat.ask("The third?", htmx=htmx)
    assert reply.status_code == 429
    assert 0 < int(reply.headers["Retry-After"]) <= 60
    assert f"{reply.headers['Retry-After']}\xa0{'s;' if language == 'en' else '秒'}" in reply.text
    assert htmx or "The third?</textarea>" in reply.text
    assert len(openai.bodies) == 2
    assert chat.page().count("<article") == 2, "Nothing of it is kept."


def test_the_same_question_sent_twice_counts_once(chat, openai):
    for _ in range(3):
        assert chat.ask("One?", turn="a" * 22).status_code == 303
        chat.settled()
    assert chat.ask("Two?").status_code == 303
    chat.settled()
    assert len(openai.bodies) == 2


def test_all_that_costs_counts(chat, openai):
    chat.answered("One?")
    chat.answered("Two?")
    turn = chat.turn_id()
    answer = chat.page().split('id="answer-')[-1].split('"')[0]
    recording = {"audio": (__import__("io").BytesIO(b"RIFF0000WAVE"), "a.wav")}
    replies = [
        chat.post(f"turns/{turn}/retry"),
        chat.post(f"turns/{turn}/edit", question="Other words?"),
        chat.post(f"answers/{answer}/speech"),
        chat.client.post(f"/conversations/{chat.id}/transcribe", data=recording | {"question": "typed"}),
    ]
    assert [reply.status_code for reply in replies] == [429] * 4
    assert all(reply.headers["Retry-After"] for reply in replies)
    assert "Other words?" in replies[1].text and "typed</textarea>" in replies[3].text
    # What was refused left everything as it was.
    assert chat.turn_id() == turn


def test_so_many_answers_at_once_are_written_for_one_visitor_and_for_all(app, openai):
    rates = app.extensions["answers"].rates
    rates._visitor_answers, rates._answers, rates._visitor = 1, 2, ()
    for _ in range(2):
        openai.enqueue(Reply([event(chunk("Half")), SILENCE]))
    first, second, third = (Chat(app.test_client()) for _ in range(3))
    assert first.ask("One?").status_code == 303
    images = first.client.get("/completion").text.split("/conversations/")[1].split("/")[0]
    reply = first.client.post(f"/conversations/{images}/ask", data={"question": "More"})
    assert (reply.status_code, reply.headers["Retry-After"]) == (429, "10")
    assert second.ask("Two?").status_code == 303
    assert third.ask("Three?").status_code == 429
    first.post("stop")
    assert third.ask("Three?").status_code == 303


def test_answers_that_begin_at_the_same_moment_are_counted_one_by_one(app, monkeypatch):
    answers = app.extensions["answers"]
    answers.rates._visitor_answers, answers.rates._answers = 0, 2
    slowed(monkeypatch, answers.rates, "check_answers")
    talks = [Conversation(owner=name, turns=[Turn("?", answers=[Answer()])]) for name in "abcdef"]
    waiting = iter(talks)
    assert together(6, lambda: answers._admit((talk := next(waiting)).turns[0].answer, talk, "x")) == 2


def test_what_stops_and_a_spent_budget_say_when_to_come_back(chat, app):
    budget = app.extensions["budget"]
    budget.total = 1
    budget.spend("x", 5)
    reply = chat.ask("One?")
    assert reply.status_code == 429 and 0 < int(reply.headers["Retry-After"]) <= 86_400
    app.extensions["answers"].shut_down()
    reply = chat.ask("One?", htmx=True)
    assert (reply.status_code, reply.headers["Retry-After"]) == (503, "10")
