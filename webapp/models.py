"""The page of the endpoint's models: which there are, by kind, and which of them answers a conversation."""

import re
from time import time
from typing import Any, NamedTuple

from flask import Blueprint, Response, redirect, render_template, request, url_for

from . import store
from .catalog import LONGEST_NAME, Listing, Model, is_name
from .chat import PAGES, Reply, backend, page_url, wants_fragment
from .conversation import Mode, Refused
from .kinds import KINDS, Kind
from .wording import say, say_many

blueprint = Blueprint("models", __name__, url_prefix="/models")

WORDS: dict[Kind, str] = {
    "chat": say("Chat"),
    "completion": say("Completion"),
    "image": say("Images"),
    "transcription": say("Speech to text"),
    "speech": say("Text to speech"),
    "embedding": say("Embedding"),
    "moderation": say("Moderation"),
    "other": say("Other"),
}
USES: dict[Kind, str] = {
    "chat": say("Chat"),
    "completion": say("Completion"),
    "image": say("Images"),
    "transcription": say("Dictation"),
    "speech": say("Reading aloud"),
}
SETTINGS: dict[Kind, str] = {
    "chat": "CHAT_MODEL",
    "image": "IMAGE_MODEL",
    "transcription": "TRANSCRIPTION_MODEL",
    "speech": "SPEECH_MODEL",
}
MISSED: dict[Kind, str] = {
    "image": say("Images cannot be made"),
    "transcription": say("There is no microphone beside the question"),
    "speech": say("Answers are not read aloud"),
}
SHORT = 12  # models; a list no longer than this is shown open, and needs no search


class BadName(Refused):
    pass


class Group(NamedTuple):
    """The models of one kind, as the page shows them."""

    kind: Kind
    models: list[Model]
    is_open: bool

    @property
    def uses(self) -> list[str]:
        """Return what Parley can do with them, in words."""
        able = {kind for model in self.models for kind in model.kinds}
        return [words for kind, words in USES.items() if kind in able]

    @property
    def knows_windows(self) -> bool:
        return any(model.context_tokens for model in self.models)


@blueprint.get("")
def page() -> str:
    """Show the page. The list comes after it; where no script fetches it, `now` asks for it in place."""
    return _page(backend().catalog.load() if "now" in request.args else None)


@blueprint.get("/table")
def table() -> str:
    return _table(backend().catalog.load())


@blueprint.post("/refresh")
def refresh() -> Reply:
    listing = backend().catalog.load(anew=True)
    return _table(listing) if wants_fragment() else redirect(url_for("models.page", now=1), code=303)


@blueprint.post("/use")
def use() -> Reply:
    """Let a model answer the visitor's conversation of a mode; `default` takes the choice back."""
    try:
        mode = _mode()
        name = "" if "default" in request.form else _name()
    except Refused as refusal:
        if wants_fragment():
            return render_template("_notice.html", message=str(refusal)), refusal.status, refusal.headers
        return _page(None, notice=str(refusal), typed=request.form.get("model", "")), refusal.status, refusal.headers
    own = store.own_conversation(mode)
    with store.editing(own.id) as conversation:
        others = {key: value for key, value in conversation.parameters.items() if key != "model"}
        conversation.set_parameters(others | ({"model": name} if name else {}))
    target = page_url(own)
    return Response(headers={"HX-Redirect": target}) if wants_fragment() else redirect(target, code=303)


def _mode() -> Mode:
    posted = request.form.get("mode", "chat")
    for mode in PAGES:
        if mode == posted:
            return mode
    raise BadName(say("There is no page for that mode."))


def _name() -> str:
    """Return the model's name that was posted. Raises BadName."""
    name = request.form.get("model", "").strip()
    if not name:
        raise BadName(say("Type the model's name as its endpoint spells it."))
    if len(name) > LONGEST_NAME:
        raise BadName(
            say(
                "A model's name has up to {limit} characters; this one has {length:,}.",
                limit=LONGEST_NAME,
                length=len(name),
            )
        )
    if not is_name(name):
        raise BadName(say("The name holds characters that cannot be shown. Type it anew."))
    if (local := backend().local) and name != local.name:
        raise BadName(say("Only the local model answers here. Other models need an endpoint: set OPENAI_BASE_URL."))
    return name


def _page(listing: Listing | None, notice: str = "", typed: str = "") -> str:
    shown = _answering() if listing is None else _shown(listing)
    return render_template("models.html", notice=notice, typed=typed, **shown)


def _table(listing: Listing) -> str:
    return render_template("_models_table.html", **_shown(listing))


def _answering() -> dict[str, Any]:
    """Return what the lines about the modes show: the visitor's conversations and the models that answer them."""
    conversations = {mode: store.peek(mode) for mode in PAGES}
    in_use: dict[Kind, str | None] = {mode: backend().model(own) for mode, own in conversations.items()}
    chosen = conversations["image"].parameters.get("model")
    in_use["image"] = chosen or backend().catalog.for_kind("image")  # A model that chats is no answer to this.
    return {"conversations": conversations, "in_use": in_use, "pages": PAGES, "words": WORDS}


def _shown(listing: Listing) -> dict[str, Any]:
    """Return what the list's template shows: the models by kind, those that are in use, and the kinds without any."""
    catalog = backend().catalog
    sought = request.args.get("find", "")[:LONGEST_NAME]
    unlisted = _unlisted(listing)
    models = [*unlisted, *listing.models]
    found = [model for model in models if _matches(model, sought)]
    answering = _answering()
    answering["in_use"] |= {kind: catalog.for_kind(kind) for kind in MISSED if kind not in PAGES}
    return answering | {
        "listing": listing,
        "ago": _ago(time() - listing.fetched) if listing.fetched else "",
        "sought": sought,
        "total": len(models),
        "found": len(found),
        "searchable": len(models) > SHORT,
        "groups": _groups(found, is_open=bool(sought) or len(models) <= SHORT),
        "unlisted": unlisted,
        "absent": [kind for kind in MISSED if listing.fetched and not catalog.for_kind(kind)],
        "settings": SETTINGS,
        "missed": MISSED,
    }


def _unlisted(listing: Listing) -> list[Model]:
    """Return the models that settings name and the endpoint's list does not have."""
    catalog = backend().catalog
    chosen = catalog.chosen.items() if listing.fetched else ()
    return [Model(name, (kind,)) for kind, name in chosen if catalog.find(name) is None]


def _matches(model: Model, sought: str) -> bool:
    text = f"{model.name} {model.title} {model.owned_by}".lower()
    return all(word in text for word in sought.lower().split())


def _groups(models: list[Model], *, is_open: bool) -> list[Group]:
    groups: list[Group] = []
    for kind in KINDS:
        ours = sorted((model for model in models if model.kind == kind), key=_by_name)
        if ours:
            groups.append(Group(kind, ours, is_open or not groups))
    return groups


def _by_name(model: Model) -> list[tuple[int, str]]:
    """Return what a model is sorted by: its name, with numbers by their value."""
    parts = re.findall(r"\d{1,9}|\D+", model.name.lower())
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]


def _ago(seconds: float) -> str:
    """Return a time that has passed in words."""
    minutes = int(seconds / 60)
    if minutes < 1:
        return say("just now")
    if minutes < 60:
        return say_many("{number} minute ago", "{number} minutes ago", minutes)
    return say_many("{number} hour ago", "{number} hours ago", minutes // 60)
