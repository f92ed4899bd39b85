"""What a person waits for, in a real browser: first text, whole answer, stop; and what the stream costs.

    .venv/bin/python -m bench.page [--runs 5] [--tokens 2000] [--rate 200] [--history 50]

Times are the browser's own, from the pressed Enter to the frame in which the page has the text. The model
is a stub that answers at once, so that everything measured is Parley's and the browser's.
"""

import argparse
import re
from time import monotonic, sleep

from playwright.sync_api import sync_playwright

from tests import chromium

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
      const text = answer?.querySelector(".text").textContent;
      if (text) times.first ??= now;
      if (text === whole) times.whole ??= now;
      if (answer && answer.dataset.status !== "pending") {
        document.removeEventListener("htmx:sse:after:message", count);
        resolve({...times, exact: text === whole});
      } else requestAnimationFrame(look);
    };
    requestAnimationFrame(look);
  });
}"""


def ask(page, order):
    """Ask as a person does; return milliseconds to the first text and to the whole, and the stream's messages."""
    page.fill("textarea[name=question]", str(order))
    page.evaluate(WATCH, order.text)
    page.keyboard.press("Enter")
    times = page.evaluate("watched")
    assert times["exact"], "The page does not show the answer as it was sent."
    return times["first"] - times["enter"], times["whole"] - times["enter"], times["messages"]


def bytes_of_stream(page, order):
    """Return the bytes that an answer's stream takes on the wire, headers and all, and its messages a second."""
    devtools = page.context.new_cdp_session(page)
    devtools.send("Network.enable")
    streams, sizes = set(), []

    def begin(event):
        if "/stream" in event["response"]["url"]:
            streams.add(event["requestId"])
            sizes.append(event["response"]["encodedDataLength"])

    def receive(event):
        if event["requestId"] in streams:
            sizes.append(event["encodedDataLength"])

    devtools.on("Network.responseReceived", begin)
    devtools.on("Network.dataReceived", receive)
    first, whole, messages = ask(page, order)
    page.wait_for_timeout(200)  # The page closes the stream, so that the browser reports no end of it.
    devtools.detach()
    return sum(sizes), messages / (whole - first) * 1000


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
    page.once("dialog", lambda dialog: dialog.accept())
    page.click("#clear")
    page.wait_for_selector(".answer", state="detached")


def add_turns(page, url, count):
    """Give the conversation some turns of 100 tokens, as a program would, and open it again."""
    requests = page.context.request
    path = re.search(r"/conversations/[\w-]+/ask", requests.get(url).text()).group()
    for seed in range(count):
        requests.post(url + path, form={"question": str(Order(100, seed=seed))}, headers={"HX-Request": "true"})
        while 'data-status="pending"' in requests.get(url).text():
            sleep(0.005)
    page.reload()


def measure(page, stub, parley, arguments):
    """Print the tables."""
    at_once = Order(arguments.tokens)
    rows = [("milliseconds from Enter", "first text", "whole answer")]
    ask(page, at_once)  # The first answer after the start only warms up.
    runs = []
    for _ in range(arguments.runs):
        clear(page)
        runs.append(ask(page, at_once)[:2])
    rows.append((f"{arguments.tokens:,} tokens at once, empty conversation", *medians(runs)))
    clear(page)
    add_turns(page, parley.url, arguments.history)
    runs = [ask(page, at_once)[:2] for _ in range(arguments.runs)]
    rows.append((f"the same after {arguments.history} turns", *medians(runs)))
    show(*rows)

    clear(page)
    stops = [(stop(page, stub),) for _ in range(arguments.runs)]
    print(f"\nMilliseconds from Stop until the model notices: {medians(stops)[0]:.1f}")

    clear(page)
    slow = Order(arguments.tokens, arguments.rate)
    text = len(slow.text.encode())
    size, messages = medians([bytes_of_stream(page, slow) for _ in range(min(arguments.runs, 3))])
    print(f"\n{arguments.tokens:,} tokens at {arguments.rate:g} a second: {text:,} bytes of text,")
    print(f"{size:,.0f} bytes on the wire ({size / text:.1f} times the text), {messages:.1f} messages a second")


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
