"""The second wall in the browser: what would happen if the server failed to escape a model's text."""

import pytest
from playwright.sync_api import expect

from .conftest import ask, intercept
from .openai_server import Reply, chunk, event

pytestmark = pytest.mark.browser

ATTRIBUTES = {
    "hx-get": {"hx-trigger": "load"},
    "data-hx-get": {"data-hx-trigger": "load"},
    "hx-sse:connect": {},
    "data-hx-sse:connect": {},
    "sse-connect": {},
}


@pytest.fixture
def page(visit, live, openai):
    openai.enqueue(
        Reply([event({"choices": [{"delta": {"reasoning_content": "Well."}}]}), event(chunk("So.", "stop"))])
    )
    page = visit(live)
    ask(page)
    expect(page.locator(".answer[data-status=done]")).to_be_visible()
    return page


def put(page, where, attributes):
    """Put an element into the page and let htmx look at all of it, as it does when something is shown anew."""
    page.evaluate(
        """([where, attributes]) => {
            const element = document.createElement("p");
            for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
            document.querySelector(where).append(element);
            htmx.process(document.body);
        }""",
        [where, attributes],
    )


@pytest.mark.parametrize("where", [".answer .text", ".answer .thoughts"])
@pytest.mark.parametrize("name", ATTRIBUTES)
def test_no_attribute_for_htmx_is_obeyed_in_a_models_text(page, name, where):
    asked = []
    page.on("request", lambda request: asked.append(request.url.rpartition("/")[2]))
    intercept(page, "**/stolen", lambda route: route.fulfill(body=""))
    put(page, where, {name: "/stolen", **ATTRIBUTES[name]})
    put(page, "main", {"hx-get": "/healthz", "hx-trigger": "load"})  # What is ours is obeyed; the other came first.
    with page.expect_request("**/healthz"):
        put(page, "main", {"hx-get": "/healthz", "hx-trigger": "load"})
    assert "stolen" not in asked
    assert page.locator(f"{where} > p").last.evaluate("one => one.attributes.length") == 0
    # The wall itself stays.
    assert page.locator(where).get_attribute("hx-ignore") == ""


def test_no_script_makes_html_of_text(visit, page):
    for attempt in (
        "document.body.innerHTML = '<b>'",
        "document.body.insertAdjacentHTML('beforeend', '<b>')",
        "new DOMParser().parseFromString('<b>', 'text/html')",
        "document.createElement('script').src = '/x.js'",
        "document.createElement('script').textContent = '1'",
        "document.createElement('iframe').srcdoc = '<b>'",
        "document.write('<b>')",
        "trustedTypes.createPolicy('another', {})",
        "trustedTypes.createPolicy('parley', {})",
        "trustedTypes.createPolicy('default', {})",
    ):
        failed = page.evaluate("() => { try { " + attempt + "; return '' } catch (error) { return error.name } }")
        assert failed == "TypeError", attempt
    visit.expects = ""  # The browser tells of each.


@pytest.mark.parametrize("tag", ["script", "iframe", "object", "embed", "base", "link", "style", "meta"])
def test_what_would_run_or_load_comes_out_as_text(page, tag):
    intercept(
        page, "**/fragment", lambda route: route.fulfill(content_type="text/html", body=f"<p>one</p><{tag} src=/x>")
    )
    page.evaluate("() => htmx.ajax('GET', '/fragment', { target: '#notice', swap: 'innerHTML' })")
    expect(page.locator("#notice")).to_contain_text(f"<{tag} src=/x>")
    assert page.locator(f"#notice {tag}").count() == 0
