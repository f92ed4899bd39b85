import random
import threading
from time import monotonic

import pytest

from webapp.answer_log import Logs
from webapp.answers import PIECE, UPDATES_PER_SECOND, Answers, ServerStopping
from webapp.backend import Backend
from webapp.budget import Budget
from webapp.config import read
from webapp.conversation import Answer, Busy, Conversation
from webapp.conversations import Store
from webapp.files import Files
from webapp.llm_errors import ModelUnknown
from webapp.rates import Rates
from webapp.records import RecordFiles
from webapp.room import Room
from webapp.running import RunningAnswer

from .conftest import UNLIMITED, WAIT, wait_until
from .openai_server import DONE, RESET, SILENCE, Reply, chunk, event


@pytest.fixture
def make(openai, tmp_path):
    """Return a function that makes the answers of a process that has just started, on one folder."""
    made = []

    def make_answers():
        environ = {"OPENAI_BASE_URL": openai.base_url, "CHAT_MODEL": "test-model", "DATA_DIR": str(tmp_path)}
        backend = Backend(read(environ))
        store = Store(RecordFiles(tmp_path / "records", 3600))
        files = Files(tmp_path / "files")
        limits = (Budget(store.records, None, None), Rates(UNLIMITED), Room(store, files, 100, 10))
        made.append(Answers(store, backend, files, *limits, tmp_path / "answers"))
        return made[-1]

    yield make_answers
    for answers in made:
        answers.shut_down()


@pytest.fixture
def answers(make):
    return make()


@pytest.fixture
def talk(answers):
    talk = Conversation(owner="me")
    answers.store.save(talk)
    return talk


def ask(answers, talk, question="One?"):
    _, turn = answers.begin(talk, lambda edited: edited.ask(question, ""))
    return turn.answer.id


def load(answers, talk):
    return answers.store.load(talk.id, "me")


def settled(answers, talk):
    return wait_until(lambda: (loaded := load(answers, talk)).pending is None and loaded).turns[-1].answer


def logs(answers):
    return sorted(path.name for path in answers.logs.folder.iterdir())


def test_an_answer_is_settled_with_all_that_is_known_of_it(answers, talk, openai):
    usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    openai.enqueue(Reply([event(chunk("Hel")), event(chunk("lo", "stop", usage=usage)), DONE]))
    ask(answers, talk)
    answer = settled(answers, talk)
    assert (answer.text, answer.status, answer.finish_reason) == ("Hello", "done", "stop")
    assert (answer.usage, answer.model) == (usage, "test-model")
    assert answer.ended >= answer.started
    wait_until(lambda: not logs(answers))


def test_the_question_is_saved_before_the_model_hears_of_it(answers, talk, openai):
    openai.enqueue(Reply(wait=SILENCE))
    ask(answers, talk)
    turn = load(answers, talk).turns[0]
    assert (turn.question, turn.answer.status) == ("One?", "pending")


def test_a_failed_answer_keeps_the_text_that_came_and_the_providers_words(answers, talk, openai):
    openai.enqueue(Reply([event(chunk("Half")), event({"error": {"message": "Overloaded", "code": 503}})]))
    ask(answers, talk)
    answer = settled(answers, talk)
    assert (answer.status, answer.text) == ("failed", "Half")
    assert (answer.failure.kind, answer.failure.message, answer.failure.status) == ("ServerFailed", "Overloaded", 503)


def test_what_nobody_foresaw_is_a_failed_answer_too(answers, talk, monkeypatch, caplog):
    def fail(*_):
        raise ValueError("Bearer sk-secret")

    monkeypatch.setattr(answers.backend, "answer", fail)
    ask(answers, talk)
    failure = settled(answers, talk).failure
    # Its message may hold anything, the key as well.
    assert (failure.kind, failure.message) == ("Unforeseen", "ValueError")
    assert "nobody foresaw" in caplog.text


def test_a_second_question_meanwhile_is_refused_and_changes_nothing(answers, talk, openai):
    openai.enqueue(Reply([event(chunk("a")), SILENCE]))
    ask(answers, talk)
    with pytest.raises(Busy):
        ask(answers, talk, "Two?")
    assert [turn.question for turn in load(answers, talk).turns] == ["One?"]
    assert len(openai.bodies) <= 1


def test_of_many_questions_at_once_one_is_taken(answers, talk, openai):
    openai.enqueue(Reply([SILENCE]))
    refused = []

    def try_to_ask(number):
        try:
            ask(answers, talk, str(number))
        except Busy as busy:
            refused.append(busy)

    threads = [threading.Thread(target=try_to_ask, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) == 19
    assert len(load(answers, talk).turns) == 1
    wait_until(lambda: openai.bodies)
    assert len(openai.bodies) == 1


def test_stop_closes_the_request_at_once_and_keeps_what_came(answers, talk, openai):
    openai.enqueue(Reply([event(chunk("Half")), SILENCE]))
    answer_id = ask(answers, talk)
    assert next(answers.follow(answer_id, {})) == [(0, "Half")]
    answers.stop(load(answers, talk))
    answer = load(answers, talk).turns[0].answer
    assert (answer.status, answer.text) == ("stopped", "Half")
    assert openai.closed_by_client.wait(WAIT)


def test_stop_works_before_the_first_word(answers, talk, openai):
    openai.enqueue(Reply(wait=SILENCE))
    ask(answers, talk)
    wait_until(lambda: openai.bodies)
    answers.stop(load(answers, talk))
    assert settled(answers, talk).status == "stopped"
    assert openai.closed_by_client.wait(WAIT)


def test_to_stop_what_does_not_run_does_nothing(answers, talk):
    ask(answers, talk)
    assert settled(answers, talk).status == "done"
    answers.stop(load(answers, talk))
    assert load(answers, talk).turns[0].answer.status == "done"


def test_clear_stops_a_running_answer_and_leaves_nothing(answers, talk, openai):
    openai.enqueue(Reply([event(chunk("Half")), SILENCE]))
    answer_id = ask(answers, talk)
    following = answers.follow(answer_id, {})
    next(following)
    assert answers.clear(load(answers, talk)).turns == []
    assert openai.closed_by_client.wait(WAIT)
    assert list(following) == []
    assert logs(answers) == []
    ask(answers, talk, "Two?")
    assert [turn.question for turn in load(answers, talk).turns] == ["Two?"]
    assert settled(answers, talk).text == "You said: Two?"


def test_a_follower_gets_the_text_in_order_from_any_position(answers, talk, openai):
    text = "汉字 and 😀 " * 20
    openai.enqueue(Reply.text(*text, delay=0.002))
    answer_id = ask(answers, talk)
    positions = [random.Random(seed).randrange(len(text)) for seed in range(10)]
    for position in positions:
        pieces = []
        behind = {0: position}
        for [(channel, piece)] in answers.follow(answer_id, behind):
            pieces.append(piece)
            assert channel == 0
            assert behind == {0: position + sum(map(len, pieces))}
        got = "".join(pieces) or load(answers, talk).turns[0].answer.text[position:]
        assert got == text[position:]


def test_fast_text_comes_in_few_updates(answers, talk, openai):
    openai.enqueue(Reply.text(*["word "] * 300, delay=0.003))
    answer_id = ask(answers, talk)
    began = monotonic()
    updates = [piece for pieces in answers.follow(answer_id, {}) for _, piece in pieces]
    assert "".join(updates) == "word " * 300
    assert len(updates) <= (monotonic() - began) * UPDATES_PER_SECOND + 2


def test_a_huge_text_is_sent_in_pieces(answers, talk, openai):
    openai.enqueue(Reply([event(chunk("x" * (2 * PIECE + 1), "stop")), SILENCE]))
    answer_id = ask(answers, talk)
    sizes = []
    for [(_, piece)] in answers.follow(answer_id, {}):
        sizes.append(len(piece))
        if sum(sizes) > 2 * PIECE:
            break
    assert sizes == [PIECE, PIECE, 1]


def test_silence_is_bridged_by_heartbeats(answers, talk, openai, monkeypatch):
    monkeypatch.setattr("webapp.answers.HEARTBEAT", 0.05)
    openai.enqueue(Reply([SILENCE]))
    answer_id = ask(answers, talk)
    assert next(answers.follow(answer_id, {})) == []


def test_an_answer_whose_process_died_is_settled_from_its_log(make, answers, talk, openai):
    openai.enqueue(Reply([event(chunk("Half of 汉字")), SILENCE]))
    answer_id = ask(answers, talk)
    next(answers.follow(answer_id, {}))
    with (answers.logs.folder / f"{answer_id}.log").open("ab") as log:
        log.write("字".encode()[:2])  # A write that the kill cut.

    after = make()  # A new process: the same folder, nothing running.
    loaded = after.live(load(after, talk))
    answer = loaded.turns[0].answer
    assert (answer.status, answer.text) == ("interrupted", "Half of 汉字")
    assert answer.can_continue
    assert load(after, talk) == loaded
    assert logs(after) == []


def test_an_answer_that_died_before_its_log_is_interrupted_too(make, answers, talk, openai):
    openai.enqueue(Reply([SILENCE]))
    answer_id = ask(answers, talk)
    (answers.logs.folder / f"{answer_id}.log").unlink()
    after = make()
    assert after.live(load(after, talk)).turns[0].answer.status == "interrupted"


def test_continue_appends_to_the_same_answer(answers, talk, openai):
    openai.enqueue(Reply([event(chunk("One, ")), RESET], 200), Reply.text("two."))
    ask(answers, talk, "Count.")
    assert settled(answers, talk).status == "failed"
    answers.begin(load(answers, talk), lambda edited: edited.resume(edited.turns[0].id))
    answer = settled(answers, talk)
    assert (answer.status, answer.text, answer.failure) == ("done", "One, two.", None)
    assert openai.bodies[1]["messages"][-2] == {"role": "assistant", "content": "One, "}


def test_a_continued_answer_survives_a_crash_with_its_first_half(make, answers, talk, openai):
    openai.enqueue(Reply([event(chunk("One, ")), RESET]), Reply([event(chunk("two")), SILENCE]))
    ask(answers, talk, "Count.")
    settled(answers, talk)
    _, turn = answers.begin(load(answers, talk), lambda edited: edited.resume(edited.turns[0].id))
    assert next(answers.follow(turn.answer.id, {0: 5})) == [(0, "two")]
    after = make()
    assert after.live(load(after, talk)).turns[0].answer.text == "One, two"


def test_a_stopping_server_settles_what_runs_and_takes_nothing_new(answers, talk, openai):
    openai.enqueue(Reply([event(chunk("Half")), SILENCE]))
    next(answers.follow(ask(answers, talk), {}))
    answers.shut_down()
    answer = load(answers, talk).turns[0].answer
    assert (answer.status, answer.text) == ("interrupted", "Half")
    with pytest.raises(ServerStopping):
        ask(answers, talk, "Two?")


def test_an_answer_that_cannot_be_saved_is_kept_and_saved_later(answers, talk, openai, monkeypatch, caplog):
    gate = threading.Event()
    openai.enqueue(Reply([event(chunk("All of it", "stop")), gate, DONE]))
    answer_id = ask(answers, talk)
    save = answers.store.save
    monkeypatch.setattr(answers.store, "save", lambda conversation: (_ for _ in ()).throw(OSError(28, "No space left")))
    gate.set()
    list(answers.follow(answer_id, {}))
    assert "could not be saved" in caplog.text
    assert logs(answers) == [f"{answer_id}.log", f"{answer_id}.settled.json"]
    assert {path.stat().st_mode & 0o777 for path in answers.logs.folder.iterdir()} == {0o600}
    monkeypatch.setattr(answers.store, "save", save)
    answer = answers.live(load(answers, talk)).turns[0].answer
    assert (answer.text, answer.status, answer.finish_reason) == ("All of it", "done", "stop")
    assert logs(answers) == []


def test_an_answer_outlives_exchanges_that_cannot_be_written(answers, talk, openai, monkeypatch, caplog):
    def fail(*_, **__):
        raise OSError(28, "No space left")

    monkeypatch.setattr(answers.files, "write", fail)
    ask(answers, talk)
    assert settled(answers, talk).status == "done"
    assert "could not be kept" in caplog.text


def test_a_question_that_cannot_be_saved_does_not_reach_the_model(answers, talk, openai, monkeypatch):
    monkeypatch.setattr(answers.store, "save", lambda conversation: (_ for _ in ()).throw(OSError(28, "No space left")))
    with pytest.raises(OSError, match="No space"):
        ask(answers, talk)
    assert openai.bodies == []
    assert logs(answers) == []
    assert load(answers, talk).turns == []


def test_an_ended_answer_takes_no_more_text(tmp_path):
    talk = Conversation(owner="me")
    running = RunningAnswer(Answer(), talk, Logs(tmp_path))
    assert running.append("a")
    assert running.end()
    assert not running.end()
    assert not running.append("b")
    assert running.read() == "a"


def test_the_first_model_that_can_chat_is_taken_where_none_is_set(openai):
    listed = b'{"object":"list","data":[{"id":"text-embedding"},{"id":"chatty"}]}'
    openai.models = Reply([listed], content_type="application/json")
    backend = Backend(read({"OPENAI_BASE_URL": openai.base_url}))
    assert backend.name is None
    backend.start()
    assert wait_until(lambda: backend.name) == "chatty"
    openai.models = Reply([b'{"object":"list","data":[]}'], content_type="application/json")
    with pytest.raises(ModelUnknown, match="Set CHAT_MODEL"):
        Backend(read({"OPENAI_BASE_URL": openai.base_url}))._first_model()
