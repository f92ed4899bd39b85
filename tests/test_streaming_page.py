"""Markdown that streams into a page, in a browser."""

from threading import Event

import pytest
from playwright.sync_api import expect

from .conftest import wait_until
from .openai_server import DONE, Reply, chunk, event

pytestmark = pytest.mark.browser

STEPS = [
    "# A head\n\nThe first paragraph with **bold",
    "** and [a link](https://exam",
    "ple.org/) in it.\n\n- one\n- two **bo",
    "ld**\n  - nested\n\n| a | b",
    " |\n|---|--:|\n| 1 | `x",
    "` |\n| 2 | y |\n\n```python\ndef f(x):\n    ret",
    "urn x ** 2\n```\n\n$$\n\\frac{a}",
    "{b}\n$$\n\n**注意：**正文",
    "「**强调**」。\n\nThe end.",
]
# What the page has after each step, and what it must never show.
SEEN = [
    "strong:text-is('bold')",
    "p:has-text('and a link')",
    "li strong:text-is('bo')",
    "table th:text-is('b')",
    "table td code:text-is('x')",
    "pre code:has-text('def f(x):\\A     ret')",
    "pre code:has-text('x ** 2')",
    "math",
    "p:has-text('The end.')",
]


class Steps:
    """An answer that goes on when the test says so."""

    def __init__(self, texts):
        self.gates = [Event() for _ in texts]
        self.reply = Reply()
        for text, gate in zip(texts, self.gates, strict=True):
            self.reply.steps += [event(chunk(text)), gate]
        self.reply.steps += [event(chunk(finish="stop")), DONE]

    def go_on(self, step):
        self.gates[step].set()

    def end(self):
        for gate in self.gates:
            gate.set()


@pytest.fixture
def steps(openai):
    steps = Steps(STEPS)
    openai.enqueue(steps.reply)
    yield steps
    steps.end()


def ask(page, question="One?"):
    page.fill("#question", question)
    page.click("#send")


def html(page):
    return page.eval_on_selector(".answer .text", "text => text.innerHTML")


def test_what_streams_in_looks_right_at_every_stop_and_stays_as_it_is(visit, live, steps):
    page = visit(live)
    ask(page)
    text = page.locator(".answer .text")
    places = {}
    for step, seen in enumerate(SEEN):
        expect(text.locator(seen).last).to_be_visible()
        for sign in ("**", "](", "|", "$$", "frac", "```"):
            assert sign not in (text.inner_text().replace("x ** 2", ""))
        heights = text.evaluate(
            "text => [...text.children].slice(0, -1).map(child => child.getBoundingClientRect().height)"
        )
        for index, height in enumerate(heights):
            assert places.setdefault((index, height), step) is not None
            assert len([place for place in places if place[0] == index]) == 1, "A finished block has jumped."
        steps.go_on(step)
    expect(page.locator(".answer[data-status=done]")).to_be_visible()
    streamed = html(page)
    page.reload()
    assert html(page) == streamed


def test_a_selection_in_a_finished_block_and_in_the_open_one_survives(visit, live, openai):
    steps = Steps(["First paragraph.\n\nSecond **par", "agraph** goes on", " and on.\n\n- x"])
    openai.enqueue(steps.reply)
    page = visit(live)
    ask(page)
    text = page.locator(".answer .text")
    expect(text.locator("strong")).to_have_text("par")
    page.evaluate(
        """() => {
            const [first, second] = document.querySelectorAll(".answer .text > p");
            getSelection().setBaseAndExtent(first.firstChild, 6, second.firstChild, 6);
        }"""
    )
    steps.end()
    expect(page.locator(".answer[data-status=done]")).to_be_visible()
    expect(text.locator("li")).to_have_text("x")
    assert page.evaluate("getSelection().toString().split(/\\s+/).join(' ')") == "paragraph. Second"


def test_a_reload_in_the_middle_goes_on(visit, live, steps):
    page = visit(live)
    ask(page)
    for step in range(5):
        expect(page.locator(".answer .text").locator(SEEN[step]).last).to_be_visible()
        page.reload()
        expect(page.locator(".answer .text").locator(SEEN[step]).last).to_be_visible()
        steps.go_on(step)
    steps.end()
    expect(page.locator(".answer[data-status=done]")).to_be_visible()
    streamed = html(page)
    page.reload()
    assert html(page) == streamed


def test_reasoning_and_text_stream_at_once(visit, live, openai):
    gate = Event()

    def piece(**delta):
        return event({**chunk(), "choices": [{"index": 0, "delta": delta, "finish_reason": None}]})

    first = [piece(reasoning_content="I *thi"), piece(content="- **A"), gate]
    rest = [
        piece(reasoning_content="nk*.\n\n1. so"),
        piece(content="nswer**\n- two"),
        event(chunk(finish="stop")),
        DONE,
    ]
    openai.enqueue(Reply([*first, *rest]))
    page = visit(live)
    ask(page)
    expect(page.locator(".text li strong")).to_have_text("A")
    assert page.locator(".thoughts").inner_html() == '<p dir="auto">I <em>thi</em></p>\n'
    gate.set()
    expect(page.locator(".answer[data-status=done]")).to_be_visible()
    shown = [page.locator(name).inner_html() for name in (".thoughts", ".answer .text")]
    assert "<ol" in shown[0]
    page.reload()
    assert [page.locator(name).inner_html() for name in (".thoughts", ".answer .text")] == shown


def test_a_connection_that_comes_again_goes_on(visit, live, steps):
    page = visit(live)
    ask(page)
    expect(page.locator(".answer .text").locator(SEEN[0]).last).to_be_visible()
    page.context.set_offline(True)
    page.evaluate("document.querySelector('.following')._htmx.sse.reader.cancel()")
    steps.go_on(0)
    steps.go_on(1)
    page.context.set_offline(False)
    expect(page.locator(".answer .text").locator(SEEN[2]).last).to_be_visible()
    steps.end()
    expect(page.locator(".answer[data-status=done]")).to_be_visible()
    streamed = html(page)
    page.reload()
    assert wait_until(lambda: html(page)) == streamed
    visit.expects = ""  # The browser tells of requests that failed.


def test_code_with_chinese_in_it_keeps_its_own_type(visit, live, openai):
    openai.enqueue(Reply.text("```python\nprint(1)  # 你好\n```\n\n- `x` 是一个变量\n"))
    page = visit(live)
    ask(page)
    expect(page.locator(".answer[data-status=done]")).to_be_visible()
    types = page.locator(".answer .text code").evaluate_all("all => all.map(one => getComputedStyle(one).fontFamily)")
    assert len(types) == 2
    assert all("monospace" in one and "Chinese marks" not in one for one in types)
