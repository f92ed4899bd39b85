"""Every mode through the page: what is sent, what is shown, what is kept."""

import base64
import json
import re

import msgspec
import pytest

from webapp import create_app
from webapp.backend import Backend
from webapp.config import read
from webapp.conversation import Conversation
from webapp.exchange import Exchange, exchanges_file

from .conftest import Chat, conversation_of, element, statuses, texts, wait_until
from .openai_server import DONE, PNG, SILENCE, Reply, chunk, event

SYSTEM = {"role": "system", "content": "You are a helpful assistant."}
STREAMED = {"stream": True, "stream_options": {"include_usage": True}}


class Mode(Chat):
    """A visitor of one mode's page."""

    def __init__(self, client, path):
        self.path = path
        super().__init__(client)

    def page(self, **query):
        return self.client.get(self.path, query_string=query).text

    @property
    def store(self):
        return self.client.application.extensions["store"]

    def conversation(self):
        return conversation_of(self.client.application, self.id)

    def set(self, **parameters):
        talk = self.conversation()
        talk.parameters = parameters
        self.store.save(talk)

    def answer(self):
        return self.conversation().turns[-1].answer

    def exchanges(self):
        content = self.client.application.extensions["files"].read(self.id, exchanges_file(self.answer().id))
        return msgspec.json.decode(content, type=list[Exchange])


@pytest.fixture
def talk(client):
    return Mode(client, "/")


@pytest.fixture
def prompt(client):
    return Mode(client, "/completion")


@pytest.fixture
def drawing(client):
    return Mode(client, "/images")


def message(question):
    return {"role": "user", "content": question}


# --- Chat ---


def test_what_is_not_set_is_not_sent(talk, openai):
    talk.answered("One?")
    assert openai.bodies == [{"model": "test-model", "messages": [SYSTEM, message("One?")], **STREAMED}]


def test_what_is_set_is_sent_and_nothing_else(talk, openai):
    talk.set(temperature=0.2, stop=["END"], max_tokens=50, system_prompt="Kurz.", extra={"top_k": 5}, model="other")
    talk.answered("One?")
    system = {"role": "system", "content": "Kurz."}
    sent = {"model": "other", "messages": [system, message("One?")], "temperature": 0.2, "max_tokens": 50}
    assert openai.bodies == [{**sent, "stop": ["END"], "top_k": 5, **STREAMED}]


def test_an_empty_system_prompt_of_the_conversation_is_not_sent(talk, openai):
    talk.set(system_prompt="")
    talk.answered("One?")
    assert openai.bodies[0]["messages"] == [message("One?")]


def test_without_streaming_the_reply_comes_in_one_piece_and_is_kept_as_it_is(talk, openai):
    talk.set(stream=False)
    whole = {"id": "x", "odd": {"汉": 1}, "choices": [{"message": {"content": "All."}, "finish_reason": "stop"}]}
    openai.enqueue(Reply.json(whole))
    assert texts(talk.answered("One?")) == ["All."]
    assert openai.bodies == [{"model": "test-model", "messages": [SYSTEM, message("One?")]}]
    (exchange,) = talk.exchanges()
    assert (exchange.request, exchange.reply) == (openai.bodies[0], whole)


def test_a_single_question_is_sent_alone_and_says_so(talk, openai):
    talk.answered("One?")
    talk.ask("Two?", single="yes")
    page = talk.settled()
    assert openai.bodies[-1]["messages"] == [SYSTEM, message("Two?")]
    assert page.count('class="single"') == 1
    assert re.search(r'name="single" value="yes" checked', page), "The switch stays where it was put."
    talk.answered("Three?")
    assert [one["content"] for one in openai.bodies[-1]["messages"]][1::2] == ["One?", "Two?", "Three?"]
    assert not re.search(r'name="single" value="yes" checked', talk.page())


def test_reasoning_is_shown_folded_and_never_sent(talk, openai):
    pieces = [{"reasoning_content": "<b>Hm"}, {"reasoning_content": "."}, {"content": "42"}]
    chunks = [{"choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in pieces]
    openai.enqueue(Reply([*map(event, chunks), event(chunk(finish="stop")), DONE]))
    page = talk.answered("One?")
    assert '<details class="reasoning"' in page
    assert element(page, "thoughts") == '<p dir="auto">&lt;b&gt;Hm.</p>\n'
    assert texts(page) == ["42"]
    talk.answered("Two?")
    assert "Hm" not in json.dumps(openai.bodies[-1])


def test_reasoning_alone_is_an_empty_answer_that_keeps_it(talk, openai):
    thought = {"choices": [{"index": 0, "delta": {"reasoning": "Hm"}, "finish_reason": None}]}
    openai.enqueue(Reply([event(thought), event(chunk(finish="length")), DONE]))
    page = talk.answered("One?")
    assert statuses(page) == ["failed"]
    assert element(page, "thoughts") == '<p dir="auto">Hm</p>\n'
    assert "spent on reasoning" in page


def test_of_several_choices_one_is_kept(talk, openai):
    talk.set(n=2)

    def piece(index, text, finish=None):
        return event({"choices": [{"index": index, "delta": {"content": text}, "finish_reason": finish}]})

    openai.enqueue(Reply([piece(1, "B"), piece(0, "A"), piece(1, "b", "stop"), piece(0, "a", "stop"), DONE]))
    page = talk.answered("One?")
    assert openai.bodies[0]["n"] == 2
    assert texts(page) == ["Aa", "Bb"]
    assert "Choice 1 of 2: kept" in page
    assert talk.post(f"turns/{talk.turn_id()}/keep/1").status_code == 303
    assert "Choice 2 of 2: kept" in talk.page()
    assert texts(talk.page()) == ["Aa", "Bb"], "No choice is lost."
    openai.enqueue(Reply.text("later"))
    talk.set()
    talk.answered("Two?")
    assert openai.bodies[-1]["messages"][2] == {"role": "assistant", "content": "Bb"}
    assert talk.post(f"turns/{talk.turn_id(0)}/keep/2").status_code == 404


def test_an_empty_choice_is_told_and_not_kept(talk, openai):
    talk.set(n=2)
    openai.enqueue(Reply.whole("", "Second"))
    page = talk.answered("One?")
    assert talk.answer().text == "Second", "What has a text counts."
    assert "This choice is empty" in page
    assert talk.post(f"turns/{talk.turn_id()}/keep/0").status_code == 422
    talk.post(f"turns/{talk.turn_id()}/retry")
    assert talk.settled()
    assert talk.conversation().turns[0].answers[0].choices == ["", "Second"]


def test_the_kept_choice_ends_as_it_ended(talk, openai):
    talk.set(n=2)
    ends = [{"index": 0, "delta": {"content": "A"}, "finish_reason": "stop"}]
    ends += [{"index": 1, "delta": {"content": "B"}, "finish_reason": "length"}]
    openai.enqueue(Reply([event({"choices": ends}), DONE]))
    talk.answered("One?")
    talk.post(f"turns/{talk.turn_id()}/keep/1")
    assert "Cut off at the limit" in talk.page()


def test_continue_keeps_choices_reasoning_and_the_first_request(talk, openai):
    talk.set(n=2)
    thought = {"index": 0, "delta": {"reasoning": "Hm", "content": "A"}, "finish_reason": "stop"}
    other = {"index": 1, "delta": {"content": "B"}, "finish_reason": "length"}
    openai.enqueue(Reply([event({"choices": [thought, other]}), DONE]), Reply.text(" and more"))
    talk.answered("One?")
    talk.post(f"turns/{talk.turn_id()}/keep/1")
    talk.post(f"turns/{talk.turn_id()}/continue")
    page = talk.settled()
    answer = talk.answer()
    assert (answer.choices, answer.kept, answer.text) == (["A", "B and more"], 1, "B and more")
    assert answer.reasoning == "Hm"
    assert texts(page) == ["A", "B and more"]
    panel = talk.client.get(f"/conversations/{talk.id}/answers/{answer.id}/exchange").text
    assert panel.count("POST http") == 2


def test_a_turn_is_left_out_and_taken_back(talk, openai):
    talk.answered("One?")
    assert talk.post(f"turns/{talk.turn_id()}/leave-out", htmx=True).status_code == 200
    assert "this turn is not sent" in talk.page()
    talk.answered("Two?")
    assert openai.bodies[-1]["messages"] == [SYSTEM, message("Two?")]
    assert talk.post(f"turns/{talk.turn_id(0)}/take-back").status_code == 303
    talk.answered("Three?")
    assert len(openai.bodies[-1]["messages"]) == 6


@pytest.mark.parametrize("path", ["leave-out", "take-back", "keep/0"])
def test_a_turn_of_nobody_is_not_found(talk, path):
    assert talk.post(f"turns/none/{path}").status_code == 404


def test_openai_is_told_where_its_cached_prompt_is_and_nobody_else(config):
    for base_url, told in (("https://api.openai.com/v1", True), ("https://api.deepseek.com/v1", False)):
        backend = Backend(read({"OPENAI_BASE_URL": base_url, "OPENAI_API_KEY": "sk-test"}))
        conversation = Conversation(owner="me")
        turns = [conversation.ask("One?", "")]
        conversation.turns[0].answer.status = "done"
        turns.append(conversation.ask("Two?", ""))
        keys = {backend._request(conversation, turn, "m", "").body.get("prompt_cache_key") for turn in turns}
        assert len(keys) == 1, "It is the same for a whole conversation."
        assert (keys != {None}) == told


# --- Second requests ---


@pytest.mark.parametrize(
    ("error", "dropped"),
    [
        ({"message": "Unsupported value: 'temperature' does not support 0.2", "param": "temperature"}, "temperature"),
        ({"message": "Unrecognized request argument supplied: temperature"}, "temperature"),
        ({"message": "property 'temperature' is unsupported"}, "temperature"),
        ({"message": "`temperature` is not supported by this model", "code": "unsupported_parameter"}, "temperature"),
    ],
)
def test_a_parameter_that_is_not_supported_is_left_out_in_one_second_request(talk, openai, error, dropped):
    talk.set(temperature=0.2, seed=1)
    openai.enqueue(Reply([json.dumps({"error": error}).encode()], 400, "application/json"))
    page = talk.answered("One?")
    assert statuses(page) == ["done"]
    assert [set(body) for body in openai.bodies] == [
        {"model", "messages", "stream", "stream_options", "seed", "temperature"},
        {"model", "messages", "stream", "stream_options", "seed"},
    ]
    assert f"without <code>{dropped}</code>" in page
    first, second = talk.exchanges()
    assert first.status == 400
    assert json.loads(first.body) == {"error": error}
    assert second.reply["choices"][0]["message"]["content"] == "You said: One?"


def test_fastapi_servers_name_a_parameter_in_their_detail(talk, openai):
    talk.set(seed=1)
    detail = [{"type": "extra_forbidden", "loc": ["body", "seed"], "msg": "Extra inputs are not permitted"}]
    openai.enqueue(Reply([json.dumps({"detail": detail}).encode()], 422, "application/json"))
    assert statuses(talk.answered("One?")) == ["done"]
    assert [("seed" in body) for body in openai.bodies] == [True, False]


def test_of_several_further_fields_one_is_asked_without(talk, openai):
    talk.set(extra={"foo": 1, "bar": 2})
    openai.enqueue(Reply.error(400, "Unknown parameter: 'foo'"), Reply.error(400, "Unknown parameter: 'bar'"))
    assert statuses(talk.answered("One?")) == ["failed"]
    assert len(openai.bodies) == 2


def test_what_one_mode_is_refused_another_may_send(talk, drawing, openai):
    openai.enqueue(Reply.error(400, "Unknown parameter: 'response_format'"))
    drawing.answered("A dot")
    talk.set(response_format="json_object")
    talk.answered("One?")
    assert openai.bodies[-1]["response_format"] == {"type": "json_object"}


def test_max_tokens_is_renamed_where_the_provider_says_so(talk, openai):
    talk.set(max_tokens=50)
    told = "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
    openai.enqueue(Reply.error(400, told, code="unsupported_parameter"))
    page = talk.answered("One?")
    assert openai.bodies[1]["max_completion_tokens"] == 50
    assert "max_tokens" not in openai.bodies[1]
    assert "sent as max_completion_tokens" in page


def test_what_parley_adds_itself_is_not_sent_again_to_a_model_that_refuses_it(talk, openai):
    openai.enqueue(Reply.error(400, "Unknown parameter: 'stream_options'."))
    talk.answered("One?")
    talk.answered("Two?")
    assert ["stream_options" in body for body in openai.bodies] == [True, False, False]


def test_there_is_no_third_request_for_a_second_parameter(talk, openai):
    talk.set(temperature=0.2, seed=1)
    openai.enqueue(
        Reply.error(400, "Unsupported parameter: 'seed'"), Reply.error(400, "Unsupported parameter: 'temperature'")
    )
    assert statuses(talk.answered("One?")) == ["failed"]
    assert len(openai.bodies) == 2


def test_another_refusal_is_shown_after_one_request(talk, openai):
    talk.set(temperature=0.2)
    openai.enqueue(Reply.error(400, "Invalid value for 'temperature': too hot"))
    page = talk.answered("One?")
    assert statuses(page) == ["failed"]
    assert "too hot" in page
    assert len(openai.bodies) == 1


# --- The context window ---


def test_turns_that_do_not_fit_are_left_out_whole_and_a_line_says_so(talk, openai):
    talk.set(context_tokens=1000)
    for number in range(6):
        openai.enqueue(Reply.text(f"a{number} " + "word " * 150))
        talk.answered(f"Question {number}?")
    sent = [[one["content"] for one in body["messages"]] for body in openai.bodies]
    assert all(contents[0] == SYSTEM["content"] for contents in sent)
    assert len(sent[-1]) < 12
    oldest = sent[-1][1]
    assert oldest.startswith("Question ") and oldest != "Question 0?"
    page = talk.page()
    line = page.index('class="window-line"')
    assert page.count('class="window-line"') == 1
    assert page.index(f">{oldest}<") > line > page.index(">Question 0?<")


def test_the_beginning_of_what_is_sent_stays_the_same_while_nothing_is_left_out(talk, openai):
    talk.set(context_tokens=100_000)
    for number in range(4):
        talk.answered(f"{number}?")
    for before, after in zip(openai.bodies, openai.bodies[1:], strict=False):
        prefix = json.dumps(before["messages"], ensure_ascii=False)[:-1]
        assert json.dumps(after["messages"], ensure_ascii=False).startswith(prefix)


def test_after_an_overflow_it_is_asked_once_more_with_fewer_turns(talk, openai):
    for number in range(4):
        talk.answered(f"{number}?")
    openai.enqueue(Reply.error(400, "too long", code="context_length_exceeded"))
    page = talk.answered("4?")
    assert statuses(page)[-1] == "done"
    assert "asked again without the older turns" in page
    before, after = openai.bodies[-2:]
    assert len(after["messages"]) < len(before["messages"])
    assert after["messages"][0] == SYSTEM
    assert after["messages"][-1] == message("4?")
    assert 'class="window-line"' in page
    talk.answered("5?")
    assert openai.bodies[-1]["messages"][1] == after["messages"][1], "What was too long stays left out."


def test_a_stop_does_not_forget_where_the_window_begins(talk, openai):
    for number in range(3):
        talk.answered(f"{number}?")
    openai.enqueue(Reply.error(400, "too long", code="context_length_exceeded"))
    talk.answered("3?")
    since = talk.conversation().sent_from
    openai.enqueue(Reply(wait=SILENCE))
    talk.ask("4?")
    wait_until(lambda: len(openai.bodies) == 6)
    talk.post("stop")
    assert talk.conversation().sent_from == since != ""


def test_a_question_that_is_too_long_by_itself_fails(talk, openai):
    openai.enqueue(Reply.error(400, "too long", code="context_length_exceeded"))
    assert statuses(talk.answered("One?")) == ["failed"]
    assert len(openai.bodies) == 1


# --- How an answer ended ---


@pytest.mark.parametrize(
    ("finish", "told"),
    [
        ("length", "Cut off at the limit of tokens"),
        ("content_filter", "content filter"),
        ("tool_calls", "called a tool"),
        ("eos", "<code>eos</code>"),
    ],
)
def test_the_finish_reason_is_told_in_words(talk, openai, finish, told):
    openai.enqueue(Reply.text("Half", finish=finish))
    assert told in talk.answered("One?")


def test_a_stop_sequence_is_told_as_far_as_it_is_known(talk, openai):
    talk.set(stop=["END"])
    assert "at a stop sequence; the API does not say" in talk.answered("One?")
    last = chunk(finish="stop")
    last["choices"][0]["stop_reason"] = "END"
    openai.enqueue(Reply([event(chunk("a")), event(last), DONE]))
    assert 'stop sequence <code>"END"</code>' in talk.answered("Two?")


def test_a_refusal_is_told(talk, openai):
    refusal = {"choices": [{"index": 0, "delta": {"refusal": "I won't."}, "finish_reason": None}]}
    openai.enqueue(Reply([event(refusal), event(chunk(finish="stop")), DONE]))
    page = talk.answered("One?")
    assert texts(page) == ["I won&#x27;t."]
    assert "The model refused" in page


# --- Completion ---


def test_a_completion_sends_the_prompt_alone_and_goes_on_from_the_text(prompt, openai):
    prompt.set(temperature=0, suffix="!", stop=["\n"])
    openai.enqueue(Reply.completion(" upon", " a time", finish="length"), Reply.completion(", there was"))
    page = prompt.answered("Once")
    assert openai.paths == ["/v1/completions"]
    fields = {"suffix": "!", "temperature": 0, "stop": ["\n"], **STREAMED}
    assert openai.bodies == [{"model": "test-model", "prompt": "Once", **fields}]
    assert texts(page) == [" upon a time"]
    prompt.post(f"turns/{prompt.turn_id()}/continue")
    assert texts(prompt.settled()) == [" upon a time, there was"]
    assert openai.bodies[-1]["prompt"] == "Once upon a time"
    assert "Once upon a time, there was</textarea>" in prompt.page(**{"from": prompt.turn_id()})


def test_a_text_that_happens_to_begin_like_its_prompt_is_not_an_echo(prompt, openai):
    openai.enqueue(Reply.completion("haha, he said", finish="length"))
    page = prompt.answered("ha")
    assert 'class="question"' in page
    prompt.post(f"turns/{prompt.turn_id()}/continue")
    prompt.settled()
    assert openai.bodies[-1]["prompt"] == "hahaha, he said"


def test_an_echoed_prompt_is_shown_once(prompt, openai):
    prompt.set(echo=True)
    openai.enqueue(Reply.completion("Once", " upon", finish="length"), Reply.completion(" a time"))
    page = prompt.answered("Once")
    assert openai.bodies[0]["echo"] is True
    assert 'class="question"' not in page
    prompt.post(f"turns/{prompt.turn_id()}/continue")
    assert texts(prompt.settled()) == ["Once upon a time"]
    assert (openai.bodies[1]["prompt"], "echo" in openai.bodies[1]) == ("Once upon", False)


def test_a_server_without_completions_says_so_itself(prompt, openai):
    openai.enqueue(Reply.error(404, "This is a chat model and not supported in the v1/completions endpoint."))
    page = prompt.answered("Once")
    assert statuses(page) == ["failed"]
    assert "This is a chat model" in page


def test_every_mode_has_a_conversation_of_its_own(talk, prompt, drawing):
    assert len({talk.id, prompt.id, drawing.id}) == 3
    talk.answered("Chat?")
    prompt.answered("Prompt")
    assert "Chat?" not in prompt.page()
    assert prompt.post("clear", confirmed="yes").location == "/completion"
    assert "Chat?" in talk.page()


# --- Images ---


def test_images_are_asked_for_as_base64_and_kept_as_files_of_their_owner(drawing, openai, app):
    drawing.set(n=2, size="512x512")
    page = drawing.answered("A red dot")
    sent = {"model": "test-model", "prompt": "A red dot", "response_format": "b64_json", "size": "512x512", "n": 2}
    assert openai.bodies == [sent]
    assert openai.paths == ["/v1/images/generations"]
    files = re.findall(r'<img src="([^"]+)"', page)
    assert len(files) == 2
    for file in files:
        with drawing.client.get(file) as response:
            assert (response.data, response.mimetype) == (PNG, "image/png")
        assert app.test_client().get(file).status_code == 404
    assert "A-red-dot-1.png" in page
    (exchange,) = drawing.exchanges()
    assert exchange.reply["data"][0]["b64_json"].endswith("characters)") or len(PNG) < 100
    drawing.post("clear", confirmed="yes")
    assert drawing.client.get(files[0]).status_code == 404


def test_gpt_image_models_know_no_response_format(drawing, openai):
    drawing.set(model="gpt-image-1")
    drawing.answered("A dot")
    assert openai.bodies == [{"model": "gpt-image-1", "prompt": "A dot"}]


def test_an_address_is_linked_and_never_fetched(drawing, openai):
    url = f"{openai.base_url}/picture.png"
    openai.enqueue(Reply.json({"created": 1, "data": [{"url": url, "revised_prompt": "A <red> dot"}]}))
    page = drawing.answered("A dot")
    assert f'href="{url}"' in page
    assert "A &lt;red&gt; dot" in page
    assert "<img" not in page
    assert openai.paths == ["/v1/images/generations"]


@pytest.mark.parametrize("url", ["javascript:alert(1)", "data:text/html,x", "file:///etc/passwd"])
def test_an_address_that_is_none_of_the_web_is_no_link(drawing, openai, url):
    openai.enqueue(Reply.json({"created": 1, "data": [{"url": url}]}))
    page = drawing.answered("A dot")
    assert url not in page
    assert "no image of a kind that can be shown" in page


def test_an_image_in_its_address_is_kept_as_a_file(drawing, openai):
    openai.enqueue(Reply.json({"data": [{"url": "data:image/png;base64," + base64.b64encode(PNG).decode()}]}))
    assert drawing.answered("A dot").count("<img") == 1


def test_images_without_a_usage_are_not_estimated(drawing):
    drawing.answered("A dot")
    assert drawing.answer().usage is None


def test_what_is_no_image_is_not_shown(drawing, openai):
    openai.enqueue(Reply.images(b"<svg onload=alert(1)>"))
    page = drawing.answered("A dot")
    assert "no image of a kind that can be shown" in page
    assert "<img" not in page


def test_images_asked_for_again_keep_the_earlier_ones(drawing):
    drawing.answered("A dot")
    drawing.post(f"turns/{drawing.turn_id()}/retry")
    page = drawing.settled()
    assert "Answer 2 of 2" in page
    second = re.findall(r'<img src="([^"]+)"', page)
    drawing.post(f"turns/{drawing.turn_id()}/answer", answer="1")
    first = re.findall(r'<img src="([^"]+)"', drawing.page())
    assert len(set(first + second)) == 2
    assert all(drawing.client.get(url, buffered=True).status_code == 200 for url in first + second)


# --- What it costs ---


def test_usage_is_shown_under_an_answer_and_added_up(talk, openai):
    usage = {"prompt_tokens": 1200, "completion_tokens": 30, "total_tokens": 1230}
    details = {"prompt_tokens_details": {"cached_tokens": 1000}, "completion_tokens_details": {"reasoning_tokens": 10}}
    for _ in range(2):
        openai.enqueue(Reply([event(chunk("Yes", "stop")), event({"choices": [], "usage": usage | details}), DONE]))
        page = talk.answered("One?")
    assert page.count("1,200 prompt (1,000 cached) + 30 completion (10 reasoning) tokens") == 2
    assert "2,460 tokens" in page
    assert "about 1,220 tokens of history" in page


def test_an_answer_without_usage_is_estimated_and_says_so(talk):
    page = talk.answered("One?")
    assert "estimated: the server gave no usage" in page
    exchange = talk.client.get(f"/conversations/{talk.id}/answers/{talk.answer().id}/exchange").text
    assert "estimated: the server gave no usage" in exchange
    assert talk.answer().usage_estimated
    assert talk.answer().usage["prompt_tokens"] > 10


def test_a_continued_answer_counts_all_its_runs(talk, openai):
    for number, finish in ((1, "length"), (2, "stop")):
        usage = {"prompt_tokens": 100 * number, "completion_tokens": 10 * number}
        openai.enqueue(Reply([event(chunk(f"{number} ", finish, usage=usage)), DONE]))
    talk.answered("One?")
    talk.post(f"turns/{talk.turn_id()}/continue")
    page = talk.settled()
    assert texts(page) == ["1 2"]
    assert "300 prompt + 30 completion tokens" in page


def test_what_a_stopped_answer_cost_is_estimated(talk, openai):
    openai.enqueue(Reply([event(chunk("Half of it")), SILENCE]))
    talk.ask("One?")
    wait_until(lambda: texts(talk.page()) == ["Half of it"])
    talk.post("stop")
    assert talk.answer().usage_estimated
    assert "it ended before the count came" in talk.page()
    assert talk.exchanges()[0].reply["choices"][0]["message"]["content"] == "Half of it"


def test_a_question_that_was_stopped_before_the_first_word_is_charged_for(talk, openai):
    openai.enqueue(Reply(wait=SILENCE))
    talk.ask("One?")
    wait_until(lambda: openai.bodies)
    talk.post("stop")
    usage = talk.answer().usage
    assert usage["prompt_tokens"] > 10
    assert usage["completion_tokens"] == 0


def test_llama_cpp_counts_each_choice_apart(talk, openai):
    talk.set(n=2)
    usage = event({"choices": [], "usage": {"prompt_tokens": 30, "completion_tokens": 4, "total_tokens": 34}})
    openai.enqueue(Reply([event(chunk("A", "stop")), usage, usage, DONE]))
    talk.answered("One?")
    assert talk.answer().usage == {"prompt_tokens": 30, "completion_tokens": 8, "total_tokens": 38}


def test_half_characters_outside_the_text_do_not_keep_an_answer_from_being_saved(talk, openai):
    half = b'data: {"model":"m\\ud83d","choices":[{"index":0,"delta":{"content":"a"},"finish_reason":"s\\ud83d"}]}\n\n'
    failed = b'data: {"error":{"message":"broken \\ud83d"}}\n\n'
    openai.enqueue(Reply([half, DONE]), Reply([failed]))
    assert statuses(talk.answered("One?")) == ["done"]
    page = talk.answered("Two?")
    assert statuses(page)[-1] == "failed"
    assert "broken ?" in page


@pytest.mark.parametrize("setting", ["TOKEN_BUDGET", "VISITOR_TOKEN_BUDGET"])
def test_when_the_budget_is_spent_nothing_is_sent(config, openai, setting):
    app = create_app({"TESTING": True, **config, setting: 50})
    first, second = Chat(app.test_client()), Chat(app.test_client())
    usage = {"prompt_tokens": 45, "completion_tokens": 5}
    openai.enqueue(Reply([event(chunk("Yes", "stop", usage=usage)), DONE]))
    first.answered("One?")
    refused = first.ask("Two?")
    assert refused.status_code == 429
    assert "50 tokens" in refused.text
    assert "Nothing was sent" in refused.text
    assert "Two?</textarea>" in refused.text
    assert ">0 tokens of today" in first.page()
    assert len(openai.bodies) == 1
    assert second.ask("Mine?").status_code == (429 if setting == "TOKEN_BUDGET" else 303)
    app.extensions["answers"].shut_down()
