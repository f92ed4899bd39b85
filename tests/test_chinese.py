"""Every page and fragment in Chinese: nothing of ours is left in English, whatever goes wrong."""

import io
import json
import re
from html.parser import HTMLParser

import pytest

from .openai_server import DONE, Reply, event
from .test_i18n import SHOWN

ENGLISH = re.compile(r"[A-Za-z]+(?: [a-z]+){2,}|[A-Z][a-z]+ [a-z]+")


class Read(HTMLParser):
    """Collects all that is read on a page, but for code and what people and models said."""

    SKIPPED = ("code", "pre", "script", "textarea", "style")
    NOT_OURS = ("question", "text", "thoughts", "provider", "model-name", "examples")

    def __init__(self):
        super().__init__()
        self.found = []
        self.open = []

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        classes = (given.get("class") or "").split()
        skipped = tag in self.SKIPPED or any(one in self.NOT_OURS for one in classes) or given.get("lang") == "en"
        if tag not in ("input", "meta", "link", "br", "img", "hr", "path", "rect", "circle"):
            self.open.append((tag, skipped))
        for name, value in attributes:
            seen = name in SHOWN - {"alt"} or (name.startswith("data-") and " " in (value or ""))
            if seen and tag not in self.SKIPPED:
                self.see(value or "")
        if tag == "textarea":
            self.see(given.get("placeholder") or "")

    def handle_endtag(self, tag):
        while self.open and self.open.pop()[0] != tag:
            pass

    def handle_data(self, data):
        if not any(skipped for _, skipped in self.open):
            self.see(data)

    def see(self, text):
        self.found += [text.strip()] if ENGLISH.search(text) else []


def english_in(reply):
    reader = Read()
    reader.feed(reply.text)
    # Names of programs and standards, and what the stub's provider says.
    names = r"Open WebUI|Jupyter notebook|JSON Schema|JSON schema|Parley|GPT Image|You are a helpful assistant\."
    return [text for text in reader.found if ENGLISH.search(re.sub(names, "", text))]


@pytest.fixture
def chinese(chat, openai):
    chat.client.set_cookie("language", "zh-CN")
    return chat


@pytest.mark.parametrize("address", ["/", "/completion", "/images", "/models?now=1", "/models", "/model", "/nowhere"])
def test_a_page_is_chinese(chinese, address):
    reply = chinese.client.get(address)
    assert english_in(reply) == []


def test_a_conversation_and_all_that_belongs_to_it_is_chinese(chinese, openai):
    openai.enqueue(Reply.text("Hi", finish="length"), Reply.text("Encore."))
    chinese.answered("Hello")
    turn = chinese.turn_id()
    chinese.post(f"turns/{turn}/retry")
    chinese.settled()
    chinese.post(f"turns/{turn}/leave-out")
    answer = re.findall(r'id="answer-([\w-]+)"', chinese.page())[-1]
    below = f"/conversations/{chinese.id}"
    for address in (
        "/",
        f"{below}/clear",
        f"{below}/parameters",
        f"{below}/export",
        f"{below}/answers/{answer}/exchange",
    ):
        assert english_in(chinese.client.get(address)) == [], address
    assert english_in(chinese.stream(answer)) == []
    assert english_in(chinese.post("estimate", question="Hello again")) == []


FAILURES = [
    *(Reply.error(status, "nicht!") for status in (400, 401, 402, 404, 429, 500)),
    Reply.error(429, "nicht!", headers={"retry-after": "300"}),
    Reply.error(429, "nicht!", headers={"retry-after": "3"}),
    Reply.error(400, "nicht!", code="context_length_exceeded"),
    Reply([DONE]),
    Reply([b"data: nonsense\n\n"]),
    Reply([event({"choices": [{"index": 0, "delta": {"content": "Hi"}}]})]),
    Reply.json({"hello": 1}),
]


@pytest.mark.parametrize("reply", FAILURES, ids=lambda reply: str(getattr(reply, "status", "")))
def test_a_failed_answer_is_chinese(chinese, openai, reply):
    openai.enqueue(reply)
    chinese.answered("Hello")
    page = chinese.client.get("/")
    assert 'class="failure"' in page.text
    assert english_in(page) == []
    provider = re.search(r'<p class="provider" dir="auto">(.*?)</p>', page.text, re.DOTALL)[1]
    assert "nicht!" in provider or re.search("[\u4e00-\u9fff]", provider)


def test_a_refusal_is_chinese(chinese):
    refusals = [
        chinese.ask(""),
        chinese.ask("\x00"),
        chinese.ask("x" * 300_000),
        chinese.ask("x" * 20_000_000),
        chinese.post("ask"),
        chinese.post("turns/none/retry"),
        chinese.post("parameters", temperature="1,5", top_p="x", max_tokens="٣", stop="a\nb\nc\nd\ne", extra="{,"),
        chinese.post("parameters", temperature="9", extra="[1]", json_schema='{"name": "?", "schema": {}}', n="1.5"),
        chinese.client.get("/conversations/none/parameters"),
        chinese.client.get(f"/conversations/{chinese.id}/ask"),
        chinese.client.post(f"/conversations/{chinese.id}/ask", headers={"Origin": "http://evil.example"}),
        chinese.client.get("/", headers={"Host": "evil.example"}),
        chinese.client.post("/models/use", data={"model": ""}),
        chinese.client.post("/models/use", data={"model": "x" * 300}),
    ]
    for refusal in refusals:
        assert refusal.status_code >= 400
        assert english_in(refusal) == [], refusal.status_code
        assert re.search("[\u4e00-\u9fff]", refusal.text)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"a": 1}', b'{"parley": {"format": 99}}'])
def test_a_file_that_cannot_be_imported_is_refused_in_chinese(chinese, content):
    data = {"file": (io.BytesIO(content), "x.json")}
    refusal = chinese.client.post(f"/conversations/{chinese.id}/import", data=data)
    assert refusal.status_code == 422
    assert english_in(refusal) == []


def test_an_import_is_chinese(chinese):
    said = [
        {"role": "system", "content": "x"},
        {"role": "user", "content": "你好"},
        {"role": "assistant", "content": "好"},
    ]
    several = json.dumps([{"messages": said}, {"messages": said}]).encode()
    for content in (json.dumps(said).encode(), several):
        data = {"file": (io.BytesIO(content), "x.json")}
        reply = chinese.client.post(f"/conversations/{chinese.id}/import", data=data, follow_redirects=True)
        assert reply.status_code == 200
        assert english_in(reply) == []


def test_an_export_has_its_headings_in_the_readers_language(chinese, openai):
    openai.enqueue(Reply.text("Hi"))
    chinese.answered("Hello")
    below = f"/conversations/{chinese.id}/export"
    markdown = chinese.client.get(f"{below}/markdown").text
    assert "## 提问 1" in markdown and "### 回答 · " in markdown and "Question" not in markdown
    notebook = chinese.client.get(f"{below}/notebook").json
    assert "# 提问 1\n" in notebook["cells"][1]["source"]
    assert {"messages", "turns", "title"} <= chinese.client.get(f"{below}/json").json.keys()
