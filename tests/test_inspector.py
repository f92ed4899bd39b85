import base64
import html
import json
import re

import pytest

from webapp.exchange import Exchange, save

from .conftest import Chat, wait_until
from .openai_server import SILENCE, Reply, chunk, event
from .test_modes import Mode

HOSTILE = '</pre></details><script>document.title=1</script><img src=x onerror="1">&lt; \'"{{ 7*7 }}'
REQUEST = {"model": "test-model", "messages": [{"role": "user", "content": f"你好 {HOSTILE}"}]}
REPLY = {"id": "chatcmpl-1", "choices": [{"index": 0, "message": {"role": "assistant", "content": HOSTILE}}]}


def answer_id(chat, index=-1):
    return re.findall(r'id="answer-([\w-]+)"', chat.page())[index]


def exchange(**more):
    return Exchange("https://api.deepseek.com/v1", "/chat/completions", REQUEST, **more)


@pytest.fixture
def answered(chat):
    """A visitor with one answer, which was recorded as `answered.record(...)` says."""
    chat.answered("One?")
    chat.answer_id = answer_id(chat)
    files = chat.client.application.extensions["files"]
    chat.forget = lambda: files.remove(chat.id)
    chat.record = lambda *exchanges: save(files, chat.id, chat.answer_id, list(exchanges))
    return chat


def panel(chat, answer=None, status=200):
    reply = chat.client.get(f"/conversations/{chat.id}/answers/{answer or chat.answer_id}/exchange")
    assert reply.status_code == status
    return reply.text


def code(page, name):
    """Return the text of a box, as a browser reads it."""
    found = re.search(rf'<pre class="code" id="{name}"[^>]*>\n(.*?)</pre>', page, re.DOTALL)
    return html.unescape(found.group(1))


def words(page):
    return " ".join(re.sub(r"<[^>]*>", " ", page).split())


def test_what_was_really_sent_and_came_is_shown(answered, openai):
    page = panel(answered)
    assert json.loads(code(page, "request-1")) == openai.bodies[0]
    reply = json.loads(code(page, "reply-1"))
    assert list(reply)[:5] == ["id", "object", "created", "model", "choices"]
    assert reply["choices"][0]["message"] == {"content": "You said: One?"}
    assert f"POST {openai.base_url}/chat/completions" in words(page)


def test_a_refusal_that_really_came_is_shown(chat, openai):
    openai.enqueue(Reply.error(429, "慢一点", headers={"x-request-id": "req_7", "x-secret": "hush"}))
    chat.answered("One?")
    page = panel(chat, answer_id(chat))
    assert json.loads(code(page, "reply-1"))["error"]["message"] == "慢一点"
    assert "HTTP 429" in words(page) and "x-request-id req_7" in words(page) and "hush" not in page


def test_the_request_and_the_reply_are_shown_as_they_are(answered):
    answered.record(exchange(status=200, reply={"id": "1", "choices": [], "note": "你好"}))
    page = panel(answered)
    assert "<title>Request and reply" in page
    assert code(page, "reply-1") == '{\n  "id": "1",\n  "choices": [],\n  "note": "你好"\n}'
    assert code(page, "request-1").startswith(
        '{\n  "model": "test-model",\n  "messages": [\n    {\n      "role": "user"'
    )
    assert "POST https://api.deepseek.com/v1/chat/completions" in words(page)
    assert "HTTP 200" in words(page)


def test_the_snippets_are_on_the_page_whole(answered):
    answered.record(exchange(reply=REPLY))
    page = panel(answered)
    assert code(page, "curl-1").startswith("curl 'https://api.deepseek.com/v1/chat/completions'")
    assert 'client = OpenAI(base_url="https://api.deepseek.com/v1")' in code(page, "python-1")
    assert "sk-test" not in page


def test_hostile_json_stays_text(answered):
    answered.record(exchange(status=500, body=HOSTILE, headers={"x-request-id": HOSTILE}), exchange(reply=REPLY))
    page = panel(answered)
    assert "<script" not in page and "<img" not in page
    assert code(page, "reply-1") == HOSTILE
    assert code(page, "request-2").count("</pre>") == 1
    assert "49" not in words(page)


def test_a_failed_call_shows_its_status_headers_and_body(answered):
    headers = {"x-request-id": "req_7", "retry-after": "20", "x-ratelimit-remaining-requests": "0"}
    answered.record(exchange(status=429, headers=headers, body='{"error":{"message":"慢一点"}}'))
    page = panel(answered)
    assert code(page, "reply-1") == '{\n  "error": {\n    "message": "慢一点"\n  }\n}'
    for told in ("HTTP 429", "x-request-id req_7", "retry-after 20", "x-ratelimit-remaining-requests 0"):
        assert told in words(page)
    assert "<details open>" in page


def test_a_call_without_a_reply_says_so(answered):
    answered.record(exchange())
    page = panel(answered)
    assert "None came." in words(page)
    assert 'id="request-1"' in page and 'data-copy="reply-1"' not in page


def test_a_streamed_reply_says_that_it_was_put_together(answered):
    streamed = exchange(reply=REPLY)
    streamed.request = REQUEST | {"stream": True}
    answered.record(exchange(reply=REPLY))
    assert "It came as a stream" not in words(panel(answered))
    answered.record(streamed)
    assert "It came as a stream" in words(panel(answered))


def test_two_requests_are_numbered_and_the_second_says_why(answered):
    store = answered.client.application.extensions["store"]
    with answered.client.session_transaction() as session:
        owner = session["visitor"]
    with store.editing(answered.id, owner) as conversation:
        conversation.turns[0].answer.dropped = ["temperature"]
    answered.record(exchange(status=400, body="no temperature"), exchange(status=200, reply=REPLY))
    page = panel(answered)
    assert words(page).index("1 of 2") < words(page).index("2 of 2") < words(page).index("did not take temperature")
    assert code(page, "reply-1") == "no temperature"
    assert len(re.findall(r'id="([\w-]+)"', page)) == len(set(re.findall(r'id="([\w-]+)"', page)))


def test_the_data_of_images_is_not_poured_over_the_page(answered):
    answered.record(exchange(reply={"created": 1, "data": [{"b64_json": "iVBORw0KGgo" + "A" * 100_000}]}))
    page = panel(answered)
    assert "iVBORw0K… (100,011 characters)" in page
    assert "is shortened here" in words(page)
    assert len(page) < 20_000


def test_the_local_models_address_is_not_shown(answered):
    answered.record(Exchange("", "/chat/completions", REQUEST, status=200, reply=REPLY))
    page = panel(answered)
    assert "POST /chat/completions to the local model" in words(page)
    assert '"$OPENAI_BASE_URL/chat/completions"' in code(page, "curl-1")
    assert "OPENAI_BASE_URL" in words(page)


def test_an_answer_without_a_record_says_so(answered):
    answered.forget()
    assert "Nothing was recorded for this answer" in words(panel(answered))


def test_a_running_answer_says_so_and_shows_its_request(answered, openai):
    openai.enqueue(Reply([event(chunk("Well, ")), SILENCE]))
    answered.ask("Two?")
    answered.answer_id = wait_until(lambda: "Well," in answered.page() and answer_id(answered))
    answered.record(exchange())
    page = panel(answered)
    assert "still being written" in words(page) and "It has not come yet." in words(page)
    assert "你好" in code(page, "request-1")
    answered.record()
    assert "still being written" in words(panel(answered))
    answered.post("stop")


def test_an_answer_whose_server_was_killed_says_so(answered, openai, app):
    openai.enqueue(Reply([SILENCE]))
    answered.ask("Two?")
    answered.answer_id = answer_id(answered)
    app.extensions["answers"].shut_down()
    answered.forget()
    assert "the server was stopped while this answer was being written" in words(panel(answered))
    answered.record(exchange())
    assert "Not recorded: the server was stopped" in words(panel(answered))


def link(page):
    return re.search(r'href="(/conversations/[^"]+/exchange)"', page).group(1)


def test_an_earlier_answer_has_its_own(answered):
    answered.record(exchange(reply={"id": "first"}))
    answered.post(f"turns/{answered.turn_id()}/retry")
    links = [link(answered.settled())]
    answered.post(f"turns/{answered.turn_id()}/answer", answer="1")
    links.insert(0, link(answered.page()))
    assert len(links) == len(set(links)) == 2
    assert '"first"' in code(answered.client.get(links[0]).text, "reply-1")
    assert '"chatcmpl-test"' in code(answered.client.get(links[1]).text, "reply-1")


def test_only_the_owner_sees_it(answered, app):
    answered.record(exchange(reply=REPLY))
    other = Chat(app.test_client())
    other.answer_id = answered.answer_id
    assert "chatcmpl-1" not in panel(other, status=404)
    url = f"/conversations/{answered.id}/answers/{answered.answer_id}/exchange"
    assert other.client.get(url).status_code == 404
    assert app.test_client().get(url).status_code == 404


@pytest.mark.parametrize("answer", ["unknown", "a" * 500, "..", "a.exchanges", "%00"])
def test_an_unknown_answer_is_not_found(answered, answer):
    panel(answered, answer, status=404)


def test_the_page_leads_back_to_its_turn(answered):
    assert f'href="/#turn-{answered.turn_id()}"' in panel(answered)


def test_a_picture_is_no_part_of_the_json_and_the_page_says_so(client, openai):
    picture = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(9000)).decode()
    body = json.dumps({"created": 1, "data": [{"b64_json": picture}]}).encode()
    openai.enqueue(Reply([body], 200, "application/json"))
    chat = Mode(client, "/images")
    chat.answered("A cat")
    page = panel(chat, answer_id(chat))
    assert "is shortened here" in words(page) and picture[:200] not in page
    assert f"POST {openai.base_url}/images/generations" in words(page)
    assert "client.images.generate(" in code(page, "python-1")
    assert f'href="/images#turn-{chat.turn_id()}"' in page


# --- In a browser ---


@pytest.fixture
def opened(live, app, visit, openai, browser):
    """Return a page with the panel open on one recorded exchange; `url` and options are the context's."""
    contexts = []

    def open_panel(*exchanges, **options):
        context = browser.new_context(viewport={"width": 1100, "height": 800}, **options)
        contexts.append(context)
        page = visit(live, context)
        page.locator("#question").fill("One?")
        page.locator("#question").press("Enter")
        page.locator('.answer[data-status="done"]').wait_for()
        _, _, talk, _, answer, _ = page.locator(".exchange-link").get_attribute("href").split("/")
        save(app.extensions["files"], talk, answer, list(exchanges))
        page.locator(".exchange-link").click()
        page.locator("#panel .exchange").first.wait_for()
        return page

    yield open_panel
    for context in contexts:
        context.close()


WITHOUT_CLIPBOARD = "delete Navigator.prototype.clipboard"
REFUSED = "() => void (Clipboard.prototype.write = () => Promise.reject(new DOMException('No', 'NotAllowedError')))"


@pytest.mark.browser
@pytest.mark.parametrize("script", ["", WITHOUT_CLIPBOARD, REFUSED])
def test_what_is_copied_is_exact(opened, script):
    page = opened(exchange(status=200, reply=REPLY), permissions=["clipboard-read", "clipboard-write"])
    # Read with what the page itself may have lost.
    page.evaluate("window.pasted = navigator.clipboard.readText.bind(navigator.clipboard)")
    page.evaluate(script)
    for name in ("request", "reply", "curl", "python"):
        button = page.locator(f'[data-copy="{name}-1"]')
        button.click()
        page.locator(f'[data-copy="{name}-1"]', has_text="Copied").wait_for()
        assert page.locator("#panel > .told").text_content().strip() == "Copied"
        assert page.evaluate("pasted()") == page.locator(f"#{name}-1").text_content()
        assert page.evaluate("document.activeElement.dataset.copy") == f"{name}-1"
    page.locator('[data-copy="python-1"]', has_text="Copy as Python").wait_for()
    assert page.locator("#panel textarea").count() == 0
    assert page.evaluate("pasted()").startswith("from openai import OpenAI\n")


@pytest.mark.browser
def test_what_cannot_be_copied_is_selected(opened):
    page = opened(exchange(reply=REPLY))
    page.evaluate(WITHOUT_CLIPBOARD)
    page.evaluate("() => void (document.execCommand = () => false)")
    page.locator('[data-copy="reply-1"]').click()
    page.locator("#panel > .told", has_text="Selected").wait_for(state="attached")
    assert page.evaluate("getSelection().toString()").strip() == page.locator("#reply-1").text_content().strip()


@pytest.mark.browser
def test_a_long_reply_scrolls_in_its_own_box_also_by_keyboard(opened):
    long = {"choices": [{"message": {"content": "word " * 100}}] * 100}
    page = opened(exchange(status=200, reply=long))
    box = page.get_by_role("region", name="Reply")
    assert box.bounding_box()["height"] < 500
    box.focus()
    box.press("End")
    page.locator("#reply-1").press("End")
    wait_until(lambda: box.evaluate("box => box.scrollTop + box.clientHeight >= box.scrollHeight - 1"))
    assert page.evaluate("panel.scrollWidth <= panel.clientWidth")


@pytest.mark.browser
def test_hostile_json_stays_text_in_a_browser(opened):
    page = opened(exchange(status=200, reply=REPLY))
    assert HOSTILE.replace('"', r"\"") in page.locator("#reply-1").text_content()
    assert page.title() != "1"


@pytest.mark.browser
def test_without_a_script_the_code_is_there_to_select(opened, visit, live, browser):
    page = opened(exchange(status=200, reply=REPLY))
    url = live + page.locator(".exchange-link").get_attribute("href")
    state = page.context.storage_state()
    plain = visit(url, java_script_enabled=False, storage_state=state)
    assert plain.locator("h1").inner_text() == "Request and reply"
    assert plain.locator(".copy").count() == 4
    assert not plain.locator(".copy").first.is_visible()
    plain.get_by_text("As Python", exact=True).click()
    assert "client.chat.completions.create(" in plain.locator("#python-1").inner_text()
