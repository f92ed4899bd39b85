"""Every sentence that a page can show, found in the source: what a translation has to have, and no more."""

import ast
from pathlib import Path

from jinja2 import Environment
from jinja2.ext import extract_from_ast

from webapp.parameter_table import GROUPS

ROOT = Path(__file__).parent.parent
TEMPLATES = sorted((ROOT / "templates").glob("*.html"))
MODULES = sorted((ROOT / "webapp").glob("*.py"))
# What says a sentence, and at which place its message stands; of a plural it is the form for many.
SAYING = {"say": 0, "say_many": 1, "gettext": 0, "ngettext": 1}

environment = Environment(extensions=["jinja2.ext.i18n"], trim_blocks=True, lstrip_blocks=True)
environment.filters |= dict.fromkeys(("thousands", "translated", "capitalized", "day"), str)


def of_templates():
    """Return message -> where it stands."""
    found = {}
    for path in TEMPLATES:
        for line, function, message in extract_from_ast(environment.parse(path.read_text()), babel_style=False):
            strings = [one for one in message if isinstance(one, str)] if isinstance(message, tuple) else [message]
            found[strings[1 if "ngettext" in function else 0]] = f"{path.name}:{line}"
    return found


def calls(path):
    """Yield each call that says a sentence: the line, the name, and the message; None where that is no literal."""
    for node in ast.walk(ast.parse(path.read_text())):
        function = getattr(node, "func", None)
        name = getattr(function, "id", None) or getattr(function, "attr", None)
        if isinstance(node, ast.Call) and name in SAYING and len(node.args) > SAYING[name]:
            message = node.args[SAYING[name]]
            yield node.lineno, name, message.value if isinstance(message, ast.Constant) else None


def of_python():
    return {
        message: f"{path.name}:{line}" for path in MODULES for line, _, message in calls(path) if message is not None
    }


def of_tables():
    """Return what the table of parameters says, which its templates translate."""
    found = {}
    for title, group in GROUPS.items():
        found[title] = "GROUPS"
        for one in group:
            found |= {one.label: one.name, one.what: one.name}
    return found


def everything():
    return of_templates() | of_python() | of_tables()
