"""A model that falls silent, followed as a browser does: is the stream kept open, and is the rest of the answer there?

    .venv/bin/python -m bench.silence [--seconds 600]

One answer goes on after the silence, and comes whole. The other does not, and ANSWER_TIMEOUT, which is just as long,
ends it. Both run at once, each with a server of its own.
"""

import argparse
import html
import re
from http.client import HTTPConnection
from threading import Thread
from time import monotonic
from urllib.parse import urlencode, urlsplit

from tests.page_text import PageText, words
from webapp.markdown import render

from .harness import Parley, Stub
from .stub import Order


class Follower:
    """Asks one question, and follows its answer on one connection to the end."""

    def __init__(self, url):
        self.address = urlsplit(url).netloc
        self.headers = {}
        self.arrivals = []  # the seconds of whatever came, from the question on
        self.beats = 0
        self.text = ""
        self.failure = ""

    def ask(self, order):
        page = self._request("GET", "/")
        self.headers = {"Cookie": page.headers["Set-Cookie"].partition(";")[0], "HX-Request": "true"}
        path = re.search(r'action="(/conversations/[^"]+/ask)"', page.read().decode()).group(1)
        self.began = monotonic()
        turn = self._request("POST", path, urlencode({"question": str(order)})).read().decode()
        self._follow(self._request("GET", html.unescape(re.search(r'hx-sse:connect="([^"]+)"', turn).group(1))))

    def _follow(self, stream):
        received = b""
        while piece := stream.read1():
            self.arrivals.append(monotonic() - self.began)
            received += piece
        self.beats = received.count(b": heartbeat\n\n")
        page = PageText()
        page.take(received.decode().replace(": heartbeat\n\n", ""))
        self.text = words(page.html)
        if found := re.search(
            r'class="failure"[^>]*>(.*?)</div>', received.decode().replace("\ndata: ", "\n"), re.DOTALL
        ):
            self.failure = words(found.group(1))

    def _request(self, method, path, form=None):
        connection = HTTPConnection(self.address, timeout=60)
        more = {"Content-Type": "application/x-www-form-urlencoded"} if form else {}
        connection.request(method, path, form, self.headers | more)
        return connection.getresponse()

    @property
    def longest_gap(self):
        """The most seconds in which nothing at all came."""
        return max(after - before for before, after in zip([0, *self.arrivals], self.arrivals, strict=False))


def run(name, stub, order, timeout):
    with Parley(stub.url, "stub", ANSWER_TIMEOUT=str(timeout)) as parley:
        follower = Follower(parley.url)
        follower.ask(order)
    whole = follower.text == words(render(order.text, "text"))
    print(
        f"{name}: one connection for {follower.arrivals[-1]:.1f} s, {follower.beats} heartbeats, "
        f"nothing came for {follower.longest_gap:.1f} s at most.\n"
        f"  Text {'whole' if whole else 'NOT whole'}; {follower.failure or 'no failure'}",
        flush=True,
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=600, help="how long the model is silent")
    seconds = parser.parse_args().seconds

    with Stub() as stub:
        cases = [
            ("It goes on", stub, Order(5, rate=10, pause=seconds), seconds + 60),
            ("It does not", stub, Order(5, rate=10, silent=True), seconds),
        ]
        threads = [Thread(target=run, args=case) for case in cases]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


if __name__ == "__main__":
    main()
