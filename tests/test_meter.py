import json
import re
from threading import Event

import pytest

from webapp.budget import BudgetSpent
from webapp.conversation import Answer, Picture, Turn

from .conftest import conversation_of, intercept, owner_of, wait_until
from .openai_server import DONE, Reply, chunk, event

USAGE = {
    "prompt_tokens": 1234,
    "completion_tokens": 56,
    "total_tokens": 1290,
    "prompt_tokens_details": {"cached_tokens": 1000},
    "completion_tokens_details": {"reasoning_tokens": 40},
}


@pytest.fixture
def config(config, tmp_path):
    path = tmp_path / "prices.json"
    models = {"test-model": {"input": 1, "cached_input": 0.1, "output": 10}, "painter": {"image": 0.04}}
    path.write_text(json.dumps({"models": models}))
    return config | {"PRICES": path, "VISITOR_TOKEN_BUDGET": 5000}


def reply(usage=USAGE, text="Fine."):
    return Reply([event(chunk(text)), event(chunk(finish="stop", usage=usage)), DONE])


def words(html):
    """Return the text of a fragment, each run of white space as one blank."""
    return " ".join(re.sub("<[^>]*>|{#.*?#}", "", html).split())


def part(page, name):
    """Return the text of the page's paragraphs of a class."""
    return [words(found) for found in re.findall(rf'<p class="{name}".*?</p>', page, re.DOTALL)]


@pytest.fixture
def kept(app, chat):
    """Change the visitor's conversation as it is kept."""
    store = app.extensions["store"]

    def change(*turns):
        record = conversation_of(app, chat.id)
        record.turns.extend(turns)
        store.save(record)

    return change


def test_under_an_answer_stands_what_it_spent_and_what_that_cost(chat, openai):
    openai.enqueue(reply())
    page = chat.answered("How are you?")
    assert part(page, "usage") == ["1,234 prompt (1,000 cached) + 56 completion (40 reasoning) tokens · $0.0009"]


def test_the_totals_are_those_of_all_answers(chat, openai):
    assert part(chat.page(), "totals") == ["5,000 tokens of today's budget left"]
    openai.enqueue(reply(), reply())
    chat.answered("One?")
    chat.post(f"turns/{chat.turn_id()}/retry")
    (told,) = part(chat.settled(), "totals")
    assert told.startswith("This conversation: 2,580 tokens = 2,468 prompt (2,000 cached) + 112 completion · $0.0018")


ESTIMATED = {"prompt_tokens": 9, "completion_tokens": 2}


def test_an_estimate_says_that_it_is_one(chat, kept):
    kept(Turn("?", answers=[Answer(status="done", text="Yes.", usage=ESTIMATED, usage_estimated=True)]))
    (told,) = part(chat.page(), "usage")
    assert told == "about 9 + 2 tokens"
    assert 'title="Prompt + completion, estimated: the server gave no usage."' in chat.page()
    assert part(chat.page(), "totals")[0].startswith("This conversation: about ")


def test_an_answer_without_tokens_says_nothing_of_them(chat, kept):
    kept(Turn("?", answers=[Answer(status="stopped")]))
    assert part(chat.page(), "usage") == []


def test_pictures_cost_by_the_piece_and_what_has_no_price_is_named(chat, kept):
    pictures = [Picture(file="a.png"), Picture(file="b.png")]
    kept(
        Turn("A cat", answers=[Answer(status="done", pictures=pictures, model="painter")]),
        Turn("?", answers=[Answer(status="done", text="Yes.", model="unknown", usage=USAGE)]),
    )
    page = chat.page()
    assert part(page, "usage")[0] == "$0.08"
    assert "$0.08, without 1 answer whose price is not known" in part(page, "totals")[0]


def test_the_page_says_what_history_goes_along(chat, openai):
    assert part(chat.page(), "estimate") == [""]
    openai.enqueue(reply())
    assert part(chat.answered("One?"), "estimate") == ["about 1,250 tokens of history go along"]


def test_what_is_typed_is_estimated(chat, openai):
    openai.enqueue(reply())
    chat.answered("One?")
    told = chat.post("estimate", htmx=True, question="And how is the weather?")
    assert told.status_code == 200
    assert re.fullmatch(r"about 1,2\d\d tokens: 1,250 of history \+ \d\d of yours", words(told.text))
    assert words(chat.post("estimate", htmx=True).text) == "about 1,250 tokens of history go along"
    alone = words(chat.post("estimate", htmx=True, question="And how is the weather?", single="1").text)
    assert re.fullmatch(r"about \d\d tokens: .*", alone)
    assert len(openai.bodies) == 1


@pytest.mark.parametrize("question", ["", "\x00", "\ud83c\udf89" * 100, "汉" * 99_000, "%"])
def test_anything_can_be_estimated(chat, question):
    assert chat.post("estimate", question=question.encode(errors="replace")).status_code == 200


def test_an_estimate_is_for_the_owner_alone(chat, app):
    other = app.test_client()
    other.get("/")
    assert other.post(f"/conversations/{chat.id}/estimate", data={"question": "x"}).status_code == 404


def test_one_at_a_time_is_counted_and_long_texts_are_not(chat, app, monkeypatch):
    asked = []

    def count(messages):
        asked.append(messages)
        return 1000 * len(messages) + sum(len(message["content"]) for message in messages)

    monkeypatch.setattr(app.extensions["backend"], "count_tokens", count)
    question = "one two three four"
    told = words(chat.post("estimate", question=question).text)
    assert told == "about 2,046 tokens: 2,028 of the system prompt + 18 of yours"
    with app.extensions["meter"].counting:
        told = words(chat.post("estimate", question=question).text)
        assert told == "about 23 tokens: 14 of the system prompt + 9 of yours"
    assert len(asked) == 2
    assert "of yours" in chat.post("estimate", question="long " * 15_000).text
    assert len(asked) == 2


def test_only_a_local_model_that_is_loaded_is_asked(app, openai):
    backend = app.extensions["backend"]
    assert backend.count_tokens([{"role": "user", "content": "Hello?"}]) is None
    assert openai.paths == []


def test_the_budget_is_told_and_shrinks(chat, app):
    budget = app.extensions["meter"].budget
    owner = owner_of(app, chat.id)
    budget.spend(owner, 1500)
    assert part(chat.page(), "totals") == ["3,500 tokens of today's budget left"]
    budget.spend(owner, 4000)
    assert part(chat.page(), "totals") == ["0 tokens of today's budget left"]
    with pytest.raises(BudgetSpent):
        budget.check(owner)


@pytest.mark.browser
def test_typing_shows_the_estimate_and_neither_tells_other_tabs_nor_takes_the_focus(live, visit, openai):
    page = visit(live)
    page.locator("#question").fill("How many tokens is this?")
    estimate = page.locator("#estimate")
    wait_until(lambda: "of yours" in estimate.inner_text())
    first = estimate.inner_text()
    page.locator("#question").fill("How many tokens is this, after all, when there is more of it?")
    page.locator("#send").focus()
    wait_until(lambda: estimate.inner_text() not in ("", first))
    assert page.evaluate("document.activeElement.id") == "send"
    openai.enqueue(reply())
    page.locator("#send").click()
    page.locator(".usage").wait_for()
    wait_until(lambda: estimate.inner_text() == "about 1,250 tokens of history go along")
    assert "1,290 tokens" in page.locator("#totals").inner_text()
    page.locator("#question").press_sequentially("More?")
    wait_until(lambda: "1,250 of history + " in estimate.inner_text())


@pytest.mark.browser
def test_what_is_typed_while_a_question_is_on_its_way_is_estimated_and_stays(live, visit, openai):
    page = visit(live)
    gate = Event()
    openai.enqueue(Reply([event(chunk("Slow")), gate, event(chunk(finish="stop", usage=USAGE)), DONE]))
    page.locator("#question").fill("One?")
    page.locator("#question").press("Enter")
    page.locator(".following").wait_for()
    page.locator("#question").press_sequentially("Two?")
    gate.set()
    page.locator(".usage").wait_for()
    wait_until(lambda: "1,250 of history + " in page.locator("#estimate").inner_text())
    assert page.locator("#question").input_value() == "Two?"


@pytest.mark.browser
def test_an_estimate_whose_place_is_gone_tells_no_other_tab(live, visit):
    page = visit(live)
    held = []
    intercept(page, "**/estimate", lambda route: held.append(route))
    page.evaluate("""() => {
        window.heard = [];
        new BroadcastChannel("parley").onmessage = (event) => heard.push(event.data);
        document.addEventListener("htmx:finally:request", () => { window.answered = true; });
    }""")
    page.locator("#question").fill("How many tokens is this?")
    wait_until(lambda: page.evaluate("true") and held)
    page.evaluate("""() => {
        const other = Object.assign(document.createElement("p"), { id: "estimate", textContent: "new" });
        document.getElementById("estimate").replaceWith(other);
    }""")
    held[0].fulfill(body="about 1 token")
    wait_until(lambda: page.evaluate("window.answered"))
    assert page.locator("#estimate").inner_text() == "new"
    page.evaluate("() => new BroadcastChannel('parley').postMessage('changed')")
    wait_until(lambda: page.evaluate("heard.length"))
    assert page.evaluate("heard") == ["changed"]  # And nothing came before.


@pytest.mark.browser
def test_another_tab_shows_the_totals_too(live, visit, openai):
    page = visit(live)
    other = visit(live, context=page.context)
    openai.enqueue(reply())
    page.locator("#question").fill("One?")
    page.locator("#question").press("Enter")
    page.locator(".usage").wait_for()
    wait_until(lambda: "1,290 tokens" in other.locator("#totals").inner_text())
