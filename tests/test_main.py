"""Parley as people start it: settings, port, signals, crashes."""

import os
import re
import signal
import socket
import subprocess
import sys
from urllib.request import urlopen

import pytest

from webapp.config import SETTINGS
from webapp.local_model import find

from .conftest import ENDS_WITHIN, ROOT, WAIT, runs, statuses, texts, wait_until
from .openai_server import SILENCE, Reply, chunk, event
from .visitor import Visitor


def run(*arguments, cwd=ROOT, **environ):
    """Run `python -m webapp` to its end, with nothing set but what is given."""
    return subprocess.run(
        [sys.executable, "-m", "webapp", *arguments],
        cwd=cwd,
        env={"PATH": os.environ["PATH"]} | environ,
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.fixture
def endpoint(openai):
    return {"OPENAI_BASE_URL": openai.base_url, "OPENAI_API_KEY": "sk-test", "CHAT_MODEL": "test-model"}


def test_help_names_every_setting():
    told = run("--help")
    assert told.returncode == 0
    for setting in SETTINGS:
        assert f"  {setting.name}  (default: " in told.stdout


@pytest.mark.parametrize(
    ("environ", "told"),
    [
        ({"PORT": "http"}, "PORT is 'http'; allowed is a whole number from 0 to 65,535."),
        ({"HOST": "0.0.0.0"}, "Set ACCESS_CODE to a code that people sign in with, or ALLOW_ANYONE=1"),
        ({"HOST": "no-such-name"}, "HOST is 'no-such-name', and if this machine has that name, anyone who reaches it"),
        ({"HOST": "no-such-name", "ALLOW_ANYONE": "1", "OPENAI_API_KEY": "k"}, "It cannot listen on HOST"),
        ({"HOST": "192.0.2.1", "ALLOW_ANYONE": "1", "OPENAI_API_KEY": "k"}, "It cannot listen on HOST '192.0.2.1'"),
        (
            {"LOCAL_MODEL": "/no/such.gguf"},
            "LOCAL_MODEL is '/no/such.gguf'; allowed is the path of a model file in GGUF format.",
        ),
        ({"PRICES": "/no/such.json"}, "PRICES is '/no/such.json', which cannot be used: No such file"),
        ({"PRICES": __file__}, "is no JSON"),
        ({"DATA_DIR": "/dev/null/x", "OPENAI_API_KEY": "k"}, "DATA_DIR is '/dev/null/x', which cannot be used"),
    ],
)
def test_nonsense_stops_the_start_with_one_line(tmp_path, environ, told):
    stopped = run(**{"DATA_DIR": str(tmp_path)} | environ)
    assert stopped.returncode == 1
    assert stopped.stdout == ""
    assert stopped.stderr.startswith("Parley cannot start. ")
    assert stopped.stderr.count("\n") == 1
    assert told in stopped.stderr


def test_a_mistyped_name_in_the_env_file_is_told_of_even_where_the_start_ends(tmp_path):
    (tmp_path / ".env").write_text("ACCES_CODE=open sesame 7\nHOST=0.0.0.0\n")
    stopped = run(cwd=tmp_path, PYTHONPATH=str(ROOT), DATA_DIR=str(tmp_path / "data"))
    warning, refusal = stopped.stderr.splitlines()
    assert " WARNING " in warning and "ACCES_CODE in the file .env is no setting and does nothing." in warning
    assert "ACCESS_CODE is one." in warning and "sesame" not in stopped.stderr
    assert refusal.startswith("Parley cannot start. HOST is '0.0.0.0'")


def test_the_address_that_is_told_can_be_opened():
    elsewhere = " (from elsewhere at this machine's own name or address)"
    told = {
        "127.0.0.1": "http://127.0.0.1:8000/x",
        "localhost": "http://localhost:8000/x",
        "::1": "http://[::1]:8000/x",
        "0.0.0.0": f"http://127.0.0.1:8000/x{elsewhere}",
        "::": f"http://[::1]:8000/x{elsewhere}",
    }
    # In a process of its own: that module makes the standard library cooperative.
    code = f"from webapp.__main__ import where\nfor host in {list(told)}: print(where(host, 8000, '/x'))"
    printed = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True).stdout
    assert printed.splitlines() == list(told.values())


def test_that_people_sign_in_is_told_at_the_start(serve, endpoint, openai):
    server = serve(HOST="0.0.0.0", ACCESS_CODE="open sesame 7", **endpoint)
    assert "own name or address) and test-model at " in server.line
    assert server.line.endswith(" answers; people sign in with ACCESS_CODE.\n")


def test_a_taken_port_is_one_clear_line(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        stopped = run(PORT=str(port), DATA_DIR=str(tmp_path), OPENAI_API_KEY="k")
    assert stopped.returncode == 1
    assert stopped.stderr == (
        f"Parley cannot start. Port {port} on 127.0.0.1 is taken by another program. "
        f"Stop it, or take another port: PORT={port + 1}.\n"
    )


def test_a_folder_in_use_is_one_clear_line(serve, endpoint):
    server = serve(**endpoint)
    stopped = run(PORT="0", DATA_DIR=server.settings["DATA_DIR"], OPENAI_API_KEY="k")
    assert stopped.returncode == 1
    assert "Another Parley uses the folder" in stopped.stderr
    assert stopped.stderr.count("\n") == 1


@pytest.mark.parametrize("name", ["secret", "installation"])
def test_a_start_that_cannot_read_a_file_of_its_own_names_it(tmp_path, name):
    (tmp_path / "data" / name).mkdir(parents=True)
    stopped = run(DATA_DIR=str(tmp_path / "data"), OPENAI_API_KEY="k")
    assert stopped.returncode == 1
    assert f"which cannot be used: Is a directory ({name})." in stopped.stderr
    assert "Traceback" not in stopped.stderr


def test_the_start_prints_one_line_with_the_address_and_the_model(serve, endpoint, openai):
    server = serve(**endpoint)
    assert (
        server.line
        == f"Parley is at {server.url} and test-model at {openai.base_url} answers; nobody has to sign in.\n"
    )
    assert urlopen(f"{server.url}/healthz").status == 200
    assert server.terminate() == 0
    assert server.process.stdout.read() == ""
    assert server.complaints == []


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_normal_stop_settles_what_runs_and_leaves_no_process(serve, endpoint, openai, how):
    server = serve(**endpoint)
    visitor = Visitor(server.url)
    openai.enqueue(Reply([event(chunk("Half an answer")), SILENCE]))
    visitor.ask("One?")
    wait_until(lambda: texts(visitor.page()) == ["Half an answer"])
    started = server.processes()
    server.terminate(how)
    assert openai.closed_by_client.wait(WAIT)
    assert not any(map(runs, started))

    server.start()
    page = visitor.page()
    assert statuses(page) == ["interrupted"]
    assert texts(page) == ["Half an answer"]


@pytest.mark.parametrize("time", range(3))
def test_ctrl_c_reaches_the_whole_group_and_ends_it_quietly(serve, endpoint, time):
    server = serve(**endpoint)
    started = server.processes()
    os.killpg(server.process.pid, signal.SIGINT)
    assert server.process.wait(ENDS_WITHIN) == 0
    assert wait_until(lambda: not any(map(runs, started)))
    assert server.complaints == []


def test_kill_9_in_the_middle_of_an_answer_loses_nothing(serve, endpoint, openai):
    server = serve(**endpoint)
    visitor = Visitor(server.url)
    visitor.ask("One?")
    wait_until(lambda: statuses(visitor.page()) == ["done"])
    openai.enqueue(Reply([*[step for i in range(200) for step in (event(chunk(f"{i} ")), 0.01)], SILENCE]))
    visitor.ask("Two?")
    seen = wait_until(lambda: len(found := texts(visitor.page())) == 2 and len(found[1]) > 100 and found[1])
    server.kill()
    assert openai.closed_by_client.wait(WAIT)

    server.start()  # At once, on the same port and folder.
    page = visitor.page()
    assert statuses(page) == ["done", "interrupted"]
    kept = texts(page)[1]
    assert kept.startswith(seen)
    assert "".join(f"{i} " for i in range(200)).startswith(kept)
    assert page.count('class="continue') == 1

    openai.enqueue(Reply.text("and on."))
    visitor.post(re.findall(r'action="(/[^"]*/continue)"', page)[0])
    page = wait_until(lambda: "pending" not in statuses(page := visitor.page()) and page)
    assert texts(page)[1].split() == [*kept.split(), "and", "on."]
    assert statuses(page) == ["done", "done"]


def test_kill_9_of_the_worker_alone_is_survived_too(serve, endpoint, openai):
    server = serve(**endpoint)
    visitor = Visitor(server.url)
    openai.enqueue(Reply([event(chunk("Half an answer")), SILENCE]))
    visitor.ask("One?")
    wait_until(lambda: texts(visitor.page()) == ["Half an answer"])
    _, worker = server.processes()
    worker.kill()
    wait_until(lambda: not runs(worker))
    page = wait_until(lambda: visitor.page(quietly=True))
    assert statuses(page) == ["interrupted"]
    assert texts(page) == ["Half an answer"]


def test_many_answers_at_once_are_each_whole(serve, endpoint, openai):
    server = serve(**endpoint)
    visitors = [Visitor(server.url) for _ in range(20)]
    for number, visitor in enumerate(visitors):
        openai.enqueue(Reply.text(*["word "] * 20, delay=0.01))
        visitor.ask(f"{number}?")
    for number, visitor in enumerate(visitors):
        page = wait_until(lambda visitor=visitor: statuses(page := visitor.page()) == ["done"] and page)
        assert f">{number}?</div>" in page
        assert [text.split() for text in texts(page)] == [["word"] * 20]
    assert len(openai.bodies) == 20


def test_flask_runs_it_too(tmp_path, endpoint, openai):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environ = {"PATH": os.environ["PATH"], "DATA_DIR": str(tmp_path)} | endpoint
    command = [sys.executable, "-m", "flask", "--app", "webapp", "run", "--debug", "--port", str(port)]
    process = subprocess.Popen(command, cwd=ROOT, env=environ, stdout=-3, stderr=-3, start_new_session=True)
    try:
        visitor = wait_until(lambda: Visitor.at(f"http://127.0.0.1:{port}"))
        visitor.ask("One?")
        page = wait_until(lambda: statuses(page := visitor.page()) == ["done"] and page)
        assert texts(page) == ["You said: One?"]
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(ENDS_WITHIN)


def answered_locally(serve):
    """Return a server whose local model has answered, and the visitor who asked."""
    server = serve()
    visitor = Visitor(server.url)
    visitor.ask("What is the capital of China?")
    wait_until(lambda: statuses(visitor.page()) == ["done"])
    return server, visitor


@pytest.mark.model
def test_without_a_setting_the_local_model_answers(serve):
    server = serve()
    assert re.fullmatch(r"Parley is at \S+ and SmolLM2-135M-Instruct answers, a small local model .*\n", server.line)
    visitor = Visitor(server.url)
    page = visitor.page()
    assert "SmolLM2-135M-Instruct" in page
    assert "for trying things out" in page
    assert "OPENAI_API_KEY" in page
    visitor.ask("What is the capital of China?")
    page = wait_until(lambda: statuses(page := visitor.page()) == ["done"] and page)
    assert "Beijing" in texts(page)[0]
    started = server.processes()
    assert len(started) == 3
    server.kill()
    wait_until(lambda: not any(map(runs, started)))


@pytest.mark.model
def test_the_local_model_completes_too(serve):
    server = serve()
    visitor = Visitor(server.url, "/completion")
    visitor.post(f"/conversations/{visitor.id}/parameters", max_tokens="12", temperature="0")
    visitor.ask("The capital of France is the city of")
    page = wait_until(lambda: "pending" not in statuses(page := visitor.page()) and page)
    assert statuses(page) == ["done"]
    assert "Paris" in texts(page)[0]
    assert "Cut off at the limit" in page
    assert "12 completion" in page


@pytest.mark.model
def test_a_local_model_that_dies_comes_back(serve):
    server, visitor = answered_locally(serve)
    _, _, model = server.processes()
    model.kill()
    visitor.ask("What is the capital of France?")
    page = wait_until(lambda: "pending" not in statuses(page := visitor.page()) and page)
    if statuses(page)[-1] == "failed":  # The question came in the moment of its death.
        visitor.post(re.findall(r'action="(/[^"]*/retry)"', page)[-1])
    page = wait_until(lambda: statuses(page := visitor.page()) == ["done", "done"] and page)
    assert "Paris" in texts(page)[1]


@pytest.mark.model
def test_a_model_file_that_does_not_load_is_told_in_the_turn_and_tried_again(serve, tmp_path):
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF, but no model")
    visitor = Visitor(serve(LOCAL_MODEL=str(broken)).url)
    visitor.ask("One?")
    page = wait_until(lambda: statuses(page := visitor.page()) == ["failed"] and page)
    assert f"The local model does not start from {broken}." in page
    assert "local-model.log" in page
    broken.unlink()
    broken.symlink_to(find())
    visitor.post(re.findall(r'action="(/[^"]*/retry)"', page)[0])
    # Its first words are enough: on a busy machine a long answer of the small model takes a minute.
    wait_until(lambda: texts(visitor.page())[0].strip())


@pytest.mark.model
def test_the_local_models_key_and_ours_are_in_no_process_list(serve):
    server, _ = answered_locally(serve)
    for process in server.processes()[1:]:
        assert re.fullmatch(r"\S*python\S* -m webapp(\.local_model)?", " ".join(process.cmdline()))
