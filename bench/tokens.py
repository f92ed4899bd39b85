"""How good the estimate of tokens is, how fast, and the weights that fit best.

    .venv/bin/python -m bench.tokens [--fit] [--local]

bench/texts.json holds two texts of each kind, and how many tokens three families of models make of them: o200k
(OpenAI), Qwen3 and DeepSeek V3. `--fit` prints the weights of webapp/tokens.py anew, and the error of each text when
it takes no part in the fit. `--local` starts the local model and compares with its own tokenizer.
"""

import argparse
import json
from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory
from timeit import timeit

from webapp import tokens
from webapp.local_model import LocalModel, find

from .harness import show

# What the fit holds on to where the texts say little: a weight that is plausible without any.
PLAUSIBLE = {
    "word": 1.0,
    "six letters": 0.15,
    "digit": 0.3,
    "number": 0.7,
    "full-width": 0.95,
    "Han": 0.65,
    "kana": 0.65,
}
HOLD = 0.02
READ = json.loads(Path(__file__).with_name("texts.json").read_bytes())
TEXTS = {kind: [sample["text"] for sample in pair] for kind, pair in READ.items()}
SAMPLES = [(kind, sample["text"], sample["tokens"]) for kind, pair in READ.items() for sample in pair]


def fit(samples, rounds=2000):
    """Return the weights, none below zero, with the least squares of relative errors, by coordinate descent."""
    start = [PLAUSIBLE.get(name, 0.5) for name in tokens.WEIGHTS]
    rows, left = [], []
    for kind, text, counts in samples:
        importance = 1.5 if kind.startswith(("English", "Chinese")) else 1
        rows.append([n / mean(counts) * importance for n in tokens.occurrences(text)])
        left.append(importance - sum(a * b for a, b in zip(rows[-1], start, strict=True)))
    weights = list(start)
    steep = [sum(row[j] ** 2 for row in rows) + HOLD for j in range(len(start))]
    for _ in range(rounds):
        for j, plausible in enumerate(start):
            pull = sum(row[j] * error for row, error in zip(rows, left, strict=True) if row[j])
            better = max(0, weights[j] + (pull + HOLD * (plausible - weights[j])) / steep[j])
            step, weights[j] = better - weights[j], better
            left = [error - step * row[j] for row, error in zip(rows, left, strict=True)]
    return weights


def predicted(weights, text):
    return sum(a * b for a, b in zip(weights, tokens.occurrences(text), strict=True))


def compare():
    rows = [("error of the estimate, %", "o200k", "Qwen3", "DeepSeek", "their mean")]
    for kind in TEXTS:
        of_kind = [(tokens.estimate(text), counts) for name, text, counts in SAMPLES if name == kind]
        errors = [[100 * (guess / n - 1) for n in (*counts, mean(counts))] for guess, counts in of_kind]
        rows.append((kind, *(f"{mean(column):+.0f}" for column in zip(*errors, strict=True))))
    show(*rows)


def fitted():
    print("\nweights")
    for name, weight in zip(tokens.WEIGHTS, fit(SAMPLES), strict=True):
        print(f"  {name}: {weight:.2f}")
    print("\nerror of a text that took no part in the fit, %")
    for i, (kind, text, counts) in enumerate(SAMPLES):
        weights = fit(SAMPLES[:i] + SAMPLES[i + 1 :], 300)
        print(f"  {kind}: {100 * (predicted(weights, text) / mean(counts) - 1):+.0f}")


def speed():
    rows = [("estimating", "µs per KB")]
    for kind in ("English, prose", "Chinese, prose", "Python"):
        text = "".join(TEXTS[kind]) * 100
        rows.append((kind, timeit(lambda t=text: tokens.estimate(t), number=20) / 20 * 1e9 / len(text.encode())))
    print()
    show(*rows)


def local():
    """The estimate against the local model's own tokenizer, before and after it was calibrated by another text."""
    with TemporaryDirectory() as folder:
        model = LocalModel(find(), 8192, Path(folder) / "log")
        model.address()
        empty = model.count_tokens([{"role": "user", "content": ""}])
        rows = [("the local model", "tokens", "estimate", "calibrated by the other text")]
        for kind, pair in TEXTS.items():
            exact = [model.count_tokens([{"role": "user", "content": text}]) - empty for text in pair]
            for this, other in ((0, 1), (1, 0)):
                scale = tokens.calibration(tokens.estimate(pair[other]), exact[other])
                guesses = (tokens.estimate(pair[this]), tokens.estimate(pair[this], scale))
                errors = [f"{100 * (guess / exact[this] - 1):+.0f} %" for guess in guesses]
                rows.append((kind, f"{exact[this]}", *errors))
        text = "".join(TEXTS["English, prose"]) * 10
        numbered = [[{"role": "user", "content": f"{i} {text}"}] for i in range(10)]
        took = timeit(lambda: [model.count_tokens(messages) for messages in numbered], number=1)
        model.stop()
    print()
    show(*rows)
    print(f"Its server counts {len(text) / 1000:.1f} KB in {took / 10 * 1000:.1f} ms.")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fit", action="store_true")
    parser.add_argument("--local", action="store_true")
    arguments = parser.parse_args()
    compare()
    if arguments.fit:
        fitted()
    speed()
    if arguments.local:
        local()


if __name__ == "__main__":
    main()
