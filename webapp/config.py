"""What is set; nonsense stops the start.

Settings come from the environment and from an optional `.env` file in the current folder; the
environment wins. An empty value counts as not set, except where empty means something.
"""

import os
import re
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any
from urllib.parse import urlsplit

from dotenv import dotenv_values

from .setting import Setting, SettingError, is_address, proxy
from .setting_table import OPENAI_MODEL, OPENAI_URL, SETTINGS

__all__ = ["LOOPBACK", "SETTINGS", "SettingError", "describe", "mistyped", "public_url", "read", "wants_local_model"]

LOOPBACK = ("127.0.0.1", "localhost", "::1")
# What a value is not repeated for: a password or a query in an address, a key in the wrong place.
SECRET = re.compile(r"[@?]|^sk-")
# What the HTTP client reads by itself, as it is.
PROXIES = [Setting(name, None, "", proxy, secret=True) for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")]


def read(environ: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return every setting by name, checked and in its own type.

    `environ` stands for the environment and the `.env` file together. Raises SettingError.
    """
    if environ is None:
        environ = _env_file() | dict(os.environ)
    values = {setting.name: _value(setting, environ) for setting in SETTINGS}
    _check_together(values)
    for setting in PROXIES:
        for name in (setting.name, setting.name.lower()):
            _value(setting._replace(name=name), os.environ)
    return values


def mistyped() -> dict[str, str]:
    """Return the names in `.env` that are no setting and look like one, with the setting that each may be meant for.

    Raises SettingError.
    """
    known = [setting.name for setting in SETTINGS]
    near = {name: get_close_matches(name.upper(), known, 1, 0.85) for name in _env_file() if name not in known}
    return {name: found[0] for name, found in near.items() if found}


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
        value = "not one that can be used" if setting.secret or SECRET.search(given) else repr(given)
        raise SettingError(f"{setting.name} is {value}; allowed is {allowed}.") from None


def _check_together(values: dict[str, Any]) -> None:
    if values["HOST"] not in LOOPBACK and not values["ACCESS_CODE"] and not values["ALLOW_ANYONE"]:
        # Whether a name is one of this machine's, only listening would tell.
        who = (
            "so anyone who reaches this machine"
            if is_address(values["HOST"])
            else "and if this machine has that name, anyone who reaches it"
        )
        raise SettingError(
            f"HOST is {values['HOST']!r}, {who} could use your model. "
            "Set ACCESS_CODE to a code that people sign in with, or ALLOW_ANYONE=1 if everybody may; "
            "otherwise HOST=127.0.0.1 keeps it to yourself."
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


def public_url(url: str) -> str:
    """Return an endpoint's address without what may be secret in it: a user, a password, a query."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}".rstrip("/") if parts.netloc else ""


def describe() -> str:
    """Return all settings as text for `--help`."""
    lines = []
    for setting in SETTINGS:
        default = "not set" if setting.default is None else setting.default
        lines.append(f"  {setting.name}  (default: {default})\n      {setting.why}")
    return "\n".join(lines)
