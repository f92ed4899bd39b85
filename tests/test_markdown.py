"""An answer's Markdown as HTML: what a reader sees, and what a model cannot do."""

import gc
import re
from html.parser import HTMLParser
from pathlib import Path

import comrak
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pygments.lexers import LEXERS

from webapp import lexing
from webapp.highlighting import CLASSES, highlight, highlight_open
from webapp.markdown import blocks, plain, render
from webapp.mathml import to_mathml

VOID = {"br", "hr", "input"}
# Every tag and attribute that may come out; the values of these attributes are checked where they are made.
TAGS = re.compile(
    "p|h[3-6]|blockquote|hr|ul|ol|li|input|div|span|button|pre|code|table|thead|tbody|tr|th|td|a|bdi|em|strong|del|br|sup"
)
ATTRIBUTES = re.compile(
    "dir|lang|id|class|start|type|disabled|checked|aria-label|tabindex|role|href|target|rel|data-(copy|copied|not-copied)"
)


ROOT = Path(__file__).parent.parent


class Page(HTMLParser):
    """What a browser makes of it: text, tags, attributes; fails where a tag is not closed."""

    def __init__(self, html):
        super().__init__()
        self.text, self.tags, self.ids, self.links, self.open = "", [], [], [], []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs, empty=False):
        math = "math" in (*self.open, tag)
        self.tags.append(tag)
        for name, value in attrs:
            assert math or ATTRIBUTES.fullmatch(name)
            assert not math or not re.match("on|href|src|style|id", name)
            if name == "id":
                self.ids.append(value)
            if name == "href":
                self.links.append(value)
                assert re.match("https?://|mailto:|#name-", value)
        assert math or TAGS.fullmatch(tag)
        if tag not in VOID and not empty:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs, empty=True)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data

    def handle_decl(self, decl):
        raise AssertionError(decl)

    handle_comment = handle_pi = unknown_decl = handle_decl


def html(text, **more):
    return str(render(text, "name", **more))


def shown(text):
    """Return the text that a reader sees."""
    return Page(html(text)).text.strip()


def inner(text):
    """Return the HTML of a text of one paragraph, without the paragraph."""
    return re.fullmatch(r"<p[^>]*>(.*)</p>\n", html(text), re.DOTALL)[1]


# Plain text


def test_plain_text_is_shown_as_it_is():
    assert plain('<b onclick="x">&amp;') == "&lt;b onclick=&#34;x&#34;&gt;&amp;amp;"


@pytest.mark.parametrize("cut", range(12))
def test_pieces_of_plain_text_add_up_to_the_whole(cut):
    text = "a<b>\r\n& 汉字😀"
    assert plain(text[:cut]) + plain(text[cut:]) == plain(text)


# Blocks


SAMPLE = """Intro with `code`.
# Title
Text after it.

- one
- two

  loose

| a | b |
|---|--:|
| 1 | 2 |

```python
print("hi")
```
$$
a = b
- c
$$

> quote[^1]

[^1]: A note.
"""


def test_blocks_say_where_their_source_begins():
    found = blocks(SAMPLE, "name")
    assert [SAMPLE[block.start :].split("\n")[0] for block in found] == [
        *("Intro with `code`.", "# Title", "Text after it.", "- one", "| a | b |", "```python", "$$", "> quote[^1]"),
        "[^1]: A note.",
    ]


def test_rendered_from_any_block_on_it_is_the_same():
    whole = blocks(SAMPLE, "name")
    for i, block in enumerate(whole):
        assert blocks(SAMPLE, "name", since=block.start) == whole[i:]
    assert render(SAMPLE, "name") == "".join(block.html for block in whole)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_every_kind_of_line_end_is_counted(end):
    text = SAMPLE.replace("\n", end)
    assert [text[block.start :][:2] for block in blocks(text, "name")][:3] == ["In", "# ", "Te"]


def test_headings_stand_below_those_of_the_page():
    assert re.findall("<h.", html("# a\n## b\n### c\n#### d\n##### e\n###### f")) == [
        "<h3",
        "<h4",
        "<h5",
        "<h6",
        "<h6",
        "<h6",
    ]


def test_a_list_that_becomes_loose_changes_nothing_of_what_was_shown():
    tight, loose = html("- a\n- b"), html("- a\n- b\n\n  more\n- c")
    assert loose.startswith(tight.removesuffix("</li>\n</ul>\n"))


def test_a_list_begins_with_its_own_number():
    assert '<ol start="3" dir="auto">' in html("3. c\n4. d")
    assert "<ol dir" in html("1. a")


def test_a_task_says_whether_it_is_done():
    page = html("- [x] a\n- [ ] b")
    assert '<input type="checkbox" disabled checked aria-label="Done"><p>a</p>' in page
    assert '<input type="checkbox" disabled aria-label="To do"><p>b</p>' in page


def test_a_table_scrolls_and_keeps_its_alignment():
    page = html("| a | b | c |\n|:--|:-:|--:|\n| 1 | 2 | 3 |")
    assert page.startswith('<div class="table" tabindex="0" role="group" aria-label="Table"><table>')
    assert re.findall('<td class="(.*?)"', page) == ["left", "center", "right"]


def test_our_words_are_said_in_the_pages_language():
    said = {"Copy": "复制", "Code": "代码", "Copied": "<已复制>"}
    page = html("```\nx\n```", gettext=lambda message: said.get(message, message))
    assert ">复制</button>" in page and "<span>代码</span>" in page and 'data-copied="&lt;已复制&gt;"' in page


@pytest.mark.parametrize(
    ("rows", "columns", "row", "tables"),
    [(900, 20, "|a" * 20, 1), (2, 90, "|a" * 90, 1), (100, 5, "|", 1), (1100, 20, "|a" * 20, 0), (200, 100, "|", 0)],
)
def test_a_table_has_so_many_cells_and_no_more(rows, columns, row, tables):
    page = html("|a" * columns + "|\n" + "|-" * columns + "|\n" + f"{row}|\n" * rows)
    assert page.count("<table>") == tables
    assert tables or ("|-|-|" in page and "<td" not in page)


# Code


@pytest.mark.parametrize("language", ["", "python", "js", "c++", "nosuchlanguage", "html", "diff", "console", "json"])
@pytest.mark.parametrize(
    "code", ["x", "a\n\tb  ", "<b>&amp;", "\n\n  x = '\\n'", "$ ls\nfoo", "+a\n-b", "", "$$x$$ [^1]"]
)
def test_copied_code_is_exactly_the_source(language, code):
    page = html(f"```{language}\n{code}\n```")
    page = page[page.index("<code") :]
    assert Page(page[: page.index("</code>")] + "</code>").text == code


def test_code_is_coloured_and_named():
    page = html("```py\ndef f(): return 1 # one\n```")
    assert (
        '<span class="nf">f</span>' in page and '<span class="c"># one</span>' in page and "<span>Python</span>" in page
    )


def test_a_comment_is_coloured_on_the_last_line_too():
    assert highlight("ls  # all", "bash") == 'ls  <span class="c"># all</span>'


HOSTILE = ("a\n", " \n", "a.", '"\\', "(", "{\n", "/*", "a b c\n", "=:\n", "`", "<!--", "汉\n", "'''")


@pytest.mark.parametrize("language", sorted(lexing.LEXERS))
def test_every_language_shows_the_code_that_it_was_given(language):
    alias = LEXERS[language][2][0]
    for unit in HOSTILE:
        code = unit * (600 // len(unit))
        assert Page(f"<pre>{highlight(code, alias)}</pre>").text == code


def test_an_expression_sees_a_window_and_a_comment_its_end():
    assert lexing._bounded(None, "[a ]+", 0, "")("a " * 1000, 10).end() == 10 + lexing.WINDOW
    assert lexing._bounded(None, r"/\*.*?\*/", 0, "")(f"/*{'a ' * 1000}*/").end() == 2004


@pytest.mark.parametrize("code", ["'\\" * 300, "x" * 3000, "x = 1\n" * 2001], ids=["no end", "a line", "size"])
def test_code_is_plain_that_takes_too_much_work(code):
    assert "<span" in highlight("x = 'a'\n" * 20, "python")
    assert highlight(code, "python") == highlight(code, "")


def test_a_language_that_was_not_measured_has_its_name_and_no_colours():
    page = html("```autohotkey\nif 1\n```")
    assert "<span>autohotkey</span>" in page and '<code id="name-code-0">if 1</code>' in page


def test_large_code_stays_plain():
    assert "<span" not in highlight("x = 1\n" * 10_000, "python")


def test_code_that_grows_changes_its_beginning_seldom():
    lines = [f"x{i} = {i}\n" for i in range(60)]
    before, changes = "", 0
    for i in range(len(lines)):
        now = highlight_open("".join(lines[: i + 1]), "python")
        changes += not now.startswith(before)
        before = now
        assert Page(f"<pre>{now}</pre>").text == "".join(lines[: i + 1])
    assert changes <= 6


def test_only_a_fence_without_an_end_is_taken_for_growing():
    fence = "```python\n" + "x = 1\n" * 9
    assert blocks(fence, "name", open=True)[0].html.count('<span class="m">') == 8
    assert blocks(fence, "name")[0].html == blocks(fence + "```", "name", open=True)[0].html


def luminance(colour):
    channels = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_every_colour_of_code_can_be_read_in_both_themes():
    style = (ROOT / "static/style.css").read_text()
    colours = dict(re.findall(r"--(code-\w+|ink|quiet): light-dark\(([^)]*)\)", style))
    assert len(colours) >= 11
    for i in (0, 1):
        paper = luminance(colours["code-paper"].split(", ")[i])
        for name in colours.keys() - {"code-paper"}:
            lighter, darker = sorted((paper, luminance(colours[name].split(", ")[i])), reverse=True)
            assert (lighter + 0.05) / (darker + 0.05) >= 4.5, (name, i)


def test_every_class_of_code_has_its_colour():
    style = (ROOT / "static/style.css").read_text()
    coloured = {
        name
        for rule in re.findall(r"^\.prose (.*) \{ color: var\(--code", style, re.M)
        for name in re.findall(r"\.(\w+)", rule)
    }
    assert coloured == set(CLASSES.values())


# Formulas


@pytest.mark.parametrize(
    ("text", "formulas"),
    [
        ("$5 and $6", 0),
        ("$5, or $6.50.", 0),
        ("It costs $5 and US$6", 0),
        ("$x$5", 0),
        ("$ x$ and $x $", 0),
        (r"\$x\$", 0),
        ("`$x$` and ``$`$ y``", 0),
        ("$x_1$ and $y_1$.", 2),
        (r"\(a_1 * b * c_1\)", 1),
        ("设$x$为实数", 1),
        ("a $$x$$ b", 1),
        (r"a \[ x \] b", 1),
        ("$$\na\n= b\n- c\n> 0\n$$", 1),
        ("\\[\n\\begin{pmatrix} a & b \\\\\nc & d \\end{pmatrix}\n- b\n\\]", 1),
        ("as follows: $$\nx\n- y\n$$ and", 1),
        ("- item\n  $$\n  a\n  - b\n  $$\n- other", 1),
        ("> $$\n> a\n> - b\n> $$", 1),
        ("| a |\n|---|\n| $|x|$ |", 1),
        ("```\n$x$\n```", 0),
        ("$$\na\n\nb\n$$", 0),
        ("```\n$$\n```\n$$x$$", 1),
        ("$a$\n\n$b", 1),
        ("$$\\begin{aligned}a&=b\\\\[2pt]c&=d\\end{aligned}$$", 1),
        (r"$$\begin{equation}a\label{x}\end{equation}$$", 1),
        (r"$$E = mc^2 \tag{1}$$", 1),
        (r"$\sum_{\substack{i\\j}}$", 1),
    ],
)
def test_formulas_are_told_from_dollars(text, formulas):
    page = Page(html(text))
    assert page.tags.count("math") == formulas
    assert formulas or "math" not in html(text)


def test_formulas_do_not_tear_the_blocks_around_them():
    assert html("- item\n  $$\n  a\n  - b\n  $$\n- other").count("<li>") == 2
    assert html("> $$\n> a\n> - b\n> $$\n> end").count("<blockquote>") == 1


def test_a_formula_that_cannot_be_read_is_shown_as_its_source():
    assert inner(r"$\frac{a$") == r'<code class="math">$\frac{a$</code>'
    assert inner(r"so \(\nosuchcommand\)") == r'so <code class="math">\(\nosuchcommand\)</code>'


def test_a_formula_that_has_no_end_yet_is_one_block():
    assert html("$$\na\n- b\n") == '<p dir="auto"><code class="math">$$\na\n- b</code></p>\n'


def test_a_formula_whose_end_has_come_by_half_is_still_one_block():
    assert html("$$\na\n- b\n$") == '<p dir="auto"><code class="math">$$\na\n- b\n$</code></p>\n'


@pytest.mark.parametrize(
    "latex",
    [
        *(r"\href{javascript:x}{a}", r"\class{x}{a}", r"\style{color:red}{a}", r"\htmlId{x}{a}", r"\url{http://x}"),
        *(r"\text{<b onclick=x>&amp;</b>}", r"\eqref{a}", r"\color{red}x", r"\begin{equation}a\label{b}\end{equation}"),
        *(r"\def\a{\a\a}\a", "{" * 400 + "}" * 400, r"\sqrt" * 900 + "x", r"\mathrm{</math><script>}", '"><script>'),
    ],
)
def test_a_formula_holds_nothing_of_the_models_but_text(latex):
    Page(html(f"$${latex}$$"))


def test_aligned_rows_are_classes_since_styles_are_not_allowed():
    mathml = to_mathml(r"\begin{aligned}a&=b\end{aligned}", True)
    assert 'class="right"' in mathml and " style=" not in mathml


# Links and images


@pytest.mark.parametrize(
    ("text", "url", "after"),
    [
        ("请看https://example.com。你好", "https://example.com", "。你好"),
        ("（https://a.b/c）", "https://a.b/c", "）"),
        ("https://a.b/c，然后", "https://a.b/c", "，然后"),
        ("https://a.b/c然后", "https://a.b/c", "然后"),
        ("“https://a.b/c”", "https://a.b/c", "”"),
        ("(see https://a.b/c_(d)).", "https://a.b/c_(d)", ")."),
        ("https://a.b/?x=1&y=2.", "https://a.b/?x=1&y=2", "."),
        ("https://a.b/c_d_e!", "https://a.b/c_d_e", "!"),
        ("https://münchen.de/ä", "https://münchen.de/ä", ""),
        ("www.example.com, too", "https://www.example.com", ", too"),
        ("write to foo.bar@example.com.", "mailto:foo.bar@example.com", "."),
        ("<https://a.b/c>", "https://a.b/c", ""),
        ("http://localhost:8080/x", "http://localhost:8080/x", ""),
    ],
)
def test_addresses_become_links_and_end_where_they_end(text, url, after):
    page = Page(html(text))
    assert page.links == [url]
    assert page.text.rstrip("\n").endswith(after) if after else True
    assert page.text.replace(" (xn--mnchen-3ya.de)", "").strip() == text.strip("<>")


@pytest.mark.parametrize("text", ["https://", "www.", "a@b", "http://[", "xhttps://a.b", "@a.b", "https://[::1"])
def test_what_is_no_address_stays_text(text):
    assert Page(html(text)).links == []
    assert shown(text) == text


@pytest.mark.parametrize(
    "url",
    [
        *("javascript:alert(1)", "JaVaScRiPt:x", "data:text/html,x", "vbscript:x", "file:///etc/passwd", "//evil.com"),
        *(
            "/clear",
            "#x",
            "?a=b",
            "ftp://a.b",
            "java&#10;script:x",
            "&#1;javascript:x",
            "https:",
            "https:///x",
            "blob:x",
        ),
    ],
)
def test_other_addresses_are_shown_as_text(url):
    assert Page(html(f"[words]({url}) ![words]({url}) <{url}>\n\n[a]: {url}\n[a]")).links == []
    assert "words" in shown(f"[words]({url})")


def test_a_link_opens_beside_the_chat_and_tells_nothing():
    assert 'target="_blank" rel="noopener noreferrer nofollow">words</a>' in html("[words](https://a.b)")


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("[words](https://example.com/path)", "example.com"),
        ("[https://bank.com](https://evil.com)", "evil.com"),
        ("[https://bank.com/evil.com](https://evil.com)", "evil.com"),
        ("[evil.com.bank.com](https://evil.com)", "evil.com"),
        ("[x](https://bank.com@evil.com)", "evil.com"),
        ("https://bank.com@evil.com", "evil.com"),
        ("[а.com](https://а.com)", "xn--80a.com"),
        ("https://faß.de", "xn--fa-hia.de"),
        ("[\u202emoc.live](https://evil.com)", "evil.com"),
        ("[mail](mailto:a@b.c)", "a@b.c"),
        ("![](https://a.b/c.png)", "a.b"),
        ("[docs](./docs.md)", "./docs.md"),
    ],
)
def test_a_link_shows_where_it_goes(text, host):
    assert re.findall(r'<bdi class="link-host">\((.*?)\)</bdi>', html(text)) == [host]


@pytest.mark.parametrize(
    "url", ["https://evil.com\\\\@bank.com/", "https://bank.com%5C\\\\@evil.com", "https:\\\\evil.com"]
)
def test_a_backslash_which_browsers_take_for_a_slash_is_in_no_address(url):
    assert "href" not in html(f"[your bank]({url})")


@pytest.mark.parametrize(
    "text", ["https://a.b/c", "[a.b](https://www.a.b)", "[https://a.b/c](https://a.b/c?d)", "x@y.de"]
)
def test_a_link_that_says_so_itself_is_not_told_twice(text):
    assert "link-host" not in html(text)


def test_signs_that_turn_text_about_are_taken_from_a_links_text():
    assert "\u202e" not in html("[a\u202eb](https://a.b)")


def test_an_image_is_a_link_and_never_loaded():
    page = html("![a *cat*](https://a.b/c.png) ![](http://a.b/d) [![x](https://a.b/e)](https://a.b/f)")
    assert "<img" not in page
    assert 'class="image" href="https://a.b/c.png"' in page and "Image: a <em>cat</em></a>" in page
    assert Page(page).links == ["https://a.b/c.png", "http://a.b/d", "https://a.b/f"]


# Raw HTML


@pytest.mark.parametrize(
    "text", ["<div>\n*a*\n</div>", "<!-- x -->", "<script>alert(1)</script>", "<b onclick='x'>", "<?php x ?>"]
)
def test_html_is_shown_as_it_was_written(text):
    assert shown(text) == text
    assert shown(f"a {text.splitlines()[0]} b") == f"a {text.splitlines()[0]} b"


def test_everything_is_escaped_once():
    assert inner("&lt;b&gt; &amp;amp; \\<i> \"x\" 'y'") == "&lt;b&gt; &amp;amp; &lt;i&gt; &quot;x&quot; &#x27;y&#x27;"


# Footnotes


def test_a_footnote_and_its_mark_lead_to_each_other():
    page = html("a[^1] b[^1]\n\n[^1]: Note.\n")
    assert page.count('href="#name-note-1"') == 2 and page.count('id="name-ref-1"') == 1
    assert 'id="name-note-1"' in page and 'href="#name-ref-1" aria-label="Back to reference 1"' in page


def test_a_mark_is_the_same_before_its_footnote_has_come():
    text = "a[^1]\n\n[^1]: Note.\n"
    assert blocks(text[:8], "name", open=True)[0] == blocks(text, "name")[0]


@pytest.mark.parametrize("label", ["a", "my_note", "smith-jones", "注", "1.2"])
def test_a_mark_has_any_label_that_its_footnote_has(label):
    page = Page(html(f"A[^{label}].\n\n[^{label}]: Note."))
    assert len(page.links) == 2 and {link[1:] for link in page.links} == {i for i in page.ids if "-" in i}


def test_a_mark_without_its_footnote_is_text():
    assert inner("use [^abc] in it [^1]") == "use [^abc] in it [^1]"
    assert "footnote-ref" not in html("a [^b]\n\n```\n[^b]: x\n```")


def test_a_regular_expression_is_no_footnote():
    assert inner("[^a-z] [^0-9] [^,] [^)]") == "[^a-z] [^0-9] [^,] [^)]"


# Chinese, Japanese, Korean


@pytest.mark.parametrize(
    ("text", "strong"),
    [
        # The cases of https://github.com/commonmark/commonmark-spec/issues/650 and its duplicates.
        ("**テスト。**テスト", "テスト。"),
        ("**テスト**。テスト", "テスト"),
        ("**テスト、**テスト", "テスト、"),
        ("**テスト**、テスト", "テスト"),
        ("**テスト？**テスト", "テスト？"),
        ("**テスト**？テスト", "テスト"),
        ("これは**私のやりたかったこと。**だからするの。", "私のやりたかったこと。"),
        ("これは**「重要なこと」**です。", "「重要なこと」"),
        ("这是**我想做的事。**所以继续。", "我想做的事。"),
        ("**注意：**正文", "注意："),
        ("他说**“你好”**然后走了", "“你好”"),
        ("使用**（括号）**的文字", "（括号）"),
        ("**《书名》**是一本书", "《书名》"),
        ("价格**100%**上涨", "100%"),
        ("请用**`pip`**安装", "<code>pip</code>"),
        ("문서를 작성할 때 **마크다운(Markdown)**을 사용하세요.", "마크다운(Markdown)"),
        ("**이것은 예시입니다.**다음", "이것은 예시입니다."),
        ("**This is what I want.** So", "This is what I want."),
        ("中文**English.**中文", "English."),
        ("测试**“引号”、《书》！**测试", "“引号”、《书》！"),
    ],
)
def test_emphasis_beside_full_width_punctuation(text, strong):
    assert re.findall("<strong>(.*?)</strong>", html(text)) == [strong]


def test_chinese_is_emphasised_with_dots_and_latin_is_slanted():
    assert inner("*重点*和*word*") == '<em class="dotted">重点</em>和<em>word</em>'


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Words", None),
        ("你好，世界", "zh-Hans"),
        ("這個問題應該這樣說", "zh-Hant"),
        ("世界の言葉", "ja"),
        ("カタカナ", "ja"),
        ("안녕하세요", "ko"),
        ("在中文里引用一个日语的假名「の」也还是中文的句子", "zh-Hans"),
        ("Привет", None),
    ],
)
def test_a_block_says_its_language_where_the_glyphs_depend_on_it(text, language):
    assert (re.findall('^<p lang="(.*?)"', html(text)) or [None]) == [language]
    assert (re.findall('^<ul lang="(.*?)"', html(f"- {text}")) or [None]) == [language]


@pytest.mark.parametrize(
    ("text", "joined"),
    [
        ("你好\n世界", "你好世界"),
        ("你好，\n世界", "你好，世界"),
        ("**你好**\n世界", "<strong>你好</strong>世界"),
        ("*你好*\n世界", '<em class="dotted">你好</em>世界'),
        ("你好\nworld", "你好\nworld"),
        ("one\ntwo", "one\ntwo"),
        ("안녕\n세계", "안녕\n세계"),
        ("日本\n語です", "日本語です"),
    ],
)
def test_a_line_end_between_solid_characters_is_no_space(text, joined):
    assert inner(text) == joined


# Whatever comes


MARKS = st.sampled_from(
    [
        *(
            "*",
            "**",
            "_",
            "~~",
            "`",
            "```",
            "\n```\n",
            "~~~\n",
            "[",
            "](",
            ")",
            "![",
            "<",
            ">",
            "> ",
            "- ",
            "1. ",
            "\n",
            "\n\n",
        ),
        *(
            "|",
            "|-|-|\n",
            "# ",
            "$",
            "$$",
            "\n$$\n",
            r"\(",
            r"\)",
            r"\[",
            r"\]",
            "[^1]",
            "\n[^1]: ",
            "[^ab]",
            "&amp;",
            "\\",
        ),
        *(
            "https://a.b/",
            "www.a.b",
            "a@b.c",
            "<b>",
            "</b>",
            "<!--",
            "-->",
            "<script>",
            "\r",
            "\r\n",
            "\t",
            "    ",
            "\0",
        ),
        *(
            "\ud800",
            "\ufdd0",
            "\ufdd1",
            "\ufdd2",
            "\ufdd5",
            "0",
            "中文",
            "。",
            "かな",
            "한",
            "\u202e",
            "😀",
            "---",
            "===",
            "- [ ] ",
        ),
        *("\\frac{a}{b}", "\\href{javascript:x}{y}", "\\text{<i>}", "{", "}", "javascript:", '"', "'", "python"),
    ]
)
TEXT = st.lists(st.one_of(MARKS, st.text(max_size=5)), max_size=40).map("".join)


@given(TEXT, st.booleans())
@example("[a](https://a.b/\ufdd0)", False)
@example("\\```$a$", False)
@example("\ufdd00\ufdd1$x$", False)
@example("![[^1]$x$](https://a.b)", True)
def test_any_text_becomes_whole_and_harmless_html(text, open):
    found = blocks(text, "name", open=open)
    for block in found:
        Page(block.html)
    page = Page("".join(block.html for block in found))
    assert len(set(page.ids)) == len(page.ids)
    assert all(id_.startswith("name-") for id_ in page.ids)
    starts = [block.start for block in found]
    assert starts == sorted(set(starts)) and all(0 <= start < len(text) for start in starts)


@given(st.text(st.characters(categories=["L", "N", "Zs"]), max_size=200))
def test_text_without_markup_is_the_same_text(text):
    assert " ".join(shown(text).split()) == " ".join(text.split())


DEEP = [
    *(">" * 100_000, "> " * 20_000 + "a", "- " * 50_000, "1. " * 50_000, "*" * 50_000 + "a" + "*" * 50_000),
    *("**a " * 20_000 + "b** " * 20_000, "_" * 50_000 + "a" + "_" * 50_000, "![" * 20_000 + "a" + "](b)" * 20_000),
    *("\n".join("  " * i + "- a" for i in range(1500)), "[" * 100_000, "`" * 100_000, "~~a" * 20_000, "<" * 100_000),
    *(
        "$" + "{" * 400 + "}" * 400 + "$",
        "a" * 1_000_000,
        "$$" * 50_001,
        r"\(" * 50_000,
        "|a" * 5000 + "\n" + "|-" * 5000,
    ),
]


@pytest.mark.parametrize("text", DEEP, ids=range(len(DEEP)))
def test_what_nests_without_end_overflows_nothing(text):
    Page(html(text))


@pytest.mark.parametrize("text", [">" * 150 + " a", "*" * 1100 + "a", "![" * 1100, "*" * 400 + "a" + "_b" * 700])
def test_what_would_nest_too_deep_is_text(text):
    assert "".join(shown(text).split()).replace(">", "") == "".join(text.split()).replace(">", "")
    assert not re.search("[\ufdd0-\ufdef]", html(text))


@pytest.mark.timeout(20)
@pytest.mark.parametrize("many", ["- ```a\n", "> ```\n", "- ~~~\n  x\n  ~~~\n"])
def test_many_blocks_of_code_in_one_list_take_no_longer_than_elsewhere(many):
    found = render(many * 20_000, "name")
    ids = re.findall(r'<code id="([^"]*)"', found)
    assert len(ids) == len(set(ids))


def test_a_text_that_was_rendered_leaves_nothing_in_memory():
    """The parser's objects hold each other in circles, which nothing collects."""

    def nodes():
        gc.collect()
        return sum(isinstance(one, comrak.AstNode) for one in gc.get_objects())

    before = nodes()
    render(
        "# One\n\n- *two* `three` [four](http://five.six)\n\n| a |\n|---|\n| b |\n\n> - seven[^1]\n\n[^1]: Eight.", "x"
    )
    list(blocks("A **b**\n\nc", "x", open=True))
    assert nodes() == before
