"""A child process that tells what it was given: its environment, its arguments, its open files."""

import json
import os
import sys


def main():
    line = sys.stdin.readline()
    # Without the listing's own.
    files = [int(name) for name in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{name}")]
    print(json.dumps({"line": line, "environ": dict(os.environ), "argv": sys.orig_argv, "files": files}), flush=True)
    sys.stdin.read()


main()
