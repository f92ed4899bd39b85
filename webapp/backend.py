"""Which model answers: the endpoint that the settings name, or the local model."""

import logging
from collections.abc import Iterator, Mapping
from hashlib import sha256
from threading import Lock, Thread
from typing import Any
from urllib.parse import urlsplit

from .config import wants_local_model
from .conversation import Conversation, Message, Turn
from .llm import LLM, Call, Endpoint
from .llm_errors import ContextOverflow, LLMError, ModelUnknown, Unreachable
from .local_model import LocalModel, LocalModelError, find
from .reply import Piece
from .request import ADDED, Request, chat, completion, image, leave_out, without
from .window import half, oldest_sent

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
        self._context_tokens: int | None = config["CONTEXT_TOKENS"]
        self._refused: dict[str, set[str]] = {}  # what Parley adds to a request, by the models that refuse it
        self._transcription_model: str | None = config["TRANSCRIPTION_MODEL"]
        self._speech_model: str | None = config["SPEECH_MODEL"]
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

    def transcription_model(self) -> str | None:
        """Return the name of the model that puts speech into words; None where there is none."""
        return None if self.local else self._transcription_model

    def speech_model(self) -> str | None:
        """Return the name of the model that reads aloud; None where there is none."""
        return None if self.local else self._speech_model

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

    def answer(self, conversation: Conversation, turn: Turn, call: Call) -> Iterator[Piece]:
        """Ask the model, and yield its answer to a turn as it comes. Raises LLMError.

        Asks a second time where the provider does not support a parameter, or finds the conversation too
        long for the model; `call` says so.
        """
        model = self.model(conversation) or self._first_model()
        call.reply.model = model
        call.sent_from = since = self._oldest_sent(conversation, turn)
        request = self._request(conversation, turn, model, since)
        while True:
            came = False
            try:
                for piece in self.llm.send(request.path, request.body, call):
                    came = True
                    yield piece
                return
            except LLMError as error:
                if came or not self._changed(request, error, conversation, turn, call):
                    raise

    def _request(self, conversation: Conversation, turn: Turn, model: str, since: str) -> Request:
        match conversation.mode:
            case "completion":
                request = completion(conversation, turn, model)
            case "image":
                request = image(conversation, turn, model)
            case _:
                request = chat(conversation, turn, model, self.messages(conversation, turn, since))
                if self.host == "api.openai.com":
                    # Its cache of prompts is then asked where this conversation's beginning is.
                    request.body["prompt_cache_key"] = sha256(conversation.id.encode()).hexdigest()[:32]
        leave_out(request, self._refused.get(model, ()))
        return request

    def messages(self, conversation: Conversation, turn: Turn, since: str = "") -> list[Message]:
        """Return the messages for a turn, from a turn on."""
        # llama.cpp goes on with an unfinished answer; most others take it for a finished one.
        return conversation.messages(
            turn, self.system_prompt(conversation), prefill=self.local is not None, since=since
        )

    def _changed(self, request: Request, error: LLMError, conversation: Conversation, turn: Turn, call: Call) -> bool:
        """Change a request that failed so that it may succeed; False where that cannot be."""
        if isinstance(error, ContextOverflow):
            less = half(conversation, turn, call.sent_from, self._count) if conversation.mode == "chat" else None
            if less is None or call.overflowed:
                return False
            call.overflowed, call.sent_from = True, less
            request.body = request.body | {"messages": self.messages(conversation, turn, less)}
            return True
        name = without(request, error)
        if name is None:
            return False
        if name in ADDED and name not in conversation.parameters:
            # Ours, not the person's: this model is not asked with it again.
            self._refused.setdefault(request.body["model"], set()).add(name)
        elif any(one in conversation.parameters for one in call.dropped):
            return False  # One second request, not one for each parameter.
        call.dropped.append(name)
        return True

    def model(self, conversation: Conversation) -> str | None:
        """Return the name of the model that a conversation asks; None while nobody knows what the endpoint has."""
        return conversation.parameters.get("model") or self._name

    def system_prompt(self, conversation: Conversation) -> str:
        return str(conversation.parameters.get("system_prompt", self._system_prompt))

    def context_tokens(self, conversation: Conversation) -> int | None:
        """Return the context window that a conversation has to fit, in tokens; None where nobody knows it."""
        own: int | None = conversation.parameters.get("context_tokens") or self._context_tokens
        return own or (self.local.context_tokens if self.local else None)

    def _oldest_sent(self, conversation: Conversation, turn: Turn) -> str:
        window = self.context_tokens(conversation)
        if conversation.mode != "chat" or turn.single:
            return ""
        if window is None:
            return conversation.sent_from if turn is conversation.turns[-1] else ""
        # The answer has to fit, too.
        room = window - min(conversation.parameters.get("max_tokens", window // 8), window // 2)
        fixed = self._count(conversation.messages(turn, self.system_prompt(conversation), prefill=True, since=turn.id))
        return oldest_sent(conversation, turn, room, self._count, fixed)

    def _count(self, messages: list[Message]) -> int:
        return sum(len(message["content"]) // 4 + 4 for message in messages)

    def _endpoint(self) -> Endpoint:
        if not self.local:
            return self._remote
        try:
            return Endpoint(*self.local.address(), private=True)
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
