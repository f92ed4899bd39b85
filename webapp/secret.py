"""The installation's secret, to which all that is signed in is bound. It never leaves the data folder."""

import hmac
import logging
import secrets
from pathlib import Path

from .files import write_whole

log = logging.getLogger(__name__)

LENGTH = 32  # bytes


def installation_secret(folder: Path) -> bytes:
    """Return the secret of a data folder, which is made once and only the owner of the folder can read.

    Raises OSError.
    """
    path = folder / "secret"
    try:
        secret = path.read_bytes()
    except FileNotFoundError:
        secret = b""
    else:
        if len(secret) != LENGTH:
            log.error("%s cannot be read, and everybody has to sign in again; it is kept as secret.damaged.", path)
            path.replace(path.with_suffix(".damaged"))
    if len(secret) != LENGTH:
        secret = secrets.token_bytes(LENGTH)
        write_whole(path, secret)  # with mode 0600, and flushed before it has its name
    return secret


def proof_of(code: str, secret: bytes) -> str:
    """Return what shows that a code was known, without being of use to find it; 64 characters."""
    return hmac.new(secret, code.encode(errors="replace"), "sha256").hexdigest()
