"""The requests for one answer, as they are made; and how to end them."""

import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

from .exchange import Exchange
from .llm_errors import Stopped
from .reply import Reply


@dataclass
class Call:
    """The requests for one answer and what the last reply says; another thread can close it at any moment.

    `sent` is told of each request just before it is sent. `dropped` names the parameters that a second
    request did without, `asked_again` says that one of them was the person's, `overflowed` that it had
    fewer turns, and `sent_from` which was the oldest.
    """

    reply: Reply = field(default_factory=Reply)
    exchanges: list[Exchange] = field(default_factory=list)
    sent: Callable[["Call"], None] = lambda call: None
    dropped: list[str] = field(default_factory=list)
    asked_again: bool = False
    overflowed: bool = False
    sent_from: str = ""
    closed: bool = False
    _socket: socket.socket | None = None
    _lock: Lock = field(default_factory=Lock)

    def close(self) -> None:
        """End the request upstream, now: what waits for the model's next word wakes up."""
        with self._lock:
            self.closed = True
            if self._socket is not None:
                _shut(self._socket)

    def trace(self, event: str, info: dict[str, Any]) -> None:
        """Remember the connection, as httpcore's `trace` extension reports it.

        Before the reply's first byte there is nothing else by which to end a request.
        """
        if not event.endswith(("connect_tcp.complete", "start_tls.complete")):
            return
        with self._lock:
            self._socket = info["return_value"].get_extra_info("socket")
            if self.closed:
                info["return_value"].close()
                raise Stopped("Stopped.")


def _shut(connection: socket.socket) -> None:
    with suppress(OSError, ValueError):  # It is closed already.
        connection.shutdown(socket.SHUT_RDWR)
