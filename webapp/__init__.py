"""Parley: a browser chat for any OpenAI-compatible model."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flask import Flask

__version__ = "0.1.0"


def create_app(config: Mapping[str, Any] | None = None) -> "Flask":
    """Return the application, with its settings from the environment and from `config` over them.

    Raises SettingError, PricesError and LocalModelError.
    """
    # Imported here, so that `python -m webapp` can make the standard library cooperative before anything uses it.
    from flask import Flask

    from . import (
        access,
        assets,
        chat,
        compression,
        errors,
        farewell,
        forms,
        i18n,
        inspector,
        media,
        meter,
        models,
        panel,
        preferences,
        proxy,
        request_log,
        security,
        sign_in,
        speech,
        store,
        transfer,
        turns,
        visitor,
    )
    from .config import read

    app = Flask(__name__, template_folder="../templates", static_folder=None)
    app.config.from_mapping(read())
    app.config.from_mapping(config or {})
    app.jinja_options["trim_blocks"] = app.jinja_options["lstrip_blocks"] = True

    store.init_app(app)
    _make_parts(app)
    forms.init_app(app)
    proxy.init_app(app)
    assets.init_app(app)
    compression.init_app(app)
    i18n.init_app(app)
    meter.init_app(app)
    security.init_app(app)
    access.init_app(app)
    errors.init_app(app)
    farewell.init_app(app)
    sign_in.init_app(app)
    request_log.init_app(app)
    for part in (chat, turns, panel, preferences, inspector, transfer, models, media, speech, visitor):
        app.register_blueprint(part.blueprint)
    return app


def _make_parts(app: "Flask") -> None:
    """Make what the pages work with, of the settings and the store. Raises what `create_app` does."""
    from .answers import Answers
    from .audio import Audio
    from .backend import Backend
    from .budget import Budget
    from .erasing import Erasing
    from .files import Files
    from .rates import Rates, Streams
    from .room import Room

    config, parts, store = app.config, app.extensions, app.extensions["store"]
    data = config["DATA_DIR"]
    backend, rates, files = Backend(config), Rates(config), Files(data / "files")
    budget = Budget(store.records, config["TOKEN_BUDGET"], config["VISITOR_TOKEN_BUDGET"])
    room = Room(store, files, config["MAX_TURNS"], config["VISITOR_MB"], config["MIN_FREE_MB"])
    parts["backend"], parts["files"], parts["budget"] = backend, files, budget
    parts["answers"] = Answers(store, backend, files, budget, rates, room, data / "answers")
    parts["audio"] = Audio(backend, files, budget, rates, room, config["SPEECH_VOICE"])
    parts["streams"], parts["erasing"] = Streams(config), Erasing()
