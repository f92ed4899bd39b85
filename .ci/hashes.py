"""Write the hashes of every pinned requirement anew, by what PyPI has: `make hashes`, after a version was changed.

`uv` (`pip install uv`) reads the index. All files of a version get their hash, so that each system finds its own.
"""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
PIN = re.compile(r"([\w.-]+)==([^\s;\\]+)(?:\s*;\s*([^\\\n]+?))?\s*\\?$")
UV = "uv pip compile --quiet --no-config --universal --python-version 3.11 --default-index https://pypi.org/simple"
FORM = "--generate-hashes --no-header --no-annotate"


def kept(name):
    """Return the lines of a file that are not hashes, without the signs that lead to the next."""
    lines = (ROOT / name).read_text().splitlines()
    return [line.removesuffix("\\").rstrip() for line in lines if not line.lstrip().startswith("--hash")]


def compiled(names, *more):
    """Return what uv makes of the files: for each package its version and the lines of its hashes."""
    pins = "\n".join(line for name in names for line in kept(name) if PIN.match(line))
    command = [*UV.split(), *FORM.split(), *more, "-"]
    text = subprocess.run(command, input=pins, text=True, check=True, stdout=subprocess.PIPE).stdout
    entries = [entry.splitlines() for entry in re.split(r"\n(?=\S)", text.strip())]
    return {normal(PIN.match(lines[0])[1]): lines for lines in entries if "'emscripten'" not in lines[0]}


def normal(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def write(name, found):
    """Put the hashes below their pins, and take these packages out of what was found."""
    lines = []
    for line in kept(name):
        pin = PIN.match(line)
        lines += [f"{line} \\", *found.pop(normal(pin[1]))[1:]] if pin else [line]
    (ROOT / name).write_text("\n".join(lines) + "\n")


def main():
    packages = compiled(["requirements.txt", "requirements-dev.txt"])
    write("requirements.txt", packages)
    write("requirements-dev.txt", packages)
    write("requirements-model.txt", compiled(["requirements-model.txt"], "--no-deps"))
    if packages:
        sys.exit("Needed as well; pin them: " + ", ".join(lines[0].rstrip(" \\") for lines in packages.values()))


main()
