"""A conversation of 1,000 turns: the page shows its end, and older turns come in."""

import re

import pytest
from playwright.sync_api import expect

from webapp import excerpt
from webapp.conversation import Answer, Conversation, Turn, Unknown
from webapp.excerpt import MOST_CHARACTERS, MOST_TURNS, before, end_of

from .conftest import owner_of
from .openai_server import Reply, chunk, event

COUNT = 1000
# Some 120 words, a list and a little code: more than most turns of most conversations have.
ANSWER = (
    "A paragraph of **ordinary** text that goes on for a while, as answers do. " * 8
    + "\n\n- one\n- two\n\n```py\nprint(1)\n```\n"
)


def turns(count, text="Fine."):
    return [
        Turn(f"Question {n}?", id=f"t{n}", answers=[Answer(id=f"a{n}", status="done", text=text)]) for n in range(count)
    ]


def talk(count=COUNT, text="Fine."):
    return Conversation(owner="me", turns=turns(count, text))


def ids(shown):
    return [turn.id for turn in shown.turns]


@pytest.fixture
def fill(app):
    """Give a conversation 1,000 turns."""

    def fill(conversation_id, count=COUNT):
        store = app.extensions["store"]
        owner = owner_of(app, conversation_id)
        with store.editing(conversation_id, owner) as edited:
            edited.turns = turns(count, ANSWER)

    return fill


def shown(page):
    return re.findall(r'<article class="turn[^"]*" id="turn-([\w-]+)"', page)


# --- As data ---


def test_a_short_conversation_is_shown_whole():
    assert ids(end_of(talk(MOST_TURNS)))[0] == "t0"
    assert end_of(talk(MOST_TURNS)).older == ""
    assert end_of(talk(0)) == ([], "")


def test_of_a_long_one_the_last_turns_are_shown():
    last = end_of(talk())
    assert ids(last) == [f"t{n}" for n in range(COUNT - MOST_TURNS, COUNT)]
    assert last.older == f"t{COUNT - 2 * MOST_TURNS}"


def test_long_turns_are_fewer_and_one_at_least():
    assert len(end_of(talk(10, "x" * (MOST_CHARACTERS // 4))).turns) == 3
    assert ids(end_of(talk(10, "x" * 10 * MOST_CHARACTERS))) == ["t9"]


def test_what_is_asked_for_is_there_and_so_is_what_is_pending():
    conversation = talk()
    assert ids(end_of(conversation, "t900"))[0] == "t900"
    assert ids(end_of(conversation, "t999", "nobody", "")) == ids(end_of(conversation))
    conversation.turns[950].answer.status = "pending"
    assert ids(end_of(conversation))[0] == "t950"


@pytest.mark.parametrize("count", [1, MOST_TURNS, MOST_TURNS + 1, 100])
def test_batch_by_batch_every_turn_comes_once(count):
    conversation = talk(count)
    part = end_of(conversation)
    came = ids(part)
    while part.older:
        part = before(conversation, came[0])
        came = ids(part) + came
    assert came == ids(excerpt.Excerpt(conversation.turns, ""))


def test_what_comes_before_nobody_is_unknown():
    with pytest.raises(Unknown):
        before(talk(), "nobody")


# --- On the page, without a script ---


def test_the_page_of_a_thousand_turns_is_small_and_leads_to_older_ones(chat, fill):
    fill(chat.id)
    page = chat.page()
    assert len(page.encode()) < 150_000
    assert shown(page) == [f"t{n}" for n in range(COUNT - MOST_TURNS, COUNT)]
    link = re.search(r'class="older" id="older">\s*<a href="([^"]+)"', page).group(1)
    assert link == f"/?turns=t{COUNT - 2 * MOST_TURNS}#turn-t{COUNT - MOST_TURNS}"
    assert shown(chat.client.get(link).text)[0] == f"t{COUNT - 2 * MOST_TURNS}"


def test_older_turns_come_as_a_fragment_until_there_are_none(chat, fill):
    fill(chat.id, 2 * MOST_TURNS)
    older = chat.client.get(f"/conversations/{chat.id}/turns?before=t{MOST_TURNS}").text
    assert shown(older) == [f"t{n}" for n in range(MOST_TURNS)]
    assert "<a href" not in older[: older.index("<article")]
    assert chat.client.get(f"/conversations/{chat.id}/turns?before=t0").text == ""
    assert chat.client.get(f"/conversations/{chat.id}/turns?before=nobody").status_code == 404
    assert chat.client.application.test_client().get(f"/conversations/{chat.id}/turns?before=t3").status_code == 404


def test_what_is_done_with_an_old_turn_leads_to_it(chat, fill):
    fill(chat.id)
    reply = chat.post("turns/t3/leave-out")
    assert reply.location == "/?turns=t3#turn-t3"
    assert shown(chat.client.get(reply.location).text)[0] == "t3"
    assert chat.post("turns/t998/leave-out").location == "/#turn-t998"
    assert '/?turns=t3#turn-t3"' in chat.client.get(f"/conversations/{chat.id}/turns/t3/edit").text


def test_an_edit_shows_as_much_as_the_page_did(chat, fill):
    fill(chat.id)
    html = chat.post("turns/t990/edit", htmx=True, question="?", turns="t980").text
    assert shown(html)[:-1] == [f"t{n}" for n in range(976, 990)]
    chat.settled()
    html = chat.post(f"turns/{shown(html)[-1]}/version", htmx=True, version="1", turns="t960").text
    assert shown(html) == [f"t{n}" for n in range(960, COUNT)]


def test_where_the_window_moved_its_line_moves_alone(chat, fill, app, openai):
    fill(chat.id, 40)
    with app.extensions["store"].editing(chat.id, owner_of(app, chat.id)) as edited:
        edited.parameters = {"context_tokens": 2000}
    openai.enqueue(Reply([event(chunk("Yes.", "stop"))]))
    html = chat.post("ask", htmx=True, question="And?").text
    stream = chat.stream(re.search(r'id="answer-([\w-]+)"', html).group(1)).text
    assert stream.count("<article") == 0
    assert 'hx-target=".window-line" hx-swap="delete"' in stream
    assert re.search(r'hx-target="#turn-t\d+" hx-swap="afterbegin"><p class="window-line">', stream)


# --- In Chromium ---


@pytest.fixture
def long_page(visit, live, fill):
    page = visit(live)
    fill(re.search(r"/conversations/([\w-]+)/ask", page.content()).group(1))
    page.reload()
    return page


def top_of(page, turn):
    return page.evaluate(f"document.getElementById('turn-{turn}').getBoundingClientRect().top")


def away(page):
    return page.evaluate("document.documentElement.scrollHeight - innerHeight - scrollY")


# Scrolls there, and from then on notes in every frame where a turn is seen.
WATCH_TOPS = """([turn, place]) => {
  const tops = (window.tops = []);
  scrollTo(0, place);
  const look = () => {
    tops.push(document.getElementById(`turn-${turn}`).getBoundingClientRect().top);
    if (tops.length < 100) requestAnimationFrame(look);
  };
  look();
}"""


@pytest.mark.browser
def test_it_opens_at_the_end_and_older_turns_come_in_without_a_jump(long_page):
    page = long_page
    assert away(page) < 60
    expect(page.locator(".turn")).to_have_count(MOST_TURNS)
    # At the very top, too, where browsers keep no place of their own accord.
    for count, place in ((MOST_TURNS, 700), (2 * MOST_TURNS, 0)):
        first = page.locator(".turn").first.get_attribute("id").removeprefix("turn-")
        page.evaluate(WATCH_TOPS, [first, place])
        expect(page.locator(".turn")).to_have_count(count + MOST_TURNS)
        tops = page.evaluate("tops")
        assert max(tops) - min(tops) < 2


@pytest.mark.browser
def test_another_tab_shows_as_far_back_as_it_did(visit, live, long_page):
    page = long_page
    other = visit(live, context=page.context)
    page.locator("#older a").click()
    expect(page.locator(".turn").first).not_to_have_attribute("id", f"turn-t{COUNT - MOST_TURNS}")
    oldest = page.locator(".turn").first.get_attribute("id")
    other.locator("#question").fill("New?")
    other.locator("#question").press("Enter")
    expect(page.locator(".question").last).to_have_text("New?")
    expect(page.locator(".turn").first).to_have_attribute("id", oldest)


@pytest.mark.browser
def test_an_anchor_is_found_however_old_its_turn_is(visit, live, long_page):
    page = visit(f"{live}/?turns=t980#turn-t980", context=long_page.context)
    expect(page.locator("#turn-t980")).to_be_in_viewport()


@pytest.mark.browser
def test_paper_says_that_older_turns_are_left_out_and_a_page_has_all_of_them(visit, live, fill):
    page = visit(live)
    fill(re.search(r"/conversations/([\w-]+)/ask", page.content()).group(1), MOST_TURNS + 5)
    page.reload()
    page.emulate_media(media="print")
    expect(page.locator("#older a")).to_be_hidden()
    expect(page.locator("#older .on-paper")).to_be_visible()
    page.emulate_media(media="screen")
    expect(page.locator("#older .on-paper")).to_be_hidden()
    page.goto(page.url.rstrip("/") + page.locator("#menu .panel-link[href*=export]").get_attribute("href"))
    page.locator(".downloads .whole").click()
    expect(page.locator(".turn")).to_have_count(MOST_TURNS + 5)
    expect(page.locator("#older")).to_be_hidden()
