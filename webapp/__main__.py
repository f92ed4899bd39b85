"""`python -m webapp`: check the settings, take the port and the data folder, serve."""

from gevent import monkey

monkey.patch_all()  # Before anything else is imported: every wait must let the other greenlets run.

import argparse  # noqa: E402
import errno  # noqa: E402
import logging  # noqa: E402
import os  # noqa: E402
import resource  # noqa: E402
import socket  # noqa: E402
import sys  # noqa: E402
from collections.abc import Mapping  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

from . import __version__, config, create_app, logs, prices, store  # noqa: E402
from .files import keep_private  # noqa: E402
from .local_model import LocalModelError, find, name_of  # noqa: E402
from .secret import installation_secret  # noqa: E402

log = logging.getLogger("webapp")  # As `__main__` it would be somebody else's, whose words the log does not repeat.


class CannotStart(Exception):
    """Why the server cannot start, in one line."""


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m webapp",
        description="Parley, a browser chat for any OpenAI-compatible model. Without a setting, a small local model "
        "answers; set OPENAI_API_KEY or OPENAI_BASE_URL to let an endpoint answer.",
        epilog=f"settings, from the environment or from a file .env in this folder:\n{config.describe()}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"Parley {__version__}")
    parser.add_argument(
        "--wants-local-model",
        action="store_true",
        help=argparse.SUPPRESS,  # for the Makefile: 0 is yes, 1 is no
    )
    arguments = parser.parse_args()
    os.umask(0o077)  # What is written is for nobody else, by whomever it is written,
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # and no crash leaves the memory, with the key, in a file.
    logs.begin("text")
    try:
        try:
            values = config.read()
            logs.begin(values["LOG_FORMAT"])
        finally:  # Also where the start ends here: a name that is not known may be why.
            if not arguments.wants_local_model:
                tell_mistyped()
        if arguments.wants_local_model:
            sys.exit(not config.wants_local_model(values))
        prices.read(values["PRICES"])
        serve(values)
    except (config.SettingError, prices.PricesError, LocalModelError, store.FolderTaken, CannotStart) as problem:
        sys.exit(f"Parley cannot start. {problem}")


def tell_mistyped() -> None:
    """Warn of names in `.env` that look like a mistyped setting. Raises SettingError."""
    for name, setting in config.mistyped().items():
        log.warning("%s in the file .env is no setting and does nothing. %s is one.", name, setting)


def serve(values: Mapping[str, Any]) -> None:
    """Serve until a signal ends it. Raises what `main` tells in one line."""
    local = config.wants_local_model(values)
    path = (values["LOCAL_MODEL"] or find()) if local else None
    folder = values["DATA_DIR"]
    try:
        store.hold(folder)
        for part in ("records", "answers", "files"):
            keep_private(folder / part)
        store.installation(folder)
        installation_secret(folder)
    except OSError as error:
        reason = "it or a part of it is not a folder" if isinstance(error, FileExistsError) else error.strerror
        if error.filename and Path(error.filename).parent == folder:
            reason = f"{reason} ({Path(error.filename).name})"
        raise CannotStart(f"DATA_DIR is {str(folder)!r}, which cannot be used: {reason}.") from None
    listener = listen(values["HOST"], values["PORT"])
    if path:
        answering = f"{name_of(path)} answers, a small local model for trying things out (README: a better one)"
    else:
        answering = (
            f"{values['CHAT_MODEL'] or 'the first model'} at {config.public_url(values['OPENAI_BASE_URL'])} answers"
        )

    from .serving import Server

    at = where(values["HOST"], listener.getsockname()[1], values["BASE_PATH"])
    who = "people sign in with ACCESS_CODE" if values["ACCESS_CODE"] else "nobody has to sign in"
    Server(create_app, listener, f"Parley is at {at} and {answering}; {who}.").run()


def where(host: str, port: int, path: str) -> str:
    """Return the address to open; of a server that listens on all of a machine's, the one that works on it."""
    own = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    address = f"http://{f'[{own}]' if ':' in own else own}:{port}{path}"
    return address if own == host else f"{address} (from elsewhere at this machine's own name or address)"


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens there. Raises CannotStart."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(1024)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise CannotStart(
                f"Port {port} on {host} is taken by another program. Stop it, or take another port: PORT={port + 1}."
            ) from None
        raise CannotStart(f"It cannot listen on HOST {host!r}, PORT {port}: {error.strerror or error}.") from None
    return listener


if __name__ == "__main__":
    main()
