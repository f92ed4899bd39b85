"""A text that streams in: what the page shows at every length, and what is sent for it."""

import re
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from webapp import unfolding
from webapp.growth import growth
from webapp.markdown import blocks, render
from webapp.unfolding import Unfolding, Unrendered, ended

from .page_text import PageText, nodes, words

ANSWER = """# A head with *stress*

A paragraph with **bold text**, *stress*, `code`, ~~gone~~ and a [link](https://example.org/c_d "title") in it.
Its second line has <b>raw</b> HTML &amp; an entity, https://example.com/x_y and $x^2$ for $5.

- one
- two **bold**
  - nested `code`

    a paragraph in it
- [x] done
- [ ] to do

3) three
4) four

   ```python
   def f(x):
       return x ** 2
   ```

| a | b | c |
|---|:-:|--:|
| 1 | **2** | 3 |
| `x` | y |

> a quote **bold
> on** and on
>> deeper

$$
\\frac{a}{b}
- c
$$

**注意：**正文「**强调**」。*重要*的，~~删除~~
第二行

Set
===

---
```
no language
```
a\\*b 2 * 3 snake_case_name *open **ended
"""

NASTY = [
    "para\n- \nx",
    "a\n#\nb",
    "a\n# b\nc",
    "x\n| a |\ny",
    "| a |\n| b |\nc",
    "a | b\n--|--\nc | **d",
    "|x| < 3\nok",
    "- a\n\n- b\n\n\n  c\n\nd",
    "1. a\n\n   - b\n\n     > c\n\nx",
    "- ```\n  a\n\nb **c**",
    "> ```\n> a\nb `c`",
    "~~~\na\n~~~~ \n`b",
    "```a`b\nc",
    "``` `\n x",
    "    code\n\n    more **x\ny",
    "\ta\n\n*b",
    "<div>\n\n**a\n\n</div>",
    "<!-- a\n\nb -->\nc",
    "[a]: /x\n\n[a] and [b]\n\n[b]: https://b.c",
    "[^1] x\n\n[^1]: note\n\nmore",
    "[a](b c) [d] e",
    "![alt *x*](http://e.f/g.png) h",
    "[a [b] c](http://x.y/(z)) d",
    "[a](<b c> 'd') e",
    "**a *b** c* d",
    "***a** b* c",
    "*a _b* c_",
    "a**b**c 2**3",
    "_a_b_ __c__",
    "``a`b`` `` ` `` `c",
    "a\\",
    "a\\\nb",
    "a  \nb",
    "&copy; &#65; &x &",
    "$$a$$ $b",
    "\\[ a\n\nb \\]",
    "\\(a\\) \\(b",
    "$a\n$ b$",
    "a\n===\nb\n---\nc",
    "***\n\n---\n- - -\n* * *",
    "1986\\. x\n1) y",
    "-\n\n  a",
    "- a\n-\n- b",
    "a\r\nb\r\n\r\n- c\r\n",
    "\r\r*a\r",
    "\n\n  \n a",
    "> \n> \n>a\n\nb",
    "*" * 40,
    "[" * 30 + "]" * 30,
    "`" * 9 + "a",
    "> " * 20 + "a\n" * 3,
    "- " * 20 + "a",
    "😀*é*😀\n\u3000「*」",
    "http",
    "https://a.b/*c*_d_ e www.x.y",
    "a | b | c\n-|-|-\n|||\n|\n\nx",
    "```python\nif x:\n" + "    y = 1  # z\n" * 30 + "```\nend",
    "a\x00b\ufffdc\u2028d",
]


def unfold(cuts, shown=""):
    """Feed pieces of text; yield the page after each, with the text that it shows so far."""
    text = Unfolding("t", shown)
    page = PageText(text.html)
    for cut in cuts:
        page.apply(text.feed(cut))
        yield page, text


def same_as_at_once(source, cuts):
    *_, (page, text) = unfold(cuts)
    page.apply(text.finish(source))
    assert page.html == render(source, "t")


@pytest.mark.parametrize("source", [ANSWER, *NASTY])
def test_the_page_is_a_function_of_the_text_alone_at_every_length(source):
    for page, text in unfold(source):
        if not text.waits:
            assert page.html == Unfolding("t", source[: text.shown]).html
    page.apply(text.finish(source))
    assert page.html == render(source, "t")


@given(st.lists(st.sampled_from([*NASTY, *ANSWER.split("\n"), "\n", "\n\n", " "]), max_size=8), st.data())
@settings(max_examples=150, deadline=None)
def test_wherever_a_text_is_cut_the_end_is_what_rendering_it_at_once_gives(parts, data):
    source = "".join(parts) + "."
    cuts, left = [], source
    while left:
        size = data.draw(st.integers(1, 40))
        cuts.append(left[:size])
        left = left[size:]
    same_as_at_once(source, cuts)


@given(st.text("ab *_`~[]()!<>&|-+#=:\\$\n\n1.é汉：", min_size=1, max_size=60))
@settings(max_examples=400, deadline=None)
def test_any_signs_come_to_the_same_end(source):
    same_as_at_once(source, source)


@pytest.mark.parametrize("position", range(0, len(ANSWER), 7))
def test_a_stream_goes_on_from_any_position(position):
    *_, (page, text) = unfold([ANSWER[position : position + 50], ANSWER[position + 50 :]], ANSWER[:position])
    page.apply(text.finish(ANSWER))
    assert page.html == render(ANSWER, "t")


def test_what_was_final_is_sent_once():
    parts = [f"Paragraph {i} with **some** `words` in it.\n\n" for i in range(40)]
    source = "".join(parts)
    pieces = [source[i : i + 5] for i in range(0, len(source), 5)]
    *_, (page, text) = unfold(pieces)
    page.apply(text.finish(source))
    assert page.sent == len(page.html)


HALF = {
    "**": "Some **bold** words.",
    "*": "Some *stressed* words.",
    "`": "Some `code` here.",
    "~": "It is ~~gone~~ now.",
    "[": "See [the page](https://example.org/a) for more.",
    "]": "See ![an image](https://example.org/a.png) there.",
    "|": "| head | more |\n|---|---|\n| **a** | b |\n",
    "$": "So $$x^2$$ is.",
    "\\": "So \\(x^2\\) is.",
    "-": "- one\n- two\n- [ ] three\n",
    "#": "## Head\n\n### Next\n",
    "```": "```python\nx = 1\n```\n",
    "=": "One.\n\n- - -\n\nTwo.",
    "：": "**注意：**正文**强调**。",
    "&": "Cats &amp; dogs.",
    "***": "***Both* of** them.",
    ">": "> Quote\n> > more",
    "_": "__One__ _two_ snake_case.",
}
MARKERS = {**{sign: sign for sign in HALF}, "&": "&amp;", "：": "*", "=": "-", ">": "&gt;", "_": "__"}


@pytest.mark.parametrize("sign", HALF)
def test_no_half_sign_is_ever_seen(sign):
    for page, _ in unfold(HALF[sign]):
        shown = words(page.html)
        if sign == "_":
            assert not re.search(r"\b_|_\b", shown)
        elif sign == "&":
            assert "&a" not in shown
        else:
            assert MARKERS[sign] not in shown


@pytest.mark.parametrize("sign", HALF)
def test_what_is_shown_stays(sign):
    before = ""
    for page, _ in unfold(HALF[sign]):
        shown = words(page.html).replace(" ", "")
        assert shown.startswith(before)
        before = shown


def test_a_table_is_one_from_its_first_line_on():
    for page, text in unfold("| One | Two |\n|:--|--:|\n| a | b |\n"):
        assert not page.html or "<table>" in page.html, text.shown


def test_a_head_is_no_list_and_no_other_head_before_it_is_known():
    for source in ("Text\n---x", "Text\n-1", "Text\n==x", "10 apples", "#hashtag", "Text\n#hashtag"):
        for page, _ in unfold(source):
            assert "<h" not in page.html
            assert "<li" not in page.html
            assert "<hr" not in page.html


ENDLESS = {
    "prose": lambda n: "Words *and* more `words` follow here. " * n,
    "plain": lambda n: "words and more words " * n,
    "code": lambda n: "```python\n" + "x = [y ** 2 for y in range(10)]\n" * n,
    "list": lambda n: "- an **item** with [a link](https://example.org/)\n" * n,
    "table": lambda n: "| a | b | c |\n|---|---|---|\n" + "| one | **two** | `three` |\n" * n,
    "quote": lambda n: "> > > quoted **words** \n" * n,
    "paragraphs": lambda n: "A paragraph of *some* words.\n\n" * n,
    "stars": lambda n: "a ** b * c _ d [ e ` f " * n,
    "lines": lambda n: "a line\n" * n,
}


@pytest.mark.parametrize("kind", ENDLESS)
def test_work_and_bytes_stay_in_proportion_to_the_text(kind, monkeypatch):
    def cost(size):
        seen = []

        def counted(text, name, *, since=0, **more):
            seen.append(len(text) - since)
            return blocks(text, name, since=since, **more)

        monkeypatch.setattr(unfolding, "blocks", counted)
        source = ENDLESS[kind](size)
        pieces = [source[i : i + 12] for i in range(0, len(source), 12)]
        *_, (page, text) = unfold(pieces)
        page.apply(text.finish(source))
        return sum(seen) / len(source), page.sent / len(page.html)

    (small_work, small_bytes), (work, sent) = cost(60), cost(400)
    assert work < 2 * small_work + 64
    assert sent < 1.5 * small_bytes + 4


def test_text_that_waits_is_shown_when_the_model_pauses():
    text = Unfolding("t", "word " * 1000)
    page = PageText(text.html)
    assert text.feed("and") == []
    assert text.waits
    page.apply(text.flush())
    assert page.html.endswith("and</p>\n")
    assert text.flush() == []


def test_a_definition_at_the_end_changes_what_came_before_it():
    source = "See [here][a].\n\nMore words.\n\nAnd more.\n\n[a]: https://example.org\n"
    *_, (page, text) = unfold(source)
    page.apply(text.finish(source))
    assert page.html == render(source, "t")


@pytest.mark.parametrize(
    "source",
    [
        "1. Run:\n   ```sh\n   ls\n\nThen $x^2$ holds and [^1].\n",
        "- ```\n  a\n\nb **c**$$a$$ $b",
        "> ```\n> a\nb $x$\n",
        "As stated in [^1]: it holds.\n\nAgain [^1].\n\n[^1]: The note.",
    ],
)
def test_code_ends_with_the_list_that_it_stands_in_and_a_footnote_begins_a_line(source):
    *_, (page, text) = unfold(source)
    page.apply(text.finish(source))
    assert page.html == render(source, "t")


def test_what_is_begun_anew_in_the_middle_goes_on_from_there():
    source = '$"\n\n![。\n> !<div>\n1\\)](「\n  \\('
    for seed in range(200):
        pieces, rest = [], source
        while rest:
            cut = Random(f"{seed} {len(rest)}").choice((1, 2, 3, 5, 9))
            pieces, rest = [*pieces, rest[:cut]], rest[cut:]
        *_, (page, text) = unfold(pieces)
        page.apply(text.finish(source))
        assert page.html == render(source, "t"), pieces


def test_what_is_broken_off_stays_as_it_was_shown():
    source = "One.\n\nSo **a long"
    *_, (page, text) = unfold(source)
    before = page.html
    page.apply(text.finish(source, broken_off=True))
    assert page.html == before == ended("chat", "t", source, str, broken_off=True)
    assert "<strong>a long</strong>" in before
    assert "**" in ended("chat", "t", source, str)


def test_what_is_broken_off_is_not_empty_where_only_a_sign_came():
    *_, (page, text) = unfold("##")
    assert page.html == ""
    page.apply(text.finish("##", broken_off=True))
    assert page.html == ended("chat", "t", "##", str, broken_off=True) != ""


def test_what_is_not_rendered_is_appended_as_it_is():
    page, text = PageText(), Unrendered("t")
    for piece in ("**a", " <b>\r", "\n- c"):
        page.apply(text.feed(piece))
    page.apply(text.finish("**a <b>\r\n- c!"))
    assert page.html == "**a &lt;b&gt;&#13;\n- c!"


TREE = st.recursive(
    st.sampled_from(["a", "b ", "&amp;", "<br>", "", "\n"]),
    lambda inner: st.builds(
        lambda tag, kind, parts: f"<{tag}{kind}>{''.join(parts)}</{tag}>",
        st.sampled_from(["p", "em", "li"]),
        st.sampled_from(["", ' class="x"']),
        st.lists(inner, max_size=4),
    ),
    max_leaves=12,
)
HTML = st.lists(TREE, max_size=4).map("".join)


@given(HTML, HTML, st.integers(0, 60))
@settings(max_examples=400, deadline=None)
def test_the_changes_make_one_html_of_another(old, other, common):
    # Two that begin alike are what the text of an answer is.
    new = _closed(old[:common]) + other
    for before, after in ((old, other), (old, new), (new, old)):
        changes = growth(_markup(before), _markup(after))
        if changes is not None:
            page = PageText(before)
            page.apply(changes)
            assert page.html == after


def _markup(html):
    return type(render("", "t"))(html)


def _closed(beginning):
    beginning = re.sub(r"<[^>]*\Z|&[^;]*\Z", "", beginning)
    opened = []
    for close, tag in re.findall(r"<(/?)(\w+)", beginning):
        if close:
            opened.pop()
        elif tag != "br":
            opened.append(tag)
    closed = beginning + "".join(f"</{tag}>" for tag in reversed(opened))
    assert nodes(closed) is not None
    return closed
