"""What a person prefers of the page, its language and its theme: plain cookies, without the session."""

from urllib.parse import quote, urlsplit

from flask import Blueprint, current_app, redirect, request, url_for
from werkzeug.exceptions import HTTPException
from werkzeug.routing import RequestRedirect
from werkzeug.wrappers import Response

from .i18n import LANGUAGES

blueprint = Blueprint("preferences", __name__)

THEMES = ("light", "dark")
CHOICES = {"language": tuple(LANGUAGES), "theme": THEMES}
YEAR = 365 * 24 * 60 * 60  # seconds
LONGEST_ADDRESS = 2000  # characters


@blueprint.app_context_processor
def helpers() -> dict[str, object]:
    return {"languages": LANGUAGES, "preferred": preferred, "theme": preferred("theme"), "came_from": came_from}


def preferred(name: str) -> str:
    """Return what was chosen; empty where nothing was, or nothing that there is."""
    chosen = request.cookies.get(name, "")
    return chosen if chosen in CHOICES[name] else ""


def came_from() -> str:
    """Return the address of this page, to come back to it."""
    return request.full_path if request.query_string else request.path


@blueprint.post("/preferences")
def save() -> Response:
    """Keep what was chosen, and go back to the page; an empty value takes a choice back, nonsense changes nothing."""
    response = redirect(way_back(request.form.get("back", "")), code=303)
    for name, allowed in CHOICES.items():  # Where they are valid, and for whom, is the response's own doing.
        value = request.form.get(name)
        if value in allowed:
            response.set_cookie(name, value, max_age=YEAR)
        elif value == "":
            response.delete_cookie(name)
    return response


def way_back(address: str) -> str:
    """Return the address of one of our own pages that a form named, else that of the first one."""
    home = url_for("chat.page")
    if len(address) > LONGEST_ADDRESS or "\\" in address or not address.isprintable():
        return home
    try:
        parts = urlsplit(address)
        # Only a path and its query are given back, whatever was before them; but what had more is no page of ours.
        if parts.scheme or parts.netloc or not parts.path.startswith("/") or parts.path.startswith("//"):
            return home
        # What takes forms alone is no page to go to.
        current_app.create_url_adapter(request).match(parts.path, method="GET")  # type: ignore[union-attr]
    except (ValueError, HTTPException, RequestRedirect):
        return home
    query = f"?{quote(parts.query, safe='=&%+-._~')}" if parts.query else ""
    return f"{request.script_root}{quote(parts.path, safe='/%')}{query}"
