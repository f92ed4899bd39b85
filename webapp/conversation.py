"""A conversation as pure data: its turns, what may be done with them, and what of them is sent to a model.

Nothing here knows of Flask, of files or of a network. What a person may not do raises one of

    Refused
    ├── Busy             an answer is being written
    └── Unknown          no such conversation, turn or answer, or not this visitor's
"""

from collections.abc import Iterator
from time import time
from typing import Any, Literal, get_args

from msgspec import Struct, field

from .failure import Failure
from .turn import ID, Answer, Picture, Status, Turn, new_id
from .wording import say

# Who deals with conversations finds here what they are made of, too.
__all__ = ["ID", "Answer", "Busy", "Conversation", "Failure", "Message", "Mode", "Picture", "Refused", "Status", "Turn"]
__all__ += ["CONTINUE_PROMPT", "FORMAT_VERSION", "MODES", "Unknown", "new_id"]

FORMAT_VERSION = 3

Mode = Literal["chat", "completion", "image"]
MODES: tuple[Mode, ...] = get_args(Mode)
Message = dict[str, str]

CONTINUE_PROMPT = "Continue your last answer exactly where it stopped. Do not repeat any of it."


class Refused(Exception):
    """What was asked for cannot be done; the text is for the person, `status` for HTTP."""

    status = 422
    retry_after: int | None = None  # seconds, where waiting helps

    @property
    def headers(self) -> dict[str, str]:
        return {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}


class Busy(Refused):
    status = 409

    def __init__(self) -> None:
        super().__init__(say("An answer is still being written. Wait for it or stop it, then send again."))


class Unknown(Refused):
    status = 404


class Conversation(Struct, omit_defaults=True):
    """The turns of one conversation, oldest first, and the visitor who owns it.

    `parameters` holds what is set for its requests, by the names of `parameters.py`. `sent_from` is the
    id of the oldest turn that still fits the context window; empty while all do.

    `turns` is what is shown, and what is sent. Where a question was edited, each of its other versions is
    `set_aside` with all the turns that came after it, by the id of its own turn.
    """

    owner: str
    id: str = field(default_factory=new_id)
    mode: Mode = "chat"
    turns: list[Turn] = []
    set_aside: dict[str, list[Turn]] = {}
    replaces: str = ""  # the file of the record that was here before and cannot be used
    parameters: dict[str, Any] = {}
    single: bool = False  # what the switch for single questions stands at
    sent_from: str = ""
    counted: str = ""  # the id of the answer whose usage is (or will be) that of the history as it is; or empty
    created: float = field(default_factory=time)
    version: int = 1  # of the record's form; one that was written before there was another does not say

    @property
    def pending(self) -> Turn | None:
        """Return the turn whose answer is being written, if there is one."""
        return next((turn for turn in self.turns if turn.answer.status == "pending"), None)

    def set_parameters(self, values: dict[str, Any]) -> None:
        """Set what its requests have; where that changes the context window, what fits it is found out anew."""
        changed = {name for name in (*self.parameters, *values) if self.parameters.get(name) != values.get(name)}
        if changed & {"model", "context_tokens"}:
            self.sent_from = ""
        if changed & {"model", "system_prompt", "context_tokens"}:
            self.counted = ""
        self.parameters = values

    def every_turn(self) -> Iterator[Turn]:
        """Yield all turns that are kept: those that are shown, and those of other versions."""
        yield from self.turns
        for tail in self.set_aside.values():
            yield from tail

    def runs(self) -> set[str]:
        """Return the ids of all runs of a model that are kept, by which their files are named."""
        return {run for turn in self.every_turn() for answer in turn.answers for run in (answer.id, *answer.continues)}

    def find_answer(self, answer_id: str) -> tuple[Turn, Answer]:
        """Return any answer that is kept, and its turn."""
        for turn in self.every_turn():
            for answer in turn.answers:
                if answer.id == answer_id:
                    return turn, answer
        raise Unknown(say("That answer is no longer in this conversation."))

    def turn(self, turn_id: str) -> Turn:
        for turn in self.turns:
            if turn.id == turn_id:
                return turn
        raise Unknown(say("That turn is no longer in this conversation."))

    def turn_of(self, answer_id: str) -> Turn:
        for turn in self.turns:
            if turn.answer.id == answer_id:
                return turn
        raise Unknown(say("That answer is no longer in this conversation."))

    def ask(self, question: str, turn_id: str, *, single: bool = False) -> Turn:
        """Append a turn; the same id with the same question again is the same turn, not a second one."""
        if made := self._made(question, turn_id):
            return made
        self._refuse_while_busy()
        turn = Turn(question, id=self._unused(turn_id), answers=[self._new_answer()], single=single)
        self.turns.append(turn)
        return turn

    def _made(self, question: str, turn_id: str) -> Turn | None:
        for turn in self.every_turn():
            if turn.id == turn_id and turn.question == question:
                if turn not in self.turns:
                    raise Refused(say("That question was asked already; it stands in another version."))
                return turn
        return None

    def _unused(self, turn_id: str) -> str:
        """Return the id that a form gives its turn, or a new one where that is none or another turn's."""
        used = any(turn.id == turn_id for turn in self.every_turn())
        return turn_id if ID.fullmatch(turn_id) and not used else new_id()

    def edit(self, turn_id: str, question: str, new_turn_id: str) -> Turn:
        """Ask a question anew in other words, in its place: what it was, and all that came after it, is set aside.

        As with `ask`, the same id with the same question again is the same turn.
        """
        if made := self._made(question, new_turn_id):
            return made
        before = self._version(turn_id)
        self._refuse_while_busy()
        turn = Turn(question, id=self._unused(new_turn_id), answers=[self._new_answer()], single=before.single)
        before.versions = [*(before.versions or [before.id]), turn.id]
        self._put(before, [turn])
        return turn

    def show_version(self, turn_id: str, number: int) -> Turn:
        """Show another version of a turn's question, from 1, with all that came after it; return its turn."""
        turn = self._version(turn_id)
        self._refuse_while_busy()
        if not 1 <= number <= len(turn.versions):
            raise Unknown(say("There is no such version of that question."))
        other = turn.versions[number - 1]
        if other != turn.id:
            if other not in self.set_aside:
                raise Unknown(say("That version is not there any more."))
            self._put(turn, self.set_aside.pop(other))
        return self.turn(other)

    def _version(self, turn_id: str) -> Turn:
        """Return the turn that is shown of a question: that one, or the version of it that took its place."""
        for turn in self.turns:
            if turn_id == turn.id or turn_id in turn.versions:
                return turn
        return self.turn(turn_id)

    def _put(self, turn: Turn, tail: list[Turn]) -> None:
        """Set a turn aside, with all that came after it, and put another version with its tail there."""
        tail[0].versions, turn.versions = turn.versions, []
        start = self.turns.index(turn)
        self.set_aside[turn.id] = self.turns[start:]
        if any(one.id == self.sent_from for one in self.turns[start:]):
            self.sent_from = ""
        self.turns[start:] = tail
        self.counted = ""

    def show_answer(self, turn_id: str, number: int) -> Turn:
        """Let another answer of a turn, from 1, be the one that is shown and counts."""
        turn = self.turn(turn_id)
        self._refuse_while_busy()
        if not 1 <= number <= len(turn.answers):
            raise Unknown(say("There is no such answer to that question."))
        turn.show(number)
        self.counted = ""
        return turn

    def clear(self) -> None:
        """Remove all turns."""
        self._refuse_while_busy()
        self.turns, self.set_aside = [], {}
        self.replaces = ""
        self.sent_from = self.counted = ""

    def retry(self, turn_id: str, answer_id: str = "") -> Turn:
        """Ask a turn's question again; an answer that has content, or cost something, is kept beside the new one.

        Where the answer that a form names is not shown any more, nothing changes: the form came twice, perhaps.
        """
        turn = self.turn(turn_id)
        if not turn.shows(answer_id):
            return turn
        self._refuse_while_busy()
        if not (turn.answer.has_content or turn.answer.usage):
            del turn.answers[turn.shown]  # Nothing came, and nothing was paid for.
        turn.answers.append(self._new_answer())
        turn.show(len(turn.answers))
        return turn

    def _new_answer(self) -> Answer:
        n = self.parameters.get("n", 1)
        echo = bool(self.parameters.get("echo")) and self.mode == "completion"
        return Answer(choices=[""] * n if n > 1 and self.mode != "image" else [], echo=echo)

    def resume(self, turn_id: str, answer_id: str = "") -> Turn:
        """Let the model go on with an answer that it did not finish; as with `retry`, with the one that is named."""
        turn = self.turn(turn_id)
        if not turn.shows(answer_id):
            return turn
        self._refuse_while_busy()
        if not turn.answer.can_continue:
            raise Refused(say("There is nothing to continue in that answer."))
        turn.answer = turn.answer.resumed()
        return turn

    def keep(self, turn_id: str, index: int, answer_id: str = "") -> Turn:
        """Let another choice of an answer be the one that counts; as with `retry`, of the one that is named."""
        turn = self.turn(turn_id)
        if not turn.shows(answer_id):
            return turn
        answer = turn.answer
        if answer.status == "pending":
            raise Busy
        if not 0 <= index < len(answer.choices):
            raise Unknown(say("That choice is not in this answer."))
        if not answer.choices[index]:
            raise Refused(say("That choice is empty; there is nothing to keep."))
        answer.kept, answer.text = index, answer.choices[index]
        self.counted = ""
        if index < len(answer.finish_reasons):
            answer.finish_reason = answer.finish_reasons[index]
        return turn

    def leave_out(self, turn_id: str, left_out: bool) -> Turn:
        """Leave a turn out of what is sent with later questions, or take it back."""
        turn = self.turn(turn_id)
        turn.left_out, self.counted = left_out, ""
        return turn

    def _refuse_while_busy(self) -> None:
        if self.pending:
            raise Busy

    def messages(self, turn: Turn, system_prompt: str, *, prefill: bool, since: str = "") -> list[Message]:
        """Return the API messages for a turn: the system prompt, the turns before it, its question.

        Of the turns before it, `since` is the oldest that is sent; none are with a single question. Where
        the answer has text already, the model is to go on with it: servers that take an unfinished answer
        as the last message get just that (`prefill`), all others are asked in words.
        """
        sent: list[Message] = []
        if system_prompt:
            sent.append({"role": "system", "content": system_prompt})
        for earlier in self.history(turn, since):
            sent += exchange_of(earlier.question, earlier.answer.text)
        if not turn.answer.text:
            return [*sent, {"role": "user", "content": turn.question}]
        sent += exchange_of(turn.question, turn.answer.text)
        return sent if prefill else [*sent, {"role": "user", "content": CONTINUE_PROMPT}]

    def history(self, turn: Turn | None = None, since: str = "") -> list[Turn]:
        """Return the turns that are sent before a turn's question, from `since` on.

        A turn without an answer's text is not among them, nor one that was left out. A turn that is not
        the conversation's, or none, comes after all of them.
        """
        if turn and turn.single:
            return []
        end = next((index for index, one in enumerate(self.turns) if one is turn), len(self.turns))
        before = self.turns[:end]
        start = next((index for index, earlier in enumerate(before) if earlier.id == since), 0)
        if since and turn and since == turn.id:
            return []
        return [earlier for earlier in before[start:] if earlier.answer.text and not earlier.left_out]


def exchange_of(question: str, answer: str) -> list[Message]:
    """Return a question and its answer as the API's messages."""
    return [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
