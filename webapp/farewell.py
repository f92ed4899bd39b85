"""What the page behind a farewell says of it, when nobody is known any more: signing out, deleting everything.

In a signed cookie that soon ends: an address could be made up by anybody, and would stay in the history as if it were
true; and an answer to the form itself would do it all again when it is loaded again.
"""

import secrets
from typing import Any

from flask import Flask, current_app, request
from itsdangerous import BadData, URLSafeTimedSerializer
from werkzeug.wrappers import Response

COOKIE = "farewell"
SECONDS = 600


def init_app(app: Flask) -> None:
    app.extensions["farewell"] = URLSafeTimedSerializer(app.extensions["secret"], salt=COOKIE)


def say_farewell(response: Response, kind: str, **what: int) -> Response:
    """Let the page that a response leads to know what was done."""
    # The id is for the page's script, which does its part once, however often the page is loaded.
    told = {"kind": kind, "id": secrets.token_hex(4), **what}
    response.set_cookie(COOKIE, current_app.extensions["farewell"].dumps(told), max_age=SECONDS)
    return response


def farewell(kind: str) -> dict[str, Any]:
    """Return what was done a moment ago; nothing where it was something else, or nothing at all."""
    try:
        told = current_app.extensions["farewell"].loads(request.cookies.get(COOKIE, ""), max_age=SECONDS)
    except BadData:
        return {}
    return told if told["kind"] == kind else {}


def forget_farewell(response: Response) -> Response:
    if COOKIE in request.cookies:
        response.delete_cookie(COOKIE)
    return response
