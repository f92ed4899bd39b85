"""The files of static/: read and compressed once, and named by what is in them, so that browsers keep them for ever."""

import gzip
import mimetypes
import re
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple, cast
from urllib.parse import quote

from flask import Flask, Response, abort, current_app, redirect, request, url_for
from werkzeug.wrappers import Response as WerkzeugResponse

FOR_EVER = "public, max-age=31536000, immutable"
WORTH_PACKING = 0.9  # of its size; a picture that is packed already hardly gets smaller
# What an operating system says of a file's ending is not the same everywhere.
TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml", ".md": "text/plain"}
# Of our own files, where a line that begins with // is a comment, and so is what stands between /* and */.
COMMENTS = {
    ".css": re.compile(rb"/\*.*?\*/", re.DOTALL),
    ".js": re.compile(rb"^[ \t]*//.*|/\*(?s:.*?)\*/", re.MULTILINE),
}
# What a page always loads together is one request.
JOINED = {"htmx-guarded-4.0.1.js": ("vendor/htmx-4.0.1.min.js", "guard.js", "vendor/hx-sse-4.0.1.min.js")}


class Asset(NamedTuple):
    """A file as it is sent."""

    content: bytes
    packed: bytes | None  # with gzip, where that is worth it
    version: str  # changes with the content
    type: str


class Assets:
    """The files of a folder, by their names in it."""

    def __init__(self, folder: Path, *, watched: bool):
        self._folder = folder
        self._watched = watched  # Looks at the disk each time, for those who work on the files.
        self._found = self._look()

    def find(self, name: str) -> Asset | None:
        if self._watched:
            self._found = self._look()
        return self._found.get(name)

    def _look(self) -> dict[str, Asset]:
        files = [path for path in self._folder.rglob("*") if path.is_file()]
        found = {
            path.relative_to(self._folder).as_posix(): _read(path, path.stat().st_mtime_ns, bare=not self._watched)
            for path in files
        }
        for name, parts in JOINED.items():
            if found.keys() >= {*parts}:
                found[name] = _packed(b";\n".join(found[part].content for part in parts), name)
        return found


@lru_cache(maxsize=64)
def _read(path: Path, changed: int, *, bare: bool) -> Asset:
    """Return a file; `changed`, when that was, tells one state of it from another.

    `bare`, our own come without what only people read: a tenth of a style sheet, compressed, and a third of a script.
    """
    content = path.read_bytes()
    if bare and path.suffix in COMMENTS and path.parent.name != "vendor":
        content = re.sub(rb"\s*\n\s*", b"\n", COMMENTS[path.suffix].sub(b"", content))
    return _packed(content, path.name)


@lru_cache(maxsize=64)
def _packed(content: bytes, name: str) -> Asset:
    packed = gzip.compress(content, compresslevel=9, mtime=0)
    kind = TYPES.get(Path(name).suffix) or mimetypes.guess_type(name)[0] or "application/octet-stream"
    if kind.startswith("text/"):
        kind += "; charset=utf-8"
    small = len(packed) < len(content) * WORTH_PACKING
    return Asset(content, packed if small else None, sha256(content).hexdigest()[:12], kind)


def init_app(app: Flask) -> None:
    """Serve the files of static/ under `url_for("static", filename=…)`."""
    app.extensions["assets"] = Assets(Path(app.root_path).parent / "static", watched=app.debug)
    app.add_url_rule("/static/<version>/<path:filename>", "static", _file)
    app.add_url_rule("/static/<path:filename>", "current", _current)
    app.url_defaults(_name_by_content)
    app.jinja_env.globals["inlined"] = inlined


def _assets() -> Assets:
    return cast(Assets, current_app.extensions["assets"])


def inlined(filename: str) -> str:
    """Return a file as an address that holds all of it, so that it costs no request."""
    asset = _assets().find(filename)
    return f"data:{asset.type},{quote(asset.content)}" if asset else ""


def _name_by_content(endpoint: str, values: dict[str, Any]) -> None:
    if endpoint == "static" and "version" not in values and (asset := _assets().find(values["filename"])):
        values["version"] = asset.version


def _file(version: str, filename: str) -> WerkzeugResponse:
    asset = _assets().find(filename)
    if asset and asset.version == version:
        return _response(asset)
    return _current(filename if asset else f"{version}/{filename}")


def _current(filename: str) -> WerkzeugResponse:
    """Send on to what there is now: a page from before an upgrade may still ask for something."""
    if _assets().find(filename) is None:
        abort(404)
    moved = redirect(url_for("static", filename=filename))
    moved.headers["Cache-Control"] = "no-cache"
    return moved


def _response(asset: Asset) -> Response:
    response = Response(asset.content, content_type=asset.type)
    if asset.packed:
        response.vary.add("Accept-Encoding")
        if request.accept_encodings["gzip"]:
            response.set_data(asset.packed)
            response.headers["Content-Encoding"] = "gzip"
    response.headers["Cache-Control"] = FOR_EVER
    response.set_etag(asset.version, weak=True)  # Weak: it is the same for both forms.
    response.make_conditional(request)
    return response
