import json
import os
import re
from io import BytesIO
from pathlib import Path
from time import time

import msgspec
import nbformat
import pytest
from playwright.sync_api import expect
from werkzeug.datastructures import FileStorage
from werkzeug.test import encode_multipart

from webapp import create_app
from webapp.exchange import Exchange
from webapp.sweep import sweep

from .conftest import Chat, statuses, texts, wait_until
from .openai_server import SILENCE, Reply, chunk, event

SAMPLES = Path(__file__).parent / "samples"
MESSAGES = [{"role": "user", "content": "1 + 1?"}, {"role": "assistant", "content": "2"}]
CHATGPT = (SAMPLES / "chatgpt-conversations.json").read_bytes()


@pytest.fixture
def config(config):
    return {**config, "MAX_IMPORT_MB": 1}


def export(chat, kind=""):
    return chat.client.get(f"/conversations/{chat.id}/export/{kind}".rstrip("/"))


def send(chat, content, path="import", htmx=False, **form):
    content = content if isinstance(content, bytes) else json.dumps(content).encode()
    # Encoded here, since the client leaves its temporary file for a large form open.
    boundary, body = encode_multipart({"file": FileStorage(BytesIO(content), "file.json"), **form})
    return chat.client.post(
        f"/conversations/{chat.id}/{path}",
        data=body,
        content_type=f"multipart/form-data; boundary={boundary}",
        headers={"HX-Request": "true"} if htmx else {},
    )


def questions(page):
    return re.findall(r'<div class="question"[^>]*>(.*?)</div>', page, re.DOTALL)


def test_a_small_limit_for_questions_is_none_for_files(config):
    app = create_app({"TESTING": True, **config, "MAX_QUESTION_CHARS": 100})
    said = [MESSAGES[0], {"role": "assistant", "content": "Long. " * 50_000}]
    assert send(Chat(app.test_client()), said).status_code == 303


# Export


def test_the_panel_offers_three_files_and_an_import(chat):
    assert "nothing to export" in export(chat).text
    chat.answered("你好")
    page = export(chat).text
    for kind in ("markdown", "json", "notebook"):
        assert f'href="/conversations/{chat.id}/export/{kind}" download' in page
    assert "<h1" in page and 'enctype="multipart/form-data"' in page


@pytest.mark.parametrize(
    ("kind", "ending", "mimetype"),
    [
        ("markdown", "md", "text/markdown"),
        ("json", "json", "application/json"),
        ("notebook", "ipynb", "application/x-ipynb+json"),
    ],
)
def test_a_download_is_a_file_with_a_name_of_its_own(chat, kind, ending, mimetype):
    chat.answered("你好 Parley")
    response = export(chat, kind)
    disposition = response.headers["Content-Disposition"]
    assert disposition.startswith("attachment; filename=")
    assert re.search(rf"filename\*=UTF-8''\d{{4}}-\d\d-\d\d-%E4%BD%A0%E5%A5%BD-Parley\.{ending}$", disposition)
    assert response.mimetype == mimetype
    assert response.headers["Cache-Control"] == "no-store"
    assert "You said: 你好 Parley" in response.text
    assert "sk-test" not in response.text


def test_there_are_only_three_kinds(chat):
    assert export(chat, "pdf").status_code == 404


def test_the_json_holds_what_was_sent_and_came_back(chat, app, openai):
    chat.answered("Hello")
    document = json.loads(export(chat, "json").data)
    assert document["messages"] == [
        {"role": "system", "content": "You are a helpful assistant."},
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "You said: Hello"},
    ]
    answer_id = re.findall(r'id="answer-([\w-]+)"', chat.page())[-1]
    exchange = Exchange(openai.base_url, "/chat/completions", {"model": "m", "messages": []}, 200, reply={"id": "7"})
    name = f"{answer_id}.exchanges.json"
    app.extensions["files"].write(chat.id, name, msgspec.json.encode([exchange]))
    (kept,) = json.loads(export(chat, "json").data)["turns"][0]["answers"][0]["exchanges"]
    assert kept["reply"] == {"id": "7"} and kept["request"] == {"model": "m"}
    app.extensions["files"].write(chat.id, name, b'[{"base_url": "", "path": "/", "request": {"user": "\\ud83d"}}]')
    (kept,) = json.loads(export(chat, "json").data)["turns"][0]["answers"][0]["exchanges"]
    assert kept["request"] == {"user": "\ud83d"}
    app.extensions["files"].write(chat.id, name, b"broken")
    assert "exchanges" not in json.loads(export(chat, "json").data)["turns"][0]["answers"][0]


def test_a_running_answer_is_exported_as_far_as_it_has_come(chat, openai):
    openai.enqueue(Reply([event(chunk("Half")), SILENCE]))
    chat.ask("Hello")
    wait_until(lambda: texts(chat.page()) == ["Half"])
    assert "Half\n\n*Still being written" in export(chat, "markdown").text
    notebook = nbformat.reads(export(chat, "notebook").text, as_version=4)
    assert notebook.cells[1].outputs[0].text == "Half\n"
    chat.post("stop")


@pytest.mark.parametrize("path", ["export", "export/json", "import/abc"])
def test_somebody_elses_conversation_is_not_there(chat, app, path):
    other = app.test_client()
    assert other.get(f"/conversations/{chat.id}/{path}").status_code == 404


# Import


def test_an_import_is_added_at_the_end(chat):
    chat.answered("Before")
    response = send(chat, MESSAGES)
    assert response.status_code == 303
    assert response.headers["Location"] == f"/conversations/{chat.id}/export?added=1"
    assert "1 question imported" in chat.client.get(response.headers["Location"]).text
    assert questions(chat.page()) == ["Before", "1 + 1?"]


def test_what_was_skipped_is_said(chat):
    response = send(chat, [*MESSAGES, {"role": "tool", "content": "x"}, {"role": "robot"}])
    page = chat.client.get(response.headers["Location"]).text
    assert "Not taken over: 1 message to or from a tool, 1 entry of an unknown kind." in page


def test_htmx_gets_the_panel_and_the_conversation(chat):
    response = send(chat, MESSAGES, htmx=True)
    assert response.status_code == 200
    assert response.text.startswith('<div id="transfer">')
    assert '<hx-partial hx-target="#conversation"' in response.text
    assert texts(response.text) == ["2"]


def test_an_imported_conversation_goes_on(chat, openai):
    send(chat, [{"role": "system", "content": "Count."}, *MESSAGES])
    chat.answered("And 2 + 2?")
    assert [message["content"] for message in openai.bodies[0]["messages"]][-3:] == ["1 + 1?", "2", "And 2 + 2?"]


def test_what_is_exported_can_be_imported(chat, app):
    chat.answered("你好")
    content = export(chat, "json").data
    chat.post("clear", confirmed="yes")
    send(chat, content)
    before, after = json.loads(content), json.loads(export(chat, "json").data)
    assert before["turns"][0]["answers"][0].pop("exchanges")  # They are for reading, and stay in the file.
    assert after == before


def test_the_files_ask_with_the_parameters_that_are_set(chat, app):
    chat.answered("Hello")
    set_parameters(app, chat, {"model": "gpt-5.4", "system_prompt": "", "max_tokens": 50, "extra": {"min_p": 0.1}})
    document = json.loads(export(chat, "json").data)
    assert (document["model"], document["parameters"]["max_tokens"]) == ("gpt-5.4", 50)
    assert [message["role"] for message in document["messages"]] == ["user", "assistant"]
    setup, question = (cell.source for cell in nbformat.reads(export(chat, "notebook").text, as_version=4).cells)
    assert 'model = "gpt-5.4"\n' in setup
    assert '    max_completion_tokens=50,\n    extra_body={"min_p": 0.1},\n)' in question


def test_of_a_files_parameters_those_are_taken_that_could_be_set_here(chat, openai):
    document = {"parley": {"format": 1}, "mode": "chat", "turns": [{"question": "1?", "answers": [{"text": "1"}]}]}
    right = {"temperature": 0.5, "stop": ["。", "\n"], "system_prompt": "Count."}
    wrong = {"n": "many", "seed": [], "top_p": 7, "stream": "maybe", "extra": {"messages": []}, "made_up": 1}
    response = send(chat, document | {"parameters": right | wrong})
    assert "6 parameters and system prompts of the file" in chat.client.get(response.headers["Location"]).text
    assert json.loads(export(chat, "json").data)["parameters"] == right
    chat.answered("2?")
    assert openai.bodies[0]["temperature"] == 0.5
    assert openai.bodies[0]["messages"][0] == {"role": "system", "content": "Count."}


def set_parameters(app, chat, parameters):
    store = app.extensions["store"]
    with chat.client.session_transaction() as session:
        owner = session["visitor"]
    with store.editing(chat.id, owner) as edited:
        edited.parameters = parameters


def test_the_same_form_sent_twice_is_one_import(chat):
    for _ in range(2):
        assert send(chat, MESSAGES, **{"import": "one"}).status_code == 303
    assert len(questions(chat.page())) == 1


def test_of_several_conversations_one_is_chosen(chat):
    response = send(chat, CHATGPT)
    assert response.status_code == 303
    choices = response.headers["Location"]
    page = chat.client.get(choices).text
    assert re.findall(r'<span dir="auto">(.*?)</span>', page) == ["Tea and kettles", "Say \ufffd."]
    assert "2025-10-09 · 2 questions" in page
    assert "Not listed: 1 conversation without messages." in page
    assert questions(chat.page()) == []

    path = choices.partition("?")[0]
    for choice in ("7", "-1", "x", ""):
        response = chat.client.post(path, data={"choice": choice})
        assert (response.status_code, "none of the conversations" in response.text) == (422, True)
    response = chat.client.post(path, data={"choice": "0"})
    assert "2 questions imported" in chat.client.get(response.headers["Location"]).text
    assert len(questions(chat.page())) == 2
    assert chat.client.get(choices).status_code == 404
    assert "imported already" in chat.client.post(path, data={"choice": "1"}).text


@pytest.mark.parametrize("removes", ["export", "sweep", "choices"])
def test_what_nobody_chose_is_removed_after_an_hour(chat, app, removes):
    address = send(chat, CHATGPT, **{"import": "one"}).location
    export(chat)
    (kept,) = (app.extensions["files"].folder / chat.id).iterdir()
    os.utime(kept, (0, time() - 3700))
    {"export": lambda: export(chat), "sweep": lambda: sweep(app), "choices": lambda: chat.client.get(address)}[
        removes
    ]()
    assert not kept.exists()
    assert "Send it again" in chat.client.post(address.partition("?")[0], data={"choice": "0"}).text


def test_only_the_last_files_choices_are_kept(chat, app):
    for name in ("one", "two"):
        address = send(chat, CHATGPT, **{"import": name}).location
    (kept,) = (app.extensions["files"].folder / chat.id).iterdir()
    assert f"/{kept.stem.removeprefix('import-')}" in address
    send(chat, MESSAGES)
    assert not list((app.extensions["files"].folder / chat.id).iterdir())


@pytest.mark.parametrize(
    ("content", "status", "says"),
    [
        (b"hello", 422, "not a JSON file"),
        (b"{}", 422, "nothing that Parley can import"),
        (b"[" * 1_000_000, 422, "nested too deeply"),
        (b" " * 1_048_577, 413, "larger than 1 MB"),
        (b" " * 3_000_000, 413, "larger than 1 MB"),
    ],
    ids=lambda value: str(value)[:12],
)
def test_a_file_that_does_not_fit_is_refused_on_the_page_it_came_from(chat, content, status, says):
    chat.answered("Before")
    for htmx in (False, True):
        response = send(chat, content, htmx=htmx)
        assert (response.status_code, says in response.text) == (status, True)
        assert ("<h1" in response.text) != htmx
    assert questions(chat.page()) == ["Before"]


def test_an_import_needs_a_file(chat):
    response = chat.client.post(f"/conversations/{chat.id}/import", data={})
    assert (response.status_code, "Choose a file first" in response.text) == (422, True)


def test_a_conversation_of_another_mode_is_refused(chat):
    chat.answered("Hello")
    document = json.loads(export(chat, "json").data) | {"mode": "image"}
    assert "one of the mode image" in send(chat, document).text
    assert len(questions(chat.page())) == 1


def test_nothing_is_imported_while_an_answer_is_written(chat, openai):
    openai.enqueue(Reply([event(chunk("Half")), SILENCE]))
    chat.ask("Hello")
    response = send(chat, MESSAGES)
    assert (response.status_code, "still being written" in response.text) == (409, True)
    chat.post("stop")
    assert send(chat, MESSAGES).status_code == 303
    assert statuses(chat.settled()) == ["stopped", "done"]


# In the browser


@pytest.mark.browser
def test_a_file_is_exported_and_imported_in_the_panel(live, visit, tmp_path):
    page = visit(live)
    page.fill("#question", "你好")
    page.press("#question", "Enter")
    expect(page.locator(".answer[data-status=done]")).to_have_count(1)
    conversation_url = page.locator("#composer").get_attribute("action").removesuffix("ask")
    page.goto(f"{live}{conversation_url}export")
    with page.expect_download() as download:
        page.get_by_role("link", name="JSON", exact=False).first.click()
    path = tmp_path / download.value.suggested_filename
    download.value.save_as(path)
    assert path.name.endswith("-你好.json")
    page.set_input_files("#import-file", path)
    page.get_by_role("button", name="Import").click()
    expect(page.locator(".imported")).to_contain_text("1 question imported")


@pytest.mark.browser
def test_a_conversation_is_chosen_in_the_panel(live, visit, openai):
    page = visit(live)
    open_panel(page)
    page.set_input_files("#import-file", SAMPLES / "open-webui-chats.json")
    page.get_by_role("button", name="Import").click()
    expect(page.locator("#panel .imported")).to_contain_text("2 questions imported")
    expect(page.locator("#conversation .question")).to_have_count(2)
    expect(page.locator(".parameters-set")).to_have_text("own system prompt")
    expect(page.locator(".imported")).to_be_focused()
    page.set_input_files("#import-file", SAMPLES / "chatgpt-conversations.json")
    page.get_by_role("button", name="Import").click()
    page.get_by_role("button", name="Tea and kettles").click()
    expect(page.locator("#conversation .question")).to_have_count(4)
    page.keyboard.press("Escape")
    page.fill("#question", "Next")
    page.press("#question", "Enter")
    expect(page.locator(".answer[data-status=done]").last).to_contain_text("You said: Next")
    assert len(openai.bodies[0]["messages"]) == 1 + 2 * 3 + 1


@pytest.mark.browser
def test_a_file_that_does_not_fit_is_refused_in_the_panel(live, visit, tmp_path):
    page = visit(live)
    open_panel(page)
    large = tmp_path / "large.json"
    large.write_bytes(b" " * 3_000_000)
    for path, says in ((__file__, "not a JSON file"), (large, "larger than 1 MB")):
        page.set_input_files("#import-file", path)
        page.get_by_role("button", name="Import").click()
        expect(page.locator("#transfer-notice")).to_contain_text(says)
    # The browser reports every refusal as an error; these were meant.
    visit.expects = ""


def open_panel(page):
    """Open the panel over the chat, as a link on its page does."""
    url = page.locator("#composer").get_attribute("action").replace("/ask", "/export")
    page.evaluate(
        """url => htmx.ajax("GET", url, {target: "#panel-body", select: "#panel-content", swap: "innerHTML"})""", url
    )
    expect(page.locator("#transfer")).to_be_visible()
