from pathlib import Path

import pytest

from webapp.local_model import LocalModel, LocalModelError, name_of


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
