import re
from html import unescape
from html.parser import HTMLParser

import pytest
from playwright.sync_api import expect

from webapp.parameter_table import TABLE, parameters_of

from .conftest import Chat, conversation_of, intercept, wait_until
from .openai_server import SILENCE, Reply


class Fields(HTMLParser):
    """The fields of a page's forms as a browser would send them, and what is said of them."""

    def __init__(self, page):
        super().__init__()
        self.values, self.attributes, self._area, self._select = {}, {}, None, None
        form = re.search('<form[^>]* id="parameters".*?</form>', page, re.DOTALL)
        self.feed(form[0] if form else page)

    def handle_starttag(self, tag, found):
        found = dict(found)
        name = found.get("name")
        if tag in ("input", "select", "textarea"):
            self.attributes[name] = found
        if tag == "input" and (found.get("type") != "checkbox" or "checked" in found):
            self.values[name] = found.get("value", "")
        elif tag == "textarea":
            self._area = name
        elif tag == "select":
            self._select = name
            self.values[name] = ""
        elif tag == "option" and "selected" in found:
            self.values[self._select] = found["value"]

    def handle_data(self, data):
        if self._area:
            self.values[self._area] = self.values.get(self._area, "") + data

    def handle_endtag(self, tag):
        if tag == "textarea":
            self.values[self._area] = self.values[self._area].removeprefix("\n")
            self._area = None

    @property
    def set(self):
        return {name: value for name, value in self.values.items() if value}


def panel(chat, query=""):
    response = chat.client.get(f"/conversations/{chat.id}/parameters{query}")
    assert response.status_code == 200
    return response.text


def stored(chat):
    return conversation_of(chat.client.application, chat.id)


def change(chat, **values):
    store = chat.client.application.extensions["store"]
    with store.editing(chat.id, stored(chat).owner) as conversation:
        for name, value in values.items():
            setattr(conversation, name, value)


def line(page):
    found = re.search(r'<span class="parameters-set">(.*?)</span>', page)
    return unescape(found.group(1)) if found else "nothing is set"


@pytest.mark.parametrize("mode", ["chat", "completion", "image"])
def test_the_panel_has_a_mode_s_fields_each_with_a_label_and_its_line(chat, mode):
    change(chat, mode=mode)
    page = panel(chat)
    fields = Fields(page)
    assert "<!doctype html>" in page
    assert 'id="panel-content"' in page
    assert fields.set == {}
    own = [parameter.name for parameter in parameters_of(mode)]
    assert list(fields.attributes) == own if mode != "chat" else [*own[:2], "system_prompt_none", *own[2:]]
    for parameter in parameters_of(mode):
        assert f'<label for="parameter-{parameter.name}">{parameter.label} ' in page
        assert parameter.what in unescape(page)
        assert fields.attributes[parameter.name]["aria-describedby"] == f"parameter-{parameter.name}-about"
    assert "1 to 10, whole." in page if mode == "image" else "0 to 2." in page


def test_a_plain_browser_saves_and_is_sent_back_to_the_page(chat):
    assert line(chat.page()) == "nothing is set"
    response = chat.post("parameters", temperature="0.2", top_p=" .9", stop="\\n\r\n User:", extra='{"top_k":4}')
    assert (response.status_code, response.location) == (303, "/")
    assert stored(chat).parameters == {
        "temperature": 0.2,
        "top_p": 0.9,
        "stop": ["\n", " User:"],
        "extra": {"top_k": 4},
    }
    assert line(chat.page()) == 'temperature 0.2 · top_p 0.9 · stop "\\n" " User:" · top_k'
    assert Fields(panel(chat)).set == {
        "temperature": "0.2",
        "top_p": "0.9",
        "stop": "\\n\n User:",
        "extra": '{\n  "top_k": 4\n}',
    }


def test_what_is_set_is_sent_and_nothing_else(chat, openai):
    chat.post("parameters", model="o3", system_prompt_none="yes", max_tokens="50", stream="no", extra='{"top_k":4}')
    chat.ask("One?")
    wait_until(lambda: openai.bodies)
    assert openai.bodies == [
        {
            "model": "o3",
            "messages": [{"role": "user", "content": "One?"}],
            "max_completion_tokens": 50,
            "top_k": 4,
        }
    ]


@pytest.mark.parametrize(("mode", "page"), [("completion", "/completion"), ("image", "/images")])
def test_every_mode_goes_back_to_its_own_page(chat, mode, page):
    change(chat, mode=mode)
    assert f'<a href="{page}">Back to the conversation</a>' in panel(chat)
    assert chat.post("parameters", n="2").location == page


def test_what_the_panel_shows_is_saved_as_the_same(chat):
    chat.post(
        "parameters", system_prompt="\n<b> & 中文", response_format="json_schema", json_schema='{"type":"object"}'
    )
    before = stored(chat).parameters
    assert before["system_prompt"] == "\n<b> & 中文"
    chat.post("parameters", **Fields(panel(chat)).values)
    assert stored(chat).parameters == before


def test_htmx_gets_the_line_and_an_empty_panel(chat):
    fragment = chat.post("parameters", htmx=True, seed="7")
    assert fragment.status_code == 200
    assert '<hx-partial hx-target="#panel-body" hx-swap="innerHTML"></hx-partial>' in fragment.text
    assert line(fragment.text) == "seed 7"
    assert "<html" not in fragment.text


WRONG = {
    "temperature": "3",
    "top_p": "0.9",
    "seed": "<7>",
    "verbosity": "loud",
    "system_prompt": "Be <brief>.",
    "stop": "\n1\n2\n3\n4\n5",
    "logprobs": "yes",
    "extra": '{"a": 1,\n "b"}',
}


@pytest.mark.parametrize("htmx", [False, True])
def test_what_cannot_be_used_comes_back_as_typed_with_a_message_beside_it(chat, htmx):
    chat.post("parameters", n="2")
    response = chat.post("parameters", htmx=htmx, **WRONG)
    assert response.status_code == 422
    assert ("<!doctype html>" in response.text) is not htmx
    fields = Fields(response.text)
    assert fields.set == WRONG
    invalid = [name for name, found in fields.attributes.items() if "aria-invalid" in found]
    assert invalid == ["temperature", "seed", "stop", "verbosity", "extra"]
    assert [name for name, found in fields.attributes.items() if "autofocus" in found] == ["temperature"]
    for name in invalid:
        assert fields.attributes[name]["aria-describedby"] == f"parameter-{name}-about parameter-{name}-error"
        assert response.text.count(f'id="parameter-{name}-error"') == 1
    assert "0 to 2; 3 is out of range." in response.text
    assert "Not JSON at line 2, column 5: Expecting &#39;:&#39; delimiter." in response.text
    assert "5 values cannot be used as typed" in response.text
    assert stored(chat).parameters == {"n": 2}


def test_the_defaults_are_offered_and_saved_only_with_save(chat):
    chat.post("parameters", seed="7")
    empty = Fields(panel(chat, "?defaults=1"))
    assert empty.set == {}
    assert stored(chat).parameters == {"seed": 7}
    chat.post("parameters", **empty.values)
    assert stored(chat).parameters == {}


def test_no_system_prompt_is_something_else_than_the_servers(chat):
    chat.post("parameters", system_prompt="", system_prompt_none="yes")
    assert stored(chat).parameters == {"system_prompt": ""}
    assert "checked" in Fields(panel(chat)).attributes["system_prompt_none"]
    assert line(chat.page()) == "no system prompt"


def test_another_model_or_window_finds_anew_how_much_fits(chat):
    for form, kept in (({"model": "m"}, ""), ({"model": "m", "seed": "1"}, "t"), ({"context_tokens": "99"}, "")):
        change(chat, sent_from="t")
        chat.post("parameters", **form)
        assert stored(chat).sent_from == kept


def test_parameters_can_be_set_while_an_answer_is_written(chat, openai):
    openai.enqueue(Reply([SILENCE]))
    chat.ask("One?")
    wait_until(lambda: openai.bodies)
    assert chat.post("parameters", seed="7").status_code == 303
    chat.post("stop")
    chat.settled()
    assert stored(chat).parameters == {"seed": 7}


def test_nobody_else_sees_or_sets_them(app, chat):
    stranger = Chat(app.test_client())
    path = f"/conversations/{chat.id}/parameters"
    assert stranger.client.get(path).status_code == 404
    assert stranger.client.post(path, data={"seed": "7"}).status_code == 404
    assert stranger.client.post(path, data={"seed": "7"}, headers={"HX-Request": "true"}).status_code == 404
    assert app.test_client().get(path).status_code == 404
    assert stored(chat).parameters == {}


def test_a_form_has_its_own_limit_and_says_so(chat):
    chat.client.application.config.update(MAX_CONTENT_LENGTH=1000, MAX_FORM_MEMORY_SIZE=1000)
    assert chat.post("parameters", system_prompt="字" * 50_000).status_code == 303
    assert (
        "up to 50,000 characters; this has 50,001" in chat.post("parameters", system_prompt="字" * 50_001).text.lower()
    )
    refused = chat.post("parameters", htmx=True, system_prompt="x" * 6_000_001)
    assert refused.status_code == 413
    assert "These parameters are longer than a request may be." in refused.text


@pytest.mark.browser
def test_the_panel_in_a_browser(visit, live):
    page = visit(live)
    other = visit(live, context=page.context)
    page.bring_to_front()
    page.locator("#question").fill("A draft")
    link = page.get_by_role("link", name="Parameters")
    dialog = page.get_by_role("dialog", name="Parameters")

    link.press("Enter")
    expect(dialog).to_be_visible()
    assert page.title() == "Parley"
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(link).to_be_focused()

    link.click()
    temperature = dialog.locator("[name=temperature]")
    mark = dialog.locator("[data-parameter=temperature] .set-mark")
    expect(mark).to_be_hidden()
    temperature.fill("3")
    expect(mark).to_be_visible()
    dialog.locator("[name=top_p]").fill("0.9")
    dialog.get_by_role("button", name="Save").click()
    expect(dialog.locator("#parameter-temperature-error")).to_have_text("0 to 2; 3 is out of range.")
    expect(temperature).to_be_focused()
    expect(temperature).to_have_accessible_description(re.compile("0 to 2; 3 is out of range."))
    visit.expects = "422"

    # Leaving with something typed is asked about; the tests' browser answers no.
    page.keyboard.press("Escape")
    expect(temperature).to_have_value("3")
    temperature.fill("0.2")
    temperature.press("Enter")
    expect(dialog).to_be_hidden()
    expect(link).to_be_focused()
    expect(page.locator(".parameters-set")).to_have_text("temperature 0.2 · top_p 0.9")
    expect(other.locator(".parameters-set")).to_have_text("temperature 0.2 · top_p 0.9")
    assert page.locator("#question").input_value() == "A draft"

    link.click()
    dialog.get_by_role("link", name="Back to defaults").click()
    expect(temperature).to_have_value("")
    dialog.get_by_role("button", name="Close").click()
    expect(page.locator(".parameters-set")).to_have_text("temperature 0.2 · top_p 0.9")


@pytest.mark.browser
def test_a_panel_that_is_not_there_or_not_reached_says_so(visit, live):
    page = visit(live)
    link = page.get_by_role("link", name="Parameters")
    page.context.clear_cookies()
    link.click()
    expect(page.locator("#notice")).to_contain_text("That conversation is not here any more.")
    page.reload()
    link.click()
    save = page.get_by_role("button", name="Save")
    expect(save).to_be_visible()
    intercept(page, "**/parameters", lambda route: route.abort())
    save.click()
    expect(page.locator("#panel-notice")).to_contain_text("Parley's server did not answer.")
    visit.expects = ""


@pytest.mark.browser
def test_the_panel_without_a_script_and_on_a_small_screen(visit, live):
    page = visit(live, java_script_enabled=False, viewport={"width": 320, "height": 560})
    page.get_by_role("link", name="Parameters").click()
    page.locator("[name=seed]").fill("x")
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#parameter-seed-error")).to_be_visible()
    expect(page.locator("[name=seed]")).to_have_value("x")
    visit.expects = "422"
    page.locator("[name=seed]").fill("7")
    page.get_by_role("button", name="Save").click()
    expect(page.locator(".parameters-set")).to_have_text("seed 7")
    wide = visit(live, viewport={"width": 320, "height": 560})
    wide.get_by_role("link", name="Parameters").click()
    expect(wide.get_by_role("dialog")).to_be_visible()
    assert wide.evaluate("document.documentElement.scrollWidth") == 320
    assert wide.evaluate("document.getElementById('panel').scrollWidth") == 320


def test_every_placeholder_is_the_default(chat):
    attributes = Fields(panel(chat)).attributes
    assert attributes["model"]["placeholder"] == "default: test-model"
    assert attributes["system_prompt"]["placeholder"] == "default: You are a helpful assistant."
    texts = [one.name for one in TABLE if "chat" in one.modes and one.kind not in ("choice", "yes-no")]
    assert all(attributes[name]["placeholder"].startswith("default") for name in texts)
