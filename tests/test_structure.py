"""The architecture as tests: imports point one way, and dangerous things have one owner."""

import ast
import hashlib
import re
from pathlib import Path

import pytest

from webapp.assets import JOINED

ROOT = Path(__file__).parent.parent
MODULES = {path.stem: path for path in (ROOT / "webapp").glob("*.py")}

# Each module, and the modules of ours that it may import.
ALLOWED = {
    "audio": {
        *("backend", "budget", "conversation", "files", "llm_errors", "locks", "rates", "sound", "spoken", "tokens"),
        *("conversations", "disk", "room"),
    },
    "media": {"chat", "conversation", "files", "store"},
    "speech": {"audio", "chat", "conversation", "forms", "spoken", "store"},
    "spoken": set(),
    "sound": {"llm_errors"},
    "config": {"setting", "setting_table"},
    "setting_table": {"setting"},
    "setting": set(),
    "room": {"conversation", "conversations", "files"},
    "visitor": {"chat", "conversation", "erasing", "farewell", "files", "i18n", "media", "meter", "store"},
    "erasing": set(),
    "farewell": set(),
    "logs": set(),
    "answer_line": {"logs", "tokens", "turn"},
    "request_log": {"logs"},
    "locks": set(),
    "forms": set(),
    "assets": set(),
    "compression": set(),
    "proxy": {"forms", "setting"},
    "wording": set(),
    "i18n": {"wording"},
    "preferences": {"i18n"},
    "failure": set(),
    "disk": set(),
    "turn": {"failure"},
    "conversation": {"failure", "turn"},
    "question": {"conversation"},
    "exchange": {"config", "conversation", "files"},
    "files": {"conversation"},
    "markdown": {"inline", "source", "writer"},
    "writer": {"han", "highlighting", "inline", "source"},
    "inline": {"han", "links", "mathml", "source"},
    "source": {"fences"},
    "fences": set(),
    "mathml": set(),
    "highlighting": {"lexing"},
    "lexing": set(),
    "links": set(),
    "han": set(),
    "security": {"proxy", "config"},
    "tokens": {"conversation"},
    "sending": {"conversation", "tokens"},
    "prices": {"tokens"},
    "budget": {"conversation", "locks"},
    "rates": {"conversation"},
    "secret": {"files"},
    "access": {"chat", "conversation", "config", "forms", "i18n", "preferences", "rates", "secret", "store"},
    "sign_in": {"access", "chat", "conversation", "farewell", "preferences", "rates", "store"},
    "meter": {"backend", "budget", "conversation", "prices", "sending", "store", "tokens"},
    "child": set(),
    "local_model": {"child"},
    "llm_errors": {"config"},
    "assembly": set(),
    "event_stream": {"llm_errors"},
    "reply": {"assembly", "event_stream", "llm_errors", "redaction"},
    "call": {"exchange", "llm_errors", "reply"},
    "llm": {
        "assembly",
        "call",
        "config",
        "endpoint",
        "exchange",
        "llm_errors",
        "pausing",
        "redaction",
        "reply",
        "sound",
    },
    "endpoint": {"redaction"},
    "redaction": set(),
    "request": {"conversation", "llm_errors", "parameters"},
    "window": {"conversation"},
    "kinds": set(),
    "catalog": {"kinds", "links", "llm_errors", "logs"},
    "backend": {
        "call",
        "catalog",
        "config",
        "conversation",
        "endpoint",
        "kinds",
        "llm",
        "llm_errors",
        "local_model",
        "reply",
        "request",
        "sending",
        "tokens",
        "window",
    },
    "pictures": {"conversation", "links"},
    "answer_log": {"conversation", "files", "reply"},
    "running": {"answer_log", "call", "conversation", "reply"},
    "ended": {"conversation", "exchange", "failure", "files", "pictures", "running", "tokens"},
    "settling": {
        *("answer_line", "answer_log", "budget", "conversation", "conversations", "ended", "exchange", "files"),
        *("disk", "running", "tokens"),
    },
    "records": {"conversation", "files", "locks"},
    "conversations": {"conversation", "locks", "records"},
    "sessions": {"locks", "records"},
    "store": {"conversation", "conversations", "files", "records", "secret", "sessions"},
    "answers": {
        "answer_log",
        "backend",
        "budget",
        "conversation",
        "conversations",
        "ended",
        "failure",
        "files",
        "llm",
        "llm_errors",
        "logs",
        "rates",
        "reply",
        "room",
        "running",
        "settling",
    },
    "growth": set(),
    "emphasis": set(),
    "mending": {"emphasis", "fences"},
    "unfolding": {"conversation", "growth", "markdown", "mending"},
    "beginning": {"conversation", "growth", "unfolding"},
    "allotment": {"beginning", "conversation", "running"},
    "following": {"answers", "beginning", "conversation", "growth", "i18n", "pausing", "reply", "running"},
    "errors": {"conversation", "disk", "forms", "i18n", "store"},
    "json_text": set(),
    "parameter": {"conversation"},
    "parameter_table": {"conversation", "parameter"},
    "field": {"json_text", "parameter", "question"},
    "parameters": {"conversation", "field", "json_text", "parameter", "parameter_table"},
    "panel": {"chat", "conversation", "parameter_table", "parameters", "store"},
    "chat": {
        "question",
        "answers",
        "backend",
        "allotment",
        "conversation",
        "following",
        "rates",
        "forms",
        "pictures",
        "request",
        "store",
        "__init__",
        "excerpt",
        "files",
    },
    "excerpt": {"conversation"},
    "turns": {"chat", "conversation", "store"},
    "export": {"config", "conversation", "exchange", "__init__"},
    "notebook": {"config", "conversation", "exchange", "export", "python_text"},
    "candidate": {"question", "conversation"},
    "foreign": {"candidate", "conversation"},
    "exported": {"reply", "candidate", "conversation", "export", "links", "tokens"},
    "importing": {"candidate", "exported", "foreign", "json_file", "pausing"},
    "json_file": {"candidate"},
    "pausing": set(),
    "choices": {"candidate", "conversation", "files"},
    "transfer": {
        "candidate",
        "chat",
        "choices",
        "conversation",
        "exchange",
        "export",
        "files",
        "forms",
        "i18n",
        "importing",
        "llm",
        "notebook",
        "parameters",
        "store",
    },
    "python_text": {"exchange"},
    "snippets": {"exchange", "python_text"},
    "inspector": {"beginning", "chat", "conversation", "exchange", "llm", "running", "snippets"},
    "serving": {"logs", "sweep"},
    "sweep": {"choices", "conversations", "files", "records"},
    "__init__": {
        *("access", "answers", "assets", "audio", "backend", "budget", "compression", "config", "erasing"),
        *("errors", "farewell", "files"),
        *("forms", "i18n", "proxy", "rates", "request_log", "room", "security", "sign_in", "store"),
        *("chat", "inspector", "media", "meter", "models", "panel", "preferences", "speech", "transfer", "turns"),
        "visitor",
    },
    "models": {"catalog", "chat", "conversation", "kinds", "store"},
    "__main__": {"__init__", "config", "files", "local_model", "logs", "prices", "secret", "serving", "store"},
}
EVERYBODYS = {"wording"}  # Whoever has something to say to people may say it.
OWNERS = {
    "openai": {"llm"},
    "httpx2": {"llm"},
    "subprocess": set(),
    "flask_session": {"store"},
    "limits": {"rates"},
}
WITHOUT_FLASK = (
    "conversation",
    "local_model",
    "backend",
    "llm",
    "llm_errors",
    "call",
    "event_stream",
    "reply",
    "answers",
    "config",
    "json_text",
    "parameter",
    "parameter_table",
    "parameters",
    "exchange",
    "files",
    "snippets",
    "audio",
    "sound",
    "spoken",
    "catalog",
    "kinds",
)
WITHOUT_FLASK += ("setting", "setting_table", "records", "conversations", "room", "logs", "answer_line")
WITHOUT_FLASK += ("child", "answer_log", "ended", "running", "settling")
WITHOUT_FLASK += ("wording", "turn", "excerpt", "failure", "disk", "field")
WITHOUT_FLASK += ("fences", "markdown", "writer", "inline", "source", "mathml", "highlighting", "links", "han")
WITHOUT_FLASK += ("allotment", "beginning", "growth", "emphasis", "mending", "unfolding")
WITHOUT_FLASK += ("tokens", "sending", "prices", "budget", "rates", "secret")
WITHOUT_FLASK += ("export", "exported", "notebook", "python_text", "candidate", "choices", "foreign", "importing")
WITHOUT_FLASK += ("erasing", "json_file", "pausing")


def imports(module):
    """Yield (package or None for ours, name) of everything that a module imports."""
    for node in ast.walk(ast.parse(MODULES[module].read_text())):
        if isinstance(node, ast.Import):
            yield from ((alias.name.split(".")[0], alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield from ((node.module.split(".")[0], f"{node.module}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield None, node.module
        elif isinstance(node, ast.ImportFrom):
            yield from ((None, alias.name if alias.name in MODULES else "__init__") for alias in node.names)


def test_every_module_has_its_place():
    assert set(MODULES) == set(ALLOWED)


@pytest.mark.parametrize("module", sorted(MODULES))
def test_imports_point_one_way(module):
    assert {name for package, name in imports(module) if package is None} <= ALLOWED[module] | EVERYBODYS


@pytest.mark.parametrize("package", sorted(OWNERS))
def test_a_dangerous_package_has_one_owner(package):
    users = {module for module in MODULES if package in {name for name, _ in imports(module)}}
    assert users == OWNERS[package]


def test_the_session_has_one_owner():
    assert {module for module in MODULES if ("flask", "flask.session") in imports(module)} == {"store"}


def test_markup_is_made_in_one_place():
    assert {module for module, path in MODULES.items() if "Markup(" in path.read_text()} == {"markdown"}
    assert not [path for path in (ROOT / "templates").iterdir() if "|safe" in path.read_text().replace(" ", "")]


@pytest.mark.parametrize("module", WITHOUT_FLASK)
def test_what_is_not_about_http_does_without_flask(module):
    used = {package for package, _ in imports(module)}
    assert not used & {"flask", "werkzeug"}, "Only annotations may name it."


@pytest.mark.parametrize("module", sorted(MODULES))
def test_modules_stay_small(module):
    assert len(MODULES[module].read_text().splitlines()) <= 300


def test_a_proof_is_compared_in_constant_time_alone():
    compared, called = [], 0
    for path in sorted((ROOT / "webapp").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if "proof" not in ast.unparse(node).lower():
                continue
            if isinstance(node, ast.Compare) and not all(isinstance(one, ast.In | ast.NotIn) for one in node.ops):
                compared.append(f"{path.name}: {ast.unparse(node)}")
            called += isinstance(node, ast.Call) and ast.unparse(node.func).endswith("compare_digest")
    assert (compared, called) == ([], 2)


@pytest.mark.parametrize("folder", ["static/vendor", "tests/samples/blns"])
def test_vendored_files_are_what_their_package_holds(folder):
    readme = (ROOT / folder / "README.md").read_text()
    listed = dict(re.findall(r"^\| `([\w.-]+)` \|.*\| `([0-9a-f]{64})` \|$", readme, re.MULTILINE))
    found = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in (ROOT / folder).iterdir()
        if path.name != "README.md"
    }
    assert found == listed


def test_pages_load_the_vendored_versions():
    templates = "".join(path.read_text() for path in (ROOT / "templates").glob("*.html"))
    loaded = re.findall(r"filename='([\w./-]+\.js)'", templates)
    used = {part for name in loaded for part in JOINED.get(name, (name,)) if part.startswith("vendor/")}
    assert used == {f"vendor/{path.name}" for path in (ROOT / "static/vendor").glob("*.js")}
