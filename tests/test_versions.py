"""Versions of questions and answers: none is lost, one path is shown, and what is shown is what is sent."""

import json
import re

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from webapp.candidate import BadImport, add
from webapp.conversation import Answer, Busy, Conversation, Refused, Turn, Unknown
from webapp.export import Sending, messages, to_json
from webapp.importing import read

from .conftest import statuses, texts, wait_until
from .openai_server import DONE, SILENCE, Reply, chunk, event
from .test_importing import only


def talk(*questions):
    return Conversation(owner="me", turns=[turn(question) for question in questions])


def turn(question):
    return Turn(question, id=question.lower(), answers=[Answer(text=f"{question}!", status="done", id=f"{question}-1")])


def questions(conversation):
    return [turn.question for turn in conversation.turns]


def settle(conversation, text="Fine."):
    answer = conversation.pending.answer
    answer.text, answer.status = text, "done"


def edited(conversation, turn_id, question, new_id=""):
    turn = conversation.edit(turn_id, question, new_id)
    settle(conversation, f"{question}!")
    return turn


# --- As data ---


def test_an_edited_question_takes_the_place_of_the_old_one_and_of_all_that_came_after_it():
    conversation = talk("A", "B", "C")
    new = edited(conversation, "b", "B2")
    assert questions(conversation) == ["A", "B2"]
    assert new.versions == ["b", new.id]
    assert messages(conversation, "") == [
        {"role": "user", "content": "A"},
        {"role": "assistant", "content": "A!"},
        {"role": "user", "content": "B2"},
        {"role": "assistant", "content": "B2!"},
    ]


def test_switching_back_brings_all_that_came_after_it():
    conversation = talk("A", "B", "C")
    new = edited(conversation, "b", "B2")
    conversation.ask("D", "d")
    settle(conversation)
    assert conversation.show_version(new.id, 1).question == "B"
    assert questions(conversation) == ["A", "B", "C"]
    assert conversation.show_version("b", 2) is new
    assert questions(conversation) == ["A", "B2", "D"]


def test_versions_have_versions():
    conversation = talk("A", "B", "C")
    edited(conversation, "c", "C2", "c2")
    edited(conversation, "a", "A2", "a2")
    edited(conversation, "a2", "A3", "a3")
    assert questions(conversation) == ["A3"]
    conversation.show_version("a3", 1)
    assert questions(conversation) == ["A", "B", "C2"]
    conversation.show_version("c2", 1)
    assert questions(conversation) == ["A", "B", "C"]
    conversation.show_version("a", 2)
    assert questions(conversation) == ["A2"]
    assert conversation.turns[0].versions == ["a", "a2", "a3"]


def test_the_same_form_sent_twice_is_one_version():
    conversation = talk("A")
    new = conversation.edit("a", "A2", "new")
    assert conversation.edit("a", "A2", "new") is new
    assert new.versions == ["a", "new"]


def test_a_version_that_is_no_longer_shown_stands_for_the_one_that_is():
    conversation = talk("A")
    edited(conversation, "a", "A2", "a2")
    assert conversation.show_version("a", 1).id == "a"
    assert conversation.show_version("a2", 1).id == "a"
    assert edited(conversation, "a2", "A3", "a3").versions == ["a", "a2", "a3"]


def test_the_id_of_a_hidden_turn_is_not_given_away_again():
    conversation = talk("A", "B")
    edited(conversation, "a", "A2", "a2")
    with pytest.raises(Refused, match="another version"):
        conversation.ask("B", "b")
    assert conversation.ask("C", "b").id != "b"


def test_an_edit_of_a_single_question_stays_one():
    conversation = talk("A")
    conversation.turns[0].single = True
    assert conversation.edit("a", "A2", "").single


def test_another_answer_is_shown_and_sent():
    conversation = talk("A", "B")
    conversation.retry("a")
    settle(conversation, "Second")
    assert conversation.turns[0].number == 2
    conversation.show_answer("a", 1)
    assert messages(conversation, "")[1]["content"] == "A!"
    assert (conversation.turns[0].number, conversation.counted) == (1, "")
    assert questions(conversation) == ["A", "B"]


def test_a_retry_of_an_earlier_answer_comes_last_and_is_shown():
    conversation = talk("A")
    conversation.retry("a")
    settle(conversation, "Second")
    conversation.show_answer("a", 1)
    conversation.retry("a")
    settle(conversation, "Third")
    assert [answer.text for answer in conversation.turns[0].answers] == ["A!", "Second", "Third"]
    assert conversation.turns[0].answer.text == "Third"


def test_to_continue_goes_on_with_the_answer_that_is_shown():
    conversation = talk("A")
    conversation.retry("a")
    settle(conversation, "Second")
    conversation.show_answer("a", 1)
    conversation.turns[0].answer.status = "stopped"
    assert conversation.resume("a").answer.text == "A!"
    assert [answer.text for answer in conversation.turns[0].answers] == ["A!", "Second"]


def test_an_empty_answer_that_is_shown_makes_room_for_the_next():
    conversation = talk("A")
    conversation.retry("a")
    settle(conversation, "Second")
    conversation.turns[0].answers.insert(1, Answer(status="failed"))
    conversation.show_answer("a", 2)
    conversation.retry("a")
    assert [answer.text for answer in conversation.turns[0].answers] == ["A!", "Second", ""]


def test_where_the_window_begins_is_found_out_anew_where_its_turn_is_gone():
    conversation = talk("A", "B", "C")
    conversation.sent_from = conversation.counted = "b"
    edited(conversation, "c", "C2")
    assert (conversation.sent_from, conversation.counted) == ("b", "")
    edited(conversation, "a", "A2")
    assert conversation.sent_from == ""


def test_nothing_is_switched_while_an_answer_is_pending():
    conversation = talk("A")
    conversation.retry("a")
    settle(conversation)
    edited(conversation, "a", "A2", "a2")
    conversation.ask("B", "")
    for change in (
        lambda: conversation.edit("a2", "A3", ""),
        lambda: conversation.show_version("a2", 1),
        lambda: conversation.show_answer("a2", 1),
    ):
        with pytest.raises(Busy):
            change()


@pytest.mark.parametrize("number", [0, -1, 3])
def test_a_version_that_is_not_there_is_refused(number):
    conversation = talk("A")
    edited(conversation, "a", "A2", "a2")
    for change in (conversation.show_version, conversation.show_answer):
        with pytest.raises(Unknown):
            change("a2", number)


def round_trip(conversation):
    document = to_json(conversation, Sending("m", "", {}, None), lambda answer_id: [])
    candidate = only(document)
    again = Conversation(owner="me")
    add(again, candidate, "first")
    return again, document


def test_an_export_brings_every_version_back_and_which_is_shown():
    conversation = talk("A", "B", "C")
    edited(conversation, "c", "C2", "c2")
    edited(conversation, "a", "A2", "a2")
    edited(conversation, "a2", "A3", "a3")
    conversation.retry("a3")
    settle(conversation, "Second")
    conversation.show_answer("a3", 1)
    conversation.show_version("a3", 2)
    again, _ = round_trip(conversation)
    assert questions(again) == ["A2"]
    _, _, third = again.turns[0].versions
    assert again.turns[0].id == "first"
    again.show_version("first", 3)
    assert (again.turns[0].id, again.turns[0].answer.text, len(again.turns[0].answers)) == (third, "A3!", 2)
    again.show_version(third, 1)
    assert questions(again) == ["A", "B", "C2"]
    again.show_version(again.turns[2].id, 1)
    assert questions(again) == ["A", "B", "C"]
    assert not {turn.id for turn in again.every_turn()} & {turn.id for turn in conversation.every_turn()}


@pytest.mark.parametrize(
    "versions", [[0], [None], [0, 0, None], [1, None], [None, None, 0], ["x", None], [-1, None], []]
)
def test_versions_that_do_not_fit_together_are_refused(versions):
    conversation = talk("A")
    edited(conversation, "a", "A2", "a2")
    document = json.loads(round_trip(conversation)[1])
    document["turns"][0]["versions"] = versions
    with pytest.raises(BadImport, match="does not fit"):
        read(json.dumps(document).encode(), 2**20)


@pytest.mark.parametrize("tail", [[], [5], [{"question": "x", "versions": [0, None]}]])
def test_other_versions_that_are_none_are_refused(tail):
    conversation = talk("A")
    edited(conversation, "a", "A2", "a2")
    document = json.loads(round_trip(conversation)[1])
    document["other_versions"] = [tail]
    with pytest.raises(BadImport, match="does not fit"):
        read(json.dumps(document).encode(), 2**20)


def test_an_answer_that_is_not_there_is_not_shown():
    document = json.loads(round_trip(talk("A"))[1])
    document["turns"][0]["shown"] = 7
    candidate = only(document)
    assert candidate.turns[0].answer.text == "A!"


def test_an_export_of_before_there_were_versions_is_read():
    document = json.loads(round_trip(talk("A"))[1])
    assert "other_versions" not in document
    document["parley"]["format"] = 1
    candidate = only(document)
    assert candidate.turns[0].answer.text == "A!"


class Versions(RuleBasedStateMachine):
    """Whatever is done: what was typed or answered stays, and the path is one that can be seen."""

    def __init__(self):
        super().__init__()
        self.talk = Conversation(owner="me")
        self.typed, self.answered = set(), set()
        self.count = 0

    def new(self):
        self.count += 1
        return f"text {self.count}"

    def any_turn(self, data):
        return data.draw(st.sampled_from([turn.id for turn in self.talk.turns]))

    def made(self, question):
        self.typed.add(question)
        if self.talk.pending and self.talk.pending.answer.text == "":
            text = self.new()
            self.answered.add(text)
            settle(self.talk, text)

    @rule()
    def ask(self):
        question = self.new()
        self.talk.ask(question, "")
        self.made(question)

    @precondition(lambda self: self.talk.turns)
    @rule(data=st.data())
    def edit(self, data):
        question = self.new()
        assert self.talk.edit(self.any_turn(data), question, "") is self.talk.turns[-1]
        self.made(question)

    @precondition(lambda self: self.talk.turns)
    @rule(data=st.data())
    def retry(self, data):
        self.made(self.talk.retry(self.any_turn(data)).question)

    @precondition(lambda self: self.talk.turns)
    @rule(data=st.data())
    def switch(self, data):
        turn_id = self.any_turn(data)
        if versions := self.talk.turn(turn_id).versions:
            number = data.draw(st.integers(1, len(versions)))
            assert self.talk.show_version(turn_id, number).id == versions[number - 1]

    @precondition(lambda self: self.talk.turns)
    @rule(data=st.data())
    def switch_answer(self, data):
        turn = self.talk.turn(self.any_turn(data))
        number = data.draw(st.integers(1, len(turn.answers)))
        assert self.talk.show_answer(turn.id, number).number == number

    @precondition(lambda self: self.talk.turns)
    @rule(data=st.data(), left_out=st.booleans())
    def leave_out(self, data, left_out):
        self.talk.leave_out(self.any_turn(data), left_out)

    @rule()
    def clear(self):
        self.talk.clear()
        self.typed, self.answered = set(), set()

    @invariant()
    def nothing_is_lost(self):
        turns = list(self.talk.every_turn())
        assert {turn.question for turn in turns} == self.typed
        assert {answer.text for turn in turns for answer in turn.answers} == self.answered

    @invariant()
    def ids_are_unique_and_every_version_is_somewhere(self):
        turns = list(self.talk.every_turn())
        assert len({turn.id for turn in turns}) == len(turns)
        named = [version for turn in turns for version in turn.versions if version != turn.id]
        assert sorted(named) == sorted(self.talk.set_aside)
        assert all(tail[0].id == first and not tail[0].versions for first, tail in self.talk.set_aside.items())

    @invariant()
    def what_is_shown_is_what_is_sent(self):
        shown = [
            text
            for turn in self.talk.turns
            if turn.answer.text and not turn.left_out
            for text in (turn.question, turn.answer.text)
        ]
        assert [message["content"] for message in messages(self.talk, "")] == shown


TestVersions = Versions.TestCase
TestVersions.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)


# --- On the page, without a script ---


def contents(body):
    return [message["content"] for message in body["messages"]][1:]


def asked(page):
    return re.findall(r'<div class="question" dir="auto">(.*?)</div>', page, re.DOTALL)


def test_a_retry_makes_a_second_answer_and_a_pager_leads_back(chat, openai):
    openai.enqueue(Reply.text("First."), Reply.text("Second."))
    chat.answered("One?")
    assert 'class="pager"' not in chat.page()
    chat.post(f"turns/{chat.turn_id()}/retry")
    page = chat.settled()
    assert texts(page) == ["Second."]
    assert "Answer 2 of 2" in page
    reply = chat.post(f"turns/{chat.turn_id()}/answer", answer="1")
    assert reply.status_code == 303
    assert reply.location.endswith(f"#turn-{chat.turn_id()}")
    assert texts(chat.page()) == ["First."]
    chat.answered("Two?")
    assert contents(openai.bodies[-1]) == ["One?", "First.", "Two?"]


def test_an_edited_question_is_asked_in_its_place_and_the_old_one_can_be_shown_again(chat, openai):
    for question in ("One?", "Two?", "Three?"):
        chat.answered(question)
    turn_id = chat.turn_id(1)
    form = chat.client.get(f"/conversations/{chat.id}/turns/{turn_id}/edit").text
    assert re.search(r"<textarea[^>]*>\nTwo\?</textarea>", form)
    new_id = re.search(r'name="turn" value="([\w-]+)"', form).group(1)
    reply = chat.post(f"turns/{turn_id}/edit", question="2?", turn=new_id)
    assert (reply.status_code, reply.location) == (303, f"/#turn-{new_id}")
    page = chat.settled()
    assert asked(page) == ["One?", "2?"]
    assert "Version 2 of 2 of this question" in page
    assert contents(openai.bodies[-1]) == ["One?", "You said: One?", "2?"]
    assert chat.post(f"turns/{new_id}/version", version="1").location == f"/#turn-{turn_id}"
    assert asked(chat.page()) == ["One?", "Two?", "Three?"]
    chat.answered("Four?")
    assert contents(openai.bodies[-1])[-3:] == ["Three?", "You said: Three?", "Four?"]
    assert "You said: Two?" in contents(openai.bodies[-1])


def test_the_same_edit_sent_twice_is_one_version_and_one_request(chat, openai):
    chat.answered("One?")
    turn_id = chat.turn_id()
    for _ in range(2):
        assert chat.post(f"turns/{turn_id}/edit", question="Two?", turn="the-form").status_code == 303
    assert "Version 2 of 2" in chat.settled()
    assert openai.questions == ["One?", "Two?"]


@pytest.mark.parametrize(
    ("question", "status", "told"), [(" \n", 422, "empty"), ("x" * 100_001, 413, "100,001 characters")]
)
def test_an_edit_that_cannot_be_sent_keeps_what_was_typed(chat, question, status, told):
    chat.answered("One?")
    turn_id = chat.turn_id()
    reply = chat.post(f"turns/{turn_id}/edit", question=question)
    assert reply.status_code == status
    assert told in reply.text
    assert f">\n{question}</textarea>" in reply.text
    assert f'action="/conversations/{chat.id}/turns/{turn_id}/edit"' in reply.text
    assert told in chat.post(f"turns/{turn_id}/edit", htmx=True, question=question).text


def test_an_edit_while_an_answer_comes_is_refused_and_keeps_what_was_typed(chat, openai):
    chat.answered("One?")
    turn_id = chat.turn_id()
    openai.enqueue(Reply([event(chunk("Half")), SILENCE]))
    chat.ask("Two?")
    reply = chat.post(f"turns/{turn_id}/edit", question="One, really?")
    assert reply.status_code == 409
    assert "still being written" in reply.text
    assert ">\nOne, really?</textarea>" in reply.text
    for path, form in (("answer", {"answer": "1"}), ("version", {"version": "1"})):
        assert chat.post(f"turns/{turn_id}/{path}", **form).status_code == 409
    chat.post("stop")


def test_text_that_was_not_changed_is_asked_again(chat, openai):
    chat.answered("One?")
    chat.post(f"turns/{chat.turn_id()}/edit", question="One?")
    assert "Version 2 of 2" in chat.settled()
    assert openai.questions == ["One?", "One?"]


def test_what_is_not_there_is_not_found(chat, app):
    chat.answered("One?")
    turn_id = chat.turn_id()
    for path, form in (("answer", {"answer": "2"}), ("answer", {}), ("version", {"version": "x"})):
        assert chat.post(f"turns/{turn_id}/{path}", htmx=True, **form).status_code == 404
    assert chat.post("turns/nobody/edit", htmx=True, question="?").status_code == 404
    assert chat.client.get(f"/conversations/{chat.id}/turns/nobody/edit").status_code == 404
    other = app.test_client()
    for path in ("edit", "question"):
        assert other.get(f"/conversations/{chat.id}/turns/{turn_id}/{path}").status_code == 404
    for path in ("edit", "answer", "version"):
        url = f"/conversations/{chat.id}/turns/{turn_id}/{path}"
        assert other.post(url, data={"question": "Mine?", "answer": "1", "version": "1"}).status_code == 404
    assert asked(chat.page()) == ["One?"]


def test_htmx_gets_the_conversation_where_the_path_changed_and_the_turn_where_it_did_not(chat):
    chat.answered("One?")
    chat.answered("Two?")
    first = chat.turn_id(0)
    edit = chat.post(f"turns/{first}/edit", htmx=True, question="1?").text
    assert edit.lstrip().startswith('<section id="conversation"')
    assert 'id="stop"' in edit or 'data-status="done"' in edit
    chat.settled()
    switch = chat.post(f"turns/{chat.turn_id()}/version", htmx=True, version="1").text
    assert switch.lstrip().startswith('<section id="conversation"')
    assert asked(switch) == ["One?", "Two?"]
    chat.post(f"turns/{first}/retry")
    chat.settled()
    answer = chat.post(f"turns/{first}/answer", htmx=True, answer="1").text
    assert answer.lstrip().startswith("<article")
    assert all(f'hx-target="#{part}"' in answer for part in ("actions", "next-turn", "notice", "totals", "estimate"))


def test_what_hidden_versions_cost_still_counts(chat, openai):
    usage = {"prompt_tokens": 10, "completion_tokens": 1, "total_tokens": 11}
    for _ in range(3):
        openai.enqueue(Reply([event(chunk("Yes.", "stop", usage=usage)), DONE]))
    chat.answered("One?")
    chat.answered("Two?")
    chat.post(f"turns/{chat.turn_id(0)}/edit", question="1?")
    assert "33 tokens" in chat.settled()


def test_a_hidden_answer_still_has_its_request_and_its_files(chat):
    page = chat.answered("One?")
    link = re.search(r'href="(/conversations/[^"]+/exchange)"', page).group(1)
    chat.post(f"turns/{chat.turn_id()}/edit", question="1?")
    assert link not in chat.settled()
    assert "One?" in chat.client.get(link).text


def test_clear_removes_every_version(chat, app):
    chat.answered("One?")
    chat.post(f"turns/{chat.turn_id()}/edit", question="1?")
    chat.settled()
    chat.post("clear", confirmed="yes")
    record = app.extensions["store"].records.get(f"conversation:{chat.id}")
    assert not record.get("turns")
    assert not record.get("set_aside")


def test_a_version_whose_process_died_is_settled_as_interrupted(chat, openai, app):
    chat.answered("One?")
    openai.enqueue(Reply([event(chunk("Half")), SILENCE]))
    chat.post(f"turns/{chat.turn_id()}/edit", question="1?")
    wait_until(lambda: "Half" in chat.page())
    answers = app.extensions["answers"]
    running = next(iter(answers._running.values()))
    answers._running.clear()
    page = chat.page()
    assert statuses(page) == ["interrupted"]
    assert texts(page) == ["Half"]
    running.end()
    running.call.close()
    chat.post(f"turns/{chat.turn_id()}/version", version="1")
    assert asked(chat.page()) == ["One?"]
