"""The page of the models: with and without a script, from every kind of list, and what is chosen there."""

import json
import re
from types import SimpleNamespace

import pytest
from playwright.sync_api import expect

from webapp import catalog, create_app, local_model
from webapp.models import Model, _ago, _by_name

from .conftest import wait_until
from .openai_server import SILENCE, Reply

OPENAI = [
    {"id": name, "object": "model", "created": 1715367049, "owned_by": "system"}
    for name in ("gpt-5.4-mini", "test-model", "dall-e-3", "whisper-1", "tts-1", "text-embedding-3-small", "sora-2")
]
OPENROUTER = [
    {
        "id": f"vendor/model-{number}",
        "name": f"Vendor: Model {number}",
        "context_length": 1000 * number,
        "architecture": {"input_modalities": ["text"], "output_modalities": ["text"], "tokenizer": "Other"},
        "pricing": {"prompt": "0.000001", "completion": "0.000002"},
        "top_provider": {"context_length": 1000 * number, "max_completion_tokens": 8192, "is_moderated": False},
    }
    for number in range(1, 301)
]
MISTRAL = [
    {
        "id": "mistral-medium-2508",
        "object": "model",
        "owned_by": "mistralai",
        "capabilities": {"completion_chat": True, "completion_fim": False, "vision": True, "classification": False},
        "name": "mistral-medium-2508",
        "max_context_length": 131072,
        "aliases": ["mistral-medium-latest"],
        "type": "base",
    },
    {"id": "mistral-embed", "capabilities": {"completion_chat": False}, "max_context_length": 8192, "type": "base"},
]
LLAMA_CPP = [
    {
        "id": "gemma-3-4b-it-Q4_K_M.gguf",
        "object": "model",
        "owned_by": "llamacpp",
        "architecture": {"input_modalities": ["text"], "output_modalities": ["text"]},
        "meta": {"vocab_type": 1, "n_vocab": 262144, "n_ctx": 16384, "n_ctx_train": 131072, "n_params": 3880099328},
    }
]
VLLM = [{"id": "Qwen/Qwen3-8B", "object": "model", "owned_by": "vllm", "root": "Qwen/Qwen3-8B", "max_model_len": 40960}]


def listed(objects, **more):
    body = json.dumps({"object": "list", "data": objects}).encode()
    return Reply([body], content_type="application/json", **more)


def rows(html):
    """Return the text of the cells of every row, by the heading of its group."""
    groups = {}
    for group in re.findall(r"<details.*?</details>", html, re.DOTALL):
        kind = re.search("<h2>(.*?)</h2>", group).group(1)
        body = re.findall(r"<tr>\s*<td(.*?)</tr>", group, re.DOTALL)
        groups[kind] = [" ".join(re.sub("<[^>]*>", " ", f"<td{row}").split()) for row in body]
    return groups


@pytest.fixture
def use(chat):
    def post(htmx=False, **form):
        return chat.client.post("/models/use", data=form, headers={"HX-Request": "true"} if htmx else {})

    return post


def test_the_page_comes_without_the_list_and_names_the_host_alone(client, openai):
    openai.models = Reply([SILENCE])
    page = client.get("/models").text
    assert '<h1 id="panel-title">Models</h1>' in page
    assert 'hx-get="/models/table" hx-trigger="load"' in page
    assert 'content="0;url=/models?now=1"' in page
    assert f"Answering now, from <strong>{openai.base_url.split('/')[2]}</strong>" in page
    assert "sk-test" not in page
    assert openai.lists == 0


@pytest.mark.parametrize("path", ["/models?now=1", "/models/table"])
def test_openais_list_is_shown_by_kind(client, openai, path):
    openai.models = listed(OPENAI)
    html = client.get(path).text
    assert ("<html" in html) == (path == "/models?now=1")
    assert rows(html) == {
        "Chat": ["gpt-5.4-mini Use this one gpt-5.4-mini", "test-model In use"],
        "Images": ["dall-e-3 In use"],
        "Speech to text": ["whisper-1 In use"],
        "Text to speech": ["tts-1 In use"],
        "Embedding": ["text-embedding-3-small"],
        "Other": ["sora-2"],
    }
    assert "for: Chat." not in html  # The heading says it.
    for words in ("for: Dictation.", "for: Reading aloud.", "can do nothing"):
        assert words in html
    assert "7 models, listed <time" in html
    assert "just now" in html
    assert "What is not here" not in html
    assert 'hx-trigger="load"' not in html
    assert "http-equiv" not in html


@pytest.mark.parametrize(
    ("objects", "expected"),
    [
        (
            MISTRAL,
            {
                "Chat": ["mistral-medium-2508 131,072 tokens Use this one mistral-medium-2508"],
                "Embedding": ["mistral-embed 8,192 tokens"],
            },
        ),
        (
            LLAMA_CPP,
            {
                "Chat": [
                    "gemma-3-4b-it-Q4_K_M.gguf 16,384 tokens "
                    "Use for chat gemma-3-4b-it-Q4_K_M.gguf In use for completion"
                ]
            },
        ),
        (VLLM, {"Chat": ["Qwen/Qwen3-8B 40,960 tokens Use for chat Qwen/Qwen3-8B In use for completion"]}),
    ],
)
def test_what_other_servers_say_is_shown(config, openai, objects, expected):
    openai.models = listed(objects)
    with create_app(config | {"CHAT_MODEL": "mistral-large"}).test_client() as client:
        html = client.get("/models/table").text
    found = rows(html)
    found["Chat"].remove("mistral-large named by CHAT_MODEL, not in the endpoint's list In use")
    assert found == expected
    assert ("for: Chat, Completion." in html) == (objects is not MISTRAL)
    assert "What is not here" in html
    for setting in ("IMAGE_MODEL", "TRANSCRIPTION_MODEL", "SPEECH_MODEL"):
        assert f"<code>{setting}</code>" in html


def test_a_setting_that_the_list_does_not_have_is_shown_and_not_missed(config, openai):
    openai.models = listed(OPENAI[:2])
    with create_app(config | {"TRANSCRIPTION_MODEL": "ours"}).test_client() as client:
        html = client.get("/models/table").text
    assert rows(html)["Speech to text"] == ["ours named by TRANSCRIPTION_MODEL, not in the endpoint's list In use"]
    assert "<code>TRANSCRIPTION_MODEL</code>" not in html
    assert "<code>SPEECH_MODEL</code>" in html


def test_three_hundred_models_are_counted_sorted_and_searched(client, openai):
    openai.models = listed(OPENROUTER + OPENAI)
    html = client.get("/models/table").text
    assert "307 models" in html
    assert html.count("<details") == 6
    assert html.count('<details class="models-group" open>') == 1
    chat = [row.split()[0] for row in rows(html)["Chat"] if row.startswith("vendor")]
    assert chat == [f"vendor/model-{number}" for number in range(1, 301)]
    found = client.get("/models/table?find=MODEL-29+vendor").text
    assert "11 of them match" in found
    assert [row.split()[0] for row in rows(found)["Chat"]] == [
        "vendor/model-29",
        *(f"vendor/model-{number}" for number in range(290, 300)),
    ]
    assert rows(client.get("/models?now=1&find=dall").text) == {"Images": ["dall-e-3 In use"]}
    assert "None of them match “&lt;b&gt;”" in client.get("/models/table?find=<b>").text


def test_a_short_list_is_open_and_has_no_search(client, openai):
    openai.models = listed(OPENAI)
    html = client.get("/models/table").text
    assert html.count('<details class="models-group" open>') == 6
    assert "<search>" not in html


def test_an_empty_list_is_told(client, openai):
    openai.models = listed([])
    html = client.get("/models/table").text
    assert rows(html) == {"Chat": ["test-model named by CHAT_MODEL, not in the endpoint's list In use"]}


def test_a_list_that_fails_is_told_in_the_providers_words_and_a_name_can_still_be_typed(client, openai):
    openai.models = Reply.error(401, "Incorrect API key provided: sk-test.")
    for path in ("/models?now=1", "/models/table"):
        response = client.get(path)
        assert response.status_code == 200
        assert "Incorrect API key provided: [key]." in response.text
        assert "HTTP 401" in response.text
        assert "What is not here" not in response.text
    assert 'id="model-name"' in client.get("/models?now=1").text
    assert openai.lists == 1


def test_a_hostile_list_stays_text(client, openai):
    name = '"><script>alert(1)</script>'
    openai.models = listed([{"id": name, "name": "<b>bold</b>", "owned_by": "<i>"}, {"id": "a\nb"}, {"id": ["x"]}])
    html = client.get("/models/table").text
    assert "<script" not in html
    assert "<b>" not in html
    assert 'value="&#34;&gt;&lt;script&gt;' in html
    assert "2 models" in html


def test_whoever_refreshes_asks_the_endpoint_once_in_some_seconds(app, openai, monkeypatch):
    monkeypatch.setattr(catalog, "RECENT", 5.0)
    clock = SimpleNamespace(now=1e9)
    monkeypatch.setattr(catalog, "time", lambda: clock.now)
    openai.models = listed(OPENAI)
    asked = []
    for step in (0, 0, 4.9, 0.2, 0, 4.9, 0.2):
        clock.now += step
        assert app.test_client().post("/models/refresh").status_code == 303
        asked.append(openai.lists)
    assert asked == [1, 1, 1, 2, 2, 2, 3]
    openai.models = Reply.error(500, "No list today.")
    clock.now += 6
    for _ in range(3):
        shown = app.test_client().post("/models/refresh", headers={"HX-Request": "true"}).text
        assert "No list today." in shown
    assert openai.lists == 4


def test_refresh_asks_again_and_keeps_the_old_list_where_that_fails(client, openai):
    openai.models = listed(OPENAI)
    client.get("/models/table")
    openai.models = listed(VLLM)
    assert "Qwen" not in client.get("/models/table").text
    response = client.post("/models/refresh")
    assert (response.status_code, response.location) == (303, "/models?now=1")
    assert "Qwen" in client.get("/models?now=1").text
    openai.models = Reply.error(500, "No list today.")
    fragment = client.post("/models/refresh", headers={"HX-Request": "true"}).text
    assert fragment.lstrip().startswith('<div id="models-list">')
    assert "No list today." in fragment
    assert "Qwen" in fragment
    assert "Below is the one that came before" in fragment
    assert openai.lists == 3


def test_a_chosen_model_answers_the_conversation_and_is_named_in_its_head(chat, use, openai):
    response = use(model="other-model", mode="chat")
    assert (response.status_code, response.location) == (303, "/")
    page = chat.page()
    assert '<span class="model-name">other-model</span>' in page
    assert '<span class="model-name">other-model</span>' in chat.client.get(f"/model?conversation={chat.id}").text
    chat.answered("One?")
    assert openai.bodies[0]["model"] == "other-model"
    models = chat.client.get("/models").text
    assert "<p>Chat: <strong>other-model</strong></p>" in models
    assert "<p>Completion: <strong>test-model</strong></p>" in models
    assert "<p>Images: none</p>" in models
    assert "Back to the default" in models
    assert use(default="yes", mode="chat").status_code == 303
    assert "Back to the default" not in chat.client.get("/models").text
    chat.answered("Two?")
    assert openai.bodies[1]["model"] == "test-model"


@pytest.mark.parametrize(("mode", "path"), [("completion", "/completion"), ("image", "/images")])
def test_each_mode_has_a_model_of_its_own(chat, use, mode, path):
    response = use(model="special", mode=mode)
    assert (response.status_code, response.location) == (303, path)
    assert '<span class="model-name">special</span>' in chat.client.get(path).text
    assert '<span class="model-name">test-model</span>' in chat.page()


def test_the_first_image_waits_for_the_list(config, openai):
    openai.models = listed(OPENAI, wait=0.3)
    openai.enqueue(Reply.error(400, "Not now."))
    with create_app(config | {"TESTING": True}).test_client() as client:
        conversation_id = re.search(r"/conversations/([\w-]+)/ask", client.get("/images").text).group(1)
        client.post(f"/conversations/{conversation_id}/ask", data={"question": "A dot"})
        wait_until(lambda: "Not now." in client.get("/images").text)
    assert openai.bodies[0]["model"] == "dall-e-3"


@pytest.mark.parametrize(("path", "model"), [("/images", "dall-e-3"), ("/completion", "davinci-002")])
def test_what_is_no_chat_is_asked_of_a_model_that_can(chat, openai, path, model):
    chat.client.get("/models/table")  # The list that the first page asked for has come.
    openai.models = listed([*OPENAI, {"id": "davinci-002"}])
    chat.client.post("/models/refresh")
    openai.enqueue(Reply.error(400, "Not now."))
    conversation_id = re.search(r"/conversations/([\w-]+)/ask", chat.client.get(path).text).group(1)
    chat.client.post(f"/conversations/{conversation_id}/ask", data={"question": "A dot"})
    wait_until(lambda: "Not now." in chat.client.get(path).text)
    assert openai.bodies[0]["model"] == model


def test_the_lines_about_the_modes_come_anew_with_the_list(client, openai):
    openai.models = listed(OPENAI)
    table = client.get("/models/table").text
    assert '<hx-partial hx-target="#models-answering" hx-swap="outerHTML"><div id="models-answering">' in table
    assert "<p>Images: <strong>dall-e-3</strong></p>" in table
    assert "hx-partial" not in client.get("/models?now=1").text


def test_htmx_is_sent_to_the_conversation_once_a_model_is_chosen(chat, use):
    response = use(htmx=True, model="模型 ✨/v1:free")
    assert (response.status_code, response.headers["HX-Redirect"]) == (200, "/")
    assert "模型 ✨/v1:free" in chat.page()


@pytest.mark.parametrize("htmx", [False, True])
@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("", "Type the model"),
        ("   ", "Type the model"),
        ("x" * 201, "up to 200 characters; this one has 201"),
        ("a\nb", "cannot be shown"),
        ("a\x00b", "cannot be shown"),
        ("a\u202eb", "cannot be shown"),
    ],
)
def test_a_name_that_cannot_be_one_is_refused_and_nothing_is_lost(chat, use, name, told, htmx):
    use(model="kept")
    response = use(htmx=htmx, model=name)
    assert response.status_code == 422
    assert told in response.text
    assert ("<html" in response.text) is not htmx
    if not htmx and name.startswith("x"):
        assert f'value="{name}"' in response.text
    assert '<span class="model-name">kept</span>' in chat.page()


def test_a_hostile_name_stays_text(chat, use):
    use(model='"><img src=x onerror=alert(1)>')
    for page in (chat.page(), chat.client.get("/models?now=1").text):
        assert "<img" not in page
        assert "&lt;img src=x" in page


def test_a_mode_without_a_page_is_refused(use):
    response = use(model="m", mode="cooking")
    assert response.status_code == 422
    assert "no page for that mode" in response.text


def test_the_conversation_of_another_visitor_is_not_named(app, chat):
    assert app.test_client().get(f"/model?conversation={chat.id}").status_code == 404


def test_the_local_model_is_shown_at_once_and_is_the_only_one(tmp_path, monkeypatch):
    monkeypatch.setattr(local_model.LocalModel, "start", lambda _: None)
    (tmp_path / "little.gguf").write_bytes(b"GGUF")
    config = {"LOCAL_MODEL": tmp_path / "little.gguf", "DATA_DIR": tmp_path / "data", "LOCAL_CONTEXT_TOKENS": 2048}
    with create_app({"TESTING": True, **config}).test_client() as client:
        html = client.get("/models?now=1").text
        assert rows(html) == {"Chat": ["little 2,048 tokens In use for chat In use for completion"]}
        assert 'id="model-name"' not in html
        assert "Refresh" not in html
        assert "the local model does not do it" in html
        assert "Only the local model answers here" in client.post("/models/use", data={"model": "gpt-5"}).text
        assert "All models" in client.get("/").text


@pytest.mark.parametrize(
    ("seconds", "words"), [(0, "just now"), (60, "1 minute ago"), (3599, "59 minutes ago"), (9000, "2 hours ago")]
)
def test_a_time_is_told_in_words(seconds, words):
    assert _ago(seconds) == words


def test_numbers_in_names_are_sorted_by_their_value():
    names = ["b", "a-10", "A-9", "٣", "a", "9"]
    assert [model.name for model in sorted(map(Model, names), key=_by_name)] == ["a", "A-9", "a-10", "b", "٣", "9"]


@pytest.fixture
def server(serve, openai):
    openai.models = listed(OPENROUTER + OPENAI)
    return serve(OPENAI_BASE_URL=openai.base_url, OPENAI_API_KEY="sk-test", CHAT_MODEL="test-model")


@pytest.mark.browser
def test_a_model_is_found_and_chosen_in_the_panel(visit, server, openai):
    page = visit(server.url)
    page.locator("#question").fill("A draft")
    page.locator("#model-button").click()
    page.get_by_role("link", name="All models").click()
    panel = page.locator("#panel")
    expect(panel.get_by_role("heading", name="Chat")).to_be_visible()
    panel.get_by_label("Find a model").fill("model 299")
    expect(panel.locator("tbody tr")).to_have_count(1)
    assert page.evaluate("document.activeElement.name") == "find"
    panel.get_by_role("button", name="Refresh").click()
    expect(panel.locator("details")).to_have_count(6)
    panel.get_by_role("button", name="Use this one vendor/model-7", exact=True).click()
    expect(page.locator(".model-name")).to_have_text("model-7")
    expect(page.locator("#model-button")).to_have_attribute("title", "vendor/model-7")
    expect(page.locator("#question")).to_have_value("A draft")
    page.locator("#question").press("Enter")
    expect(page.locator(".answer[data-status=done]")).to_be_visible()
    assert openai.bodies[0]["model"] == "vendor/model-7"


@pytest.mark.browser
def test_the_page_alone_loads_its_list_and_takes_a_typed_name(visit, server):
    page = visit(f"{server.url}/models")
    expect(page.locator("#models-groups details")).to_have_count(6)
    page.get_by_label("type its name").fill("typed/model")
    page.get_by_role("button", name="Use it").click()
    expect(page.locator(".model-name")).to_have_text("model")


@pytest.mark.browser
def test_without_a_script_the_list_comes_with_the_page(visit, server):
    page = visit(f"{server.url}/models", java_script_enabled=False)
    page.wait_for_url("**/models?now=1")
    page.get_by_label("Find a model").fill("dall")
    page.get_by_label("Find a model").press("Enter")
    expect(page.locator("tbody tr")).to_have_count(1)
    page.get_by_role("button", name="Refresh").click()
    page.get_by_role("button", name="Use this one vendor/model-3", exact=True).click()
    expect(page.locator(".model-name")).to_have_text("model-3")


def test_an_endpoint_that_lists_models_for_speech_gives_the_page_its_buttons(chat, openai):
    assert "dictation" not in chat.page()
    chat.client.get("/models/table")  # The list that the first page asked for has come.
    openai.models = listed(OPENAI)
    chat.client.post("/models/refresh")
    assert 'id="dictation"' in chat.page()
    assert 'class="read-aloud' in chat.answered("One?")


def test_another_model_finds_out_anew_what_fits_its_window(chat, use):
    store = chat.client.application.extensions["store"]
    with chat.client.session_transaction() as session:
        owner = session["visitor"]
    for form, kept in [
        ({"model": "a"}, ""),
        ({"model": "a"}, "t"),
        ({"default": "yes"}, ""),
        ({"default": "yes"}, "t"),
    ]:
        with store.editing(chat.id, owner) as conversation:
            conversation.sent_from = "t"
        use(mode="chat", **form)
        assert store.load(chat.id, owner).sent_from == kept
