"""Everybody can use it: axe finds nothing on any page, and what no tool finds is held here as well."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from .conftest import intercept
from .openai_server import SILENCE, Reply, chunk, event

pytestmark = pytest.mark.browser

TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
OPTIONS = {"runOnly": {"type": "tag", "values": TAGS}, "resultTypes": ["violations"]}

WIDE = {"viewport": {"width": 1440, "height": 900}}
NARROW = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}
# Both themes, both languages and both widths, each with each other at least once by two.
LOOKS = {
    "light, English, wide": {"color_scheme": "light", "locale": "en", **WIDE},
    "dark, Chinese, wide": {"color_scheme": "dark", "locale": "zh-CN", **WIDE},
    "dark, English, narrow": {"color_scheme": "dark", "locale": "en", **NARROW},
    "light, Chinese, narrow": {"color_scheme": "light", "locale": "zh-CN", **NARROW},
}


@pytest.fixture
def config(config):
    return {**config, "SPEECH_MODEL": "mouth", "TRANSCRIPTION_MODEL": "ears", "IMAGE_MODEL": "brush"}


@pytest.fixture(params=LOOKS)
def page(visit, live, request):
    return visit(live, **LOOKS[request.param])


def check(page, what):
    """Let axe look at the page as it is. It comes in by the debugger, which no policy of the page's holds back."""
    size = page.viewport_size
    # All of it in sight: what lies behind the head or the box only until somebody scrolls is not too small.
    page.set_viewport_size({**size, "height": page.evaluate("document.documentElement.scrollHeight") + 200})
    results = Axe().run(page, options=OPTIONS)
    page.set_viewport_size(size)
    assert results.violations_count == 0, f"{what}:\n{results.generate_report()}"


def ask(page, question="One?", status="done"):
    page.locator("#question").fill(question)
    page.locator("#send").click()
    expect(page.locator(".answer").last).to_have_attribute("data-status", status)


def test_the_conversation_in_all_its_states(visit, page, openai):
    check(page, "empty")
    openai.enqueue(Reply([event(chunk("Half an *answer*\n\n```python\nprint(1)\n```\n")), SILENCE]))
    ask(page, status="pending")
    expect(page.locator(".answer")).to_contain_text("Half")
    check(page, "while an answer comes")
    page.evaluate("scrollTo(0, 0)")
    page.locator("#stop").click()
    expect(page.locator(".answer")).to_have_attribute("data-status", "stopped")
    openai.enqueue(Reply.error(401, "Wrong key."))
    ask(page, status="failed")
    check(page, "with a failure")
    intercept(page, "**/ask", lambda route: route.abort())
    page.locator("#question").fill("x")
    page.locator("#send").click()
    expect(page.locator("#notice .notice")).to_be_visible()
    check(page, "with a notice")
    visit.expects = ""


def test_the_other_modes(page, live, openai):
    page.goto(f"{live}/completion")
    check(page, "completion, empty")
    ask(page)
    check(page, "a completion")
    page.goto(f"{live}/images")
    check(page, "images, empty")
    ask(page)
    expect(page.locator(".picture img")).to_be_visible()
    check(page, "images")


def open_panel(page, path):
    """Open the panel behind a link that may be anywhere, in a menu, too."""
    page.evaluate("(path) => document.querySelector(`.panel-link[href*='${path}']`).click()", path)
    expect(page.locator("#panel")).to_be_visible()


@pytest.mark.parametrize("path", ["/models", "/parameters", "/export", "/exchange"])
def test_a_panel_and_its_page(visit, page, live, path):
    ask(page)
    address = page.locator(f".panel-link[href*='{path}']").first.evaluate("link => link.href")
    open_panel(page, path)
    if path == "/models":
        page.locator("#models-list table").first.wait_for()
    if path == "/parameters":
        page.locator("#panel [name=temperature]").fill("x")
        page.locator("#panel button.primary").click()
        expect(page.locator("#parameter-temperature-error")).to_be_visible()
    check(page, f"the panel {path}")
    if path == "/exchange":
        page.locator("#panel summary").first.click()
        check(page, "with the code open")
    # Left with what was typed, the browser would ask.
    page.on("dialog", lambda dialog: dialog.accept())
    page.goto(address)
    if path == "/models":
        page.locator("#models-list table").first.wait_for()
    check(page, f"the page {path}")
    visit.expects = ""


def test_the_list_of_keys_and_the_pages_that_only_say_something(visit, page, live, openai):
    page.keyboard.press("Control+/")
    expect(page.locator("#keys")).to_be_visible()
    check(page, "the list of keys")
    page.keyboard.press("Escape")
    ask(page)
    openai.enqueue(Reply([b"ID3"], content_type="audio/mpeg"))
    conversation = page.locator("#composer").evaluate("form => form.action").removesuffix("/ask")
    answer = page.locator(".answer").get_attribute("id").removeprefix("answer-")
    pages = [f"{conversation}/clear", f"{conversation}/answers/{answer}/speech"]
    for address in (*pages, f"{live}/visitor", f"{live}/visitor/delete", f"{live}/nowhere"):
        page.goto(address)
        check(page, address)
    visit.expects = ""  # the address that leads nowhere


def test_dictation_and_a_player(visit, page, openai):
    page.locator("#recording").set_input_files({"name": "a.pdf", "mimeType": "application/pdf", "buffer": b"%PDF"})
    expect(page.locator("#dictation")).to_have_attribute("data-state", "failed")
    check(page, "a recording that was not taken")
    visit.expects = ""


# --- What no tool finds ---

OUTLINED = """() => {
  const focused = document.activeElement;
  const style = getComputedStyle(focused.closest(".unseen") ? focused.parentElement : focused);
  const around = focused.closest(".box"); // The box around the question shows its focus.
  const box = around && getComputedStyle(around);
  return style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2
    || (box && (box.boxShadow.includes(" 0px 0px 0px ") || box.outlineStyle !== "none"));
}"""
NAME = """() => {
  const one = document.activeElement;
  return one === document.body ? "" : one.id || one.name || one.className || one.textContent.trim();
}"""


# Where the focus cannot be seen because something lies over it.
COVERED = """() => {
  const focused = document.activeElement;
  const shown = focused.closest(".unseen") ? focused.parentElement : focused;
  const box = shown.getBoundingClientRect();
  const at = document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2);
  return !shown.contains(at) && !at?.contains(shown);
}"""
LEFT = """() => [...document.querySelectorAll("a[href], button, textarea, summary, input, [tabindex='0']")]
  .filter((one) => one.checkVisibility({visibilityProperty: true}) && !one.disabled && one.type !== "hidden")
  .filter((one) => !one.dataset.reached).map((one) => one.outerHTML.slice(0, 80))"""


def test_the_keyboard_reaches_everything_and_the_focus_is_always_seen(visit, live):
    page = visit(live)
    ask(page)
    for _ in range(len(page.evaluate(LEFT)) + 3):  # Once around, past the end of the page.
        page.keyboard.press("Tab")
        if name := page.evaluate(NAME):
            page.evaluate("document.activeElement.dataset.reached = 1")
            assert page.evaluate(OUTLINED), f"The focus is not seen on {name}."
            assert not page.evaluate(COVERED), f"{name} is covered."
    assert page.evaluate(LEFT) == []


def test_the_panels_focus_goes_in_and_comes_back(visit, live):
    page = visit(live)
    link = page.get_by_role("link", name="Parameters")
    link.press("Enter")
    expect(page.locator("#panel")).to_be_visible()
    assert page.evaluate("document.getElementById('panel').contains(document.activeElement)")
    page.go_back()
    expect(page.locator("#panel")).to_be_hidden()
    assert page.url.rstrip("/") == live
    expect(link).to_be_focused()


def test_with_reduced_motion_nothing_moves(visit, live, openai):
    page = visit(live, reduced_motion="reduce")
    openai.enqueue(Reply([event(chunk("Half")), SILENCE]))
    ask(page, status="pending")
    assert page.evaluate("document.getAnimations().length") == 0


def test_in_forced_colours_what_is_chosen_is_still_seen(visit, live, openai):
    page = visit(live, forced_colors="active")
    openai.enqueue(Reply([event(chunk("Half")), SILENCE]))
    ask(page, status="pending")
    for selector in (".question", ".box", "#stop", "#send"):
        style = page.locator(selector).first.evaluate("one => getComputedStyle(one).borderTopStyle")
        assert style == "solid", selector
    page.locator("#question").press("Tab")
    assert page.evaluate(OUTLINED)


PAGES = ["/", "/completion", "/images", "/models?now=1"]
# WCAG 1.4.12: what a reader may set, and nothing gets lost.
SPACING = """() => {
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(`
    * { line-height: 1.5 !important; letter-spacing: 0.12em !important; word-spacing: 0.16em !important; }
    p { margin-block-end: 2em !important; }`);
  document.adoptedStyleSheets = [sheet];
}"""
CUT = """() => [...document.querySelectorAll("button, a, p, h1, h2, label, summary, .question, .text")]
  .filter((one) => one.checkVisibility() && !one.closest(".unseen, .skip, .wide, .parameters-set, .models thead"))
  .filter((one) => getComputedStyle(one).overflow !== "visible" || ["BUTTON", "A"].includes(one.tagName))
  .filter((one) => one.scrollWidth > one.clientWidth + 1 && one.clientWidth)
  .map((one) => one.className || one.textContent.trim().slice(0, 40))"""


@pytest.mark.parametrize("path", PAGES)
def test_at_twice_the_size_and_with_more_space_nothing_is_cut(visit, live, path):
    page = visit(live + path, viewport={"width": 640, "height": 400})  # 1280 by 800 at 200 %
    if path == "/":
        ask(page, "What is the longest word that there is in the language of yours?")
    for _ in range(2):
        assert page.evaluate("document.documentElement.scrollWidth") <= 640
        assert page.evaluate(CUT) == []
        page.evaluate(SPACING)
