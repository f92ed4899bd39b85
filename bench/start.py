"""Seconds from `python -m webapp` until it gives its page for the first time, and the memory of its processes.

    .venv/bin/python -m bench.start [--runs 5] [--settle 3]

With the local model, which goes on loading behind the page, and with an endpoint, which need not be there.
Memory is read `--settle` seconds after the page.
"""

import argparse
from http.client import HTTPConnection
from time import monotonic, sleep
from urllib.parse import urlsplit

from .harness import Parley, medians, show

NOBODY = "http://127.0.0.1:9/v1"  # The port "discard", where nothing listens.


def start(settle, **settings):
    """Start the server once; return seconds to its first line and to its page, and its memory in megabytes."""
    began = monotonic()
    with Parley(**settings) as parley:
        line = monotonic() - began
        connection = HTTPConnection(urlsplit(parley.url).netloc)
        connection.request("GET", "/")
        response = connection.getresponse()
        response.read()
        page = monotonic() - began
        assert response.status == 200, response.status
        sleep(settle)
        sizes = parley.memory()
        return line, page, sum(sizes), " + ".join(f"{size:.0f}" for size in sizes)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5, help="of which the median is shown")
    parser.add_argument("--settle", type=float, default=3, help="seconds before memory is read")
    arguments = parser.parse_args()

    cases = {"local model": {}, "endpoint": {"base_url": NOBODY, "model": "nobody"}}
    rows = [("", "ready, s", "page, s", "memory, MB", "of the processes")]
    for name, settings in cases.items():
        runs = [start(arguments.settle, **settings) for _ in range(arguments.runs + 1)][1:]  # The first warms up.
        rows.append((name, *medians([run[:3] for run in runs]), runs[-1][3]))
    show(*rows)


if __name__ == "__main__":
    main()
