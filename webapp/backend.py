"""Which model answers: the endpoint that the settings name, or the local model."""

from collections.abc import Generator, Mapping
from functools import partial
from hashlib import sha256
from typing import Any
from urllib.parse import urlsplit

from .call import Call
from .catalog import Catalog, Model
from .config import wants_local_model
from .conversation import Conversation, Message, Mode, Turn
from .endpoint import Endpoint
from .kinds import Kind
from .llm import LLM
from .llm_errors import ContextOverflow, LLMError, ModelUnknown, NoModel, Unreachable
from .local_model import LocalModel, LocalModelError, find
from .reply import Piece
from .request import Request, added, chat, completion, image, leave_out, without
from .sending import scale_of
from .tokens import estimate_messages
from .window import half, oldest_sent
from .wording import say


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
        self._refused: dict[tuple[str, str], set[str]] = {}  # what Parley adds to a request, by path and model
        self.finds_model = self._name is None
        self.llm = LLM(
            self._endpoint, connect_timeout=config["CONNECT_TIMEOUT"], answer_timeout=config["ANSWER_TIMEOUT"]
        )
        self.catalog = self._catalog(config)

    @property
    def name(self) -> str | None:
        """The model that answers where none was chosen; None while nobody knows what the endpoint has."""
        if self._name is None:
            # Once found it stays, so that no conversation changes its model because a list changes its order.
            self._name = self.catalog.first("chat")
        return self._name

    @property
    def looking(self) -> bool:
        """Tell whether the endpoint is being asked which model it has."""
        return self.catalog.looking and self.name is None

    @property
    def host(self) -> str:
        """Where the model is, for people: the endpoint's host and port."""
        return urlsplit(self._remote.base_url).netloc.rpartition("@")[2]

    def transcription_model(self) -> str | None:
        """Return the name of the model that puts speech into words; None where there is none."""
        return self.catalog.for_kind("transcription")

    def speech_model(self) -> str | None:
        """Return the name of the model that reads aloud; None where there is none."""
        return self.catalog.for_kind("speech")

    def start(self) -> None:
        """Begin to load the local model, or to find out which models the endpoint has; return at once."""
        if self.local:
            self.local.start()
        else:
            self.catalog.look()

    def stop(self) -> None:
        if self.local:
            self.local.stop()

    def answer(self, conversation: Conversation, turn: Turn, call: Call) -> Generator[Piece, None, None]:
        """Ask the model, and yield its answer to a turn as it comes. Raises LLMError.

        Asks a second time where the provider does not support a parameter, or finds the conversation too
        long for the model; `call` says so.
        """
        if conversation.mode != "chat" and "model" not in conversation.parameters:
            self.catalog.load()  # Which model does this, only the list tells.
        if self.local and conversation.mode == "image":
            raise NoModel(say("The local model makes no images."))
        model = self.model(conversation) or self._first_model()
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
        leave_out(request, self._refused.get((request.path, model), set()) & added(conversation, request))
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
            less = half(conversation, turn, call.sent_from, estimate_messages) if conversation.mode == "chat" else None
            if less is None or call.overflowed:
                return False
            call.overflowed, call.sent_from = True, less
            request.body = request.body | {"messages": self.messages(conversation, turn, less)}
            return True
        name = without(request, error)
        if name is None:
            return False
        if name in added(conversation, request):
            # Ours, not the person's: this model is not asked with it again.
            self._refused.setdefault((request.path, request.body["model"]), set()).add(name)
        elif call.asked_again:
            return False  # One second request, not one for each parameter.
        else:
            call.asked_again = True
        call.dropped.append(name)
        return True

    def model(self, conversation: Conversation) -> str | None:
        """Return the name of the model that a conversation asks; None while nobody knows what the endpoint has."""
        if self.local:
            return self.usual(conversation.mode)
        own: str | None = conversation.parameters.get("model")
        return own or self.usual(conversation.mode)

    def usual(self, mode: Mode) -> str | None:
        """Return the model that answers a mode's conversations for which none was chosen, as far as it is known."""
        usual = self.catalog.find(self.name) if self.name else None
        if mode == "image" and self.local:
            return None
        if mode == "image":
            return self.catalog.for_kind("image") or self.name
        if mode == "completion" and not (usual and "completion" in usual.kinds):
            return self.catalog.first("completion") or self.name
        return self.name

    def system_prompt(self, conversation: Conversation) -> str:
        return str(conversation.parameters.get("system_prompt", self._system_prompt))

    def context_tokens(self, conversation: Conversation) -> int | None:
        """Return the context window that a conversation has to fit, in tokens; None where nobody knows it."""
        own: int | None = conversation.parameters.get("context_tokens")
        model = self.model(conversation)
        return own or self._context_tokens or (self.catalog.context_tokens(model) if model else None)

    def _oldest_sent(self, conversation: Conversation, turn: Turn) -> str:
        window = self.context_tokens(conversation)
        if conversation.mode != "chat" or turn.single:
            return ""
        if window is None:
            return conversation.sent_from if turn is conversation.turns[-1] else ""
        # The answer has to fit, too.
        room = window - min(conversation.parameters.get("max_tokens", window // 8), window // 2)
        system_prompt = self.system_prompt(conversation)
        count = partial(estimate_messages, scale=scale_of(conversation, system_prompt))
        fixed = count(conversation.messages(turn, system_prompt, prefill=True, since=turn.id))
        return oldest_sent(conversation, turn, room, count, fixed)

    def count_tokens(self, messages: list[Message]) -> int | None:
        """Return the exact prompt tokens of messages; None where nobody can be asked for free, or not right now."""
        # Other endpoints are not probed for what most of them do not have.
        return self.local.count_tokens(messages) if self.local else None

    def _endpoint(self) -> Endpoint:
        if not self.local:
            return self._remote
        try:
            return Endpoint(*self.local.address(), private=True)
        except LocalModelError as error:
            raise Unreachable(str(error)) from error

    def _catalog(self, config: Mapping[str, Any]) -> Catalog:
        if self.local:
            model = Model(self.local.name, ("chat", "completion"), self.local.context_tokens, "llamacpp")
            return Catalog(list, given=(model,))
        chosen: dict[Kind, str | None] = {
            "chat": config["CHAT_MODEL"],
            "image": config["IMAGE_MODEL"],
            "transcription": config["TRANSCRIPTION_MODEL"],
            "speech": config["SPEECH_MODEL"],
        }
        return Catalog(self.llm.model_objects, chosen)

    def _first_model(self) -> str:
        listing = self.catalog.load(anew=True)  # A question is a reason to ask again.
        if self.name is not None:
            return self.name
        if failure := listing.failure:
            raise type(failure)(str(failure), failure.status, failure.retry_after)
        raise ModelUnknown(
            say("The endpoint {host} lists no model that could answer. Set CHAT_MODEL to one.", host=self.host)
        )
