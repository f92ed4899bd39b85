"""Where the browser finds Parley: in a sub-path, and behind proxies that are trusted to say what they were asked."""

from collections.abc import Iterable
from ipaddress import IPv6Address, ip_address
from typing import TYPE_CHECKING, Any

from flask import Flask, Response, current_app, request
from werkzeug.datastructures import ImmutableMultiDict
from werkzeug.utils import cached_property

from .forms import BoundedRequest
from .setting import Network, base_path

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

LOCK = "__Host-"
ASKED = "parley.asked_host"  # What a proxy itself asked for, where it says that it was asked for another name.


def init_app(app: Flask) -> None:
    app.wsgi_app = Place(  # type: ignore[method-assign]
        app.wsgi_app, app.config["BASE_PATH"], app.config["TRUSTED_PROXIES"] or ()
    )
    app.request_class = OwnRequest
    app.response_class = OwnCookies


class OwnRequest(BoundedRequest):
    """A request whose cookies, over https, are those that only this very host can have set over https."""

    @cached_property
    def cookies(self) -> ImmutableMultiDict[str, str]:
        sent = super().cookies
        if not self.is_secure:
            return sent
        session = current_app.config["SESSION_COOKIE_NAME"]
        own = [(_plain(name, session), value) for name, value in sent.items(multi=True)]
        return ImmutableMultiDict([(name, value) for name, value in own if name])


class OwnCookies(Response):
    """A response whose cookies are no script's and no other site's, and over https this host's alone."""

    def set_cookie(self, key: str, value: str = "", *arguments: Any, **options: Any) -> None:
        secure = request.is_secure
        if secure:
            key = _locked(key, current_app.config["SESSION_COOKIE_NAME"])
        options |= {"domain": None, "path": "/" if secure else request.script_root or "/", "secure": secure}
        options |= {"httponly": True, "samesite": "Lax"}
        super().set_cookie(key, value, *arguments, **options)


def _locked(name: str, session: str) -> str:
    """Return a cookie's name as it is over https.

    Browsers let nobody else set a cookie with this prefix, and want its path to be all of the host. So the name tells
    one Parley from another in the next path, by the session's, which is the installation's own.
    """
    return LOCK + (name if name == session else f"{session}-{name}")


def _plain(name: str, session: str) -> str:
    """Return the name of a cookie that came over https as it is known here; nothing for one that is not ours."""
    if name == LOCK + session:
        return session
    own = f"{LOCK}{session}-"
    return name.removeprefix(own) if name.startswith(own) else ""


class Place:
    """Tells the application its sub-path, and what trusted proxies were asked.

    werkzeug's ProxyFix counts proxies; here they are known by their addresses, so that nobody who
    comes another way is believed, and any number of them may stand in a row.
    """

    def __init__(self, app: "WSGIApplication", base: str, trusted: Iterable[Network]):
        self._app = app
        self._base = base
        self._trusted = tuple(trusted)

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        base = self._base
        if self._trusts(environ.get("REMOTE_ADDR", "")):
            base = _forwarded_prefix(environ) or base
            self._believe(environ)
        path = environ.get("PATH_INFO", "")
        # A proxy may have taken the sub-path off already.
        if path == base or path.startswith(f"{base}/"):
            path = path[len(base) :]
        environ["SCRIPT_NAME"], environ["PATH_INFO"] = base, path
        return self._app(environ, start_response)

    def _trusts(self, address: str) -> bool:
        try:
            found = ip_address(address)
        except ValueError:
            return False
        if isinstance(found, IPv6Address):
            found = found.ipv4_mapped or found
        return any(found in network for network in self._trusted)

    def _believe(self, environ: "WSGIEnvironment") -> None:
        # Each proxy adds whom it was asked by: the first from the end that is no proxy of ours is the client.
        for address in reversed(_values(environ, "FOR")):
            environ["REMOTE_ADDR"] = address
            if not self._trusts(address):
                break
        if (scheme := _last(environ, "PROTO")) in ("http", "https"):
            environ["wsgi.url_scheme"] = scheme
        if host := _last(environ, "HOST"):
            environ[ASKED], environ["HTTP_HOST"] = environ.get("HTTP_HOST", ""), host


def _values(environ: "WSGIEnvironment", name: str) -> list[str]:
    return [value.strip() for value in environ.get(f"HTTP_X_FORWARDED_{name}", "").split(",") if value.strip()]


def _last(environ: "WSGIEnvironment", name: str) -> str:
    return (_values(environ, name) or [""])[-1]


def _forwarded_prefix(environ: "WSGIEnvironment") -> str:
    try:
        return base_path(_last(environ, "PREFIX"))
    except ValueError:
        return ""  # What is no path of ours, `//elsewhere` say, would lead a redirect away.
