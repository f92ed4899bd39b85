"""The language of a page: which one, and its words."""

import json
from functools import cache
from pathlib import Path
from typing import cast

from flask import Flask, Response, has_request_context, request

from .wording import Sentence, capitalized

# Each is called by its own name, in whatever language the page is.
LANGUAGES = {"en": "English", "zh-CN": "中文"}
ENGLISH = "en"
KEY = "parley.language"  # in a request's environment: it is asked for with every word
# By the beginning of what a browser asks for: who reads any Chinese is better served by this one than by English.
ASKED_FOR = {"en": "en", "zh": "zh-CN", "cmn": "zh-CN", "yue": "zh-CN"}


def init_app(app: Flask) -> None:
    """Let templates say `_("…")`, `ngettext("…", "…", n)` and `{% trans %}`; tell caches and browsers the language."""
    app.jinja_env.add_extension("jinja2.ext.i18n")
    app.jinja_env.install_gettext_callables(gettext, ngettext, newstyle=True)  # type: ignore[attr-defined]
    app.jinja_env.filters |= {"translated": translated, "capitalized": capitalized}
    app.jinja_env.globals["language"] = language
    app.after_request(tell_language)


def language() -> str:
    """Return the language of the page: the one chosen, else what the browser asks for. English outside of a request."""
    if not has_request_context():
        return ENGLISH
    if KEY not in request.environ:
        chosen = request.cookies.get("language")
        request.environ[KEY] = chosen if chosen in LANGUAGES else _asked_for()
    return cast(str, request.environ[KEY])


def _asked_for() -> str:
    for tag, quality in request.accept_languages:  # the most wanted first
        known = ASKED_FOR.get(tag.replace("_", "-").partition("-")[0].lower())
        if known and quality > 0:
            return known
    return ENGLISH


def tell_language(response: Response) -> Response:
    if response.mimetype in ("text/html", "text/markdown", "text/event-stream"):
        response.content_language.add(language())
        response.vary.update(("Accept-Language", "Cookie"))
    return response


@cache
def catalogue(name: str) -> dict[str, str]:
    """Return a language's messages by the English ones."""
    if name == ENGLISH:
        return {}
    return cast(dict[str, str], json.loads((Path(__file__).parent / f"{name}.json").read_text(encoding="utf-8")))


def gettext(message: str) -> str:
    """Return a message in the page's language."""
    return catalogue(language()).get(message, message)


def ngettext(one: str, many: str, number: int) -> str:
    """Return the message for a number of things, in the page's language. A translation is looked up by `many`."""
    messages = catalogue(language())
    return messages.get(many) or (one if number == 1 else many)


def translated(sentence: object) -> str:
    """Return a sentence of ours in the page's language; what others said stays as it is."""
    text = str(sentence)
    if not isinstance(text, Sentence):
        return text
    message = catalogue(language()).get(text.message)
    if message is None:
        return text
    values = {name: translated(one) if isinstance(one, Sentence) else one for name, one in text.values.items()}
    return message.format(**values)
