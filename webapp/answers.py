"""Running answers: start, append, follow from a position, stop, settle.

An answer belongs to its conversation, not to a connection. While it runs, its text is in memory, where
any number of followers read it, and in its **answer log**, a file that is only ever appended to and so
survives a `kill -9`. When it ends it is settled (`settling.py`): its text goes into the conversation's
record, and the log is removed.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from threading import Lock, Thread

from .answer_log import Logs
from .backend import Backend
from .budget import Budget
from .conversation import Answer, Conversation, Refused, Status, Turn
from .conversations import Store, own_ids
from .ended import Ended, record_exchanges
from .failure import Failure, failure_of
from .files import Files
from .llm_errors import LLMError, Stopped
from .logs import described
from .rates import Rates
from .reply import Piece
from .room import Room
from .running import HEARTBEAT, Positions, RunningAnswer
from .settling import Settling
from .wording import say

log = logging.getLogger(__name__)

UPDATES_PER_SECOND = 30
SETTLED_WITHIN = 5  # seconds; whoever stops an answer waits for its record
READ_OUT_WITHIN = 0.5  # seconds; a model that is still being loaded cannot be interrupted
PAUSE = 0.3  # seconds without text in which a follower shows what it held back to save work
PIECE = 200_000  # characters of one update
SHUT_DOWN_WITHIN = 6.0  # seconds that a stopping server takes for it; what is not settled by then is in the logs


class ServerStopping(Refused):
    status = 503
    retry_after = 10  # A restart takes no longer.

    def __init__(self) -> None:
        super().__init__(say("The server is stopping. Send the question again when it is back."))


class Answers:
    """All running answers of this process."""

    def __init__(
        self, store: Store, backend: Backend, files: Files, budget: Budget, rates: Rates, room: Room, folder: Path
    ):
        self.store = store
        self.room = room
        self.budget = budget
        self.rates = rates
        self.backend = backend
        self.files = files
        self.logs = Logs(folder)
        self.settling = Settling(store, files, budget, self.logs, self.runs, self._forget)
        self._running: dict[str, RunningAnswer] = {}
        self._stopping = False
        self._beginning = Lock()

    def begin(
        self, conversation: Conversation, change: Callable[[Conversation], Turn], address: str = ""
    ) -> tuple[Conversation, Turn]:
        """Make a change that leaves a turn pending, save it, and let the model answer; return both as they are now.

        Raises Refused.
        From here on nothing that was typed can be lost: the question is on the disk before the model
        hears of it.
        """
        if self._stopping:
            raise ServerStopping
        self._wait_for_ended(conversation.owner)
        self.budget.check(conversation.owner)
        self.room.check_size({conversation.id, *own_ids(conversation.owner)})
        self.room.check_record(conversation.id)
        running = None
        try:
            with self.store.editing(conversation.id, conversation.owner) as edited:
                self.settling.check(edited)
                before, runs = edited.pending, edited.runs()
                turn = change(edited)
                self.room.check_turns(edited)
                # A turn that was pending before is the same form, sent again.
                if turn.answer.status == "pending" and before is None:
                    running = self._admit(turn.answer, edited, address)
                    edited.counted = running.id  # Unless something changes the history meanwhile.
        except BaseException:
            if running:
                running.end()
                self.logs.remove(running.id)
                self._forget(running)
            raise
        for gone in runs - edited.runs():
            self.files.remove_of(edited.id, gone)
        if running:
            try:
                Thread(target=self._run, args=(running, edited, turn), name=running.id, daemon=True).start()
            except RuntimeError as error:  # There are too many of them.
                self._finish(running, "failed", Failure("Unforeseen", str(error)))
        return edited, turn

    def _wait_for_ended(self, owner: str) -> None:
        """Wait for a visitor's answers that have ended to be settled: what they spent counts for the next question."""
        for running in [one for one in list(self._running.values()) if one.owner == owner and one.ended]:
            running.settled.wait(SETTLED_WITHIN)

    def _admit(self, answer: Answer, conversation: Conversation, address: str) -> RunningAnswer:
        """Take an answer among those that run. Raises TooMany, and then nothing of the change is saved."""
        with self._beginning:
            self.rates.check_answers(conversation.owner, [one.owner for one in self._running.values()])
            self.rates.count_question(conversation.owner, address)
            self._running[answer.id] = running = RunningAnswer(answer, conversation, self.logs)
            return running

    def live(self, conversation: Conversation) -> Conversation:
        """Return a loaded conversation with the text that its pending answer has by now."""
        turn = conversation.pending
        if turn is None:
            return conversation
        if running := self._running.get(turn.answer.id):
            running.fill(turn.answer)
            return conversation
        return self.settling.settled(conversation)

    def runs(self, answer_id: str) -> bool:
        return answer_id in self._running

    def follow(
        self,
        answer_id: str,
        positions: Positions,
        holds: Callable[[], bool] = lambda: False,
        *,
        once: bool = False,
    ) -> Iterator[list[Piece]]:
        """Yield the text of an answer from its positions on, until it is settled; brings the positions forward.

        At most UPDATES_PER_SECOND times; an empty list is a heartbeat, or a pause while the follower `holds` text.
        Ends at once for an answer that does not run, and `once` what is there was yielded.
        """
        running = self._running.get(answer_id)
        while running is not None:
            heard = once or running.wait(positions, PAUSE if holds() else HEARTBEAT)
            while pieces := running.unread(positions, PIECE):
                for channel, text in pieces:
                    positions[channel] = positions.get(channel, 0) + len(text)
                yield pieces
            if not heard:
                yield []
            if running.settled.is_set() or once:
                return
            running.settled.wait(1 / UPDATES_PER_SECOND)  # Text waits for the next update, the end does not.

    def stop(self, conversation: Conversation) -> None:
        """End the pending answer of a conversation, if there is one, and keep what came."""
        if (turn := conversation.pending) and (running := self._running.get(turn.answer.id)):
            self._finish(running, "stopped")
            running.settled.wait(SETTLED_WITHIN)  # Somebody else may have ended it, and be about to save it.

    def stop_all(self, owner: str) -> None:
        """End all pending answers of a visitor."""
        for running in [one for one in list(self._running.values()) if one.owner == owner]:
            self._finish(running, "stopped")
            running.settled.wait(SETTLED_WITHIN)

    def clear(self, conversation: Conversation) -> Conversation:
        """Remove all turns of a conversation; a running answer is stopped first.

        Raises Busy if another one begins in that moment.
        """
        self.stop(conversation)
        with self.store.editing(conversation.id, conversation.owner) as edited:
            self.settling.check(edited)
            edited.clear()
            gone = self.files.names(edited.id)  # A question that comes next has files of its own.
        self.files.remove(edited.id, gone)
        return edited

    def shut_down(self) -> None:
        """Refuse new questions and settle every running answer: the server is about to end."""
        self._stopping = True
        # All of them end first, and then each is settled: to read out takes a moment, and so does a slow disk.
        ours = [running for running in list(self._running.values()) if self._end(running)]
        settling = [Thread(target=self._complete, args=(one, "interrupted", None), daemon=True) for one in ours]
        self.settling.end(settling, SHUT_DOWN_WITHIN)

    def _run(self, running: RunningAnswer, conversation: Conversation, turn: Turn) -> None:
        running.call.sent = lambda call: record_exchanges(self.files, running, durable=False)
        status, failure = self._ask(running, conversation, turn)
        running.read_out.set()
        self._finish(running, status, failure)

    def _ask(self, running: RunningAnswer, conversation: Conversation, turn: Turn) -> tuple[Status, Failure | None]:
        try:
            with closing(self.backend.answer(conversation, turn, running.call)) as pieces:
                for channel, text in pieces:
                    if not running.append(text, channel):
                        break
            return "done", None
        except Stopped:
            return "stopped", None
        except LLMError as error:
            return "failed", failure_of(error, type(error).__name__, error.status, error.retry_after)
        except Exception as error:
            log.exception("An answer failed in a way that nobody foresaw.")
            return "failed", Failure("Unforeseen", described(error))

    def _finish(self, running: RunningAnswer, status: Status, failure: Failure | None = None) -> None:
        if self._end(running):
            self._complete(running, status, failure)

    def _end(self, running: RunningAnswer) -> bool:
        """End an answer, here and upstream; True for the caller who did it, and is to complete it."""
        ended = running.end()
        if ended:
            running.call.close()
        return ended

    def _complete(self, running: RunningAnswer, status: Status, failure: Failure | None) -> None:
        # Closed, it reads no more in a moment, and then the reply is put together as far as it came.
        running.read_out.wait(READ_OUT_WITHIN)
        try:
            self.settling.save(Ended(running, status, failure))
        finally:
            self._forget(running)

    def _forget(self, running: RunningAnswer) -> None:
        self._running.pop(running.id, None)
        running.mark_settled()
