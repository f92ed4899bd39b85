"""The only module that imports the openai package: calls to the endpoint, and how to end them."""

import logging
import re
import ssl
from collections.abc import Callable, Iterator
from functools import cache
from inspect import signature
from threading import local
from time import monotonic
from typing import Any, cast
from urllib.parse import urlsplit

import httpx2
import openai
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletionChunk

from .assembly import Assembly
from .call import Call
from .config import LOOPBACK, public_url
from .endpoint import Endpoint
from .exchange import Exchange, in_api_order, that_matter
from .llm_errors import (
    BrokenOff,
    EmptyAnswer,
    Garbage,
    LLMError,
    RequestRejected,
    Stopped,
    TimedOut,
    Unreachable,
    from_status,
    whole_characters,
    without_text,
)
from .pausing import in_turn
from .redaction import Redaction
from .reply import REASONING, Piece, Reply, cleaned, model_objects, read
from .sound import speech, transcription
from .wording import say

log = logging.getLogger(__name__)

LIST_TIMEOUT = 10.0  # seconds for the list of models
LONGEST_BODY = 100_000  # characters of a failed call's reply that are kept
OF_THE_SDK = {"self", "extra_headers", "extra_query", "extra_body", "timeout"}  # parameters that are no fields
BROKEN = (httpx2.RemoteProtocolError, httpx2.ReadError, httpx2.WriteError)


class LLM:
    """Calls to the endpoint that `endpoint()` names at the time of the call."""

    def __init__(self, endpoint: Callable[[], Endpoint], *, connect_timeout: float, answer_timeout: float):
        self._endpoint = endpoint
        self._answer_timeout = answer_timeout
        self._timeout = httpx2.Timeout(connect=connect_timeout, read=answer_timeout, write=60, pool=None)
        self._calls = local()
        self._direct = self._http_client(trust_env=False)
        self._proxied = self._http_client(trust_env=True)

    def _http_client(self, *, trust_env: bool) -> httpx2.Client:
        # No connection is kept: a question that meets a connection just closed by the other side would
        # fail or be sent twice, and people ask more slowly than idle connections live.
        return httpx2.Client(
            timeout=self._timeout,
            limits=httpx2.Limits(max_connections=None, max_keepalive_connections=0),
            trust_env=trust_env,
            verify=_certificates(),
            event_hooks={"request": [self._trace]},
        )

    def _trace(self, request: httpx2.Request) -> None:
        request.extensions["trace"] = self._calls.current.trace

    def _client(self, endpoint: Endpoint, call: Call) -> openai.OpenAI:
        self._calls.current = call
        # A proxy from the environment is for the world outside, never for this machine.
        loopback = urlsplit(endpoint.base_url).hostname in LOOPBACK
        return openai.OpenAI(
            base_url=endpoint.base_url,
            api_key=endpoint.api_key or "none",
            max_retries=0,  # One question is one request.
            http_client=self._direct if loopback else self._proxied,
        )

    def model_objects(self) -> list[dict[str, Any]]:
        """Return the endpoint's models as it describes them, with every field, in its order. Raises LLMError."""
        endpoint = self._endpoint()
        with _Telling(endpoint, Call(), LIST_TIMEOUT):
            reply = self._client(endpoint, Call()).models.with_raw_response.list(timeout=LIST_TIMEOUT)
            return model_objects(endpoint.redaction.bytes(reply.content))

    def send(self, path: str, body: dict[str, Any], call: Call) -> Iterator[Piece]:
        """Send one request and yield the text of its reply as it arrives, streamed or in one piece. Raises LLMError.

        `call` gets the exchange and what the reply says beside its text, and can end the request.
        """
        endpoint = self._endpoint()
        exchange = Exchange("" if endpoint.private else public_url(endpoint.base_url), path, body)
        call.exchanges.append(exchange)
        call.reply = reply = Reply(model=body["model"], expected=body.get("n") or 1, redaction=endpoint.redaction)
        call.sent(call)
        came = False
        try:
            with self._telling(endpoint, call):
                # As `extra_body` it is sent as it is. The SDK would look into every message first, which with 500
                # turns stops everything else for 160 ms (bench/README.md), and does not know every field.
                create, needed = _operation(self._client(endpoint, call), path)
                with create(**needed, extra_body=body) as response:
                    exchange.status = response.status_code
                    exchange.headers = that_matter(response.headers, reply.redaction.told)
                    content, kind = self._heard(response.iter_bytes(), reply), response.headers.get("content-type", "")
                    for piece in reply.redaction.stream(read(content, kind, reply)):
                        came = came or piece[0] != REASONING
                        yield piece
        finally:
            exchange.reply = _kept(reply)
            exchange.body = exchange.body or self._half(reply)
            for name in ("model", "usage", "finish_reason", "finish_reasons", "stop_sequence"):
                setattr(reply, name, reply.redaction.json(getattr(reply, name)))
        if not came and not (reply.whole or {}).get("data"):
            raise EmptyAnswer(without_text(reply.finish_reason))

    def _half(self, reply: Reply) -> str:
        """Return what came of a reply in one piece that is none: it was paid for, and may have some of the answer."""
        return reply.redaction.told(whole_characters(reply.redaction.bytes(b"".join(reply.body))))[:LONGEST_BODY]

    def _heard(self, pieces: Iterator[bytes], reply: Reply) -> Iterator[bytes]:
        """Yield a reply's bytes, as long as there is more in them than signs of life.

        Once every choice has said why it ended, all of the text is there: it does not matter how the connection ends.
        """
        try:
            for piece in in_turn(pieces):
                if monotonic() - reply.heard > self._answer_timeout:
                    raise httpx2.ReadTimeout("Comments, and nothing else.")
                yield piece
        except (httpx2.TransportError, OSError):
            if not reply.is_complete:
                raise

    def transcribe(self, name: str, content_type: str, content: bytes, fields: dict[str, Any]) -> dict[str, Any]:
        """Send a recording to be put into words and return the reply's JSON, whose `text` is a string.

        `fields` are the form's others, among them `model`. Raises LLMError.
        """
        endpoint = self._endpoint()
        with self._telling(endpoint):
            create = self._client(endpoint, Call()).audio.transcriptions.with_raw_response.create
            reply = create(file=(name, content, content_type), **fields).http_response
            content = endpoint.redaction.bytes(reply.content)
            return transcription(content, reply.headers.get("content-type", ""))

    def speak(self, fields: dict[str, Any]) -> tuple[bytes, str]:
        """Let a text be read aloud and return the audio and its content type. Raises LLMError.

        `fields` are the JSON body: `model`, `voice`, `input` and whatever else.
        """
        endpoint = self._endpoint()
        with self._telling(endpoint):
            create = self._client(endpoint, Call()).audio.speech.with_raw_response.create
            reply = create(**fields).http_response
            return speech(endpoint.redaction.bytes(reply.content), reply.headers.get("content-type", ""))

    def _telling(self, endpoint: Endpoint, call: Call | None = None) -> "_Telling":
        return _Telling(endpoint, call or Call(), self._answer_timeout)


@cache
def _certificates() -> ssl.SSLContext:
    """Return what certificates are checked by; to read them takes longer than all else at the start of a client."""
    return httpx2.create_ssl_context()


class _Telling:
    """Turns whatever the SDK and the connection raise into an LLMError that says what happened."""

    def __init__(self, endpoint: Endpoint, call: Call, answer_timeout: float):
        self.endpoint, self.call, self.answer_timeout = endpoint, call, answer_timeout
        self.redaction = endpoint.redaction

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if error is None or not isinstance(error, Exception):
            return
        if isinstance(error, openai.APIStatusError) and self.call.exchanges:
            exchange = self.call.exchanges[-1]
            exchange.status = error.status_code
            exchange.headers = that_matter(error.response.headers, self.redaction.told)
            exchange.body = self.redaction.told(_text(error.response, self.redaction))[:LONGEST_BODY]
        if self.call.closed:
            raise Stopped("Stopped.") from error
        raise self._translated(error) from error

    def _translated(self, error: Exception) -> Exception:
        url = public_url(self.endpoint.base_url)
        match error:
            case LLMError():
                error.args = (self.redaction.told(str(error)),)
                return error
            case openai.APIStatusError():
                hidden = self.redaction
                body, text = hidden.json(error.body, hidden.told), hidden.told(_text(error.response, hidden))
                told = from_status(error.status_code, body, text, error.response.headers)
                told.args = (hidden.told(str(told)),)  # A header may be in it.
                return told
            case openai.APITimeoutError() if isinstance(error.__cause__, httpx2.ConnectTimeout):
                return Unreachable(say("{url} did not accept a connection in time.", url=url))
            case openai.APITimeoutError() | httpx2.TimeoutException():
                return TimedOut(say("The model was silent for {seconds:,.0f} s.", seconds=self.answer_timeout))
            case openai.APIConnectionError() if isinstance(error.__cause__, BROKEN):
                return BrokenOff(say("The endpoint closed the connection without an answer."))
            case openai.APIConnectionError():
                reason = re.sub(r"^\[Errno -?\d+\] ", "", self.redaction.told(str(error.__cause__ or error)))
                return Unreachable(say("No connection to {url}: {reason}", url=url, reason=reason))
            case httpx2.TransportError() | OSError():
                return BrokenOff(say("The connection to the model broke off in the middle of the answer."))
            case httpx2.DecodingError():
                return Garbage(say("What the endpoint sent cannot be unpacked: {reason}", reason=str(error)))
            case openai.OpenAIError() | httpx2.HTTPError() | httpx2.InvalidURL() | UnicodeError():
                return RequestRejected(self.redaction.told(str(error)))
        return error


def _text(response: httpx2.Response, redaction: Redaction) -> str:
    # Hidden before anything is cut off: the half of a key would not be found any more.
    return redaction.bytes(response.content).decode(response.encoding or "utf-8", errors="replace")


def _operation(client: openai.OpenAI, path: str) -> tuple[Callable[..., Any], dict[str, Any]]:
    """Return the SDK's operation for a path, and the arguments without which it does not go."""
    match path:
        case "/chat/completions":
            return client.chat.completions.with_streaming_response.create, {"model": "", "messages": []}
        case "/completions":
            return client.completions.with_streaming_response.create, {"model": "", "prompt": ""}
        case "/images/generations":
            return client.images.with_streaming_response.generate, {"prompt": ""}
    raise ValueError(path)


def _kept(reply: Reply) -> dict[str, Any] | None:
    """Return a reply as the API would have sent it in one piece; None where nothing came that could be kept."""
    try:
        if reply.whole is not None:
            return cast(dict[str, Any], reply.redaction.json(cleaned(reply.whole)))
        if not (reply.assembly.top or reply.assembly.choices):
            return None
        return in_api_order(reply.redaction.json(cleaned(_assembled(reply.assembly))))
    except Exception as error:  # It is worth less than the texts, which came.
        log.warning("A reply cannot be kept as it came: %s", type(error).__name__)
        return None


def _assembled(assembly: Assembly) -> dict[str, Any]:
    if not assembly.is_chat:
        return assembly.completion()
    state: ChatCompletionStreamState[None] = ChatCompletionStreamState()
    try:
        for chunk in assembly.chunks():
            state.handle_chunk(ChatCompletionChunk.construct(**chunk))
        # Not the final completion: that one is parsed, which refuses a reply that was cut off.
        made = [
            choice.message.to_dict(mode="json", warnings=False) for choice in state.current_completion_snapshot.choices
        ]
    except Exception as error:  # Whatever the SDK stumbles over, the texts came, and are not lost for it.
        log.info("A server's own kind of delta, which the SDK cannot join: %s", error)
        made = [{} for _ in assembly.choices]
    return assembly.chat_completion(made)


@cache
def known_parameters(path: str) -> frozenset[str]:
    """Return the fields of a request that the SDK's method for a path takes by name; none where it has no method."""
    # Here, because they load slowly, and only who looks at a request needs them.
    from openai.resources import Completions, Images
    from openai.resources.chat import Completions as ChatCompletions

    methods: dict[str, Callable[..., Any]] = {
        "/chat/completions": ChatCompletions.create,
        "/completions": Completions.create,
        "/images/generations": Images.generate,
    }
    if path not in methods:
        return frozenset()
    return frozenset(signature(methods[path]).parameters) - OF_THE_SDK
