"""What a model writes is shown and never obeyed, wherever its text is cut and wherever it comes from."""

import html as entities
import re
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from justhtml import JustHTML
from markupsafe import Markup
from playwright.sync_api import expect

from webapp.catalog import is_name
from webapp.following import _event, _piece
from webapp.growth import Change
from webapp.markdown import render
from webapp.unfolding import Unfolding, ended

from . import hostile
from .conftest import Chat, ask, intercept
from .openai_server import DONE, SILENCE, Reply, chunk, event
from .page_text import PageText
from .test_modes import Mode
from .test_transfer import send

PLAIN = re.compile(
    "p|h[3-6]|blockquote|hr|ul|ol|li|div|span|pre|code|table|thead|tbody|tr|th|td|a|button|input|bdi|em|strong|del|br|sup"
)
SHARED = {"dir", "lang", "class"}
# The attributes that an element may have beside these.
OTHERS = {
    "a": {"href", "target", "rel", "aria-label", "id"},
    "button": {"type", "data-copy", "data-copied", "data-not-copied"},
    "input": {"type", "disabled", "checked", "aria-label"},
    "code": {"id"},
    "div": {"id", "tabindex", "role", "aria-label"},
    "pre": {"tabindex"},
    "ol": {"start"},
}
VALUES = {
    "href": r"https?://[^\s\\]+|mailto:[^\s\\]+|#name-(?:note|ref)-[\w-]+",
    "id": r"name-(?:note|ref)-[\w-]+|name-code-\d+(?:-\d+)?",
    "data-copy": r"name-code-\d+(?:-\d+)?",
    "target": "_blank",
    "rel": "noopener noreferrer nofollow",
    "type": "button|checkbox",
    "dir": "auto|ltr",
    "lang": "zh-Han[st]|ja|ko",
    "class": "[a-z -]{1,20}",
}
MATH = re.compile(
    "math|mi|mn|mo|ms|mtext|mspace|mrow|mfrac|msqrt|mroot|mstyle|merror|mpadded|mphantom|menclose|msub|msup|msubsup|"
    "munder|mover|munderover|mmultiscripts|mprescripts|mtable|mtr|mtd|semantics"
)
NEVER_IN_MATH = re.compile("on|href|src|style|id$|xlink|action|data|hx")


@cache
def check(html):
    """Parse HTML as browsers do, and fail at anything that is not on the list."""
    left = [JustHTML(html, fragment=True, sanitize=False, scripting_enabled=True).root]
    while left:
        node = left.pop()
        left += node.children or []
        if node.name in ("#text", "#document-fragment"):
            continue
        attributes = node.attrs or {}
        if node.namespace == "math":
            assert MATH.fullmatch(node.name), node.name
            assert not [name for name in attributes if NEVER_IN_MATH.match(name)], attributes
            continue
        assert node.namespace == "html" and PLAIN.fullmatch(node.name), node.name
        assert attributes.keys() <= SHARED | OTHERS.get(node.name, set()), (node.name, attributes)
        for name, value in attributes.items():
            assert name not in VALUES or re.fullmatch(VALUES[name], value), (name, value)
        assert node.name != "input" or "disabled" in attributes


def skeleton(html):
    """Return HTML without its text: without a `<` it is text to every parser, and looked at once."""
    return re.sub(r">[^<>]+(?=<)", ">", html)


def check_html(html):
    check(skeleton(html))


def renderings(text):
    """Yield the HTML of a text after each character, as streamed, broken off there, and at its end."""
    unfolding = Unfolding("name")
    page = PageText()
    for character in text:
        for change in (changes := unfolding.feed(character)):
            yield str(change.html)
        page.apply(changes)
        yield page.html
    page.apply(unfolding.finish(text))
    yield page.html
    yield str(render(text, "name"))


@cache
def shapes():
    """Return the HTML of all texts, ours and a collection's, wherever they are cut: one for each of its skeletons."""
    found = {}
    for text in [*hostile.every(), *hostile.known()]:
        for html in renderings(text):
            if "<" in html:
                found.setdefault(skeleton(html), html)
    return found


@pytest.mark.slow
def test_no_text_is_anything_but_text_wherever_it_is_cut():
    assert len(shapes()) > 400
    for shape in shapes():
        check(shape)


@pytest.mark.parametrize("text", hostile.OVERLONG, ids=range(len(hostile.OVERLONG)))
def test_what_is_overlong_is_text(text):
    check_html(render(text, "name"))
    check_html(ended("chat", "name", text[:-1], str, broken_off=True))


PIECES = [
    *hostile.RAW,
    *hostile.MUTATING,
    *hostile.SCHEMES,
    *hostile.LATEX,
    *hostile.FRAMING,
    hostile.MARKUP,
    *"\n<>[]()!`$|\\\"'&#^:*_~-",
    *(
        "\n\n",
        "](",
        "[^1]",
        "\n[^1]: ",
        "```",
        "\n$$\n",
        "\\(",
        "\\)",
        "\n|-|-|\n",
        "    ",
        "> ",
        "- [ ] ",
        "https://",
        "&#x202e;",
    ),
]


@given(st.lists(st.sampled_from(PIECES), max_size=12), st.lists(st.integers(1, 40), min_size=1, max_size=6))
@settings(max_examples=300, deadline=None)
def test_no_mixture_is_anything_but_text(pieces, sizes):
    text = "".join(pieces)
    unfolding, page, at, step = Unfolding("name"), PageText(), 0, 0
    while at < len(text):
        size = sizes[step % len(sizes)]
        page.apply(unfolding.feed(text[at : at + size]))
        check_html(page.html)
        at, step = at + size, step + 1
    page.apply(unfolding.finish(text))
    check_html(page.html)
    assert page.html == render(text, "name")


# Links say where they go


HOST = re.compile(r'<bdi class="link-host">\((.*?)\)</bdi>')
UNSEEN = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u180b\u180e\u200b\u200c\u200d\u200e\u200f\u2028\u2029\u202a\u202d\u202e\u2060"
)
UNSEEN += "\u2066\u2067\u2069\u206f\u2800\u3164\ufe00\ufeff\uffa0\ufff9"
UNSEEN += "\U0001bca0\U0001d173\U000e0001\U000e0041\U000e01ef"


@pytest.mark.parametrize("sign", UNSEEN, ids=ascii)
def test_a_sign_that_nobody_sees_disguises_no_link(sign):
    for inside in (
        f"a{sign}b",
        f"`a{sign}b`",
        f"<a{sign}b>",
        f"**a{sign}**",
        f"a&#{ord(sign)};b",
        f"$\\text{{{sign}}}$",
    ):
        html = render(f"[{inside}](https://evil.example)", "name")
        assert sign not in html
        assert HOST.findall(html) == ["evil.example"]
    # What seems to go on is told where it ends.
    html = render(f"https://evil.example{sign}.bank.example/login", "name")
    assert 'href="https://evil.example"' in html and HOST.findall(html) == ["evil.example"]
    # And in an address it is none.
    assert sign not in render(f"[x](<https://a.example/{sign}b>)", "name")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (f"[x](https://{'bank.example.' * 12}evil.example)", "bank.example.evil.example"),
        (f"[x](mailto:{'a' * 90}@evil.example)", "a@evil.example"),
        ("https://bank.example@evil.example/", "evil.example"),
        ("[https://evil.example:x@bank.example/](https://evil.example)", "evil.example"),
        (r"[$\phantom{evil.example/}$bank.example](https://evil.example)", "evil.example"),
        ("https://evil.example/\u05d0/bank.example", "evil.example"),
        ("https://1.2.3.4/\u0627/bank.example", "1.2.3.4"),
        ("[x](https://b\u0430nk.example)", "xn--bnk-6cd.example"),
        ("[x](https://bank.example\u3002evil.example)", "bank.example.evil.example"),
    ],
)
def test_a_remark_tells_whose_a_link_is(text, told):
    (host,) = HOST.findall(render(text, "name"))
    assert host.endswith(told) and len(host) <= 80


@pytest.mark.parametrize(
    "url", ["https://%65vil.example", "https://bank.example%E3%80%82evil.example/", "https://a%00.example"]
)
def test_a_host_that_a_browser_would_decode_is_no_link(url):
    assert "href" not in render(f"[x]({url}) <{url}> {url}", "name")


# In a browser


EVENTS = """() => [...new Set([window, document, HTMLElement, SVGElement, HTMLBodyElement, HTMLMediaElement]
    .flatMap((one) => [...Object.getOwnPropertyNames(one), ...Object.getOwnPropertyNames(one.prototype ?? {})])
    .filter((name) => /^on[a-z]+$/.test(name)))]"""
PUT = "(parts) => { document.body.innerHTML = parts.join('<hr>') }"
# After what an image without an address, or a document's load, would have called.
SETTLED = "() => new Promise((done) => requestAnimationFrame(() => setTimeout(done)))"
LOOK = """(where) => {
    const all = [...document.querySelector(where).querySelectorAll("*")];
    const ours = "a, p, h3, h4, h5, h6, blockquote, hr, ul, ol, li, div, span, button[type=button], pre, code, "
        + "table, thead, tbody, tr, th, td, bdi, em, strong, del, br, sup, input[disabled], math, math *";
    return {
        ran: window.times ?? 0,
        attributes: all.flatMap((one) => one.getAttributeNames())
            .filter((name) => /^(on|hx|data-hx|sse|_|name$|style$)/.test(name)),
        others: all.filter((one) => !one.matches(ours)).map((one) => one.tagName),
        schemes: [...new Set(all.filter((one) => one.href).map((one) => one.protocol))].sort(),
    };
}"""
TAKEN = """() => ({
    taken: ["panel", "composer", "question", "htmx"].filter((name) => window[name] || document[name]),
})"""
NOTHING = {"ran": 0, "attributes": [], "others": [], "schemes": ["about:", "http:", "https:", "mailto:"]}


@pytest.mark.slow
@pytest.mark.browser
def test_where_no_policy_saves_the_page_nothing_runs_loads_or_leads_away(browser):
    page = browser.new_page()
    gone = []
    for name in ("request", "framenavigated", "popup"):
        page.on(name, lambda what: gone.append(what.url))
    page.route("**/*", lambda route: route.abort())
    page.evaluate("() => { window.ran = () => { window.times = (window.times ?? 0) + 1 } }")
    events = page.evaluate(EVENTS)
    assert len(events) > 80
    # As many events as this Chromium has, on every element.
    texts = [f"<{element} {' '.join(f'{name}=ran()' for name in events)}>x" for element in hostile.ELEMENTS]
    parts = {
        html: html for html in (str(render(text, "name")) for text in [*texts, *hostile.OVERLONG, "http://a.example"])
    }
    page.evaluate(PUT, [*parts.values(), *shapes().values()])
    page.evaluate(SETTLED)
    assert (page.evaluate(LOOK, "body") | page.evaluate(TAKEN), gone) == (NOTHING | {"taken": []}, [])
    # What would run is noticed.
    with page.expect_request("https://evil.example/**"):
        page.evaluate(
            PUT, [f"<img src=data:, onerror=ran()><iframe src={hostile.EVIL}/x></iframe><form name=question>"]
        )
    page.evaluate(SETTLED)
    assert page.evaluate(LOOK, "body")["ran"] == 1 and gone
    assert page.evaluate(TAKEN)["taken"] == ["question"]
    page.close()


# Through the application


TYPED = "".join([*hostile.RAW[:4], *hostile.RAW[-9:], "\n\n", *hostile.MUTATING[:4], "\n\n", *hostile.FRAMING[:8]])
LINKED = "\n\n".join(shape.format(scheme) for shape, scheme in zip(hostile.IN_LINKS * 5, hostile.SCHEMES, strict=False))


def delta(index=0, **fields):
    return event({"choices": [{"index": index, "delta": fields, "finish_reason": None}]})


@pytest.fixture
def watched(visit, live):
    """A visitor's page, all requests of which are watched, and what a script of the model's would have done."""
    page = visit(live)
    page.evaluate("() => { window.ran = () => { window.times = (window.times ?? 0) + 1 } }")
    page.left = []
    for name in ("request", "framenavigated", "popup"):
        page.on(name, lambda what: page.left.append(what.url.removeprefix(live)))
    page.on("dialog", lambda dialog: page.left.append(dialog.message))
    yield page
    allowed = r"/conversations/[\w-]+/(ask|estimate|answers/[\w-]+/stream\?after=[\d:,-]*)(\?.*)?|/static/.*"
    assert [url for url in page.left if not re.fullmatch(allowed, url)] == []
    assert page.evaluate("window.times ?? 0") == 0
    # All that is ours is where it was.
    expect(page.locator("form#composer #question")).to_be_visible()
    assert page.locator("[id]").evaluate_all("all => all.length - new Set(all.map(one => one.id)).size") == 0


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.parametrize("text", [TYPED, LINKED], ids=["markup", "links"])
def test_no_stream_of_single_characters_is_obeyed(watched, openai, text):
    text = text.replace("\ud800", "").replace("\udfff", "")
    steps = [delta(**{field: sign}) for field in ("reasoning_content", "content") for sign in text]
    openai.enqueue(Reply([*steps, event(chunk(finish="stop")), DONE]))
    ask(watched)
    expect(watched.locator(".answer[data-status=done]")).to_be_visible()
    for where in (".answer .text", ".thoughts"):
        html = watched.locator(where).evaluate("one => one.innerHTML")
        check_html(re.sub(r'((?:id|href|data-copy)="#?)(?:text|reasoning)-[\w-]{22}-', r"\1name-", html))


@pytest.mark.slow
@pytest.mark.browser
def test_no_stream_is_obeyed_wherever_its_text_is_cut(watched, app, openai):
    """All shapes come as an answer's events, one by one, and htmx puts them where they belong."""
    openai.enqueue(Reply([SILENCE]))
    streams = []

    def stream(route):
        answer_id = re.search("answers/([^/]+)/stream", route.request.url)[1]
        with app.app_context():
            bodies = [_piece(f"text-{answer_id}", Change("beforeend", 0, Markup(html))) for html in shapes().values()]
        bodies.insert(0, f'<hx-partial hx-target="#polling-{answer_id}" hx-swap="delete"></hx-partial>')
        streams.append(len(bodies))
        body = "".join(_event(html, {0: at}) for at, html in enumerate(bodies))
        route.fulfill(content_type="text/event-stream", body=body + "event: end\ndata:\n\n")

    intercept(watched, "**/stream?*", stream)
    watched.left.clear()
    ask(watched)
    last = watched.locator(".answer .text > *").last
    watched.wait_for_function(
        "(count) => document.querySelector('.answer .text')?.childElementCount >= count", arg=len(shapes())
    )
    expect(last).to_be_attached()
    watched.evaluate(SETTLED)
    found = watched.evaluate(LOOK, ".answer .text")
    assert found | {"schemes": []} == NOTHING | {"schemes": []}
    assert {"javascript:", "data:", "vbscript:"}.isdisjoint(found["schemes"]) and len(streams) == 1
    watched.evaluate("() => document.querySelector('.answer .text').replaceChildren()")  # Each had the same ids.


# Where no Markdown is rendered


def structure(page):
    """Return the elements of a page, each with the names of its attributes, as a browser reads them."""
    left, found = [JustHTML(page, sanitize=False).root], []
    while left:
        node = left.pop()
        left += reversed(node.children or [])
        if node.name != "#text":
            found.append((node.name, *sorted(node.attrs or {})))
    return found


WORD = hostile.MARKUP + "'--></title></textarea></script><b hx-get=/x>\r\n\u202e"


@pytest.mark.parametrize("place", ["error", "reason", "usage", "model", "completion", "choices", "header", "picture"])
def test_what_is_no_markdown_is_text_on_the_page_and_among_its_requests(client, app, openai, place):
    def pages(word):
        mode = {"completion": "/completion", "picture": "/images"}.get(place, "/")
        chat = Mode(client, mode)
        openai.enqueue(reply_of(place, word))
        if place == "choices":
            chat.set(n=2)
        chat.ask("One?")
        page = chat.settled()
        inside = chat.client.get(f"/conversations/{chat.id}/answers/{chat.answer().id}/exchange").text
        chat.post("clear", confirmed="1")
        return page, inside

    plain = [structure(page) for page in pages("word")]
    hostile_pages = pages(WORD)
    assert [structure(page) for page in hostile_pages] == plain
    assert "onerror=ran()" in entities.unescape("".join(hostile_pages))


def reply_of(place, word):
    if place == "error":
        return Reply.error(400, word, code=word, kind=word)
    if place == "header":
        return Reply.error(400, "No.", headers={"x-request-id": word.replace("\r\n", "").replace("\u202e", "")})
    if place == "picture":
        picture = {"url": "https://a.example/" + "".join(word.split()), "revised_prompt": word}
        return Reply.json({"created": 1, "data": [picture, {"url": hostile.JS, "revised_prompt": "x"}]})
    if place == "completion":
        return Reply.completion(word)
    more = {"model": word} if place == "model" else {}
    if place == "usage":
        more["usage"] = {"prompt_tokens": word, "prompt_tokens_details": {word: word}}
    end = event(chunk(finish=word if place == "reason" else "stop", **more))
    others = [delta(1, content=f"`{word}`")] if place == "choices" else []
    return Reply([event(chunk("x")), *others, end, DONE])


def test_the_names_of_models_are_text(client, openai):
    def page(word):
        names = [{"id": word, "name": f"{word} too", "owned_by": word}, {"id": "other", "aliases": [word]}]
        openai.models = Reply.json({"object": "list", "data": names})
        client.post("/models/refresh")
        return client.get("/models?now=1").text

    found = page(hostile.MARKUP)
    assert structure(found) == structure(page('"word')) and "onerror=ran()" in entities.unescape(found)


@pytest.mark.parametrize("sign", UNSEEN, ids=ascii)
def test_no_two_models_look_alike_for_a_sign_that_nobody_sees(sign):
    assert is_name("model-4") and not is_name(f"model{sign}-4")


def test_an_imported_conversation_is_text(client):
    def page(word):
        chat = Chat(client)
        messages = [{"role": "user", "content": word}, {"role": "assistant", "content": f"`{word}`", "model": word}]
        assert send(chat, messages).status_code == 303
        page = chat.page()
        chat.post("clear", confirmed="1")
        return page

    found = page(WORD)
    assert structure(found) == structure(page("word")) and "onerror=ran()" in entities.unescape(found)
