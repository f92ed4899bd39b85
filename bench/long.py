"""A conversation of 1,000 turns beside an empty one: its page, and an answer that streams into it.

    .venv/bin/python -m bench.long [--turns 1000] [--tokens 2000] [--runs 3]

Long tasks are those in which the browser does nothing else for more than 50 ms, by its own `PerformanceObserver`.
"""

import argparse
import json
import re
from time import monotonic

from playwright.sync_api import sync_playwright

from tests import chromium

from .harness import Parley, Stub, medians, show
from .page import WATCH
from .stub import Order

LONG_TASKS = """window.longTasks = [];
new PerformanceObserver(list => longTasks.push(...list.getEntries().map(entry => entry.duration)))
  .observe({type: "longtask", buffered: true});"""
TEXT = "A paragraph of **ordinary** text that goes on for a while, as answers do. " * 8 + "\n\n- one\n- two\n"


def fill(page, url, count):
    """Give the visitor's conversation turns, as an import does."""
    path = re.search(r"/conversations/[\w-]+/", page.context.request.get(url).text()).group()
    said = [(role, text) for n in range(count) for role, text in (("user", f"Question {n}?"), ("assistant", TEXT))]
    content = json.dumps([{"role": role, "content": text} for role, text in said]).encode()
    file = {"name": "turns.json", "mimeType": "application/json", "buffer": content}
    page.context.request.post(f"{url}{path}import", multipart={"file": file, "import": "turns"})


def ask(page, order):
    """Ask as a person does; return milliseconds to the first text, and to the settled answer."""
    page.fill("textarea[name=question]", str(order))
    page.evaluate(WATCH, order.text)
    page.keyboard.press("Enter")
    times = page.evaluate("watched")
    return times["first"] - times["enter"], times["settled"] - times["enter"]


def measure(page, url, tokens):
    """Return the page's milliseconds and KB, an answer's milliseconds, and the longest tasks of both."""
    began = monotonic()
    html = page.context.request.get(url).body()
    fetched = (monotonic() - began) * 1000
    page.goto(url)
    page.wait_for_timeout(500)
    opening = max(page.evaluate("longTasks"), default=0)
    first, _ = ask(page, Order(2, rate=10))
    _, settled = ask(page, Order(tokens))
    streaming = max(page.evaluate("longTasks"), default=0)
    return fetched, len(html) / 1000, opening, first, settled, streaming


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=1_000)
    parser.add_argument("--tokens", type=int, default=2_000)
    parser.add_argument("--runs", type=int, default=3, help="of which the median is shown")
    arguments = parser.parse_args()

    path = chromium.find() or parser.error(chromium.HELP)
    rows = []
    with Stub() as stub, Parley(stub.url, "stub") as parley, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        for name, count in (("empty", 0), (f"{arguments.turns:,} turns", arguments.turns)):
            runs = []
            for _ in range(arguments.runs):
                page = browser.new_context().new_page()
                page.add_init_script(LONG_TASKS)
                page.goto(parley.url)
                if count:
                    fill(page, parley.url, count)
                runs.append(measure(page, parley.url, arguments.tokens))
            rows.append((name, *medians(runs)))
        browser.close()
    head = ("", "page ms", "page KB", "longest task", "first text ms", "tokens at once, settled", "longest task")
    show(head, *rows)


if __name__ == "__main__":
    main()
