"""Writing in a real Chromium: input methods, drafts, keys, phones."""

import pytest
from playwright.sync_api import expect

from .conftest import ask, intercept
from .openai_server import SILENCE, Reply, chunk, event

pytestmark = pytest.mark.browser

HALF = [event(chunk("Half an answer")), SILENCE]


@pytest.fixture
def page(visit, live):
    return visit(live)


def answered(page, status="done"):
    expect(page.locator(".answer").last).to_have_attribute("data-status", status)


# --- Input methods ---

ENTER = {"key": "Enter", "code": "Enter"}
# What a browser reports when Enter confirms a candidate, in its order: events of composition, and keys.
ORDERS = {
    "Chrome": [("keydown", {"isComposing": True, "keyCode": 229}), ("compositionend", {}), ("keyup", {})],
    "Firefox": [("keydown", {"isComposing": True, "keyCode": 229}), ("compositionend", {}), ("keyup", {"keyCode": 13})],
    "Safari": [("compositionend", {}), ("keydown", {"isComposing": False, "keyCode": 229}), ("keyup", {"keyCode": 13})],
}
CONFIRM = """(field, events) => {
  field.focus();
  let held = false;
  for (const [name, more] of events) {
    const Kind = name.startsWith("key") ? KeyboardEvent : CompositionEvent;
    const event = new Kind(name, {key: "Enter", bubbles: true, cancelable: true, ...more});
    if (!field.dispatchEvent(event)) held = true;
  }
  return held;
}"""


def confirm(field, order):
    """Confirm a candidate in a browser's order of events; tell whether the key was held back from the browser."""
    return field.evaluate(CONFIRM, ORDERS[order])


@pytest.mark.parametrize("order", ORDERS)
def test_the_enter_that_confirms_a_candidate_sends_nothing_in_any_field(page, openai, order):
    question = page.locator("#question")
    question.fill("zhongwen")
    confirm(question, order)
    expect(question).to_have_value("zhongwen")
    # Fields of one line are submitted by the browser itself.
    for link, fields in (("Models", ("#model-name",)), ("Parameters", ("[name=temperature]", "[name=user]"))):
        page.get_by_role("link", name=link, exact=True).first.click()
        for selector in fields:
            field = page.locator(f"#panel {selector}")
            field.wait_for()
            assert confirm(field, order)
        page.get_by_role("button", name="Close").click()
    assert openai.bodies == []
    assert page.locator("article.turn").count() == 0


def put_text_area(page, action, name, text):
    """Put a form with a text area into the page; by its elements, since the page lets no script make HTML of text."""
    page.evaluate(
        """([action, id, value]) => {
          const form = Object.assign(document.createElement("form"), { action });
          const area = Object.assign(document.createElement("textarea"), { id, defaultValue: value });
          area.dataset.enter = "send";
          form.append(area);
          document.querySelector("main").append(form);
        }""",
        [action, name, text],
    )


def test_a_text_area_that_comes_later_is_sent_by_enter_and_not_by_a_candidate(page):
    put_text_area(page, "/later", "later", "zh")
    page.evaluate("""() => {
      document.getElementById("later").form.addEventListener("submit", (event) => {
        event.preventDefault();
        document.title = "sent";
      });
    }""")
    later = page.locator("#later")
    for order in ORDERS:
        confirm(later, order)
    assert page.title() == "Parley"
    later.press("Shift+Enter")
    assert page.title() == "Parley"
    later.press("Enter")
    assert page.title() == "sent"
    expect(later).to_have_value("\nzh")


def test_composing_through_the_browsers_own_input_method(page, openai):
    keyboard = page.context.new_cdp_session(page)

    def process(kind="rawKeyDown"):
        keyboard.send("Input.dispatchKeyEvent", {"type": kind, "windowsVirtualKeyCode": 229, **ENTER})

    page.locator("#question").focus()
    keyboard.send("Input.imeSetComposition", {"text": "nihao", "selectionStart": 5, "selectionEnd": 5})
    process()
    keyboard.send("Input.insertText", {"text": "你好"})
    process("keyUp")
    expect(page.locator("#question")).to_have_value("你好")
    process()  # In Safari's order, it comes after.
    assert page.locator("article.turn").count() == 0
    # The next one is meant.
    page.keyboard.press("Enter")
    answered(page)
    assert openai.questions == ["你好"]
    page.get_by_role("link", name="Models", exact=True).first.click()
    page.locator("#model-name").focus()
    keyboard.send("Input.imeSetComposition", {"text": "qwen", "selectionStart": 4, "selectionEnd": 4})
    keyboard.send("Input.dispatchKeyEvent", {"type": "keyDown", "windowsVirtualKeyCode": 229, "text": "\r", **ENTER})
    expect(page.locator("#panel")).to_be_visible()
    expect(page.locator("#model-name")).to_have_value("qwen")


def test_esc_while_composing_stops_nothing(page, openai):
    openai.enqueue(Reply(HALF))
    ask(page, "One?")
    expect(page.locator(".text").last).to_have_text("Half an answer")
    page.locator("#question").dispatch_event("keydown", {"key": "Escape", "bubbles": True, "isComposing": True})
    page.locator("#question").dispatch_event("keydown", {"key": "Escape", "bubbles": True, "keyCode": 229})
    answered(page, "pending")
    page.keyboard.press("Escape")
    answered(page, "stopped")


# --- Drafts ---


@pytest.mark.parametrize("status", [400, 409, 502])
def test_a_draft_outlives_a_question_that_was_not_taken_and_a_reload(visit, page, status):
    intercept(page, "**/ask", lambda route: route.fulfill(status=status, body="<p>Not now.</p>"))
    with page.expect_console_message():
        ask(page, "Not lost")
    expect(page.locator("#notice")).to_have_text("Not now.")
    page.reload()
    expect(page.locator("#question")).to_have_value("Not lost")
    visit.expects = ""


def test_a_draft_outlives_an_answer_that_somebody_else_gave(visit, page):
    intercept(
        page, "**/ask", lambda route: route.fulfill(body="<h1>Welcome to the hotel</h1>", content_type="text/html")
    )
    ask(page, "Not lost")
    expect(page.locator("#conversation")).to_contain_text("Welcome to the hotel")
    expect(page.locator("#question")).to_have_value("Not lost")


def test_a_browser_that_keeps_nothing_still_asks_and_closes(visit, live, openai):
    page = visit("about:blank")
    page.add_init_script(
        """for (const name of ["sessionStorage", "localStorage"])
             Object.defineProperty(window, name, {get() { throw new DOMException("No.", "SecurityError"); }});"""
    )
    page.goto(live)
    openai.enqueue(Reply(HALF))
    ask(page, "One?")
    answered(page, "pending")
    page.keyboard.press("Escape")
    answered(page, "stopped")


def test_each_conversation_has_its_draft(page, live):
    page.locator("#question").fill("For the chat")
    page.goto(f"{live}/completion")
    expect(page.locator("#question")).to_have_value("")
    page.locator("#question").fill("For the completion")
    page.goto(live)
    expect(page.locator("#question")).to_have_value("For the chat")


def test_a_draft_outlives_the_conversation_that_it_was_written_for(visit, page):
    page.locator("#question").fill("Not lost")
    page.context.clear_cookies()
    with page.expect_console_message():
        page.locator("#send").click()
    expect(page.locator("#notice")).to_contain_text("Reload the page")
    page.reload()
    expect(page.locator("#question")).to_have_value("Not lost")
    visit.expects = ""


def test_an_edited_question_is_kept_until_it_is_taken_or_given_up(visit, page, live, openai):
    ask(page, "As it was")
    answered(page)
    page.locator("#question").press("ArrowUp")
    edited = page.locator(".edit-form textarea")
    edited.fill("As it shall be")
    intercept(page, "**/turns/**", lambda route: route.abort() if route.request.method == "POST" else route.continue_())
    edited.press("Enter")
    expect(page.locator(".notice")).to_be_visible()
    page.reload()
    page.locator("#question").press("ArrowUp")
    expect(edited).to_have_value("As it shall be")
    page.keyboard.press("Escape")
    expect(edited).to_have_count(0)
    page.locator("#question").press("ArrowUp")
    expect(edited).to_have_value("As it was")
    edited.fill("As it shall be")
    page.unroute("**/turns/**")
    edited.press("Enter")
    expect(page.locator(".answer .text").last).to_contain_text("As it shall be")
    page.locator("#question").press("ArrowUp")
    expect(edited).to_have_value("As it shall be")
    visit.expects = ""


def test_the_draft_of_any_other_text_area_outlives_a_reload(page):
    edit = ("/turns/x/edit", "edit", "As it was")
    put_text_area(page, *edit)
    page.locator("#edit").fill("As it shall be")
    page.reload()
    put_text_area(page, *edit)
    page.locator("#edit").focus()
    expect(page.locator("#edit")).to_have_value("As it shall be")


# --- Keys ---


def test_up_edits_the_last_question_from_an_empty_box_only(page):
    for count, question in enumerate(("One?", "Two?"), 1):
        ask(page, question)
        expect(page.locator(".answer[data-status=done]")).to_have_count(count)
        expect(page.locator("#stop")).to_have_count(0)
    page.locator("#question").fill("x")
    page.locator("#question").press("ArrowUp")
    expect(page.locator(".edit-form")).to_have_count(0)
    page.locator("#question").fill("")
    page.locator("#question").press("ArrowUp")
    expect(page.locator(".edit-form textarea")).to_have_value("Two?")


def test_a_list_of_keys_opens_by_key_and_by_click_and_closes(page):
    dialog = page.get_by_role("dialog", name="Keyboard shortcuts")
    page.locator("#question").press("?")
    expect(page.locator("#question")).to_have_value("?")
    page.locator("#question").press("Control+/")
    expect(dialog).to_be_visible()
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(page.locator("#question")).to_be_focused()
    page.locator("#send").focus()
    page.keyboard.press("?")
    expect(dialog).to_be_visible()
    dialog.get_by_role("button", name="Close").click()
    page.locator("#menu-button").click()
    page.locator(".opens-keys").click()
    expect(dialog).to_be_visible()
    assert page.locator(":popover-open").count() == 0
    page.mouse.click(5, 5)
    expect(dialog).to_be_hidden()


def test_the_list_leads_to_the_box_and_its_single_key_can_be_turned_off(page):
    page.locator("#send").focus()
    page.keyboard.press("?")
    expect(page.locator("#keys")).to_be_visible()
    page.keyboard.press("b")
    expect(page.locator("#question")).to_be_focused()
    expect(page.locator("#question")).to_have_value("")
    page.keyboard.press("Control+/")
    page.locator("#single-keys").uncheck()
    page.keyboard.press("Escape")
    page.reload()
    page.locator("#send").focus()
    page.keyboard.press("?")
    expect(page.locator("#send")).to_be_focused()
    expect(page.locator("#keys")).to_be_hidden()
    page.keyboard.press("Control+/")
    expect(page.locator("#single-keys")).not_to_be_checked()


def test_esc_closes_what_is_open_before_it_stops(page, openai):
    openai.enqueue(Reply(HALF))
    ask(page, "One?")
    expect(page.locator(".text").last).to_have_text("Half an answer")
    page.keyboard.press("Control+/")
    expect(page.locator("#keys")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#keys")).to_be_hidden()
    page.get_by_role("link", name="Parameters").click()
    expect(page.locator("#panel")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#panel")).to_be_hidden()
    answered(page, "pending")
    page.keyboard.press("Escape")
    answered(page, "stopped")


def test_begin_anew_asks_first(page):
    ask(page, "One?")
    answered(page)
    asked = []
    page.once("dialog", lambda dialog: (asked.append(dialog.message), dialog.dismiss()))
    page.locator("#question").press("Control+/")
    expect(page.locator("#keys")).to_be_visible()
    page.keyboard.press("n")
    expect(page.locator("article.turn")).to_have_count(1)
    assert "Clear this conversation?" in asked[0]


# --- Phones ---

PHONE = {"viewport": {"width": 320, "height": 640}, "is_mobile": True, "has_touch": True, "device_scale_factor": 2}


@pytest.mark.parametrize("path", ["/", "/completion", "/images"])
def test_on_a_phone_no_field_is_so_small_that_it_zooms_and_nothing_is_too_wide(visit, live, path):
    page = visit(live + path, **PHONE)
    small = """() => [...document.querySelectorAll("textarea, select, input:not([type=checkbox])")]
        .filter((field) => field.type !== "hidden" && parseFloat(getComputedStyle(field).fontSize) < 16)
        .map((field) => field.name || field.id)"""
    addresses = [page.url, *page.eval_on_selector_all(".panel-link", "links => links.map(link => link.href)")]
    for address in addresses:
        page.goto(address)
        assert page.evaluate(small) == [], address
        assert page.evaluate("document.documentElement.scrollWidth") == 320, address


def test_on_a_phone_return_is_a_new_line_and_a_keyboards_control_enter_sends(visit, live, openai):
    page = visit(live, **PHONE)
    page.locator("#question").fill("One")
    page.locator("#question").press("Enter")
    expect(page.locator("#question")).to_have_value("One\n")
    page.locator("#question").press("Control+Enter")
    answered(page)


def test_the_box_stays_above_a_keyboard_that_covers_the_page(visit, live):
    page = visit(live, **PHONE)
    before = page.locator(".dock").bounding_box()
    page.evaluate("""() => {
      Object.defineProperty(visualViewport, "height", {value: innerHeight - 250});
      visualViewport.dispatchEvent(new Event("resize"));
    }""")
    after = page.locator(".dock").bounding_box()
    assert abs(before["y"] - 250 - after["y"]) < 1


def test_in_a_low_window_nothing_sticks(visit, live):
    page = visit(live, viewport={"width": 640, "height": 400})
    for selector in (".bar", ".dock"):
        assert page.locator(selector).evaluate("one => getComputedStyle(one).position") in ("static", "relative")
