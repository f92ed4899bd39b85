"""How long a 404 takes for somebody else's id and for one that nobody has, side by side on the real server.

    .venv/bin/python -m bench.ownership [--rounds 400]

A difference would tell a stranger that an id is one. The order is random in each round; medians are shown, and the
middle half of the times, because single requests on a busy machine say nothing. `own` is what the owner waits for.
"""

import argparse
import http.client
import random
import re
import secrets
from statistics import median
from time import perf_counter
from urllib.parse import urlencode, urlsplit

from .harness import Parley, Stub, percentile, show
from .stub import Order

FORM = {"Content-Type": "application/x-www-form-urlencoded"}


class Visitor:
    """Somebody with a cookie, on one connection that stays open."""

    def __init__(self, url):
        self.connection = http.client.HTTPConnection(urlsplit(url).netloc)
        self.headers = {}
        self.id = re.search(r"/conversations/([\w-]+)/ask", self.get("/")[1])[1]

    def get(self, path, method="GET", body=None):
        self.connection.request(method, path, body, self.headers | (FORM if body else {}))
        response = self.connection.getresponse()
        text = response.read().decode(errors="replace")
        if cookie := response.getheader("Set-Cookie"):
            self.headers["Cookie"] = cookie.partition(";")[0]
        return response.status, text

    def ask(self, order):
        self.connection.close()  # The server has let go of one that was idle; the next request opens another.
        self.get(f"/conversations/{self.id}/ask", "POST", urlencode({"question": str(order)}))
        while 'data-status="pending"' in (page := self.get("/")[1]):
            pass
        return re.search(r'id="turn-([\w-]+)"', page)[1], re.search(r'id="answer-([\w-]+)"', page)[1]

    def own(self, method, path):
        """Return the time of what is there; nothing for what would change it."""
        self.connection.close()
        found = [self.timed(method, path, None) for _ in range(20)] if method == "GET" else []
        return median(time for _, time in found) if found and found[0][0] == 200 else "-"

    def timed(self, method, path, body):
        start = perf_counter()
        status, _ = self.get(path, method, body)
        return status, (perf_counter() - start) * 1e6


# Each request's method, its path for the ids of a conversation, a turn and an answer, and its body.
QUESTION = urlencode({"question": "Mine?"})
CASES = {
    "export": ("GET", "/conversations/{0}/export/json", None),
    "stream": ("GET", "/conversations/{0}/answers/{2}/stream", None),
    "requests and replies": ("GET", "/conversations/{0}/answers/{2}/exchange", None),
    "image": ("GET", "/conversations/{0}/files/{2}.png", None),
    "sound": ("GET", "/conversations/{0}/answers/{2}/speech", None),
    "parameters": ("GET", "/conversations/{0}/parameters", None),
    "ask": ("POST", "/conversations/{0}/ask", QUESTION),
    "leave out": ("POST", "/conversations/{0}/turns/{1}/leave-out", QUESTION),
}
# By way of one's own conversation.
WITHIN = {
    "answer, in one's own": ("GET", "/conversations/{0}/answers/{2}/exchange", None),
    "turn, in one's own": ("GET", "/conversations/{0}/turns/{1}/edit", None),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=400)
    rounds = parser.parse_args().rounds
    rows = [("microseconds until a 404", "somebody's", "nobody's", "ratio", "middle half", "middle half", "own: 200")]
    with Stub() as stub, Parley(stub.url, "stub") as parley:
        owner, stranger = Visitor(parley.url), Visitor(parley.url)
        owners = owner.id, *owner.ask(Order(tokens=5_000))
        stranger.ask(Order(tokens=20))
        for name, case in CASES.items():
            rows.append(measured(name, rounds, stranger, owner, case, owners))
        for name, case in WITHIN.items():
            rows.append(measured(name, rounds, stranger, owner, case, owners, within=stranger.id))
    show(*rows)


def measured(name, rounds, stranger, owner, case, owners, within=""):
    """Return a row: the times of what somebody else has, of what nobody has, and of what is one's own."""
    method, path, body = case
    theirs, nobodys = [], []
    for _ in range(rounds):
        unknown = secrets.token_hex(16), secrets.token_urlsafe(16), secrets.token_urlsafe(16)
        for ids, times in random.sample([(owners, theirs), (unknown, nobodys)], 2):
            status, time = stranger.timed(method, path.format(within or ids[0], *ids[1:]), body)
            if status != 404:
                raise SystemExit(f"{name}: {status}")
            times.append(time)
    ratio = f"{median(theirs) / median(nobodys):.3f}"
    halves = [f"{percentile(times, 0.25):.0f}-{percentile(times, 0.75):.0f}" for times in (theirs, nobodys)]
    return (name, median(theirs), median(nobodys), ratio, *halves, owner.own(method, path.format(*owners)))


if __name__ == "__main__":
    main()
