"""What a person waits for, in a real browser: first text, whole answer, stop; and what the stream costs.

    .venv/bin/python -m bench.page [--runs 5] [--tokens 2000] [--rate 200] [--history 50]

Times are the browser's own, from the pressed Enter to the frame in which the page has the text. The model
is a stub that answers at once, so that everything measured is Parley's and the browser's.
"""

import argparse
import re
from html import unescape
from statistics import median
from time import monotonic, sleep

from playwright.sync_api import sync_playwright

from tests import chromium
from webapp.markdown import render

from .harness import Parley, Stub, medians, show
from .stub import Order

# Begins to watch; `watched` is kept until the last answer is settled, and then holds the times.
WATCH = """whole => {
  const times = {messages: 0};
  addEventListener("keydown", event => times.enter = event.timeStamp, {once: true, capture: true});
  const count = () => times.messages++;
  document.addEventListener("htmx:sse:after:message", count);
  const before = document.querySelectorAll(".answer").length;
  window.watched = new Promise(resolve => {
    const look = now => {
      const answer = [...document.querySelectorAll(".answer")].slice(before).at(-1);
      const text = answer?.querySelector(".text").textContent.trim();
      if (text) times.first ??= now;
      if (text === whole) times.whole ??= now;
      if (answer && answer.dataset.status !== "pending") {
        document.removeEventListener("htmx:sse:after:message", count);
        resolve({...times, settled: now});
      } else requestAnimationFrame(look);
    };
    requestAnimationFrame(look);
  });
}"""


def shown(order):
    """Return the text of an answer as a reader sees it."""
    return unescape(re.sub("<[^>]*>", "", render(order.text, "text"))).strip()


def ask(page, order):
    """Ask as a person does; return milliseconds to the first text, to the whole and to its end, and the messages."""
    page.fill("textarea[name=question]", str(order))
    page.evaluate(WATCH, shown(order))
    page.keyboard.press("Enter")
    times = page.evaluate("watched")
    assert "whole" in times, "The page does not show the answer as it was sent."
    return *(times[name] - times["enter"] for name in ("first", "whole", "settled")), times["messages"]


def bytes_of_stream(page, order):
    """Return the bytes that an answer's stream takes on the wire, headers and all, and its messages a second."""
    devtools = page.context.new_cdp_session(page)
    devtools.send("Network.enable")
    responses, received = [], []
    devtools.on("Network.responseReceived", lambda event: responses.append(event))
    devtools.on("Network.dataReceived", lambda event: received.append(event))
    first, whole, _, messages = ask(page, order)
    page.wait_for_timeout(200)  # The page closes the stream, so that the browser reports no end of it.
    devtools.detach()
    head = next(event for event in responses if "/stream" in event["response"]["url"])
    body = sum(event["encodedDataLength"] for event in received if event["requestId"] == head["requestId"])
    return head["response"]["encodedDataLength"] + body, messages / (whole - first) * 1000


def stop(page, stub):
    """Return the milliseconds from a click on Stop until the model notices that nobody listens any more."""
    page.fill("textarea[name=question]", str(Order(1, silent=True)))
    page.keyboard.press("Enter")
    page.wait_for_selector(".answer[data-status=pending] .text:not(:empty)")
    began = monotonic()
    page.evaluate("document.getElementById('stop').click()")
    noticed = stub.hung_up() - began
    page.wait_for_selector(".answer[data-status=stopped]")
    return noticed * 1000


def clear(page):
    """Empty the conversation."""
    page.once("dialog", lambda dialog: dialog.accept())
    page.click("#clear")
    page.wait_for_selector(".answer", state="detached")


def add_turns(page, url, count):
    """Give the conversation turns of 100 tokens, and open it again."""
    requests = page.context.request
    path = re.search(r"/conversations/[\w-]+/ask", requests.get(url).text()).group()
    for seed in range(count):
        requests.post(url + path, form={"question": str(Order(100, seed=seed))}, headers={"HX-Request": "true"})
        while 'data-status="pending"' in requests.get(url).text():
            sleep(0.005)
    page.reload()


def waits(page, tokens, runs, before=lambda page: None):
    """Return the medians of the milliseconds to a first text, and to all of an answer given at once and its end."""
    times = []
    for _ in range(runs):
        before(page)
        first, *_ = ask(page, Order(2, rate=10))
        before(page)
        times.append((first, *ask(page, Order(tokens))[1:3]))
    return medians(times)


def measure(page, stub, parley, arguments):
    tokens, runs = arguments.tokens, arguments.runs
    waits(page, tokens, 1)  # The first answers after the start only warm up.
    empty = waits(page, tokens, runs, before=clear)
    clear(page)
    add_turns(page, parley.url, arguments.history)
    show(
        ("milliseconds from Enter", "first text", f"{tokens:,} tokens at once", "settled"),
        ("in an empty conversation", *empty),
        (f"after {arguments.history} turns", *waits(page, tokens, runs)),
    )
    clear(page)
    print(f"Milliseconds from Stop until the model notices: {median(stop(page, stub) for _ in range(runs)):.1f}")
    slow = Order(tokens, arguments.rate)
    runs = [bytes_of_stream(page, slow) for _ in range(min(runs, 3))]
    show(
        (f"{tokens:,} tokens at {arguments.rate:g} a second", "bytes of text", "on the wire", "messages a second"),
        ("", len(slow.text.encode()), *medians(runs)),
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5, help="of which the median is shown")
    parser.add_argument("--tokens", type=int, default=2_000)
    parser.add_argument("--rate", type=float, default=200, help="tokens a second of the slow answer")
    parser.add_argument("--history", type=int, default=50, help="turns before the question")
    arguments = parser.parse_args()

    path = chromium.find() or parser.error(chromium.HELP)
    with Stub() as stub, Parley(stub.url, "stub") as parley, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        page = browser.new_page()
        page.goto(parley.url)
        measure(page, stub, parley, arguments)
        browser.close()


if __name__ == "__main__":
    main()
