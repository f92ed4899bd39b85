import socket
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urlsplit

import pytest

from webapp.local_model import LocalModel, LocalModelError, name_of

from .conftest import WAIT


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("SmolLM2-135M-Instruct.Q4_1.gguf", "SmolLM2-135M-Instruct"),
        ("Qwen2.5-7B-Instruct-Q4_K_M.gguf", "Qwen2.5-7B-Instruct"),
        ("qwen3-4b-q4_k_m.gguf", "qwen3-4b"),
        ("phi-3.5-mini.IQ3_XS.gguf", "phi-3.5-mini"),
        ("llama-3.2-1b-bf16.gguf", "llama-3.2-1b"),
        ("model.gguf", "model"),
    ],
)
def test_a_model_is_called_by_its_name_without_its_quantization(file, name):
    assert name_of(Path("models", file)) == name


def test_who_waits_hears_of_it_when_the_process_cannot_be_started(tmp_path, monkeypatch):
    monkeypatch.setattr("webapp.child.sys.executable", "/nowhere/python")
    model = LocalModel(Path("model.gguf"), 512, tmp_path / "log")
    for _ in range(2):  # The second question tries again.
        with pytest.raises(LocalModelError, match=r"does not start from model\.gguf"):
            model.address()


# llama.cpp's server as far as it matters here: it says on its standard error how it loads, and what it is asked.
STAND_IN = """
import os, socket, threading
from types import SimpleNamespace

def CommonParams():
    return SimpleNamespace(model=SimpleNamespace(), sampling=SimpleNamespace())

class Server:
    def __init__(self, params):
        os.write(2, b"loading " + params.model.path.encode() + bytes([10]))
        if "broken" in params.model.path:
            os.write(2, b"unknown architecture" + bytes([10]))
            os._exit(1)
        listener = socket.create_server(("127.0.0.1", 0))
        self.listening_address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        threading.Thread(target=self.serve, args=(listener,), daemon=True).start()

    def serve(self, listener):
        while True:
            connection, _ = listener.accept()
            os.write(2, connection.recv(1000))
            connection.sendall(b"heard")
            connection.close()
"""


@pytest.fixture
def model(tmp_path, monkeypatch):
    """Start local models of some name, with their logs."""
    (tmp_path / "xllamacpp.py").write_text(STAND_IN)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr("webapp.local_model.PAUSES", (0,))
    models = []

    def start(name):
        model = LocalModel(Path(name), 512, tmp_path / "log")
        models.append(model)
        return SimpleNamespace(model=model, log=tmp_path / "log")

    yield start
    for model in models:
        model.stop()


def test_its_log_has_nothing_of_what_is_asked(model):
    told = model("fine.gguf")
    address = urlsplit(told.model.address()[0])
    for _ in range(3):
        with socket.create_connection((address.hostname, address.port), timeout=WAIT) as asked:
            asked.sendall(b"\x1b]0;what was typed\x07\n2026-11-27 A FORGED LINE")
            assert asked.recv(100) == b"heard"
    assert told.log.read_bytes() == b"loading fine.gguf\n"


def test_its_log_says_why_a_model_does_not_load(model):
    told = model("broken.gguf")
    with pytest.raises(LocalModelError, match="does not start from"):
        told.model.address()
    assert told.log.read_bytes() == b"loading broken.gguf\nunknown architecture\n"
