"""What turns Markdown and formulas into HTML: how fast, and how right.

    .venv/bin/pip install --target /tmp/parsers markdown-it-py mdit-py-plugins linkify-it-py cmarkgfm pyromark \\
        latex2mathml
    PYTHONPATH=/tmp/parsers .venv/bin/python -m bench.markdown

What is not installed is left out. The texts are docs/architecture.md (English with code and tables) and those of
bench/texts.json.
"""

import json
from importlib import import_module
from pathlib import Path
from timeit import repeat

import comrak
from math_core import LatexError, LatexToMathML

from webapp.markdown import EXTENSIONS, OPTIONS, blocks, render

from .harness import show

HERE = Path(__file__).parent
SAMPLES = json.loads((HERE / "texts.json").read_bytes())
TEXTS = {
    "English, tables, code": (HERE.parent / "docs/architecture.md").read_text(),
    "Chinese": "\n\n".join(s["text"] for kind, pair in SAMPLES.items() if kind.startswith("Chinese") for s in pair) * 5,
    "code in fences": "\n\n".join(f"```python\n{s['text']}\n```" for s in SAMPLES["Python"]) * 5,
    "formulas": r"Let $x_1 \in \mathbb{R}$ and \(\frac{a}{b}\):"
    + "\n\n$$\n\\sum_{i=1}^n i = \\frac{n(n+1)}{2}\n$$\n\n" * 20,
}
# What a chat needs, and what must not come out, or must.
CHECKS = {
    "raw HTML is text": ("a <b>b</b>\n\n<div>c</div>", lambda html: "<b>" not in html and "&lt;div&gt;c" in html),
    "no javascript: link": ("[a](javascript:b)", lambda html: 'href="javascript' not in html),
    "no remote image": ("![a](https://b.c/d.png)", lambda html: "<img" not in html),
    "**注意：**正文": ("**注意：**正文", lambda html: "<strong>注意：</strong>" in html),
    "address before 。": ("见https://a.bc。好", lambda html: 'href="https://a.bc"' in html),
    "$5 and $6": ("$5 and $6", lambda html: "math" not in html and "$5 and $6" in html),
    r"\(x\)": (r"a \(x_1\) b", lambda html: "<msub>" in html or "math" in html),
    "$$ with - b": ("$$\na\n- b\n$$", lambda html: "<li>" not in html),
    "| $|x|$ |": ("| a | b |\n|--|--|\n| $|x|$ | c |", lambda html: ">c<" in html),
    "footnote": ("a[^1]\n\n[^1]: b", lambda html: "href" in html),
}
FORMULAS = [
    *(
        r"\frac{a}{b}",
        r"\begin{aligned}a&=b\\c&=d\end{aligned}",
        r"\begin{pmatrix}1&2\\3&4\end{pmatrix}",
        r"\mathbb{R}^n",
    ),
    *(
        r"\sum_{i=1}^n i",
        r"\operatorname{softmax}(x)",
        r"\left(\frac{a}{b}\right)^2",
        r"\text{if } x<0",
        r"\lVert x\rVert_2",
    ),
    *(
        r"\begin{cases}1&x>0\\0\end{cases}",
        r"\nabla\cdot\mathbf{E}=\frac{\rho}{\varepsilon_0}",
        r"\xrightarrow{f}",
        r"\not=",
    ),
    *(
        r"\arg\max_\theta L",
        r"\underbrace{a+b}_{c}",
        r"\int_0^\infty e^{-x^2}\,dx",
        r"\binom{n}{k}",
        r"\hat{y}",
        r"\boxed{x}",
    ),
]
UNSAFE = [r"\href{javascript:a}{b}", r"\class{a}{b}", r"\style{color:red}{b}", r"\text{<script>a</script>}"]


def parsers():
    """Yield name and function from text to HTML of each parser that is here, set up as near to our needs as it goes."""
    yield "Parley", lambda text: str(render(text, "name"))
    yield "comrak, tree alone", lambda text: comrak.parse_document(text, EXTENSIONS, OPTIONS)
    html = comrak.RenderOptions(escape=True)
    yield "comrak", lambda text: comrak.markdown_to_html(text, EXTENSIONS, OPTIONS, html)
    if markdown_it := found("markdown_it"):
        parser = markdown_it.MarkdownIt("commonmark", {"html": False, "linkify": bool(found("linkify_it"))})
        parser.enable(["table", "strikethrough", *(["linkify"] if found("linkify_it") else [])])
        if found("mdit_py_plugins"):
            parser.use(import_module("mdit_py_plugins.footnote").footnote_plugin)
            parser.use(import_module("mdit_py_plugins.dollarmath").dollarmath_plugin, allow_digits=False)
            parser.use(import_module("mdit_py_plugins.tasklists").tasklists_plugin)
        yield "markdown-it-py", parser.render
    if cmarkgfm := found("cmarkgfm"):
        yield "cmarkgfm", cmarkgfm.github_flavored_markdown_to_html
    if pyromark := found("pyromark"):
        options = pyromark.Options.ENABLE_TABLES | pyromark.Options.ENABLE_FOOTNOTES | pyromark.Options.ENABLE_MATH
        yield "pyromark", lambda text: pyromark.html(text, options=options)


def found(module):
    try:
        return import_module(module)
    except ImportError:
        return None


def microseconds(function, count):
    """Return the time of one call, the best of five."""
    return min(repeat(function, number=count, repeat=5)) / count * 1e6


def speed():
    rows = [("µs per KB", *TEXTS)]
    for name, convert in parsers():
        times = (microseconds(lambda c=convert, t=text: c(t), 5) / len(text.encode()) * 1000 for text in TEXTS.values())
        rows.append((name, *(f"{time:.0f}" for time in times)))
    show(*rows)


def correctness():
    rows = [("", *CHECKS)]
    for name, convert in parsers():
        if name != "comrak, tree alone":
            rows.append((name, *("yes" if right(convert(text)) else "no" for text, right in CHECKS.values())))
    print()
    show(*zip(*rows, strict=True))


def growing():
    """The cost of an answer that is rendered from its open block on with every piece of 20 characters."""
    text = TEXTS["English, tables, code"]

    def stream():
        since = 0
        for end in range(20, len(text), 20):
            since = max((block.start for block in blocks(text[:end], "name", since=since, open=True)), default=since)

    time = microseconds(stream, 1)
    piece = time / len(text) * 20
    print(f"\n{len(text) / 1000:.0f} KB in pieces of 20 characters: {time / 1000:.0f} ms, {piece:.0f} µs a piece")


def formulas():
    print()
    rows = [("formulas", "of our list", "µs each", "unsafe ones refused or as text")]
    ours = LatexToMathML(fancy_error=False)
    kinds = [("math-core", lambda latex: ours.convert_with_local_state(latex, displaystyle=True), LatexError)]
    if found("latex2mathml"):
        kinds.append(("latex2mathml", import_module("latex2mathml.converter").convert, Exception))
    for name, convert, error in kinds:

        def tried(latex, convert=convert, error=error):
            try:
                return convert(latex)
            except error:
                return ""

        done = sum(bool(tried(latex)) for latex in FORMULAS)
        time = microseconds(lambda tried=tried: [tried(latex) for latex in FORMULAS], 5) / len(FORMULAS)
        safe = sum(not any(bad in tried(latex) for bad in ("href", "class=", "style=", "<script")) for latex in UNSAFE)
        rows.append((name, f"{done} of {len(FORMULAS)}", f"{time:.0f}", f"{safe} of {len(UNSAFE)}"))
    show(*rows)


if __name__ == "__main__":
    speed()
    correctness()
    growing()
    formulas()
