"""What a model writes is shown and never obeyed, wherever its text is cut and wherever it comes from."""

import re
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from justhtml import JustHTML

from webapp.markdown import render
from webapp.unfolding import Unfolding, ended

from . import hostile
from .page_text import PageText

PLAIN = set(
    [
        "p",
        "h3",
        "h4",
        "h5",
        "h6",
        "blockquote",
        "hr",
        "ul",
        "ol",
        "li",
        "div",
        "span",
        "pre",
        "code",
        "table",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "bdi",
        "em",
        "strong",
        "del",
        "br",
        "sup",
    ]
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
MATH = set(
    [
        "math",
        "mi",
        "mn",
        "mo",
        "ms",
        "mtext",
        "mspace",
        "mrow",
        "mfrac",
        "msqrt",
        "mroot",
        "mstyle",
        "merror",
        "mpadded",
        "mphantom",
        "menclose",
        "msub",
        "msup",
    ]
)
MATH |= set(
    ["msubsup", "munder", "mover", "munderover", "mmultiscripts", "mprescripts", "mtable", "mtr", "mtd", "semantics"]
)
NEVER_IN_MATH = re.compile("on|href|src|style|id$|xlink|action|data|hx")


@cache
def check(skeleton):
    """Parse HTML as browsers do, and fail at anything that is not on the list."""
    left = [JustHTML(skeleton, fragment=True, sanitize=False, scripting_enabled=True).root]
    while left:
        node = left.pop()
        left += node.children or []
        if node.name in ("#text", "#document-fragment"):
            continue
        attributes = node.attrs or {}
        if node.namespace == "math":
            assert node.name in MATH, node.name
            assert not [name for name in attributes if NEVER_IN_MATH.match(name)], attributes
            continue
        assert node.namespace == "html" and node.name in PLAIN | OTHERS.keys(), node.name
        assert attributes.keys() <= SHARED | OTHERS.get(node.name, set()), (node.name, attributes)
        for name, value in attributes.items():
            assert name not in VALUES or re.fullmatch(VALUES[name], value), (name, value)
        assert node.name != "input" or "disabled" in attributes


def check_html(html):
    # Text without a `<` is text to every parser, so that what differs in that alone is looked at once.
    check(re.sub(r">[^<>]+(?=<)", ">", html))


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


@pytest.mark.slow
def test_no_text_is_anything_but_text_wherever_it_is_cut():
    for text in hostile.every():
        for html in renderings(text):
            check_html(html)


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
