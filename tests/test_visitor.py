"""What is kept of a visitor, how much may be, and that it goes when it is told to."""

import json
import re
import zlib
from datetime import date, timedelta
from html import unescape
from io import BytesIO
from time import time
from urllib.request import Request, urlopen

import pytest
from playwright.sync_api import expect

from webapp import create_app, farewell
from webapp.conversation import Answer, Turn
from webapp.visitor import size_of

from .conftest import UNLIMITED, WAIT, Chat, ask, conversation_of, owner_of, wait_until
from .openai_server import SILENCE, Reply, chunk, event


def everything_in(folder):
    return b"".join(
        zlib.decompress(content) if content.startswith(b"x\x01") else content
        for path in sorted(folder.rglob("*"))
        if path.is_file() and (content := path.read_bytes()) is not None
    )


def test_deletion_leaves_nothing_of_a_visitor_and_all_of_another(app, chat, openai):
    other = Chat(app.test_client())
    other.answered("Theirs-7391?")
    chat.answered("Mine-7391?")
    chat.post(f"turns/{chat.turn_id()}/edit", question="Edited-7391?")
    chat.settled()
    folder = app.config["DATA_DIR"]
    assert b"Mine-7391" in everything_in(folder)
    assert "2 questions" in chat.client.get("/visitor").text
    chat.client.post("/preferences", data={"theme": "dark"})
    done = chat.client.post("/visitor/delete", follow_redirects=True)
    assert "Deleted: 1 conversation with 2 questions" in done.text
    kept = everything_in(folder)
    assert b"7391" in kept
    assert b"Mine-7391" not in kept
    assert b"Edited-7391" not in kept
    assert chat.client.get_cookie("theme") is None
    assert "Theirs-7391" in other.page()
    fresh = Chat(chat.client)
    assert fresh.id != chat.id
    assert "Fresh?" in fresh.answered("Fresh?")


def test_a_running_answer_is_stopped_and_does_not_come_back(app, chat, openai):
    openai.enqueue(Reply([event(chunk("Half")), SILENCE]))
    chat.ask("Mine?")
    answers = app.extensions["answers"]
    wait_until(lambda: "Half" in chat.page())
    assert chat.client.post("/visitor/delete").status_code == 303
    assert openai.closed_by_client.wait(WAIT)
    wait_until(lambda: not answers._running)
    data = app.config["DATA_DIR"]
    assert [path.name for part in ("answers", "files") for path in (data / part).iterdir()] == []
    assert len(list((data / "records").iterdir())) == 0


def test_what_cannot_be_read_is_deleted_as_well(app, chat):
    chat.answered("Mine?")
    records = app.extensions["store"].records
    records._path(f"conversation:{chat.id}").write_bytes(b"garbage")
    assert chat.client.post("/visitor/delete").status_code == 303
    assert list(records.folder.iterdir()) == []


@pytest.mark.parametrize("damaged", [False, True])
def test_what_an_answer_left_that_broke_off_is_deleted_as_well(app, chat, openai, config, damaged):
    openai.enqueue(Reply([event(chunk("Half of it")), SILENCE]))
    chat.ask("Mine?")
    wait_until(lambda: "Half of it" in chat.page())
    after = create_app({"TESTING": True, **UNLIMITED, **config})  # The first process as good as died.
    client = after.test_client()
    client.set_cookie(*chat.cookie().split("="))
    if damaged:
        path = after.extensions["store"].records._path(f"conversation:{chat.id}")
        path.write_bytes(path.read_bytes()[:-20])
    logs = app.config["DATA_DIR"] / "answers"
    (logs / "somebody-elses.log").write_text("Theirs")
    assert len(list(logs.iterdir())) == 2
    assert client.post("/visitor/delete").status_code == 303
    assert [path.name for path in logs.iterdir()] == ["somebody-elses.log"]
    assert list((app.config["DATA_DIR"] / "records").iterdir()) == []


def test_what_was_damaged_more_than_once_is_deleted_as_well(app, chat):
    records = app.extensions["store"].records
    for n in range(3):
        records._path(f"conversation:{chat.id}").write_bytes(f"garbage {n}".encode())
        chat.page()
    assert len(list(records.folder.glob("*.damaged"))) == 3
    assert chat.client.post("/visitor/delete").status_code == 303
    assert list(records.folder.iterdir()) == []


def test_what_a_visitor_spent_is_deleted_and_counts_on_for_all(app, chat):
    budget = app.extensions["budget"]
    budget.total, budget.per_visitor = 1000, 100
    owner = owner_of(app, chat.id)
    budget.spend(owner, 30)
    budget.spend("somebody else", 20)
    assert (budget.left(owner), budget.left("somebody else")) == (70, 80)
    assert chat.client.post("/visitor/delete").status_code == 303
    assert (budget.left(owner), budget.left("somebody else")) == (100, 80)
    assert budget._spent(owner) == (50, 0)


def test_who_has_nothing_deletes_nothing_and_is_told_so(client):
    assert "There was no conversation" in client.post("/visitor/delete", follow_redirects=True).text
    assert "keeps no conversation" in client.get("/visitor").text


def test_what_was_deleted_is_said_to_who_did_it_for_a_while_and_to_nobody_else(app, chat, monkeypatch):
    chat.answered("Mine?")
    assert chat.client.post("/visitor/delete").location == "/visitor/deleted"
    for _ in range(2):  # Loaded again, it deletes nothing more and says the same.
        assert "Deleted: 1 conversation with 1 question, 1 request with its reply (" in told(chat.client)
    made_up = app.test_client()
    made_up.set_cookie("farewell", chat.client.get_cookie("farewell").value[:-1] + "~")
    for other in (made_up, app.test_client()):
        assert other.get("/visitor/deleted?conversations=99").location == "/visitor"
    now = time()
    monkeypatch.setattr("itsdangerous.timed.time.time", lambda: now + farewell.SECONDS + 2)
    assert chat.client.get("/visitor/deleted").location == "/visitor"


def told(client):
    return unescape(client.get("/visitor/deleted").text)


def test_who_looks_is_asked_before_anything_is_deleted(app, chat):
    nothing = chat.client.get("/visitor").text
    assert "keeps no conversation" in nothing and "destructive" not in nothing
    chat.answered("Mine?")
    app.extensions["files"].write(chat.id, "a.png", bytes(2_340_000))
    app.extensions["files"].write(chat.id, "b.mp3", b"")
    page = chat.client.get("/visitor").text
    assert "1 conversation with 1 question, 1 request with its reply, 1 image, 1 sound, 2.3\xa0MB in all." in page
    last = date.today() + timedelta(days=app.config["SESSION_DAYS"] + 3)
    assert re.search(r"deleted by (\S+) at the latest", page)[1] in {str(last), str(last + timedelta(days=1))}
    assert "<form class=" in page and "/visitor/delete" not in re.findall(r'<form[^>]* action="([^"]*)"', page)
    asked = chat.client.get(re.search(r'id="delete" href="([^"]+)"', page)[1]).text
    assert "1 conversation with 1 question" in asked
    assert 'method="post" action="/visitor/delete"' in asked
    assert "Mine?" in chat.page()


@pytest.mark.parametrize(
    ("number", "said"), [(0, "1\xa0KB"), (1499, "1\xa0KB"), (999_999, "1000\xa0KB"), (1_260_000, "1.3\xa0MB")]
)
def test_a_size_is_said_as_people_read_it(number, said):
    assert size_of(number) == said


def test_what_is_kept_is_said_in_chinese(chat):
    chat.answered("Mine?")
    page = chat.client.get("/visitor", headers={"Accept-Language": "zh"}).text
    assert "此服务器为你保存着：1 个对话（共 1 个提问）、1 次请求及其回复，总计 " in page


def test_other_sites_delete_nothing(app, chat):
    chat.answered("Mine?")
    assert chat.client.post("/visitor/delete", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403
    assert "Mine?" in chat.page()


@pytest.fixture
def full(app, chat):
    """Fill the conversation up to the limit of its turns."""
    app.extensions["answers"].room._max_turns = 3
    with app.extensions["store"].editing(chat.id, owner_of(app, chat.id)) as edited:
        edited.turns = [Turn(f"{n}?", answers=[Answer(text="Yes.", status="done")]) for n in range(3)]
    return chat


@pytest.mark.parametrize("htmx", [False, True])
def test_a_full_conversation_takes_no_question_and_keeps_what_was_typed(app, full, openai, htmx):
    refused = full.post("ask", htmx=htmx, question="One more?")
    assert refused.status_code == 413
    assert "would have 4 questions" in refused.text
    assert htmx or "One more?" in refused.text
    assert len(conversation_of(app, full.id).turns) == 3
    assert full.post(f"turns/{full.turn_id()}/edit", htmx=True, question="Else?").status_code == 413
    assert openai.paths == []
    assert full.post(f"turns/{full.turn_id()}/retry", htmx=True).status_code == 200
    full.settled()
    full.post("clear", confirmed="yes")
    assert "One more?" in full.answered("One more?")


def test_a_visitor_whose_files_fill_the_room_is_told_how_much_there_is(app, chat):
    app.extensions["answers"].room._visitor_mb = 1
    chat.answered("One?")
    app.extensions["files"].write(chat.id, "a.png", bytes(2**20))
    refused = chat.ask("Two?")
    assert refused.status_code == 413
    assert "take 1 MB; 1 MB can be kept" in refused.text
    assert "Two?" in refused.text
    assert len(re.findall("<article", chat.page())) == 1
    chat.post("clear", confirmed="yes")
    assert "Two?" in chat.answered("Two?")


def test_an_import_is_measured_before_it_is_taken(app, chat):
    app.extensions["answers"].room._visitor_mb = 0.1
    messages = [{"role": "user", "content": "In?"}, {"role": "assistant", "content": "Yes. " * 25_000}]
    form = {"file": (BytesIO(json.dumps(messages).encode()), "x.json")}
    response = chat.client.post(f"/conversations/{chat.id}/import", data=form)
    assert response.status_code == 413 and "0.1 MB can be kept" in response.text
    assert conversation_of(app, chat.id).turns == []


def test_an_import_for_which_there_is_no_room_changes_nothing(app, full):
    messages = b'[{"role": "user", "content": "In?"}, {"role": "assistant", "content": "Yes."}]'
    response = full.client.post(
        f"/conversations/{full.id}/import",
        data={"file": (BytesIO(messages), "x.json")},
        headers={"HX-Request": "true"},
    )
    assert response.status_code == 413
    assert len(conversation_of(app, full.id).turns) == 3


@pytest.mark.browser
def test_a_line_that_an_answer_is_not_saved_goes_once_it_is(app, visit, live):
    page = visit("about:blank")
    page.clock.install()
    page.goto(live)
    ask(page)
    page.locator('.answer[data-status="done"]').wait_for()
    answer = page.locator(".answer").get_attribute("id").removeprefix("answer-")
    unsaved = app.extensions["answers"].settling._unsaved
    unsaved[answer] = "No space left on device"
    page.reload()
    expect(page.locator(".unsaved")).to_contain_text("No space left on device")
    with page.expect_response("**/unsaved") as asked:
        page.clock.fast_forward(5000)
    assert asked.value.status == 204
    expect(page.locator(".unsaved")).to_have_count(1)
    del unsaved[answer]
    page.clock.fast_forward(5000)
    expect(page.locator(".unsaved")).to_have_count(0)


@pytest.mark.browser
def test_what_was_typed_goes_with_everything_else_in_every_tab(visit, live):
    page = visit(live)
    ask(page)
    page.locator('.answer[data-status="done"]').wait_for()
    page.locator("#question").fill("A secret draft")
    other = visit(f"{live}/completion", page.context)
    other.locator("#question").fill("Another draft")
    page.locator("#menu-button").click()
    page.locator('#menu a[href="/visitor"]').click()
    page.locator("#delete").click()
    page.locator(".destructive").click()
    expect(page.locator(".done")).to_contain_text("Deleted: 1 conversation")
    expect(other.locator("#question")).to_have_value("")
    assert other.evaluate("Object.keys(sessionStorage)") == ["left"]
    other.locator("#question").fill("Begun anew")
    page.reload()  # It says the same; what was begun since is nothing to it.
    expect(page.locator(".done")).to_contain_text("Deleted: 1 conversation")
    page.get_by_role("link", name="Begin anew").click()
    expect(page.locator("#question")).to_have_value("")
    expect(page.locator(".turn")).to_have_count(0)
    expect(other.locator("#question")).to_have_value("Begun anew")


@pytest.mark.browser
def test_a_tab_whose_answer_runs_when_all_is_deleted_becomes_a_new_visitors(visit, live, openai):
    openai.enqueue(Reply([event(chunk("Half")), SILENCE]))
    page = visit(live)
    ask(page)
    expect(page.locator(".answer .text")).to_contain_text("Half")
    before = page.locator("#composer").get_attribute("action")
    # Nothing but its stream tells the page; the reply, which may come later than that, is not its browser's.
    cookies = "; ".join(f"{cookie['name']}={cookie['value']}" for cookie in page.context.cookies())
    urlopen(Request(f"{live}/visitor/delete", b"", {"Cookie": cookies})).close()
    expect(page.locator(".turn, #stop")).to_have_count(0)
    expect(page.locator("#composer")).not_to_have_attribute("action", before)
    ask(page, "Two?")
    page.locator('.answer[data-status="done"]').wait_for()
