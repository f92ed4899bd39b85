"""What a setting is, and how its text becomes a value."""

import re
from collections.abc import Callable
from importlib.util import find_spec
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

Network = IPv4Network | IPv6Network


class SettingError(ValueError):
    """A setting's value cannot be used; the text names the variable, the value and what is allowed."""


def text(value: str) -> str:
    return value


class Setting(NamedTuple):
    name: str
    default: str | None
    why: str
    parse: Callable[[str], Any] = text
    empty_means_something: bool = False
    secret: bool = False


def path(value: str) -> Path:
    return Path(value).expanduser().absolute()


def gguf(value: str) -> Path:
    file = path(value)
    try:
        with file.open("rb") as content:
            if content.read(4) == b"GGUF":
                return file
    except OSError:
        pass
    raise ValueError("the path of a model file in GGUF format")


def key(value: str) -> str:
    if not re.fullmatch("[!-~]+", value):
        raise ValueError("a key as the provider shows it: letters, digits and signs of ASCII, without blanks")
    return value


def code(value: str) -> str:
    if value != value.strip() or not value.isprintable() or not 8 <= len(value) <= 200 or len(set(value)) < 4:
        raise ValueError(
            "a code of 8 to 200 characters, at least four of them different, without a blank at either end "
            "(`python -c 'import secrets; print(secrets.token_urlsafe(9))'` makes one)"
        )
    return value


def host(value: str) -> str:
    """Return an address or a name to listen on. Raises ValueError for what looks like an address and is none."""
    if re.fullmatch(r"[\d.]+|.*[:\s/].*", value) and not is_address(value):
        raise ValueError("an address of this machine, such as 127.0.0.1, ::1 or 0.0.0.0, or a name of it")
    return value


def is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def hosts(value: str) -> tuple[str, ...]:
    return tuple(name.strip().lower() for name in value.split(",") if name.strip())


def base_path(value: str) -> str:
    """Return a sub-path without a slash at its end; nothing for the whole host. Raises ValueError."""
    path = value.rstrip("/")
    if re.search(r"/\.{1,2}(/|$)", path) or not re.fullmatch(r"(/[\w.~-]+)*", path, re.ASCII):
        raise ValueError("a path such as /parley, of letters, digits, -, ., _ and ~")
    return path


def networks(value: str) -> tuple[Network, ...]:
    try:
        return tuple(ip_network(part.strip()) for part in value.split(",") if part.strip())
    except ValueError as error:
        raise ValueError(f"addresses and networks such as 127.0.0.1, ::1, 10.0.0.0/8 with commas ({error})") from None


def url(value: str) -> str:
    allowed = ValueError("an address such as http://localhost:11434/v1")
    try:
        parts = urlsplit(value)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
        # Behind the host it would be the end of a password that has a slash or such in it, and would be shown.
        usable = usable and "@" not in parts.path + parts.query + parts.fragment
    except ValueError:
        raise allowed from None
    if not usable:
        raise allowed
    return value.rstrip("/")


def proxy(value: str) -> str:
    known = ["http", "https", *(["socks5", "socks5h"] if find_spec("socksio") else [])]
    allowed = ValueError(f"an address such as http://proxy.example:3128, beginning with {' or '.join(known)}")
    try:
        parts = urlsplit(value if "://" in value else f"http://{value}")
        usable = parts.scheme in known and parts.hostname and parts.port != 0 and value.isprintable()
    except ValueError:
        raise allowed from None
    if not usable:
        raise allowed
    return value


def yes_or_no(value: str) -> bool:
    if value not in ("0", "1"):
        raise ValueError("0 or 1")
    return value == "1"


def one_of(*allowed: str) -> Callable[[str], str]:
    def parse(value: str) -> str:
        if value not in allowed:
            raise ValueError(" or ".join(allowed))
        return value

    return parse


def whole(low: int, high: int) -> Callable[[str], int]:
    def parse(value: str) -> int:
        if not value.strip().isascii() or not value.strip().isdigit() or not low <= int(value) <= high:
            raise ValueError(f"a whole number from {low:,} to {high:,}")
        return int(value)

    return parse
