"""Many visitors at once: is every answer whole, and how late is it?

    .venv/bin/python -m bench.answers [--visitors 200] [--seconds 5] [--rate 20]

Every visitor has a session of their own, opens the page, and then all ask at the same moment and follow
their answers as the page does. An answer takes the model exactly `--seconds`; what is above that is the
server's, and this load generator's: both and the stub share the machine, so compare within one run only.
"""

from gevent import monkey

monkey.patch_all()  # Before anything else is imported: every wait must let the other greenlets run.

import argparse  # noqa: E402
import html  # noqa: E402
import re  # noqa: E402
from http.client import HTTPConnection  # noqa: E402
from time import monotonic, process_time  # noqa: E402
from urllib.parse import urlencode, urlsplit  # noqa: E402

import gevent  # noqa: E402
from gevent.event import Event  # noqa: E402
from gevent.pool import Pool  # noqa: E402

from tests.page_text import PageText  # noqa: E402
from webapp.markdown import render  # noqa: E402

from .harness import Parley, Stub, percentile, show  # noqa: E402
from .stub import Order  # noqa: E402

ASK = re.compile(r'action="(/conversations/[^"]+/ask)"')
STREAM = re.compile(r'hx-sse:connect="([^"]+)"')
PIECE = '<hx-partial hx-target="#text-'


class Visitor:
    """One visitor with one question, and what came of it."""

    def __init__(self, url, order):
        self.address = urlsplit(url).netloc
        self.order = order
        self.headers = {"HX-Request": "true"}
        self.received = []  # the messages with text, which are looked at when nobody waits any more
        self.first = self.end = None  # seconds from the question on
        self.problem = ""

    def open_page(self):
        response = self._request("GET", "/")
        self.headers["Cookie"] = response.headers["Set-Cookie"].partition(";")[0]
        self.ask_path = ASK.search(response.read().decode()).group(1)

    def ask(self):
        try:
            began = monotonic()
            form = urlencode({"question": str(self.order)})
            response = self._request("POST", self.ask_path, form)
            stream = html.unescape(STREAM.search(response.read().decode()).group(1))
            self._follow(self._request("GET", stream), began)
        except (OSError, AttributeError) as error:
            self.problem = f"{type(error).__name__}: {error}"

    def _follow(self, response, began):
        rest = b""
        while not self.end and (received := response.read1()):
            *messages, rest = (rest + received).split(b"\n\n")
            for message in messages:
                self._take(message.decode(), monotonic() - began)
        response.close()

    def _take(self, message, seconds):
        lines = message.split("\n")
        if "event: end" in lines:
            self.end = seconds
        elif PIECE in message:
            self.first = self.first or seconds
            self.received.append(message)

    @property
    def is_exact(self):
        """Tell whether the page shows what rendering the whole answer at once gives."""
        page = PageText()
        page.take("\n\n".join(self.received))
        return page.html == render(self.order.text, "text")

    def _request(self, method, path, form=None):
        connection = HTTPConnection(self.address, timeout=300)
        more = {"Content-Type": "application/x-www-form-urlencoded"} if form else {}
        connection.request(method, path, form, self.headers | more)
        response = connection.getresponse()
        if response.status != 200:
            raise OSError(f"{method} {path}: {response.status}")
        return response


def run(visitors, parley):
    """Let all visitors ask at once; return the seconds that all of it took, and the server's CPU seconds."""
    opening = Pool(20)
    for visitor in visitors:
        opening.spawn(visitor.open_page)
    opening.join(raise_error=True)
    now = Event()
    asking = [gevent.spawn(lambda visitor=visitor: now.wait() and visitor.ask()) for visitor in visitors]
    gevent.sleep(1)
    began, spent = monotonic(), parley.cpu_seconds()
    now.set()
    gevent.joinall(asking)
    return monotonic() - began, parley.cpu_seconds() - spent


def report(visitors, seconds, cpu, parley, expected):
    ended = [visitor for visitor in visitors if visitor.end]
    exact = sum(visitor.is_exact for visitor in ended)
    print(f"{len(ended)} of {len(visitors)} answers came to their end, {exact} of them complete and exact.")
    for problem in sorted({visitor.problem for visitor in visitors if visitor.problem}):
        print(f"  {problem}")
    if not ended:
        return
    ends = [visitor.end for visitor in ended]
    firsts = [visitor.first for visitor in ended if visitor.first]
    shares = (0.5, 0.95, 0.99, 1)
    show(
        ("seconds from the question", "p50", "p95", "p99", "max"),
        ("to the first text", *(percentile(firsts, share) for share in shares)),
        (f"to the end (the model: {expected:g})", *(percentile(ends, share) for share in shares)),
    )
    tokens = sum(visitor.order.tokens for visitor in ended)
    print(f"Messages a second and answer: {sum(len(v.received) for v in ended) / sum(ends):.1f}")
    print(f"CPU of the load generator: {process_time():.1f} s in {seconds:.1f} s")
    if cpu:
        print(f"CPU of the server: {cpu:.1f} s, {cpu / tokens * 1e6:,.0f} microseconds a token")
        print(f"Memory of the server's processes: {', '.join(f'{size:.0f} MB' for size in parley.memory())}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--visitors", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=5, help="how long the model takes for an answer")
    parser.add_argument("--rate", type=float, default=20, help="tokens a second of one answer")
    arguments = parser.parse_args()

    tokens = int(arguments.seconds * arguments.rate)
    with Stub() as stub, Parley(stub.url, "stub") as parley:
        orders = [Order(tokens, arguments.rate, seed) for seed in range(arguments.visitors)]
        visitors = [Visitor(parley.url, order) for order in orders]
        seconds, cpu = run(visitors, parley)
        report(visitors, seconds, cpu, parley, tokens / arguments.rate)


if __name__ == "__main__":
    main()
