"""A line in the log for each request, when its reply has gone out."""

import logging
from collections.abc import Callable, Iterable, Iterator
from ipaddress import ip_address
from secrets import token_hex
from time import perf_counter
from typing import TYPE_CHECKING, Any, cast

from flask import Flask, Response, g, request

from .logs import hashed, request_id, safe_id

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

log = logging.getLogger(__name__)

SEEN = "parley.seen"
METHODS = {"GET", "HEAD", "POST", "OPTIONS", "PUT", "DELETE", "PATCH"}
IDS = {"conversation_id": "conversation", "turn_id": "turn", "answer_id": "answer"}


def init_app(app: Flask) -> None:
    """Hook in, outside of everything else that was hooked in before."""
    app.wsgi_app = RequestLog(app.wsgi_app)  # type: ignore[method-assign]
    app.after_request(_note)
    # Flask's own line has the path in it.
    app.log_exception = lambda exc_info: log.error(  # type: ignore[method-assign]
        "A request failed outside of its view.", exc_info=exc_info
    )


def _note(response: Response) -> Response:
    """Note what only the application knows of a request: its route, the ids in it, and whose it is."""
    rule = request.url_rule.rule if request.url_rule else None
    ids = {} if response.status_code == 404 else (request.view_args or {})
    named = {name: safe_id(ids[argument]) for argument, name in IDS.items() if argument in ids}
    request.environ[SEEN] = {"route": rule, **named, "visitor": hashed(g.get("visitor", ""))}
    return response


class RequestLog:
    """Logs each request once: with its time, when its last byte was taken or the client had gone."""

    def __init__(self, app: "WSGIApplication"):
        self._app = app

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        line = _Line(environ)
        request_id.set(line.id)

        def start(status: str, headers: list[tuple[str, str]], *more: Any) -> Any:
            line.status = int(status[:3])
            line.length = next((value for name, value in headers if name.lower() == "content-length"), "")
            return start_response(status, headers, *more)

        try:
            body = self._app(environ, start)
        except BaseException:
            line.status = 500
            line.write()
            raise
        files: Any = environ.get("wsgi.file_wrapper", ())
        if isinstance(body, files):
            # The server sends it from file to socket, if it is left as it is.
            line.bytes = int(line.length or 0)
            body.close = _both(getattr(body, "close", lambda: None), line.write)
            return cast(Iterable[bytes], body)
        return _Counted(body, line)


class _Line:
    """What is known of a request."""

    def __init__(self, environ: "WSGIEnvironment"):
        self.id = token_hex(4)
        self.status = 0
        self.bytes = 0
        self.length = ""
        self._environ = environ
        self._began = perf_counter()
        self._written = False

    def write(self) -> None:
        if self._written:
            return
        self._written = True
        method = self._environ.get("REQUEST_METHOD", "")
        seen = self._environ.get(SEEN, {"route": None})
        fields = {
            "method": method if method in METHODS else None,
            **seen,
            "status": self.status,
            "ms": round((perf_counter() - self._began) * 1000, 1),
            "bytes": self.bytes,
            "client": _address(self._environ.get("REMOTE_ADDR", "")),
            "id": self.id,
        }
        log.info("request", extra={"fields": fields})


class _Counted:
    """A reply's body, counted as it goes."""

    def __init__(self, body: Iterable[bytes], line: _Line):
        self._body = body
        self._next = iter(body)
        self._line = line

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        piece = next(self._next)
        self._line.bytes += len(piece)
        return piece

    def close(self) -> None:
        try:
            if hasattr(self._body, "close"):
                self._body.close()
        finally:
            self._line.write()


def _both(first: Callable[[], object], second: Callable[[], object]) -> Callable[[], None]:
    def run() -> None:
        try:
            first()
        finally:
            second()

    return run


def _address(claimed: str) -> str | None:
    """Return the client's address; None for what a proxy let pass as one and is none."""
    try:
        return str(ip_address(claimed.partition("%")[0]))
    except ValueError:
        return None
