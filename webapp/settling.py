"""Settling answers: into their conversation's record, whatever the disk says meanwhile.

What the disk refuses stays in memory, is shown from there, and is tried again every few seconds and whenever
somebody opens the conversation. A pending answer that nothing runs is one whose process died; it is settled
from its log.
"""

import logging
from collections.abc import Callable
from threading import Event, Lock, Thread
from time import monotonic, time

from . import exchange
from .answer_line import tell
from .answer_log import Logs
from .budget import Budget
from .conversation import Answer, Conversation, Refused
from .conversations import Store, Unreadable
from .disk import reason_of
from .ended import Ended, estimate_usage
from .files import Files
from .running import RunningAnswer, recover
from .tokens import counted
from .wording import say

log = logging.getLogger(__name__)

AGAIN_EVERY = 5.0  # seconds


class NotSaved(Refused):
    status = 503

    def __init__(self, reason: str) -> None:
        super().__init__(
            say(
                "The last answer here could not be saved yet ({reason}), so nothing can be added. "
                "It is tried again every few seconds.",
                reason=reason,
            )
        )


class Settling:
    """The answers that are being settled. `runs` tells of a running one, `forget` is called when one does no more."""

    def __init__(
        self,
        store: Store,
        files: Files,
        budget: Budget,
        logs: Logs,
        runs: Callable[[str], bool],
        forget: Callable[[RunningAnswer], None],
    ):
        self.store = store
        self.files = files
        self.budget = budget
        self.logs = logs
        self._runs = runs
        self._forget = forget
        self._late: dict[str, Ended] = {}  # what the disk refused, by the answer's id
        self._unsaved: dict[str, str] = {}  # and why
        self._guard = Lock()
        self._trying = False
        self._ending = Event()

    @property
    def late(self) -> bool:
        """Tell whether there are answers that the disk has refused so far."""
        return bool(self._late)

    def unsaved(self, answer_id: str) -> str:
        """Return why an answer that is shown could not be saved; empty for one that is."""
        return self._unsaved.get(answer_id, "")

    def check(self, conversation: Conversation) -> None:
        """Raise NotSaved where a conversation, as its record has it, lacks an answer that could not be saved."""
        if (turn := conversation.pending) and (reason := self.unsaved(turn.answer.id)):
            raise NotSaved(reason)

    def settled(self, conversation: Conversation) -> Conversation:
        """Return a conversation, whose pending answer does not run, with that answer settled.

        Where the disk refuses to take it, it is shown as if it had.
        """
        pending = conversation.pending
        assert pending is not None
        if late := self._late.get(pending.answer.id):
            if self.save(late):
                return self.store.load(conversation.id, conversation.owner)
            late.fill(conversation)
            return conversation
        return self._without_orphan(conversation, pending.answer)

    def save(self, ended: Ended) -> bool:
        """Put an ended answer into its conversation's record; False where the disk refuses it, which is tried again."""
        running = ended.running
        with ended.lock:
            if ended.saved:
                return True
            answer = None
            try:
                ended.write_files(self.files)
                with self.store.editing(running.conversation_id, running.owner) as edited:
                    answer = ended.fill(edited)
            except Unreadable:
                # The turn is in the record that was set aside; beside it, its log has the text.
                running.complete_logs()
                path = self.logs.path(running.id)
                log.error("The record that an answer belongs to is damaged; its text is in %s.", path)
                self._let_go(ended)
                return True
            except Refused:
                self.files.remove_of(running.conversation_id, running.id)  # The turn was cleared meanwhile.
            except Exception as error:
                self._keep(ended, answer, error)
                return False
            if running.id in self._late and answer:
                log.warning("Answer %s is saved now.", running.id)
            self.logs.remove(running.id)
            if answer:
                self._account(edited, answer)
            self._let_go(ended)
        return True

    def _let_go(self, ended: Ended) -> None:
        """Try an answer no more: its record has it, or waits for it no longer."""
        ended.saved = True
        self._late.pop(ended.running.id, None)
        self._unsaved.pop(ended.running.id, None)
        self._forget(ended.running)

    def end(self, settling: list[Thread], seconds: float) -> None:
        """Wait for threads that settle, and try once more what is late; what takes longer stays in the logs."""
        self._ending.set()
        settling += [Thread(target=self.save, args=(late,), daemon=True) for late in list(self._late.values())]
        for thread in settling:
            thread.start()
        until = monotonic() + seconds
        for thread in settling:
            thread.join(max(0.0, until - monotonic()))

    def _keep(self, ended: Ended, answer: Answer | None, error: Exception) -> None:
        """Keep an answer that cannot be saved: in memory, and as far as there is room beside its log."""
        running, reason = ended.running, _reason(error)
        if self.unsaved(running.id) != reason:
            path = self.logs.path(running.id)
            log.error("An answer could not be saved; its text is kept in memory and in %s.", path, exc_info=error)
        if answer and running.id not in self._late:
            self.logs.keep(answer)
        self._unsaved[running.id] = reason
        self._late[running.id] = ended
        self._forget(running)
        with self._guard:
            if self._trying or self._ending.is_set():
                return
            self._trying = True
        Thread(target=self._try_again, name="settle-again", daemon=True).start()

    def _try_again(self) -> None:
        while not self._ending.wait(AGAIN_EVERY):
            for late in list(self._late.values()):
                self.save(late)
            with self._guard:
                if not self._late:
                    self._trying = False
                    return

    def _without_orphan(self, conversation: Conversation, pending: Answer) -> Conversation:
        try:
            with self.store.editing(conversation.id, conversation.owner) as edited:
                orphan = self._settle_orphan(edited)
        except OSError as error:
            if self.unsaved(pending.id) != (reason := _reason(error)):
                log.exception("Answer %s broke off, and what is kept of it could not be saved.", pending.id)
            self._unsaved[pending.id] = reason
            try:
                self._settle_orphan(conversation)
            except OSError:
                pending.status = "interrupted"  # Not even its log can be read.
            return conversation
        self._unsaved.pop(pending.id, None)
        if orphan:
            self._account(conversation, orphan)
        self.logs.remove(pending.id)
        return edited

    def _settle_orphan(self, conversation: Conversation) -> Answer | None:
        """Give a pending answer whose process died, or that could not be saved, what is kept of it, and return it."""
        turn = conversation.pending
        if turn is None or self._runs(turn.answer.id):
            return None
        if kept := self.logs.kept(turn.answer.id):
            turn.answer = kept
        else:
            before = len(turn.answer.text)
            recover(turn.answer, self.logs)
            turn.answer.status, turn.answer.ended = "interrupted", time()
            if exchanges := exchange.load(self.files, conversation.id, turn.answer.id):
                estimate_usage(turn.answer, exchanges[-1].request, before)
        return turn.answer

    def _account(self, conversation: Conversation, answer: Answer) -> None:
        """Log a settled answer, and count what it spent."""
        tell(conversation.id, conversation.owner, answer)
        try:
            self.budget.spend(conversation.owner, counted(answer.usage).total or 0)
        except OSError:
            log.exception("What an answer spent could not be counted against the budget.")


def _reason(error: Exception) -> str:
    """Return in a few words why something could not be saved."""
    return reason_of(error) if isinstance(error, OSError) else str(error) or type(error).__name__
