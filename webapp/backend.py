"""Which model answers: the endpoint that the settings name, or the local model."""

import logging
from collections.abc import Mapping
from threading import Lock, Thread
from typing import Any
from urllib.parse import urlsplit

from .config import wants_local_model
from .conversation import Conversation, Turn
from .llm import LLM, Endpoint
from .llm_errors import LLMError, ModelUnknown, Unreachable
from .local_model import LocalModel, LocalModelError, find

log = logging.getLogger(__name__)


class Backend:
    """The model behind the page, and what is sent to it. Raises LocalModelError where none is installed."""

    def __init__(self, config: Mapping[str, Any]):
        self.local: LocalModel | None = None
        if wants_local_model(config):
            path = config["LOCAL_MODEL"] or find()
            self.local = LocalModel(path, config["LOCAL_CONTEXT_TOKENS"], config["DATA_DIR"] / "local-model.log")
        self._remote = Endpoint(config["OPENAI_BASE_URL"] or "", config["OPENAI_API_KEY"] or "")
        self._name: str | None = self.local.name if self.local else config["CHAT_MODEL"]
        self._system_prompt = config["SYSTEM_PROMPT"]
        self._guard = Lock()
        self.finds_model = self._name is None
        self.looking = False  # for the endpoint's first model
        self.llm = LLM(
            self._endpoint, connect_timeout=config["CONNECT_TIMEOUT"], answer_timeout=config["ANSWER_TIMEOUT"]
        )

    @property
    def name(self) -> str | None:
        """The name of the model that answers; None while nobody knows what the endpoint has."""
        return self._name

    @property
    def host(self) -> str:
        """Where the model is, for people: the endpoint's host and port."""
        return urlsplit(self._remote.base_url).netloc.rpartition("@")[2]

    def start(self) -> None:
        """Load the local model, or find out which model the endpoint has; returns at once."""
        if self.local:
            self.local.start()
            return
        with self._guard:
            if self._name or self.looking:
                return
            self.looking = True
        Thread(target=self._look, name="first-model", daemon=True).start()

    def stop(self) -> None:
        if self.local:
            self.local.stop()

    def request(self, conversation: Conversation, turn: Turn) -> dict[str, Any]:
        """Return the body of the request for a turn. Raises LLMError where no model is known."""
        # llama.cpp goes on with an unfinished answer; most others take it for a finished one.
        messages = conversation.messages(turn, self._system_prompt, prefill=self.local is not None)
        return {"model": self._name or self._first_model(), "messages": messages}

    def _endpoint(self) -> Endpoint:
        if not self.local:
            return self._remote
        try:
            return Endpoint(*self.local.address())
        except LocalModelError as error:
            raise Unreachable(str(error)) from error

    def _first_model(self) -> str:
        names = self.llm.models()
        chat = [name for name in names if "embed" not in name.lower()]
        if not chat:
            raise ModelUnknown(f"The endpoint {self.host} lists no model that could answer. Set CHAT_MODEL to one.")
        self._name = chat[0]
        return self._name

    def _look(self) -> None:
        try:
            self._first_model()
        except LLMError as error:
            log.warning("CHAT_MODEL is not set, and the endpoint's models cannot be listed: %s", error)
        finally:
            self.looking = False
