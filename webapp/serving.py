"""Serving with gunicorn and gevent: one process of many greenlets, and an orderly end."""

import os
import signal
import socket
import sys
from collections.abc import Callable, Iterable
from threading import Thread
from time import monotonic
from types import FrameType
from typing import TYPE_CHECKING, Any

import gevent
from flask import Flask
from gevent.threadpool import ThreadPool
from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter
from gunicorn.glogging import Logger
from gunicorn.http.errors import ParseException
from gunicorn.workers.ggevent import GeventWorker

from .logs import hub_failed
from .sweep import sweep_daily

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

DISK_THREADS = 10  # as many as wait for the disk at once
GRACE = 8  # seconds for what still runs when the server is told to stop
ENDING = (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM)
# A body that comes more slowly than this is taken for a connection that broke off: it holds one of 2,000.
QUIET = 30.0  # seconds without a byte
PATIENCE = 60.0  # seconds for a whole body, and
SLOWEST = 1_000  # one more for so many bytes that have come; 50 MB on a slow line take minutes
PIECE = 2**16  # bytes that are read before that is looked at again


class Log(Logger):  # type: ignore[misc]
    """Gunicorn's log without a handler of its own: its words go where all others go."""

    def setup(self, cfg: Any) -> None:
        super().setup(cfg)
        self.error_log.handlers.clear()
        self.error_log.propagate = True


class Worker(GeventWorker):  # type: ignore[misc]
    """Settles the running answers before it ends, however it is told to."""

    ending = False

    def init_signals(self) -> None:
        super().init_signals()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)  # What came since the fork comes now.

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """On SIGTERM: settle, and let requests come to their end."""
        self._settle_then(lambda: setattr(self, "alive", False))

    def handle_quit(self, sig: int, frame: FrameType | None) -> None:
        """On Ctrl-C: settle, let the pages hear of it, and end."""
        self._settle_then(lambda: (gevent.sleep(0.2), os._exit(0)))

    def _settle_then(self, end: Callable[[], object]) -> None:
        if self.ending:
            return  # Ctrl-C arrives twice, from the terminal and from the master.
        self.ending = True

        def settle() -> None:
            try:
                if app := getattr(self, "wsgi", None):  # Told to end while it starts, there is nothing to settle yet.
                    app.extensions["answers"].shut_down()
                    app.extensions["backend"].stop()
            finally:
                end()

        # In a greenlet of its own: a signal handler must not wait, and settling waits for locks and disks.
        gevent.spawn(settle)


class Master(Arbiter):  # type: ignore[misc]
    """Forks the worker with the signals that end it held back: one that came before it listens would be lost."""

    def spawn_worker(self) -> int:
        signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
        try:
            pid: int = super().spawn_worker()  # The child does not come back.
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)
        return pid


class Server(BaseApplication):  # type: ignore[misc]
    """Gunicorn around our application, on a socket that is already bound."""

    def __init__(self, make_app: Callable[[], Flask], listener: socket.socket, ready: str):
        self.make_app = make_app
        self.listener = listener
        self.ready = ready
        super().__init__()

    def load_config(self) -> None:
        lifeline = _Lifeline()
        settings = {
            "bind": f"fd://{self.listener.fileno()}",
            "worker_class": Worker,
            "workers": 1,
            "worker_connections": 2000,
            "graceful_timeout": GRACE,
            "timeout": 120,
            "keepalive": 2,
            "loglevel": "warning",
            "logger_class": Log,
            "control_socket_disable": True,
            # Whose word counts is TRUSTED_PROXIES' to say; gunicorn would believe everything on this machine.
            "forwarded_allow_ips": "",
            "when_ready": lambda arbiter: print(self.ready, flush=True),
            "post_fork": lambda arbiter, worker: lifeline.hold(),
        }
        for name, value in settings.items():
            self.cfg.set(name, value)

    def load(self) -> Flask:
        gevent.hub.Hub.print_exception = hub_failed
        app = self.make_app()
        app.wsgi_app = _Bodies(app.wsgi_app)  # type: ignore[method-assign]
        app.debug = False  # whatever FLASK_DEBUG says: its traces are for nobody but a developer
        # A slow disk must not stop the other greenlets, so that what waits for it is done in a real thread.
        off_loop = DiskThreads()
        for part in (app.extensions["store"].records, app.extensions["files"], app.extensions["answers"].logs):
            part.off_loop = off_loop
        app.extensions["backend"].start()
        Thread(target=sweep_daily, args=(app,), name="sweep", daemon=True).start()
        return app

    def run(self) -> None:
        Master(self).run()


class DiskThreads:
    """Does what waits for the disk in real threads of its own.

    The hub's are for names of hosts: a disk that hangs must keep nobody from being answered.
    """

    def __init__(self) -> None:
        self._pool = ThreadPool(DISK_THREADS)

    def __call__(self, function: Callable[..., Any], *arguments: Any) -> Any:
        return self._pool.apply(function, arguments)


class _Bodies:
    """Hands the application each request's body so that what is wrong with its transfer is the client's error."""

    def __init__(self, app: "WSGIApplication"):
        self._app = app

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        environ["wsgi.input"] = _Body(environ["wsgi.input"], environ["gunicorn.socket"])
        return self._app(environ, start_response)


class _Body:
    """A body that breaks off like a connection where gunicorn finds no sense in it, or where it comes too slowly."""

    def __init__(self, body: Any, connection: Any):
        self._body = body
        self._connection = connection
        self._begun = monotonic()
        self._received = 0

    def read(self, size: int | None = None) -> bytes:
        left = sys.maxsize if size is None or size < 0 else size
        pieces = []
        while left and (piece := self._piece(min(left, PIECE))):
            pieces.append(piece)
            left -= len(piece)
        return b"".join(pieces)

    def _piece(self, size: int) -> bytes:
        patience = PATIENCE + self._received / SLOWEST - (monotonic() - self._begun)
        self._connection.settimeout(QUIET)
        try:
            with gevent.Timeout(max(patience, 0.001), ConnectionError("The body comes too slowly.")):
                piece: bytes = self._body.read(size)
        except (ParseException, TimeoutError) as error:
            raise ConnectionError from error
        finally:
            self._connection.settimeout(None)  # What is sent may wait for as long as it likes.
        self._received += len(piece)
        return piece

    def __getattr__(self, name: str) -> Any:
        return getattr(self._body, name)


class _Lifeline:
    """Ends the worker at once when its master dies, so that port and data folder are free for the next start."""

    def __init__(self) -> None:
        self._read, self._write = os.pipe()

    def hold(self) -> None:
        os.close(self._write)
        gevent.spawn(self._watch)

    def _watch(self) -> None:
        gevent.get_hub().wait(gevent.get_hub().loop.io(self._read, 1))
        os._exit(1)
