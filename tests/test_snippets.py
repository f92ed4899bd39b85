"""The snippets are run as people run them: in a shell with curl, and in a Python with the openai package."""

import ast
import base64
import json
import os
import shutil
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from webapp.exchange import Exchange
from webapp.llm import known_parameters
from webapp.snippets import OPENAI_URL, curl, python

from . import chromium
from .openai_server import DONE, Reply, chunk, event
from .test_exchange import json_values

CHAT = "/chat/completions"
SHELLS = ("bash", "dash")
NASTY = [
    "it's 'quoted' \"twice\" `id` $HOME ${IFS} $(id) !! !x \\ \\n \\' %s {{x}}",
    "中文，『引号』。全角　空格\n第二行 👩‍💻🏴󠁧󠁢󠁥󠁮󠁧󠁿 é",
    "\n\n  leading and trailing \t\n",
    "JSON\nEOF\n'\n\"\"\"\n'''\n\\",
    "\x7f\x85\u2028\u202e\ufeff bell \u0007? no: \\a",
    "@file <in >out |pipe; & # no comment",
    "--option\n-d",
]
BODY = {
    "model": "test-model",
    "messages": [{"role": "system", "content": "You are helpful."}]
    + [{"role": "user", "content": text} for text in NASTY],
    "temperature": 0.25,
    "stop": ["\n", "'"],
    "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}},
    "top_k": 5,
    "x-own": {"a": [None, True, {}], "b'": []},
}


def run(command, code="", **environment):
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    done = subprocess.run(
        command,
        input=code.encode(),
        env=kept | {"OPENAI_API_KEY": "sk-'mine'", **environment},
        capture_output=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


def run_curl(shell, exchange, **environment):
    assert shutil.which("curl"), chromium.CURL_HELP
    assert shutil.which(shell), f"These tests need {shell}."
    return run([shell], curl(exchange), **environment)


def run_python(exchange, folder=".", **environment):
    code = f"import os; os.chdir({str(folder)!r})\n{python(exchange, known_parameters(exchange.path))}"
    return run([sys.executable, "-W", "error", "-"], code, **environment)


def sent(openai, exchange):
    """Return the body that came, and make sure of everything else."""
    assert openai.paths == [f"/v1{exchange.path}"]
    assert openai.headers[0]["Authorization"] == "Bearer sk-'mine'"
    assert openai.headers[0]["Content-Type"] == "application/json"
    return openai.bodies[0]


def whole(**more):
    return Reply(
        [json.dumps({"id": "1", "object": "x", "created": 1, "model": "m", **more}).encode()], 200, "application/json"
    )


def message(*texts):
    choices = [
        {"index": index, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        for index, text in enumerate(texts)
    ]
    return whole(choices=choices)


@pytest.fixture
def exchange(openai):
    return Exchange(openai.base_url, CHAT, BODY)


# --- As a command ---


@pytest.mark.parametrize("shell", SHELLS)
def test_the_command_sends_the_same_body_and_the_key(shell, openai, exchange):
    openai.enqueue(message("Hi, 你好"))
    assert json.loads(run_curl(shell, exchange))["choices"][0]["message"]["content"] == "Hi, 你好"
    assert sent(openai, exchange) == BODY


@pytest.mark.parametrize("shell", SHELLS)
def test_a_body_that_is_too_long_for_an_argument_is_sent_as_well(shell, openai):
    many = [{"role": "user", "content": text} for text in NASTY * 400]
    exchange = Exchange(openai.base_url, CHAT, BODY | {"messages": many})
    openai.enqueue(message("Hi"))
    assert "Hi" in run_curl(shell, exchange)
    assert sent(openai, exchange) == exchange.request


def test_the_command_shows_a_stream_as_it_comes(openai, exchange):
    exchange.request = BODY | {"stream": True}
    openai.enqueue(Reply.text("One ", "two"))
    assert curl(exchange).startswith("curl -N '")
    assert run_curl("dash", exchange).count("data: ") == 4
    assert sent(openai, exchange) == exchange.request


def test_the_command_asks_the_local_model_where_the_variable_says(openai, exchange):
    exchange.base_url = ""
    openai.enqueue(message("Hi"))
    assert "Hi" in run_curl("dash", exchange, OPENAI_BASE_URL=openai.base_url)
    assert sent(openai, exchange) == BODY
    first = curl(exchange).splitlines()[0]
    assert first.startswith("# Set OPENAI_BASE_URL")
    assert not set(first) & set("'\"`!?*$();&|<>"), "An interactive zsh takes it for a command."


def test_no_option_gets_into_the_code_unquoted():
    request = {"output_format": '");id'}
    assert "id" not in python(Exchange("", "/images/generations", request), ()).split("\n)\n")[1].replace("width", "")


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.text(max_size=5), st.text() | json_values, max_size=4), st.sampled_from(SHELLS))
def test_any_body_goes_through_a_shell(body, shell):
    told = 'curl() { for last; do :; done; printf %s "$last"; }\n'
    done = subprocess.run([shell, "-c", told + curl(Exchange(OPENAI_URL, CHAT, body))], capture_output=True, check=True)
    assert json.loads(done.stdout) == body


# --- As a program ---


def test_the_program_sends_the_same_body_and_the_key(openai, exchange):
    openai.enqueue(message("Hi, 你好"))
    assert run_python(exchange) == "Hi, 你好\n"
    assert sent(openai, exchange) == BODY


def test_the_program_prints_a_stream_as_it_comes(openai, exchange):
    exchange.request = BODY | {"stream": True, "stream_options": {"include_usage": True}}
    empty = event(chunk() | {"choices": [], "prompt_filter_results": []})
    openai.enqueue(Reply([empty, event(chunk("One ")), event(chunk("二")), event(chunk(finish="stop")), empty, DONE]))
    assert run_python(exchange) == "One 二\n"
    assert sent(openai, exchange) == exchange.request


def test_the_program_keeps_streamed_choices_apart(openai, exchange):
    exchange.request = BODY | {"stream": True, "n": 2}
    pieces = [(0, "Yes"), (1, "No"), (0, ", sir"), (1, " way")]
    chunks = [chunk() | {"choices": [{"index": index, "delta": {"content": text}}]} for index, text in pieces]
    openai.enqueue(Reply([*map(event, chunks), DONE]))
    assert run_python(exchange) == "Yes, sir\nNo way\n"
    assert sent(openai, exchange) == exchange.request


def test_the_program_asks_the_local_model_where_the_variable_says(openai, exchange):
    exchange.base_url = ""
    openai.enqueue(message("One", "Two"))
    assert run_python(exchange, OPENAI_BASE_URL=openai.base_url) == "One\nTwo\n"
    assert sent(openai, exchange) == BODY


def test_openais_own_address_is_left_out(openai, exchange):
    exchange.base_url = OPENAI_URL
    assert "client = OpenAI()\n" in python(exchange, ())
    assert f"curl '{OPENAI_URL}/chat/completions'" in curl(exchange)
    openai.enqueue(message("Hi"))
    run_python(exchange, OPENAI_BASE_URL=openai.base_url)
    assert sent(openai, exchange) == BODY


@pytest.mark.parametrize("stream", [False, True])
def test_the_program_completes_a_text(openai, stream):
    body = {"model": "m", "prompt": NASTY[0], "suffix": NASTY[1], "max_tokens": 5, "min_p": 0.1}
    exchange = Exchange(openai.base_url, "/completions", body | ({"stream": True} if stream else {}))
    part = {"index": 0, "text": "once", "finish_reason": None}
    openai.enqueue(Reply([event(chunk() | {"choices": [part]}), DONE]) if stream else whole(choices=[part]))
    assert run_python(exchange) == "once\n"
    assert sent(openai, exchange) == exchange.request


def test_the_program_saves_images_and_prints_addresses(openai, tmp_path):
    body = {"model": "m", "prompt": NASTY[1], "n": 2, "output_format": "webp", "watermark": False}
    exchange = Exchange(openai.base_url, "/images/generations", body)
    openai.enqueue(whole(data=[{"b64_json": base64.b64encode(b"picture").decode()}, {"url": "https://x.test/2"}]))
    assert run_python(exchange, tmp_path) == "image-1.webp\nhttps://x.test/2\n"
    assert (tmp_path / "image-1.webp").read_bytes() == b"picture"
    assert sent(openai, exchange) == body


def test_the_program_asks_also_what_the_sdk_has_no_method_for(openai):
    exchange = Exchange(openai.base_url, "/rerank", {"query": "it's", "documents": NASTY})
    openai.enqueue(whole(results=[]))
    assert "results" in run_python(exchange)
    assert sent(openai, exchange) == exchange.request


def test_fields_that_the_sdk_does_not_know_are_extra(exchange):
    code = python(exchange, known_parameters(CHAT))
    call = next(node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Call) and len(node.keywords) > 3)
    given = {word.arg: ast.literal_eval(word.value) for word in call.keywords}
    assert given.pop("extra_body") == {"top_k": 5, "x-own": BODY["x-own"]}
    assert list(given) == ["model", "messages", "temperature", "stop", "response_format"]


def test_the_sdks_own_parameters_are_no_fields():
    assert {"model", "messages", "reasoning_effort"} <= known_parameters(CHAT)
    assert {"prompt", "quality"} <= known_parameters("/images/generations")
    assert not known_parameters(CHAT) & {"self", "extra_body", "timeout"}
    assert known_parameters("/rerank") == frozenset()


@pytest.mark.parametrize("path", [CHAT, "/completions", "/images/generations", "/rerank"])
@pytest.mark.parametrize("more", [{}, {"stream": True}, {"stream": True, "n": 3}])
@pytest.mark.parametrize("base_url", ["", OPENAI_URL, "https://api.deepseek.com/v1"])
def test_programs_are_laid_out_as_ruff_does(path, more, base_url):
    long = [{"role": "user", "content": "长" * length} for length in range(15, 30)]
    lines = [{"role": "user", "content": "One line,\nanother 'line' and \"more\"\n\n" * length} for length in range(4)]
    request = BODY | {"messages": BODY["messages"] + long + lines, "prompt": "Two\nlines " * 9} | more
    code = python(Exchange(base_url, path, request), known_parameters(path))
    ruff = [sys.executable, "-m", "ruff", "format", "--isolated", "-"]
    assert subprocess.run(ruff, input=code, capture_output=True, text=True, check=True).stdout == code
