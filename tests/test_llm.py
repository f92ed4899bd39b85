import socket
import threading

import pytest

from webapp import llm_errors
from webapp.call import Call
from webapp.llm import LLM, Endpoint

from .conftest import WAIT, wait_until
from .openai_server import DONE, RESET, SILENCE, Reply, chunk, event

BODY = {"model": "test-model", "messages": [{"role": "user", "content": "Hello?"}], "stream": True}


@pytest.fixture
def llm(openai):
    return LLM(lambda: Endpoint(openai.base_url, "sk-secret"), connect_timeout=WAIT, answer_timeout=WAIT)


def ask(llm, call=None):
    return "".join(text for _, text in llm.send("/chat/completions", BODY, call or Call()))


def test_a_question_is_one_request_with_just_what_was_set(llm, openai):
    assert ask(llm) == "You said: Hello?"
    assert openai.paths == ["/v1/chat/completions"]
    assert openai.bodies == [BODY]
    assert openai.headers[0]["Authorization"] == "Bearer sk-secret"


@pytest.mark.parametrize(
    ("reply", "error", "told"),
    [
        (Reply.error(401, "Incorrect API key provided.", code="invalid_api_key"), "KeyRejected", "Incorrect API key"),
        (Reply.error(403, "Not for you."), "KeyRejected", "Not for you."),
        (Reply.error(404, "The model `x` does not exist", code="model_not_found"), "ModelUnknown", "does not exist"),
        (Reply.error(429, "Slow down.", code="rate_limit_exceeded"), "RateLimited", "Slow down."),
        (Reply.error(429, "You exceeded your current quota.", code="insufficient_quota"), "QuotaSpent", "quota"),
        (Reply.error(402, "Insufficient Balance"), "QuotaSpent", "Balance"),
        (
            Reply.error(400, "maximum context length is 8 tokens", code="context_length_exceeded"),
            "ContextOverflow",
            "8",
        ),
        (Reply.error(400, "exceeds", kind="exceed_context_size_error"), "ContextOverflow", "exceeds"),
        (Reply.error(400, "This model's maximum context length is 5"), "ContextOverflow", "5"),
        (Reply.error(400, "Unsupported parameter"), "RequestRejected", "Unsupported parameter"),
        (Reply.error(500, "The server had an error"), "ServerFailed", "had an error"),
        (Reply([b"<html><h1>Bad gateway</h1>"], 502, "text/html"), "ServerFailed", "^Bad gateway$"),
        (Reply([b"<head><title>502</title></head><h1>a &amp; b</h1>"], 502, "text/html"), "ServerFailed", "^a & b$"),
        (Reply.error(400, "x" * 20_000), "RequestRejected", "^x{4000}$"),
        (Reply([b""], 503, "text/plain"), "ServerFailed", "HTTP status 503"),
        (Reply([b'{"detail":"Not Found"}'], 404, "application/json"), "ModelUnknown", "^Not Found$"),
        (Reply([b'{"error":"model not found"}'], 404, "application/json"), "ModelUnknown", "^model not found$"),
        (Reply([RESET]), "BrokenOff", "broke off"),
        (Reply([event(chunk("half")), RESET]), "BrokenOff", "broke off"),
        (Reply([event(chunk("half"))]), "BrokenOff", "middle of the answer"),
        (Reply([event({"error": {"message": "Overloaded", "code": 503}})]), "ServerFailed", "Overloaded"),
        (Reply([b"data: <oops>\n\n"]), "Garbage", "not the API's JSON"),
        (Reply([b"<html>Welcome</html>"], 200, "text/html"), "Garbage", "Welcome"),
        (Reply([event(chunk(finish="stop")), DONE]), "EmptyAnswer", "finish reason: stop"),
        (Reply([DONE]), "EmptyAnswer", "none given"),
    ],
)
def test_a_fault_is_told_as_it_is_after_one_request(llm, openai, reply, error, told):
    openai.enqueue(reply)
    with pytest.raises(getattr(llm_errors, error), match=told) as failed:
        ask(llm)
    assert type(failed.value).__name__ == error
    assert len(openai.bodies) == 1


@pytest.mark.parametrize("reply", [Reply([event(chunk("a")), SILENCE]), Reply(wait=SILENCE), Reply([SILENCE])])
def test_a_silent_model_is_told_after_one_request(openai, reply):
    openai.enqueue(reply)
    with pytest.raises(llm_errors.TimedOut, match="silent for 1 s"):
        ask(LLM(lambda: Endpoint(openai.base_url, ""), connect_timeout=WAIT, answer_timeout=1))
    assert len(openai.bodies) == 1


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "20"}, 20),
        ({"Retry-After-Ms": "1500"}, 1.5),
        ({"Retry-After": "Mon, 23 Nov 2015 00:00:00 GMT"}, 0),
        ({"Retry-After": "soon"}, None),
        ({}, None),
    ],
)
def test_the_waiting_time_is_read(llm, openai, headers, seconds):
    openai.enqueue(Reply.error(429, "Slow down.", headers=headers))
    with pytest.raises(llm_errors.RateLimited) as failed:
        ask(llm)
    assert (failed.value.status, failed.value.retry_after) == (429, seconds)


def test_the_key_is_not_repeated_in_an_error(llm, openai):
    openai.enqueue(Reply.error(401, "Incorrect API key provided: sk-secret."))
    with pytest.raises(llm_errors.KeyRejected, match=r"provided: \[key\]\."):
        ask(llm)


def test_a_refused_connection_and_an_unknown_host_are_unreachable():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    for base_url in (f"http://127.0.0.1:{port}/v1", "http://no-such-host.invalid/v1"):
        with pytest.raises(llm_errors.Unreachable, match="No connection to"):
            ask(LLM(lambda base_url=base_url: Endpoint(base_url, ""), connect_timeout=WAIT, answer_timeout=WAIT))


@pytest.mark.parametrize("reply", [Reply(wait=SILENCE), Reply([SILENCE]), Reply([event(chunk("a")), SILENCE])])
def test_closing_a_call_ends_the_request_upstream_also_while_the_model_is_silent(openai, reply):
    llm = LLM(lambda: Endpoint(openai.base_url, "sk-secret"), connect_timeout=WAIT, answer_timeout=10 * WAIT)
    openai.enqueue(reply)
    call, failed = Call(), []

    def run():
        try:
            ask(llm, call)
        except llm_errors.LLMError as error:
            failed.append(error)

    asking = threading.Thread(target=run)
    asking.start()
    wait_until(lambda: openai.bodies)
    call.close()
    assert openai.closed_by_client.wait(WAIT)
    asking.join()
    assert [type(error) for error in failed] == [llm_errors.Stopped]


def test_a_call_that_is_closed_before_it_connects_sends_nothing(llm, openai):
    call = Call()
    call.close()
    with pytest.raises(llm_errors.Stopped):
        ask(llm, call)
    assert openai.bodies == []


def test_the_models_are_listed(llm):
    assert llm.model_objects() == [{"id": "test-model"}]
