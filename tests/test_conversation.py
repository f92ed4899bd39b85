import pytest

from webapp.conversation import CONTINUE_PROMPT, Answer, Busy, Conversation, Refused, Turn, Unknown
from webapp.question import BadQuestion, QuestionTooLong, check_question


def conversation(*exchanges):
    turns = [Turn(question, answers=[Answer(text=text, status="done")]) for question, text in exchanges]
    return Conversation(owner="me", turns=turns)


def sent(conversation, turn, system_prompt="Be brief.", prefill=False):
    return [(m["role"], m["content"]) for m in conversation.messages(turn, system_prompt, prefill=prefill)]


def test_a_question_is_sent_with_the_system_prompt_and_the_turns_before_it():
    talk = conversation(("One?", "1"), ("Two?", "2"))
    turn = talk.ask("Three?", "")
    assert sent(talk, turn) == [
        ("system", "Be brief."),
        ("user", "One?"),
        ("assistant", "1"),
        ("user", "Two?"),
        ("assistant", "2"),
        ("user", "Three?"),
    ]


def test_an_empty_system_prompt_is_not_sent():
    talk = conversation()
    assert sent(talk, talk.ask("One?", ""), system_prompt="") == [("user", "One?")]


def test_a_turn_without_an_answer_is_left_out_of_what_is_sent_later():
    talk = conversation(("One?", ""), ("Two?", "2"))
    assert sent(talk, talk.ask("Three?", ""), "") == [("user", "Two?"), ("assistant", "2"), ("user", "Three?")]


def test_a_retry_sends_only_the_turns_before_it():
    talk = conversation(("One?", "1"), ("Two?", "2"), ("Three?", "3"))
    turn = talk.retry(talk.turns[1].id)
    assert sent(talk, turn, "") == [("user", "One?"), ("assistant", "1"), ("user", "Two?")]


def test_a_retry_keeps_an_answer_that_has_text_and_drops_one_that_has_none():
    talk = conversation(("One?", "1"), ("Two?", ""))
    assert [answer.text for answer in talk.retry(talk.turns[0].id).answers] == ["1", ""]
    talk.turns[0].answer.status = "done"
    assert [answer.text for answer in talk.retry(talk.turns[1].id).answers] == [""]


def test_to_continue_asks_in_words_or_leaves_the_answer_open():
    talk = conversation(("Count.", "1, 2"))
    talk.turns[0].answer.status = "stopped"
    turn = talk.resume(talk.turns[0].id)
    assert sent(talk, turn, "") == [("user", "Count."), ("assistant", "1, 2"), ("user", CONTINUE_PROMPT)]
    assert sent(talk, turn, "", prefill=True) == [("user", "Count."), ("assistant", "1, 2")]


def test_a_continued_answer_keeps_its_text_under_a_new_id():
    talk = conversation(("Count.", "1, 2"))
    talk.turns[0].answer.status = "interrupted"
    before = talk.turns[0].answer.id
    answer = talk.resume(talk.turns[0].id).answer
    assert (answer.text, answer.status) == ("1, 2", "pending")
    assert answer.id != before


@pytest.mark.parametrize(
    ("status", "text", "finish_reason", "expected"),
    [
        ("done", "text", "stop", False),
        ("done", "text", "length", True),
        ("stopped", "text", None, True),
        ("interrupted", "text", None, True),
        ("failed", "text", None, True),
        ("failed", "", None, False),
        ("pending", "text", None, False),
    ],
)
def test_only_an_unfinished_text_can_be_continued(status, text, finish_reason, expected):
    assert Answer(status=status, text=text, finish_reason=finish_reason).can_continue is expected


def test_a_finished_answer_is_not_continued():
    talk = conversation(("One?", "1"))
    with pytest.raises(Refused, match="nothing to continue"):
        talk.resume(talk.turns[0].id)


def test_nothing_begins_while_an_answer_is_pending():
    talk = conversation(("One?", "1"))
    talk.turns[0].answer.status = "stopped"
    talk.ask("Two?", "")
    for change in (
        lambda: talk.ask("Three?", ""),
        lambda: talk.retry(talk.turns[0].id),
        lambda: talk.resume(talk.turns[0].id),
    ):
        with pytest.raises(Busy):
            change()
    assert len(talk.turns) == 2


def test_the_same_form_sent_twice_is_one_turn():
    talk = conversation()
    first = talk.ask("One?", "the-form")
    assert talk.ask("One?", "the-form") is first
    assert len(talk.turns) == 1


def test_another_question_under_a_used_form_is_another_turn():
    talk = conversation()
    talk.ask("One?", "the-form").answer.status = "done"
    second = talk.ask("Two?", "the-form")
    assert second.id != "the-form"
    assert len(talk.turns) == 2


@pytest.mark.parametrize("made_up", ["", "a b", "<b>", "x" * 41, "汉"])
def test_an_id_that_a_form_made_up_is_not_taken(made_up):
    assert conversation().ask("One?", made_up).id != made_up


def test_unknown_turns_and_answers_are_refused():
    talk = conversation(("One?", "1"))
    for look in (talk.turn, talk.turn_of, talk.retry, talk.resume):
        with pytest.raises(Unknown):
            look("nobody")


@pytest.mark.parametrize("text", ["", " ", "\n\n\t ", "\u3000"])
def test_a_question_without_text_is_refused(text):
    with pytest.raises(BadQuestion, match="empty"):
        check_question(text, 100)


def test_a_question_may_be_as_long_as_the_limit_and_no_longer():
    assert check_question("问" * 100, 100) == "问" * 100
    with pytest.raises(QuestionTooLong, match=r"101 characters; up to 100 can be sent\. Shorten it by 1"):
        check_question("问" * 101, 100)


@pytest.mark.parametrize("character", ["\0", "\x07", "\x1b", "\x7f", "\x85", "\ud800"])
def test_a_control_character_is_refused_by_name_and_place(character):
    with pytest.raises(BadQuestion, match=rf"Character 3 .* U\+{ord(character):04X}"):
        check_question(f"ab{character}c", 100)


def test_line_ends_become_line_feeds_and_all_else_stays():
    assert check_question("  a\r\nb\rc\n\td ", 100) == "  a\nb\nc\n\td "
