"""What an endpoint can send that is not the API: each ends in a message, and keeps all text that came before it."""

import json
from threading import Event

import pytest

from webapp import llm_errors
from webapp.call import Call
from webapp.conversation import Conversation
from webapp.llm import LLM, Endpoint
from webapp.reply import Reply as Read
from webapp.reply import read

from .conftest import WAIT
from .openai_server import DONE, RESET, Reply, chunk, event

BODY = {"model": "test-model", "messages": [{"role": "user", "content": "Hello?"}], "stream": True}


@pytest.fixture
def ask(openai):
    """Ask, and return the text that came and the name of the error, if there was one."""

    def ask(reply, timeout=WAIT, **more):
        llm = LLM(lambda: Endpoint(openai.base_url, "sk"), connect_timeout=WAIT, answer_timeout=timeout)
        openai.enqueue(reply)
        came, error = [], None
        try:
            for _, text in llm.send("/chat/completions", BODY | more, Call()):
                came.append(text)
        except llm_errors.LLMError as failed:
            error = type(failed).__name__
        assert len(openai.bodies) == 1
        return "".join(came), error

    return ask


def of_choice(index, text, finish=None):
    return {**chunk(), "choices": [{"index": index, "delta": {"content": text}, "finish_reason": finish}]}


def test_every_cut_in_a_stream_is_told_and_keeps_the_whole_events_before_it():
    first, second = event(chunk("Half ")), event(chunk("汉字"))
    for cut in range(len(second)):
        came = []
        with pytest.raises(llm_errors.BrokenOff):
            for _, text in read(iter([first + second[:cut]]), "text/event-stream", Read()):
                came.append(text)
        # Without its line ends, an event is whole.
        assert "".join(came) == ("Half 汉字" if cut >= len(second) - 2 else "Half ")


def test_one_choice_that_ended_does_not_end_the_others(ask):
    assert ask(Reply([event(of_choice(0, "A", "stop")), event(of_choice(1, "B"))]), n=2)[1] == "BrokenOff"


def test_a_choice_that_never_came_is_missing(ask):
    assert ask(Reply([event(of_choice(0, "A", "stop"))]), n=2)[1] == "BrokenOff"


def test_how_the_connection_ends_after_the_answer_does_not_matter(ask):
    assert ask(Reply([event(chunk("All", "stop")), 0.05, RESET])) == ("All", None)


def test_a_stream_of_comments_alone_is_silence(ask):
    assert ask(Reply([event(chunk("a")), *[b": alive\n\n", 0.05] * 60, DONE]), timeout=1)[1] == "TimedOut"


@pytest.mark.parametrize("kind", ["text/plain", "application/json", ""])
def test_events_under_another_type_are_events(ask, kind):
    assert ask(Reply([b": hello\n\n", event(chunk("a", "stop")), DONE], content_type=kind)) == ("a", None)


def test_json_under_the_type_of_events_is_read(ask):
    whole = {"choices": [{"index": 0, "message": {"content": "All"}, "finish_reason": "stop"}]}
    assert ask(Reply([json.dumps(whole).encode()])) == ("All", None)


def test_a_page_under_the_type_of_events_is_told(ask):
    assert ask(Reply([b"<html>Sign in</html>"]))[1] == "Garbage"


def test_a_redirect_is_told_and_not_followed(ask, openai):
    assert ask(Reply([], 307, headers={"Location": f"{openai.base_url}/elsewhere"}))[1] == "Garbage"


def test_packed_garbage_is_told(ask):
    assert ask(Reply([b"no gzip"], headers={"Content-Encoding": "gzip"}))[1] == "Garbage"


def test_an_error_in_a_choice_is_the_providers(ask):
    broken = {**chunk(), "choices": [{"index": 0, "delta": {}, "error": {"message": "Overloaded", "code": 502}}]}
    assert ask(Reply([event(broken), DONE]))[1] == "ServerFailed"


def test_a_field_of_any_type_costs_no_text(ask):
    odd = {**chunk(), "choices": [{"index": 0, "delta": {"role": [None], "content": "a"}, "finish_reason": "stop"}]}
    assert ask(Reply([event(odd), DONE])) == ("a", None)


@pytest.mark.parametrize("depth", [200, 900])
def test_deep_nesting_is_not_the_apis(ask, depth):
    deep = b'data: {"choices":[{"delta":{"x":' + b"[" * depth + b"]" * depth + b"}}]}\n\n"
    assert ask(Reply([deep, DONE]))[1] == "Garbage"


@pytest.mark.parametrize("headers", [{"retry-after": "9" * 400}, {"retry-after-ms": "inf"}, {"retry-after-ms": "nan"}])
def test_an_absurd_waiting_time_is_none(headers):
    assert llm_errors.from_status(429, None, "Slow down.", headers).retry_after is None


def test_a_question_is_asked_once_where_its_form_comes_again_while_it_is_pending(chat, app, openai):
    gate = Event()
    openai.enqueue(Reply([event(chunk("a")), gate, event(chunk(finish="stop")), DONE]))
    chat.ask("One?", turn="the-same")
    chat.ask("One?", turn="the-same")
    gate.set()
    chat.settled()
    assert len(openai.bodies) == 1


def test_clearing_leaves_the_files_of_the_question_that_comes_next(app):
    files = app.extensions["files"]
    talk = Conversation(owner="me")
    files.write(talk.id, "old.png", b"1")
    gone = files.names(talk.id)
    files.write(talk.id, "new.png", b"2")
    files.remove(talk.id, gone)
    assert files.names(talk.id) == ["new.png"]
