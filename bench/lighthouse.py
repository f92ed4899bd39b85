"""Lighthouse's four scores for Parley's pages, on its phone settings, and what costs points.

    .venv/bin/python -m bench.lighthouse [--pages / /models] [--desktop] [--runs 3]

Needs node's npx, which fetches Lighthouse, and Chromium. A conversation with an answer in it and its panels are
measured, too.
Accessibility, best practices and SEO are the same each time; performance is the machine's as well, so that the
median of several runs is shown.
"""

import argparse
import json
import os
import re
import subprocess
import sys
from http.cookiejar import CookieJar
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import sleep
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, build_opener

from tests import chromium

from .harness import Parley, Stub, show
from .stub import Order

LIGHTHOUSE = "lighthouse@13.5.0"
CATEGORIES = ("performance", "accessibility", "best-practices", "seo")
QUESTION = Order(400)


class Visitor:
    """Somebody who asked something; Lighthouse comes with their cookie."""

    def __init__(self, url):
        self._cookies = CookieJar()
        self._open = build_opener(HTTPCookieProcessor(self._cookies)).open
        conversation = re.search(r"/conversations/[\w-]+", self._read(url)).group()
        self._read(f"{url}{conversation}/ask", urlencode({"question": str(QUESTION)}).encode())
        while 'data-status="pending"' in (page := self._read(url)):
            sleep(0.05)
        answer = re.search(r'id="answer-([\w-]+)"', page).group(1)
        self.panels = [f"{conversation}/{path}" for path in ("parameters", "export", f"answers/{answer}/exchange")]
        self.cookie = "; ".join(f"{cookie.name}={cookie.value}" for cookie in self._cookies)

    def _read(self, url, data=None):
        return self._open(url, data).read().decode()


def audit(url, cookie, desktop, folder):
    """Return Lighthouse's report on an address."""
    report = Path(folder, "report.json")
    more = ["--preset=desktop"] if desktop else []
    if cookie:
        headers = Path(folder, "headers.json")
        headers.write_text(json.dumps({"Cookie": cookie}))
        more.append(f"--extra-headers={headers}")
    command = ["npx", "--yes", LIGHTHOUSE, url, "--quiet", "--output=json", f"--output-path={report}"]
    flags = "--chrome-flags=--headless=new --no-sandbox --disable-gpu"
    done = subprocess.run(
        [*command, flags, f"--only-categories={','.join(CATEGORIES)}", *more],
        env=os.environ | {"CHROME_PATH": chromium.find()},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        sys.exit(done.stderr)
    return json.loads(report.read_text())


def scores(report):
    return [round(100 * (report["categories"][name]["score"] or 0)) for name in CATEGORIES]


def costs(report):
    """Yield a line for each audit that costs points, and where."""
    for name in CATEGORIES:
        for part in report["categories"][name]["auditRefs"]:
            found = report["audits"][part["id"]]
            if part["weight"] and found["score"] is not None and found["score"] < (0.9 if name == CATEGORIES[0] else 1):
                yield f"  {name}, {part['id']}: {found['title']} {found.get('displayValue', '')}"
                for item in found.get("details", {}).get("items", [])[:5]:
                    node = item.get("node", {})
                    yield f"    {node.get('selector', '')} {node.get('snippet', '') or json.dumps(item)[:200]}"


def measure(name, url, cookie, arguments):
    with TemporaryDirectory() as folder:
        reports = [audit(url, cookie, arguments.desktop, folder) for _ in range(arguments.runs)]
    for line in dict.fromkeys(line for report in reports for line in costs(report)):
        print(line, flush=True)
    paint, largest, blocked = (
        median(report["audits"][audit]["numericValue"] for report in reports)
        for audit in ("first-contentful-paint", "largest-contentful-paint", "total-blocking-time")
    )
    return name, *map(median, zip(*map(scores, reports), strict=True)), paint, largest, blocked


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3, help="of which the median is shown")
    parser.add_argument("--pages", nargs="+", default=["/", "/completion", "/images", "/models"])
    parser.add_argument("--desktop", action="store_true", help="instead of a phone")
    arguments = parser.parse_args()
    if not chromium.find():
        parser.error(chromium.HELP)
    with Stub() as stub, Parley(stub.url, "stub") as parley:
        rows = [measure(path, parley.url + path, "", arguments) for path in arguments.pages]
        visitor = Visitor(parley.url)
        rows.append(measure("/ with an answer", parley.url + "/", visitor.cookie, arguments))
        for path in visitor.panels:
            rows.append(measure(path.rpartition("/")[2], parley.url + path, visitor.cookie, arguments))
    show(("page", *CATEGORIES, "first paint, ms", "largest, ms", "blocked, ms"), *rows)


if __name__ == "__main__":
    main()
