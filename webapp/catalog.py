"""The endpoint's models: fetched once, kept with the time of fetching, and asked for by kind or by name.

Whoever builds a page calls `look` and reads what is known by then, and so waits for nobody; whoever shows
the list itself calls `load`, and waits. However many ask, one request at a time is under way.
"""

import logging
from collections.abc import Callable, Mapping
from threading import Condition, Thread
from time import time
from typing import Any, NamedTuple, TypeGuard

from .kinds import Kind, context_tokens, kinds_of
from .links import TURNS_TEXT
from .llm_errors import LLMError
from .logs import described

log = logging.getLogger(__name__)

FRESH = 3600.0  # seconds that a list is good for
FAILED = 30.0  # seconds after which a list that failed is asked for again
RECENT = 5.0  # seconds in which it is not asked for again, whoever wants it: an endpoint would refuse the owner's key
PATIENCE = 60.0  # seconds that one waits for another's request
LONGEST_NAME = 200  # characters


class Model(NamedTuple):
    """A model of the endpoint: what it can do, its main kind first, and its context window in tokens, if known."""

    name: str
    kinds: tuple[Kind, ...] = ("chat",)
    context_tokens: int | None = None
    owned_by: str = ""
    title: str = ""  # as people call it, where that is not the name
    aliases: tuple[str, ...] = ()

    @property
    def kind(self) -> Kind:
        return self.kinds[0]

    def answers_to(self, name: str) -> bool:
        return name in (self.name, *self.aliases) or f"{name}:latest" == self.name  # as Ollama says it


class Listing(NamedTuple):
    """What is known: the models, when they were fetched, and why a later attempt failed; times as `time()`."""

    models: tuple[Model, ...] = ()
    fetched: float | None = None
    failure: LLMError | None = None
    tried: float = float("-inf")


class Catalog:
    """The models that `fetch` returns as the endpoint's own JSON objects; `chosen` names the one for a kind.

    A catalog that is `given` its models never fetches.
    """

    def __init__(
        self,
        fetch: Callable[[], list[dict[str, Any]]],
        chosen: Mapping[Kind, str | None] | None = None,
        given: tuple[Model, ...] = (),
    ):
        self._fetch = fetch
        self._news = Condition()
        self.chosen: dict[Kind, str] = {kind: name for kind, name in (chosen or {}).items() if name}
        self.given = bool(given)
        self.looking = False  # a request is under way
        self.listing = Listing(given, time() if given else None)

    def look(self) -> None:
        """Begin to fetch the models where they are not known or no longer fresh; return at once."""
        with self._news:
            if self.looking or self._is_good():
                return
            self.looking = True
        Thread(target=self._update, name="catalog", daemon=True).start()

    def load(self, *, anew: bool = False) -> Listing:
        """Return the models, fetched now where they are not fresh or wanted `anew`. A failure is in the listing."""
        with self._news:
            if self.looking:
                self._news.wait_for(lambda: not self.looking, PATIENCE)
                return self.listing
            if self.given or (not anew and self._is_good()):
                return self.listing
            self.looking = True
        self._update()
        return self.listing

    def refresh(self) -> Listing:
        """Return the models, fetched now unless that was tried a moment ago, by anybody."""
        return self.load(anew=time() - self.listing.tried >= RECENT)

    def find(self, name: str) -> Model | None:
        """Return the model of that name, as far as the list is known."""
        return next((model for model in self.listing.models if model.answers_to(name)), None)

    def first(self, kind: Kind) -> str | None:
        """Return the first model of a kind, before one that does such things beside others."""
        able = [model for model in self.listing.models if kind in model.kinds]
        return min(able, key=lambda model: model.kinds.index(kind)).name if able else None

    def for_kind(self, kind: Kind) -> str | None:
        """Return the model that serves a kind: the one that a setting names, else the endpoint's first."""
        return self.chosen.get(kind) or self.first(kind)

    def context_tokens(self, name: str) -> int | None:
        """Return a model's context window in tokens, if the endpoint says."""
        model = self.find(name)
        return model.context_tokens if model else None

    def _is_good(self) -> bool:
        lives = FAILED if self.listing.failure else FRESH
        return self.given or time() - self.listing.tried < lives

    def _update(self) -> None:
        """Fetch, and wake who waits. What was known stays where that fails."""
        listing = self.listing
        try:
            listing = Listing(models_of(self._fetch()), time(), tried=time())
        except LLMError as error:
            if str(error) != str(listing.failure):  # Some endpoints have no list; once is enough to say so.
                log.warning("The endpoint's models cannot be listed (%s, status %s).", error, error.status)
            listing = listing._replace(failure=error, tried=time())
        except Exception as error:  # Whatever it is, who waits for the list must hear that it does not come.
            log.exception("The endpoint's models could not be listed in a way that nobody foresaw.")
            listing = listing._replace(failure=LLMError(described(error)), tried=time())
        finally:
            with self._news:
                self.listing, self.looking = listing, False
                self._news.notify_all()


def models_of(objects: list[dict[str, Any]]) -> tuple[Model, ...]:
    """Return the models of a list in its order, each name once."""
    models = {}
    for raw in objects:
        if (name := raw.get("id") or raw.get("name")) and is_name(name) and name not in models:
            models[name] = _model(raw, name)
    return tuple(models.values())


def is_name(name: object) -> TypeGuard[str]:
    """Tell whether something can be a model's name: a text of one line that can be shown, all of it."""
    if not isinstance(name, str) or not 0 < len(name) <= LONGEST_NAME:
        return False
    return name.isprintable() and name == name.strip() and not TURNS_TEXT.search(name)


def _model(raw: dict[str, Any], name: str) -> Model:
    titles = (raw.get("display_name"), raw.get("name"))
    title = next((title for title in titles if is_name(title) and title != name), "")
    owner = raw.get("owned_by")
    aliases = raw.get("aliases")
    also = tuple(alias for alias in aliases if is_name(alias)) if isinstance(aliases, list) else ()
    return Model(name, kinds_of(raw, name), context_tokens(raw), owner if is_name(owner) else "", title, also)
