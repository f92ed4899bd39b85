"""Running answers: start, append, follow from a position, stop, settle.

An answer belongs to its conversation, not to a connection. While it runs, its text is in memory, where
any number of followers read it, and in its **answer log**, a file that is only ever appended to and so
survives a `kill -9`. When it ends it is settled: its text goes into the conversation's record, and the
log is removed. A pending answer that nothing runs is one whose process died; it is settled from its log.
"""

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread
from time import time
from typing import Any

from .backend import Backend
from .budget import Budget
from .conversation import Answer, Busy, Conversation, Failure, Picture, Refused, Status, Turn
from .exchange import save
from .files import Files
from .llm import Call
from .llm_errors import LLMError, Stopped
from .pictures import pictures_of
from .reply import Piece
from .running import Logs, Positions, RunningAnswer
from .store import Store
from .tokens import counted, estimated_usage

log = logging.getLogger(__name__)

UPDATES_PER_SECOND = 30
PIECE = 200_000  # characters of one update


class ServerStopping(Refused):
    status = 503

    def __init__(self) -> None:
        super().__init__("The server is stopping. Send the question again when it is back.")


class Answers:
    """All running answers of this process."""

    def __init__(self, store: Store, backend: Backend, files: Files, budget: Budget, folder: Path):
        self.store = store
        self.budget = budget
        self.backend = backend
        self.files = files
        self.logs = Logs(folder)
        self._running: dict[str, RunningAnswer] = {}
        self._stopping = False

    def begin(self, conversation: Conversation, change: Callable[[Conversation], Turn]) -> tuple[Conversation, Turn]:
        """Make a change that leaves a turn pending, save it, and let the model answer; return both as they are now.

        Raises Refused.
        From here on nothing that was typed can be lost: the question is on the disk before the model
        hears of it.
        """
        if self._stopping:
            raise ServerStopping
        self.budget.check(conversation.owner)
        running = None
        try:
            with self.store.editing(conversation.id, conversation.owner) as edited:
                turn = change(edited)
                if turn.answer.status == "pending" and turn.answer.id not in self._running:
                    running = RunningAnswer(turn.answer, edited, self.logs)
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
            running.fill(turn.answer)
            return conversation
        with self.store.editing(conversation.id, conversation.owner) as edited:
            self._settle_orphan(edited)
        self.logs.remove(turn.answer.id)
        return edited

    def follow(self, answer_id: str, positions: Positions) -> Iterator[list[Piece]]:
        """Yield the text of an answer from its positions on, until it is settled; brings the positions forward.

        At most UPDATES_PER_SECOND times; an empty list is a heartbeat. Ends at once for an answer that
        does not run.
        """
        running = self._running.get(answer_id)
        while running is not None:
            heard = running.wait(positions)
            while pieces := running.unread(positions, PIECE):
                for channel, text in pieces:
                    positions[channel] = positions.get(channel, 0) + len(text)
                yield pieces
            if not heard:
                yield []
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
            edited.sent_from = ""
        self.files.remove(edited.id)
        return edited

    def shut_down(self) -> None:
        """Refuse new questions and settle every running answer: the server is about to end."""
        self._stopping = True
        for running in list(self._running.values()):
            self._finish(running, "interrupted")

    def _run(self, running: RunningAnswer, conversation: Conversation, turn: Turn) -> None:
        running.call.sent = lambda call: self._record(running, durable=False)
        try:
            for channel, text in self.backend.answer(conversation, turn, running.call):
                if not running.append(text, channel):
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
            pictures = self._keep_files(running)
            with self.store.editing(running.conversation_id, running.owner) as edited:
                turn = edited.turn_of(running.id)
                answer = turn.answer
                before = len(answer.text)
                running.fill(answer)
                answer.status, answer.failure, answer.pictures = status, failure, pictures
                _note(answer, running.call, before)
                answer.ended = time()
                if turn is edited.turns[-1] and not turn.single:
                    edited.sent_from = running.call.sent_from
            self.budget.spend(running.owner, counted(answer.usage).total or 0)
        except Refused:
            self.files.remove_of(running.conversation_id, running.id)  # The turn was cleared meanwhile.
        except Exception:
            # The log stays, and the answer is settled from it as soon as the record can be written again.
            log.exception("An answer could not be saved; its text is kept in %s.", self.logs.path(running.id))
            self._forget(running)
            return
        self._drop(running)

    def _keep_files(self, running: RunningAnswer) -> list[Picture]:
        """Write the files of an answer: its pictures, and its exchanges without them."""
        pictures = []
        if running.call.exchanges and (reply := running.call.exchanges[-1].reply):
            pictures = pictures_of(reply, running.id, lambda name, content: self._write(running, name, content))
        self._record(running, durable=True)
        return pictures

    def _record(self, running: RunningAnswer, *, durable: bool) -> None:
        if exchanges := running.call.exchanges:
            save(self.files, running.conversation_id, running.id, exchanges, durable=durable)

    def _write(self, running: RunningAnswer, name: str, content: bytes) -> None:
        self.files.write(running.conversation_id, name, content)

    def _drop(self, running: RunningAnswer) -> None:
        running.end()
        self.logs.remove(running.id)
        self._forget(running)

    def _forget(self, running: RunningAnswer) -> None:
        self._running.pop(running.id, None)
        running.mark_settled()

    def _settle_orphan(self, conversation: Conversation) -> None:
        """Give a pending answer whose process died the text of its log."""
        turn = conversation.pending
        if turn is None or turn.answer.id in self._running:
            return
        self.logs.recover(turn.answer)
        turn.answer.status, turn.answer.ended = "interrupted", time()


def _note(answer: Answer, call: Call, before: int) -> None:
    """Put into an answer what the call says about it; so many characters were there before."""
    reply = call.reply
    answer.model = reply.model
    answer.finish_reason, answer.stop_sequence, answer.refused = reply.finish_reason, reply.stop_sequence, reply.refused
    answer.usage = reply.usage
    if reply.usage is None and answer.has_content and call.exchanges:
        answer.usage, answer.usage_estimated = _estimated(answer, call.exchanges[-1].request, before), True
    answer.dropped, answer.overflowed = call.dropped, call.overflowed


def _estimated(answer: Answer, request: dict[str, Any], before: int) -> dict[str, Any]:
    """Return a usage for an answer whose server gave none, or that did not come to its end."""
    messages = request.get("messages") or [{"role": "user", "content": str(request.get("prompt", ""))}]
    return estimated_usage(messages, "".join(answer.choices) or answer.text[before:], answer.reasoning)
