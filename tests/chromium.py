"""Find a Chromium and curl for the tests, or install Debian's: `python -m tests.chromium`."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
PLACES = (
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
)
HELP = "The browser tests need Chromium: install it (Debian: apt-get install chromium), or set CHROMIUM to its path."
CURL_HELP = "The tests of the snippets need curl: install it (Debian: apt-get install curl)."


def find():
    """Return the path of a Chromium, or None."""
    candidates = [os.environ.get("CHROMIUM"), *map(shutil.which, NAMES), *PLACES]
    return next((path for path in candidates if path and Path(path).exists()), None)


def install(package):
    """Install Debian's package, where this is Debian and we may."""
    if os.geteuid() == 0 and shutil.which("apt-get"):
        print(f"Installing Debian's {package} for the tests.", flush=True)
        quiet = {"env": os.environ | {"DEBIAN_FRONTEND": "noninteractive"}, "stdout": subprocess.DEVNULL}
        subprocess.run(["apt-get", "update", "-qq"], check=False, **quiet)
        subprocess.run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", package], check=False, **quiet)


if __name__ == "__main__":
    if not find():
        install("chromium")
    if not find():
        sys.exit(HELP)
    if not shutil.which("curl"):
        install("curl")
    if not shutil.which("curl"):
        sys.exit(CURL_HELP)
