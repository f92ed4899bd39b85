"""An answer that has ended, on its way to the disk: its files, and what its conversation's record is to say of it."""

import logging
from threading import Lock
from time import time
from typing import Any

from . import exchange
from .conversation import Answer, Conversation, Picture, Status
from .failure import Failure
from .files import Files
from .pictures import pictures_of
from .running import RunningAnswer
from .tokens import estimated_usage

log = logging.getLogger(__name__)


class Ended:
    """An answer that has ended, until its record has it: what a disk refuses now can be written later."""

    def __init__(self, running: RunningAnswer, status: Status, failure: Failure | None):
        self.running = running
        self.lock = Lock()  # of who saves it
        self.saved = False
        self._tried = False
        self._status = status
        self._failure = failure
        self._ended = time()
        # In memory first: a reply's images are cut short as they are taken out of it.
        self._unwritten: dict[str, bytes] = {}
        self._pictures: list[Picture] = []
        if running.call.exchanges and (reply := running.call.exchanges[-1].reply):
            self._pictures = pictures_of(reply, running.id, self._unwritten.__setitem__)

    def write_files(self, files: Files) -> None:
        """Write its pictures, and its exchanges without them. Raises OSError for a picture."""
        for name, content in list(self._unwritten.items()):
            files.write(self.running.conversation_id, name, content)
            self._unwritten.pop(name, None)
        tried, self._tried = self._tried, True
        record_exchanges(files, self.running, durable=True, again=tried)

    def fill(self, conversation: Conversation) -> Answer:
        """Put all that is known of it into its conversation, and return it there. Raises Unknown where it is gone."""
        turn = conversation.turn_of(self.running.id)
        answer = turn.answer
        answer.status, answer.failure, answer.pictures = self._status, self._failure, self._pictures
        self._fill(answer)
        if conversation.counted == self.running.id and turn is conversation.turns[-1] and not turn.single:
            conversation.sent_from = self.running.call.sent_from
        return answer

    def _fill(self, answer: Answer) -> None:
        call, reply = self.running.call, self.running.call.reply
        before = len(answer.text)
        self.running.fill(answer)
        answer.model = reply.model
        answer.finish_reason, answer.stop_sequence = reply.finish_reason, reply.stop_sequence
        answer.refused = reply.refused
        if answer.choices and not answer.continues:
            answer.finish_reasons = [reply.finish_reasons.get(index) for index in range(len(answer.choices))]
            if not answer.text and any(answer.choices):
                answer.kept = next(index for index, text in enumerate(answer.choices) if text)
                answer.text, answer.finish_reason = answer.choices[answer.kept], answer.finish_reasons[answer.kept]
        answer.usage = reply.usage
        if reply.usage is None and call.exchanges and (answer.text or answer.reasoning or answer.status == "stopped"):
            estimate_usage(answer, call.exchanges[-1].request, before)
        answer.dropped, answer.overflowed = call.dropped, call.overflowed
        answer.ended = self._ended


def record_exchanges(files: Files, running: RunningAnswer, *, durable: bool, again: bool = False) -> None:
    """Write the exchanges as they are now; where that fails, the answer is worth more than how it was asked for.

    What is not durable is written while the answer runs, and no more once it has ended.
    """
    # Read and written by one after the other: on a slow disk, what was written first could come last.
    with running.recording:
        if not running.call.exchanges or (running.ended and not durable):
            return
        try:
            exchange.save(files, running.conversation_id, running.id, running.call.exchanges, durable=durable)
        except OSError as error:
            if again:
                return  # Once is enough to say so.
            log.error("The requests and replies of answer %s could not be kept: %s", running.id, error.strerror)


def estimate_usage(answer: Answer, request: dict[str, Any], before: int) -> None:
    """Give an answer an estimate where its server gave no usage, or it did not come to its end.

    `before` is how many characters it had from earlier runs.
    """
    messages = request.get("messages") or [{"role": "user", "content": str(request.get("prompt", ""))}]
    text = answer.text[before:] if answer.continues else "".join(answer.choices) or answer.text
    answer.usage, answer.usage_estimated = estimated_usage(messages, text, answer.reasoning), True
