"""Every setting: its name, its default, one line of why; nonsense stops the start.

Settings come from the environment and from an optional `.env` file in the current folder; the
environment wins. An empty value counts as not set, except where empty means something.
"""

import os
import re
from collections.abc import Callable, Mapping
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from dotenv import dotenv_values

Network = IPv4Network | IPv6Network

LOOPBACK = ("127.0.0.1", "localhost", "::1")
OPENAI_URL = "https://api.openai.com/v1"
OPENAI_MODEL = "gpt-5.4-mini"


class SettingError(ValueError):
    """A setting's value cannot be used; the text names the variable, the value and what is allowed."""


def _text(value: str) -> str:
    return value


def _path(value: str) -> Path:
    return Path(value).expanduser().absolute()


def _gguf(value: str) -> Path:
    path = _path(value)
    try:
        with path.open("rb") as file:
            if file.read(4) == b"GGUF":
                return path
    except OSError:
        pass
    raise ValueError("the path of a model file in GGUF format")


def _key(value: str) -> str:
    if not re.fullmatch("[!-~]+", value):
        raise ValueError("a key as the provider shows it: letters, digits and signs of ASCII, without blanks")
    return value


def _hosts(value: str) -> tuple[str, ...]:
    return tuple(name.strip().lower() for name in value.split(",") if name.strip())


def base_path(value: str) -> str:
    """Return a sub-path without a slash at its end; nothing for the whole host. Raises ValueError."""
    path = value.rstrip("/")
    if re.search(r"/\.{1,2}(/|$)", path) or not re.fullmatch(r"(/[\w.~-]+)*", path, re.ASCII):
        raise ValueError("a path such as /parley, of letters, digits, -, ., _ and ~")
    return path


def _networks(value: str) -> tuple[Network, ...]:
    try:
        return tuple(ip_network(part.strip()) for part in value.split(",") if part.strip())
    except ValueError as error:
        raise ValueError(f"addresses and networks such as 127.0.0.1, ::1, 10.0.0.0/8 with commas ({error})") from None


def _url(value: str) -> str:
    allowed = ValueError("an address such as http://localhost:11434/v1")
    try:
        parts = urlsplit(value)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        raise allowed from None
    if not usable:
        raise allowed
    return value.rstrip("/")


def public_url(url: str) -> str:
    """Return an endpoint's address without what may be secret in it: a user, a password, a query."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}".rstrip("/") if parts.netloc else ""


def _yes_or_no(value: str) -> bool:
    if value not in ("0", "1"):
        raise ValueError("0 or 1")
    return value == "1"


def _whole(low: int, high: int) -> Callable[[str], int]:
    def parse(value: str) -> int:
        if not value.strip().isascii() or not value.strip().isdigit() or not low <= int(value) <= high:
            raise ValueError(f"a whole number from {low:,} to {high:,}")
        return int(value)

    return parse


class Setting(NamedTuple):
    name: str
    default: str | None
    why: str
    parse: Callable[[str], Any] = _text
    empty_means_something: bool = False
    secret: bool = False


SETTINGS = (
    Setting("HOST", "127.0.0.1", "The address to listen on. Beyond this machine, see ALLOW_ANYONE."),
    Setting("PORT", "8000", "The port to listen on; 0 takes any free one.", _whole(0, 65535)),
    Setting(
        "ALLOW_ANYONE",
        "0",
        "1 lets the server listen beyond this machine: whoever reaches it spends your key.",
        _yes_or_no,
    ),
    Setting(
        "ALLOWED_HOSTS",
        None,
        "Names under which the page may be asked for, with commas. Not set: on loopback only loopback's own, "
        "beyond it any.",
        _hosts,
    ),
    Setting("BASE_PATH", "/", "The path below which the browser finds Parley, such as /parley.", base_path),
    Setting(
        "TRUSTED_PROXIES",
        None,
        "Addresses and networks of proxies, with commas, whose X-Forwarded-For, -Proto, -Host and -Prefix count.",
        _networks,
    ),
    Setting("OPENAI_API_KEY", None, "The key for the endpoint. Set it, and the endpoint answers.", _key, secret=True),
    Setting(
        "OPENAI_BASE_URL",
        None,
        f"The OpenAI-compatible endpoint. With a key and without this: {OPENAI_URL}.",
        _url,
    ),
    Setting(
        "CHAT_MODEL",
        None,
        f"The model that answers. Not set: {OPENAI_MODEL} at OpenAI, elsewhere the first model "
        "that the endpoint lists.",
    ),
    Setting("IMAGE_MODEL", None, "The model that makes images. Not set: the endpoint's first of that kind."),
    Setting(
        "TRANSCRIPTION_MODEL",
        None,
        "The model that turns speech into text. Not set: the endpoint's first of that kind.",
    ),
    Setting("SPEECH_MODEL", None, "The model that reads aloud. Not set: the endpoint's first of that kind."),
    Setting("SPEECH_VOICE", "alloy", "The voice that reads aloud, by its name at the endpoint."),
    Setting(
        "SYSTEM_PROMPT",
        "You are a helpful assistant.",
        "What every request begins with. Set to nothing, no system prompt is sent.",
        empty_means_something=True,
    ),
    Setting("LOCAL_MODEL", None, "Another GGUF file for the local model to answer from.", _gguf),
    Setting(
        "LOCAL_CONTEXT_TOKENS",
        "8192",
        "The local model's context window, in tokens.",
        _whole(256, 1_000_000),
    ),
    Setting(
        "CONTEXT_TOKENS",
        None,
        "The context window that conversations have to fit, in tokens; older turns that do not fit are left out. Not "
        "set: what the endpoint reports.",
        _whole(256, 100_000_000),
    ),
    Setting("DATA_DIR", "instance", "The folder that keeps the conversations.", _path),
    Setting(
        "SESSION_DAYS",
        "90",
        "How many days a visitor's conversation is kept after their last use.",
        _whole(1, 3650),
    ),
    Setting(
        "MAX_QUESTION_CHARS",
        "100000",
        "The longest question that is accepted, in characters.",
        _whole(1, 10_000_000),
    ),
    Setting("PRICES", None, "A JSON file with what each model costs, in the form of docs/prices.example.json.", _path),
    Setting(
        "TOKEN_BUDGET",
        None,
        "Tokens that all visitors together may spend in a day (UTC). Not set: no limit.",
        _whole(1, 10**15),
    ),
    Setting(
        "VISITOR_TOKEN_BUDGET",
        None,
        "Tokens that each visitor may spend in a day (UTC). Not set: no limit.",
        _whole(1, 10**15),
    ),
    Setting(
        "MAX_IMPORT_MB",
        "50",
        "The largest file that can be imported, in MB, also unpacked.",
        _whole(1, 2000),
    ),
    Setting(
        "MAX_AUDIO_MB",
        "25",
        "The largest recording that is accepted, in megabytes; OpenAI takes 25.",
        _whole(1, 1000),
    ),
    Setting(
        "CONNECT_TIMEOUT",
        "10",
        "Seconds to wait for a connection to the endpoint.",
        _whole(1, 600),
    ),
    Setting(
        "ANSWER_TIMEOUT",
        "600",
        "Seconds that a model may be silent, before its first token and between two.",
        _whole(1, 86_400),
    ),
)


def read(environ: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return every setting by name, checked and in its own type.

    `environ` stands for the environment and the `.env` file together. Raises SettingError.
    """
    if environ is None:
        environ = _env_file() | dict(os.environ)
    values = {setting.name: _value(setting, environ) for setting in SETTINGS}
    _check_together(values)
    return values


def _env_file() -> dict[str, str]:
    try:
        return {name: value or "" for name, value in dotenv_values(".env").items()}
    except (UnicodeDecodeError, OSError) as error:
        raise SettingError(f"The file .env cannot be read as text in UTF-8: {error}.") from None


def _value(setting: Setting, environ: Mapping[str, str]) -> Any:
    given = environ.get(setting.name)
    if not given and not (given == "" and setting.empty_means_something):
        given = setting.default
    if given is None:
        return None
    try:
        return setting.parse(given)
    except ValueError as allowed:
        value = "not one that can be used" if setting.secret else repr(given)
        raise SettingError(f"{setting.name} is {value}; allowed is {allowed}.") from None


def _check_together(values: dict[str, Any]) -> None:
    if values["HOST"] not in LOOPBACK and not values["ALLOW_ANYONE"]:
        raise SettingError(
            f"HOST is {values['HOST']!r}, so anyone who reaches this machine could use your model. "
            "Set ALLOW_ANYONE=1 if that is what you want; otherwise HOST=127.0.0.1 keeps it to yourself."
        )
    if values["LOCAL_MODEL"] and not wants_local_model(values):
        raise SettingError(
            f"LOCAL_MODEL is {str(values['LOCAL_MODEL'])!r}, but OPENAI_API_KEY or OPENAI_BASE_URL is set "
            "too and would answer instead. Set one or the other."
        )
    if wants_local_model(values):
        return
    values["OPENAI_BASE_URL"] = values["OPENAI_BASE_URL"] or OPENAI_URL
    if values["OPENAI_BASE_URL"] == OPENAI_URL and not values["CHAT_MODEL"]:
        values["CHAT_MODEL"] = OPENAI_MODEL


def wants_local_model(values: Mapping[str, Any]) -> bool:
    """Tell whether the local model answers: nothing says that an endpoint does."""
    return not (values["OPENAI_API_KEY"] or values["OPENAI_BASE_URL"])


def describe() -> str:
    """Return all settings as text for `--help`."""
    lines = []
    for setting in SETTINGS:
        default = "not set" if setting.default is None else setting.default
        lines.append(f"  {setting.name}  (default: {default})\n      {setting.why}")
    return "\n".join(lines)
