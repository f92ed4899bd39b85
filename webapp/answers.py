"""Running answers: start, append, follow from a position, stop, settle.

An answer belongs to its conversation, not to a connection. While it runs, its text is in memory, where
any number of followers read it, and in its **answer log**, a file that is only ever appended to and so
survives a `kill -9`. When it ends it is settled: its text goes into the conversation's record, and the
log is removed. A pending answer that nothing runs is one whose process died; it is settled from its log.
"""

import logging
import os
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path
from threading import Condition, Event, Lock, Thread
from time import time

from .backend import Backend
from .conversation import Answer, Busy, Conversation, Failure, Refused, Status, Turn
from .llm import Call
from .llm_errors import LLMError, Stopped
from .store import Store

log = logging.getLogger(__name__)

UPDATES_PER_SECOND = 30
HEARTBEAT = 10.0  # seconds; a proxy may close a stream that is silent for longer, and a closed browser shows itself
PIECE = 200_000  # characters of one update


class ServerStopping(Refused):
    status = 503

    def __init__(self) -> None:
        super().__init__("The server is stopping. Send the question again when it is back.")


class RunningAnswer:
    """One run of the model: the text so far, and who waits for more of it."""

    def __init__(self, answer: Answer, conversation: Conversation, log_path: Path):
        self.id = answer.id
        self.conversation_id = conversation.id
        self.owner = conversation.owner
        self.call = Call()
        self.log_path = log_path
        self.ended = False  # no more text is taken
        self.settled = Event()  # and the record has it
        self._text = StringIO()
        self._length = 0
        self._news = Condition(Lock())
        self._log = os.open(log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self.append(answer.text)

    def append(self, text: str) -> bool:
        """Take the next piece of text; False if the answer has ended, and the piece is not taken."""
        with self._news:
            if self.ended:
                return False
            os.write(self._log, text.encode())
            self._text.seek(self._length)
            self._text.write(text)
            self._length += len(text)
            self._news.notify_all()
            return True

    def read(self, position: int = 0, limit: int = -1) -> str:
        """Return the text from a position on, counted in characters."""
        with self._news:
            self._text.seek(position)
            return self._text.read(limit)

    def end(self) -> bool:
        """Close the answer for text; True for the caller who did it, and is to settle it."""
        with self._news:
            if self.ended:
                return False
            self.ended = True
            os.close(self._log)
            return True

    def mark_settled(self) -> None:
        with self._news:
            self.settled.set()
            self._news.notify_all()

    def wait(self, position: int) -> bool:
        """Wait for text behind a position or for the end; False if neither came within a heartbeat."""
        with self._news:
            return self._news.wait_for(lambda: self._length > position or self.settled.is_set(), HEARTBEAT)


class Answers:
    """All running answers of this process."""

    def __init__(self, store: Store, backend: Backend, folder: Path):
        self.store = store
        self.backend = backend
        self.folder = folder
        self._running: dict[str, RunningAnswer] = {}
        self._stopping = False
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def begin(self, conversation: Conversation, change: Callable[[Conversation], Turn]) -> tuple[Conversation, Turn]:
        """Make a change that leaves a turn pending, save it, and let the model answer; return both as they are now.

        Raises Refused.
        From here on nothing that was typed can be lost: the question is on the disk before the model
        hears of it.
        """
        if self._stopping:
            raise ServerStopping
        running = None
        try:
            with self.store.editing(conversation.id, conversation.owner) as edited:
                turn = change(edited)
                if turn.answer.status == "pending" and turn.answer.id not in self._running:
                    running = RunningAnswer(turn.answer, edited, self._log_path(turn.answer.id))
                    self._running[running.id] = running
        except BaseException:
            if running:
                self._drop(running)
            raise
        if running:
            Thread(target=self._run, args=(running, edited, turn), name=f"answer-{running.id}", daemon=True).start()
        return edited, turn

    def live(self, conversation: Conversation) -> Conversation:
        """Return a loaded conversation with the text that its pending answer has by now."""
        turn = conversation.pending
        if turn is None:
            return conversation
        if running := self._running.get(turn.answer.id):
            turn.answer.text = running.read()
            return conversation
        with self.store.editing(conversation.id, conversation.owner) as edited:
            self._settle_orphan(edited)
        self._log_path(turn.answer.id).unlink(missing_ok=True)
        return edited

    def follow(self, answer_id: str, position: int) -> Iterator[tuple[int, str]]:
        """Yield the text of an answer from a position on, as (position behind it, piece), until it is settled.

        At most UPDATES_PER_SECOND pieces; an empty one is a heartbeat. Ends at once for an answer
        that does not run.
        """
        running = self._running.get(answer_id)
        while running is not None:
            heard = running.wait(position)
            while piece := running.read(position, PIECE):
                position += len(piece)
                yield position, piece
            if not heard:
                yield position, ""
            if running.settled.is_set():
                return
            running.settled.wait(1 / UPDATES_PER_SECOND)  # Text waits for the next update, the end does not.

    def stop(self, conversation: Conversation) -> None:
        """End the pending answer of a conversation, if there is one, and keep what came."""
        if (turn := conversation.pending) and (running := self._running.get(turn.answer.id)):
            self._finish(running, "stopped")

    def clear(self, conversation: Conversation) -> Conversation:
        """Remove all turns of a conversation; a running answer is stopped first.

        Raises Busy if another one begins in that moment.
        """
        self.stop(conversation)
        with self.store.editing(conversation.id, conversation.owner) as edited:
            if edited.pending:
                raise Busy
            edited.turns.clear()
        return edited

    def shut_down(self) -> None:
        """Refuse new questions and settle every running answer: the server is about to end."""
        self._stopping = True
        for running in list(self._running.values()):
            self._finish(running, "interrupted")

    def _run(self, running: RunningAnswer, conversation: Conversation, turn: Turn) -> None:
        try:
            body = self.backend.request(conversation, turn)
            running.call.reply.model = body["model"]
            for text in self.backend.llm.stream(body, running.call):
                if not running.append(text):
                    return
            self._finish(running, "done")
        except Stopped:
            self._finish(running, "stopped")
        except LLMError as error:
            kind = type(error).__name__
            self._finish(running, "failed", Failure(kind, str(error), error.status, error.retry_after))
        except Exception as error:
            log.exception("An answer failed in a way that nobody foresaw.")
            self._finish(running, "failed", Failure("Unforeseen", f"{type(error).__name__}: {error}"))

    def _finish(self, running: RunningAnswer, status: Status, failure: Failure | None = None) -> None:
        if not running.end():
            return
        running.call.close()
        try:
            with self.store.editing(running.conversation_id, running.owner) as edited:
                answer = edited.turn_of(running.id).answer
                answer.status, answer.failure, answer.text = status, failure, running.read()
                reply = running.call.reply
                answer.finish_reason, answer.usage = reply.finish_reason, reply.usage
                answer.model = reply.model
                answer.ended = time()
        except Refused:
            pass  # The turn was cleared meanwhile.
        except Exception:
            # The log stays, and the answer is settled from it as soon as the record can be written again.
            log.exception("An answer could not be saved; its text is kept in %s.", running.log_path)
            self._forget(running)
            return
        self._drop(running)

    def _drop(self, running: RunningAnswer) -> None:
        running.end()
        running.log_path.unlink(missing_ok=True)
        self._forget(running)

    def _forget(self, running: RunningAnswer) -> None:
        self._running.pop(running.id, None)
        running.mark_settled()

    def _settle_orphan(self, conversation: Conversation) -> None:
        """Give a pending answer whose process died the text of its log."""
        turn = conversation.pending
        if turn is None or turn.answer.id in self._running:
            return
        answer = turn.answer
        path = self._log_path(answer.id)
        if path.exists():
            # A process killed in the middle of a write may leave half a character.
            answer.text = path.read_bytes().decode(errors="ignore")
        answer.status, answer.ended = "interrupted", time()

    def _log_path(self, answer_id: str) -> Path:
        return self.folder / f"{answer_id}.log"
