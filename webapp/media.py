"""The files of a conversation, images and speech, for its owner alone."""

from flask import Blueprint, Response, request, send_file

from . import store
from .chat import files
from .conversation import Unknown
from .files import GONE

blueprint = Blueprint("media", __name__)

# What is served, and as what: nothing that a browser could take for a page or a script.
TYPES = {
    "png": "image/png",
    "jpg": "image/jpeg",
    "webp": "image/webp",
    "gif": "image/gif",
    "mp3": "audio/mpeg",
    "wav": "audio/wav",
    "ogg": "audio/ogg",
    "opus": "audio/ogg",
    "flac": "audio/flac",
    "aac": "audio/aac",
}
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; sandbox",
    "X-Content-Type-Options": "nosniff",
    # A file never changes under its name.
    "Cache-Control": "private, max-age=31536000, immutable",
}
LONGEST_NAME = 100  # characters; folders take names of 255 bytes


@blueprint.get("/conversations/<conversation_id>/files/<name>")
def file(conversation_id: str, name: str) -> Response:
    """Send a file, or with `?download=<name>` let it be saved under that name."""
    store.loaded(conversation_id)
    path = files().path(conversation_id, name)
    ending = path.suffix.removeprefix(".")
    if ending not in TYPES:
        raise Unknown(GONE)
    suggested = request.args.get("download")
    try:
        response = send_file(
            path,
            mimetype=TYPES[ending],
            as_attachment=suggested is not None,
            download_name=download_name(suggested or path.stem, ending),
        )
    except FileNotFoundError:
        raise Unknown(GONE) from None
    response.headers.update(HEADERS)
    return response


def download_name(suggested: str, ending: str) -> str:
    """Return a name under which any system can save a file, in any language, with the file's own ending."""
    kept = "".join(" " if sign in '/\\:*?"<>|' else sign for sign in suggested if sign.isprintable())
    words = " ".join(kept.split()).removesuffix(f".{ending}")[:LONGEST_NAME].strip(" .")
    return f"{words or 'file'}.{ending}"
