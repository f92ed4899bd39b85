"""How far the texts of a whole page are shown: the newest and what counts first, and never too much together."""

import re

import pytest

from webapp import allotment
from webapp.allotment import FEW_WORDS, allotted
from webapp.beginning import MOST_SIGNS, reach, signs_in
from webapp.conversation import Answer, Turn

from .conftest import element, owner_of, wait_until
from .openai_server import SILENCE, Reply, chunk, event

SIGNS = "# a\n" * 100_000  # more than is shown of any text


def turn(text="Yes.", status="done", **more):
    return Turn("?", answers=[Answer(text=text, status=status, **more)])


def short(turns, mode="chat", is_long=False):
    """Return the numbers of the turns, and the channels, of which few words are shown."""
    numbers = {one.answer.id: number for number, one in enumerate(turns)}
    return sorted((numbers[id_], channel) for id_, channel in allotted(mode, turns, is_long=is_long))


def cost(mode, turns, is_long=False):
    """Return how many signs a page renders of its answers."""
    found = allotted(mode, turns, is_long=is_long)
    texts = [
        (one.answer.id, channel, text) for one in turns for channel, text in allotment.texts_of(one.answer).items()
    ]
    ends = [(text, found.get((id_, channel), reach(channel)).end(mode, text)) for id_, channel, text in texts]
    return sum(signs_in(mode, text[:end]) for text, end in ends)


def test_an_ordinary_page_is_shown_whole():
    text = (
        "An answer of **some** ordinary length, with many words and `code` among them, as it may be.\n\n- A list.\n"
        * 20
    )
    assert short([turn(text, reasoning=text) for _ in range(15)]) == []
    assert short([turn(text, choices=[text] * 8) for _ in range(2)]) == []
    assert short([turn(text) for _ in range(300)], is_long=True) == []


def test_the_last_turns_and_what_counts_come_first():
    assert short([turn(SIGNS), turn("Yes."), turn(SIGNS)]) == [(0, 0)]
    eight = turn(SIGNS, reasoning=SIGNS, choices=[SIGNS] * 8, kept=5)
    assert short([eight]) == [(0, channel) for channel in range(2, 8)], "Thoughts come before other choices."
    assert short([turn("Yes."), eight]) == [(1, channel) for channel in range(2, 8)]


def test_whatever_a_conversation_holds_a_page_renders_so_much():
    worst = [turn(SIGNS, reasoning=SIGNS, choices=[SIGNS] * 8) for _ in range(15)]
    assert cost("chat", worst) <= allotment.OF_A_PAGE + 15 * 10 * FEW_WORDS.signs
    assert cost("chat", worst, is_long=True) <= allotment.OF_A_LONG_PAGE + 15 * 10 * FEW_WORDS.signs
    assert cost("chat", worst) >= MOST_SIGNS


def test_text_without_signs_counts_by_its_length():
    long = [turn("字" * 200_000) for _ in range(20)]
    assert short(long) == [(number, 0) for number in range(10)]
    assert short(long, mode="completion") == [(number, 0) for number in range(10)]


def test_what_is_being_written_is_left_alone_and_its_cost_is_counted():
    pending = turn(SIGNS, "pending", choices=[SIGNS] * 8)
    assert short([turn(SIGNS), pending]) == [(0, 0)]


# --- Through the application ---


@pytest.fixture
def fill(app, chat):
    def fill(turns):
        with app.extensions["store"].editing(chat.id, owner_of(app, chat.id)) as edited:
            edited.turns = turns

    return fill


def told(html):
    """Return how much is shown of each text that is not shown whole."""
    return [int(number.replace(",", "")) for number in re.findall("first ([0-9,]+) of [0-9,]+ characters", html)]


def test_a_page_says_of_each_text_how_much_of_it_is_shown(chat, fill):
    fill([turn(SIGNS, reasoning=SIGNS, choices=[SIGNS] * 8, kept=5)])
    page = chat.page()
    # The thoughts, and the choices: one besides that which counts.
    assert told(page) == [6000, 200, 6000, 200, 200, 200, 60_000, 200, 200]
    whole = re.findall(r'class="rest"[^>]*>.*?href="([^"]+)"', page, re.DOTALL)
    assert all(chat.client.get(link.replace("&amp;", "&")).text == SIGNS for link in whole)


def test_a_page_of_older_turns_has_a_bound_of_its_own(chat, fill):
    turns = [turn(SIGNS) for _ in range(12)]
    fill(turns)
    assert told(chat.page()) == [60_000], "A page shows one turn at least."
    asked = told(chat.client.get(f"/?turns={turns[0].id}").text)
    assert asked == [200] * 9 + [60_000] * 3
    older = chat.client.get(f"/conversations/{chat.id}/turns?before={turns[5].id}").text
    assert told(older) == [60_000]


def test_others_are_served_between_the_texts_of_a_page(chat, fill, monkeypatch):
    slept = []
    monkeypatch.setattr("webapp.pausing.STRETCH", -1)
    monkeypatch.setattr("webapp.pausing.sleep", slept.append)
    fill([turn("Yes.") for _ in range(7)])
    chat.page()
    assert len(slept) == 7


def test_a_page_shows_of_an_answer_under_way_what_its_stream_goes_on_from(chat, fill, openai):
    fill([turn(SIGNS), turn(SIGNS)])
    openai.enqueue(Reply([event(chunk("Half of *it")), SILENCE]))
    chat.ask("One?")
    page = wait_until(lambda: "Half of" in (page := chat.page()) and page)
    assert element(page, "text") == '<p dir="auto">Half of <em>it</em></p>\n'
    chat.post("stop")
