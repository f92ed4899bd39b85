"""What the benchmarks share: the stub and the real server in processes of their own, and tables."""

import os
import re
import subprocess
import sys
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parent.parent
INHERITED = ("PATH", "HOME", "LANG", "TMPDIR")


class Child:
    """A Python module that runs in a process of its own, and whose first line says where it listens."""

    def __init__(self, module, **settings):
        self.process = subprocess.Popen(
            [sys.executable, "-m", module],
            cwd=ROOT,
            env={name: os.environ[name] for name in INHERITED if name in os.environ} | settings,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        line = self.process.stdout.readline()
        found = re.search(r"http://127\.0\.0\.1:\d+\S*", line)
        if not found:
            raise SystemExit(f"{module} did not start: {line}")
        self.url = found.group(0)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.terminate()
        self.process.wait()
        self.process.stdout.close()


class Stub(Child):
    """The endpoint; see bench/stub.py."""

    def __init__(self):
        super().__init__("bench.stub")

    def hung_up(self):
        """Wait for the next client that hangs up on an answer, and return when that was."""
        return float(self.process.stdout.readline())


# Hundreds of visitors at once, all from this machine.
LIMITS = ("VISITOR_QUESTIONS_PER_MINUTE", "ADDRESS_QUESTIONS_PER_MINUTE", "VISITOR_ANSWERS", "MAX_ANSWERS")
LIMITS += ("ADDRESS_VISITORS_PER_HOUR", "VISITOR_IMPORT_MB_PER_HOUR", "ADDRESS_IMPORT_MB_PER_HOUR")
LIMITS += ("VISITOR_STREAMS", "MAX_STREAMS")


class Parley(Child):
    """The real server, `python -m webapp`, with a data folder that goes with it."""

    def __init__(self, base_url="", model="", **more):
        self._folder = TemporaryDirectory(prefix="parley-bench-", ignore_cleanup_errors=True)
        settings = {"OPENAI_BASE_URL": base_url, "OPENAI_API_KEY": "sk-bench" if base_url else "", "CHAT_MODEL": model}
        settings |= dict.fromkeys(LIMITS, "0")
        settings |= {"HOST": "127.0.0.1", "PORT": "0", "DATA_DIR": self._folder.name, "LOCAL_MODEL": ""}
        super().__init__("webapp", **settings | more)

    def __exit__(self, *_):
        super().__exit__()
        self._folder.cleanup()

    def cpu_seconds(self):
        """Return the CPU time of all its processes so far; 0 where there is no /proc."""
        ticks = 0
        for process in self.processes():
            fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def memory(self):
        """Return the resident megabytes of each of its processes, the first one first; none where there is no /proc."""
        files = [Path(f"/proc/{process}/status").read_text() for process in self.processes()]
        return [int(re.search(r"VmRSS:\s+(\d+)", file).group(1)) / 1024 for file in files]

    def processes(self):
        """Return the ids of its process and of those below it."""
        found = [self.process.pid] if Path("/proc").is_dir() else []
        for process in found:  # It grows meanwhile.
            found += map(int, Path(f"/proc/{process}/task/{process}/children").read_text().split())
        return found


def medians(runs):
    """Return the median of each column of several runs."""
    return [median(column) for column in zip(*runs, strict=True)]


def percentile(values, share):
    """Return the value that `share` of them do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def show(*rows):
    """Print rows of texts and numbers as a table; the first row is its head."""
    texts = [[cell if isinstance(cell, str) else _number(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    for first, *others in texts:
        cells = [text.rjust(width) for text, width in zip(others, widths[1:], strict=True)]
        print("  ".join([first.ljust(widths[0]), *cells]))


def _number(value):
    return f"{value:,.{0 if value >= 100 else 1 if value >= 10 else 2}f}"
