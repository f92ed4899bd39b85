"""The language of a page: which one, and its words."""

from flask import Flask

from .wording import Sentence, capitalized


def init_app(app: Flask) -> None:
    """Let templates say `_("…")`, `ngettext("…", "…", n)` and `{% trans %}`."""
    app.jinja_env.add_extension("jinja2.ext.i18n")
    app.jinja_env.install_gettext_callables(gettext, ngettext, newstyle=True)  # type: ignore[attr-defined]
    app.jinja_env.filters |= {"translated": translated, "capitalized": capitalized}


def gettext(message: str) -> str:
    """Return a message in the page's language."""
    return message


def ngettext(one: str, many: str, number: int) -> str:
    """Return the message for a number of things, in the page's language."""
    return gettext(one if number == 1 else many)


def translated(sentence: object) -> str:
    """Return a sentence of ours in the page's language; what others said stays as it is."""
    text = str(sentence)
    if not isinstance(text, Sentence) or gettext(text.message) == text.message:
        return text
    values = {name: translated(one) if isinstance(one, Sentence) else one for name, one in text.values.items()}
    return gettext(text.message).format(**values)
