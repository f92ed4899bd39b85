"""CPU time of reading a streamed answer: as Parley reads it, and through the SDK's own objects.

    .venv/bin/python -m bench.reading [--tokens 20000] [--rounds 5]

Both read the same bytes from loopback, in turns; a process of its own sends them, so that only the
reading counts. They arrive as one token in a network write, as from a model, or as many, as from a proxy
that collects.
"""

import argparse
import multiprocessing
import socket
from time import process_time, sleep

import openai

from webapp.call import Call
from webapp.llm import LLM, Endpoint

from .harness import medians, show
from .stub import END, HEAD, Order, event, framed, read_request

PER_WRITE = {"one": 1, "many": 50}  # tokens; a request's `model` says which
PAUSE = 0.0002  # seconds between two writes, so that the reader does not find two at once


def send_answers(listener, tokens):
    """Answer every request with the same tokens, for ever."""
    events = [event(text) for text in Order(tokens).answer()]
    while True:
        connection, _ = listener.accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with connection, connection.makefile("rb") as file:
            body = read_request(file)
            count = PER_WRITE["many" if b'"many"' in body else "one"]
            connection.sendall(HEAD)
            for start in range(0, len(events), count):
                connection.sendall(framed(b"".join(events[start : start + count])))
                sleep(PAUSE)
            connection.sendall(framed(END) + framed(b""))


def readers(base_url):
    """Return both ways of reading, as functions from a request's body to pieces of text."""
    llm = LLM(lambda: Endpoint(base_url, "sk-bench"), connect_timeout=10, answer_timeout=60)
    client = openai.OpenAI(base_url=base_url, api_key="sk-bench", max_retries=0)

    def parley(body):
        return (text for _, text in llm.send("/chat/completions", body | {"stream": True}, Call()))

    def sdk(body):
        for chunk in client.chat.completions.create(**body, stream=True):
            if chunk.choices and (text := chunk.choices[0].delta.content):
                yield text

    return parley, sdk


def measure(reader, shape, expected):
    """Return the CPU microseconds that a reader takes for a token."""
    body = {"model": shape, "messages": [{"role": "user", "content": "?"}]}
    began = process_time()
    text = "".join(reader(body))
    spent = process_time() - began
    assert text == expected.text, "The answer was not read as it was sent."
    return spent / expected.tokens * 1e6


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, default=20_000, help="tokens of an answer")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()

    listener = socket.create_server(("127.0.0.1", 0))
    sender = multiprocessing.Process(target=send_answers, args=(listener, arguments.tokens), daemon=True)
    sender.start()
    both = readers(f"http://127.0.0.1:{listener.getsockname()[1]}/v1")
    rows = [("CPU microseconds a token", "Parley", "SDK", "SDK / Parley")]
    for shape, count in PER_WRITE.items():
        runs = [
            [measure(reader, shape, Order(arguments.tokens)) for reader in both] for _ in range(arguments.rounds + 1)
        ]
        parley, sdk = medians(runs[1:])  # The first round only warms up.
        rows.append((f"{count} in a network write", parley, sdk, sdk / parley))
    show(*rows)
    sender.terminate()


if __name__ == "__main__":
    main()
