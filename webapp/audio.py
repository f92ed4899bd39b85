"""Speech to words and words to speech; what was paid for once is kept beside the conversation.

Raises AudioFailed, with the provider's own words, and the other refusals below.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from math import ceil
from pathlib import Path

import msgspec

from .backend import Backend
from .budget import Budget
from .conversation import Conversation, Refused, Unknown
from .conversations import own_ids
from .disk import reason_of
from .files import Files, decoded
from .llm_errors import LLMError, TimedOut
from .locks import Locks
from .rates import Rates
from .room import Room
from .sound import ENDINGS, KNOWN, audio_ending
from .spoken import parts
from .tokens import counted, estimate
from .wording import say

log = logging.getLogger(__name__)

SPOKEN = ("mp3", "wav", "ogg", "flac", "aac")  # the endings that read-aloud files have


class NoAudioModel(Refused):
    status = 404


class BadRecording(Refused):
    pass


class NotAudio(Refused):
    status = 415


class AudioFailed(Refused):
    status = 502


class NotKept(Refused):
    status = 503

    def __init__(self, reason: str) -> None:
        super().__init__(
            say(
                "The answer was read aloud, but the sound could not be kept: {reason}. Nothing else is lost; "
                "try again when the server's disk is well.",
                reason=reason,
            )
        )


def recording_ending(filename: str, content_type: str, content: bytes) -> str:
    """Return the ending under which a recording is sent. Raises NotAudio for what says in no way that it is one."""
    given = Path(filename).suffix[1:].lower()
    kind = content_type.partition(";")[0].strip().lower()
    ending = ENDINGS.get(kind) or audio_ending(content)
    if given in KNOWN:
        return given
    if not ending and not kind.startswith(("audio/", "video/")):
        raise NotAudio(say("That file is no recording. Formats that can be sent: mp3, m4a, mp4, wav, webm, ogg, flac."))
    return ending or (given if given.isascii() and given.isalnum() and len(given) <= 5 else "audio")


class Audio:
    """The endpoint's audio models, for conversations whose files are in `files`."""

    def __init__(self, backend: Backend, files: Files, budget: Budget, rates: Rates, room: Room, voice: str):
        self.backend = backend
        self.files = files
        self.budget = budget
        self.rates = rates
        self.room = room
        self.voice = voice
        self._locks = Locks()

    def transcription(
        self,
        of: Conversation,
        filename: str,
        content_type: str,
        content: bytes,
        still_there: Callable[[], object],
        address: str = "",
    ) -> str:
        """Return what is said in a recording. Sent again (a double click, a page loaded again) it is not paid again."""
        model = self.backend.transcription_model()
        if model is None:
            raise NoAudioModel(
                say("No model that puts speech into words is set up here: TRANSCRIPTION_MODEL names one.")
            )
        if not content:
            raise BadRecording(say("There is nothing in that recording. Choose an audio file, or record again."))
        ending = recording_ending(filename, content_type, content)
        name = f"transcription-{_fingerprint(model, ending, content)}.json"
        with self._locks.held(f"{of.id}/{name}"):  # Who waited finds it there.
            if (known := self._known(of.id, name)) is not None:
                return known
            self.budget.check(of.owner)
            self.room.check_size({of.id, *own_ids(of.owner)})
            self.rates.count_question(of.owner, address)
            kind = content_type if content_type.startswith(("audio/", "video/")) else "application/octet-stream"
            with _told(lambda error: say("The recording could not be put into words. {error}", error=error)):
                reply = self.backend.llm.transcribe(f"recording.{ending}", kind, content, {"model": model})
            text = str(reply["text"]).strip()
            self._spend(of, counted(reply.get("usage")).total or estimate(text))
            if not text:
                raise BadRecording(say("No words were heard in that recording."))
            still_there()
            try:
                self.files.write(of.id, name, msgspec.json.encode(text))
            except OSError as error:  # The words are there, and paid for.
                log.error("The words of a recording could not be kept: %s", error.strerror)
            return text

    def speech(
        self, of: Conversation, text: str, part: int, still_there: Callable[[], object], address: str = ""
    ) -> str:
        """Return the name of the file in which a part of a text is read aloud, and make it if there is none yet.

        Parts are counted from 1. `still_there` raises Refused where nobody wants it any more: what was cleared
        meanwhile leaves no file.
        """
        model = self._reader()
        said = parts(text)
        if not said:
            raise Refused(say("There is nothing in that answer that could be read aloud."))
        if not 0 < part <= len(said):
            raise Unknown(say("That answer has no such part."))
        stem = self._stem(model, said[part - 1])
        with self._locks.held(f"{of.id}/{stem}"):
            if found := self._spoken(of.id, stem):
                return found
            self.budget.check(of.owner)
            self.room.check_size({of.id, *own_ids(of.owner)})
            self.rates.count_question(of.owner, address)
            fields = {"model": model, "voice": self.voice, "input": said[part - 1]}
            with _told(lambda error: say("The answer could not be read aloud. {error}", error=error)):
                content, content_type = self.backend.llm.speak(fields)
            self._spend(of, estimate(said[part - 1]))
            name = f"{stem}.{_spoken_ending(content, content_type)}"
            still_there()
            try:
                self.files.write(of.id, name, content)
            except OSError as error:
                log.error("The sound of an answer could not be kept: %s", error.strerror)
                raise NotKept(reason_of(error)) from None
            return name

    def spoken(self, conversation_id: str, text: str) -> list[str | None]:
        """Return the file of each part of a text; None for a part that was not read yet."""
        model = self._reader()
        return [self._spoken(conversation_id, self._stem(model, part)) for part in parts(text)]

    def _reader(self) -> str:
        """Return the model that reads aloud. Raises NoAudioModel."""
        if model := self.backend.speech_model():
            return model
        raise NoAudioModel(say("No model that reads aloud is set up here: SPEECH_MODEL names one."))

    def _spend(self, of: Conversation, tokens: int) -> None:
        try:
            self.budget.spend(of.owner, tokens)
        except OSError as error:
            log.error("What was spent on speech could not be counted against the budget: %s", error.strerror)

    def _stem(self, model: str, part: str) -> str:
        return f"speech-{_fingerprint(model, self.voice, part.encode())}"

    def _spoken(self, conversation_id: str, stem: str) -> str | None:
        names = (f"{stem}.{ending}" for ending in SPOKEN)
        return next((name for name in names if self.files.has(conversation_id, name)), None)

    def _known(self, conversation_id: str, name: str) -> str | None:
        try:
            return decoded(self.files.read(conversation_id, name), str)
        except Unknown:
            return None
        except (OSError, ValueError) as error:
            log.error("The words that are kept of a recording cannot be read: %s", type(error).__name__)
            return None


@contextmanager
def _told(in_words: Callable[[str], str]) -> Iterator[None]:
    try:
        yield
    except LLMError as error:
        failed = AudioFailed(in_words(str(error)))
        failed.status = 504 if isinstance(error, TimedOut) else 502
        failed.retry_after = None if error.retry_after is None else ceil(error.retry_after)
        raise failed from error


def _fingerprint(model: str, form: str, content: bytes) -> str:
    """Return a hash of what decides how a file sounds or what it says; 40 characters."""
    return sha256(msgspec.json.encode([model, form]) + content).hexdigest()[:40]


def _spoken_ending(content: bytes, content_type: str) -> str:
    """Return the ending for speech, by its first bytes before its type: servers send wrong types more often."""
    ending = audio_ending(content) or ENDINGS.get(content_type, "mp3")
    ending = "ogg" if ending == "opus" else ending
    return ending if ending in SPOKEN else "mp3"
