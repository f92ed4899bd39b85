"""What it costs to render an answer while it streams, against sending it as plain text.

    .venv/bin/python -m bench.rendering [--largest 1000000]

Each text is fed in tokens of five characters, as fast as it goes: no update is left out because one comes too soon.
"""

import argparse
from time import process_time

from tests.page_text import PageText
from webapp.markdown import render
from webapp.unfolding import Unfolding, Unrendered

from .harness import show

TOKEN = 5  # characters
TEXTS = {
    "prose": "A sentence of *plain* words with `code` in it, and one more that goes on. " * 4 + "\n\n",
    "Chinese": "**注意：**这是一个句子，里面有「强调」和普通的文字，后面还有一句。" * 3 + "\n\n",
    "a paragraph": "words and more words, *some* of them stressed; ",
    "code": "    x = [y ** 2 for y in range(10)]  # a comment\n",
    "a list": "- an **item** with [a link](https://example.org/)\n",
    "a table": "| one | **two** | `three` |\n",
    "a quote": "> > > quoted *words* of somebody\n",
}
BEGINNINGS = {"code": "```python\n", "a table": "| a | b | c |\n|---|---|---|\n"}


def cost(kind, source):
    """Return the microseconds of CPU a token, and the characters sent for each of the text; checks the result."""
    text, page, sent = kind("text"), PageText(), []
    began = process_time()
    for start in range(0, len(source), TOKEN):
        sent.append(text.feed(source[start : start + TOKEN]))
    sent.append(text.finish(source))
    spent = process_time() - began
    characters = sum(len(change.html) for changes in sent for change in changes)
    if kind is Unfolding and len(source) <= 100_000:
        for changes in sent:
            page.apply(changes)
        assert page.html == render(source, "text")
    return spent / len(source) * TOKEN * 1e6, characters / len(source)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--largest", type=int, default=100_000, help="characters of the longest text")
    largest = parser.parse_args().largest
    rows = [("microseconds a token", "characters", "plain", "Markdown", "sent a character")]
    for name, unit in TEXTS.items():
        for size in (2_000, 20_000, 100_000, 1_000_000):
            if size <= largest:
                source = BEGINNINGS.get(name, "") + unit * (size // len(unit))
                rows.append((name, len(source), cost(Unrendered, source)[0], *cost(Unfolding, source)))
    show(*rows)


if __name__ == "__main__":
    main()
