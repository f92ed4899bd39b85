"""A question and its answers, as pure data."""

import re
import secrets
from time import time
from typing import Any, Literal

from msgspec import Struct, field

from .failure import Failure

Status = Literal["pending", "done", "stopped", "interrupted", "failed"]

ID = re.compile("[A-Za-z0-9_-]{1,40}")


def new_id() -> str:
    """Return an id that nobody can guess: 22 characters that are safe in URLs and in HTML ids."""
    return secrets.token_urlsafe(16)


class Picture(Struct, omit_defaults=True):
    """An image of an answer: a file of the conversation, or only the address that the server gave."""

    file: str = ""
    url: str = ""
    revised_prompt: str = ""


class Answer(Struct, omit_defaults=True):
    """One answer to a turn's question. A continued answer gets a new id: an id is one run of the model.

    `text` is what counts and is sent again. Where more than one choice was asked for, `choices` holds the
    text of each, and `kept` says which of them `text` is. `reasoning` is shown and never sent.
    `dropped` names the parameters that the provider refused, and a second request did without.
    """

    id: str = field(default_factory=new_id)
    status: Status = "pending"
    text: str = ""
    reasoning: str = ""
    choices: list[str] = []
    kept: int = 0
    echo: bool = False  # asked to begin with the prompt
    pictures: list[Picture] = []
    model: str = ""
    finish_reason: str | None = None
    finish_reasons: list[str | None] = []  # of the choices
    stop_sequence: str = ""  # the one that ended it, where a server says so
    refused: bool = False
    usage: dict[str, Any] | None = None
    usage_estimated: bool = False
    usage_before: list[dict[str, Any]] = []  # of the runs that this one continues,
    continues: list[str] = []  # and the ids of those
    dropped: list[str] = []
    overflowed: bool = False  # the context window; it was asked once more with fewer turns
    failure: Failure | None = None
    started: float = field(default_factory=time)
    ended: float | None = None

    @property
    def has_content(self) -> bool:
        return bool(self.text or self.reasoning or self.pictures or any(self.choices))

    def channel(self, choice: int) -> int:
        """Return the channel of a choice's text. The one that is kept, and may be continued, has the first."""
        return {self.kept: 0, 0: self.kept}.get(choice, choice)

    @property
    def can_continue(self) -> bool:
        """Tell whether there is a text that the model did not finish."""
        unfinished = self.status in ("stopped", "interrupted", "failed") or self.finish_reason == "length"
        return self.status != "pending" and bool(self.text) and unfinished

    def resumed(self) -> "Answer":
        """Return the answer that goes on with this one: what it has so far, under an id of its own."""
        return Answer(
            text=self.text,
            reasoning=self.reasoning,
            choices=self.choices,
            kept=self.kept,
            echo=self.echo,
            finish_reasons=self.finish_reasons,
            usage_before=[*self.usage_before, *([self.usage] if self.usage else [])],
            usage_estimated=self.usage_estimated,
            continues=[*self.continues, self.id],
        )


class Turn(Struct, omit_defaults=True):
    """A question and its answers; one of them is shown and counts, the others are kept.

    A `single` question is sent without the turns before it; a turn that is `left_out` is not sent later.
    Where the question was edited, `versions` has the id of each version's turn, this one's among them.
    """

    question: str
    id: str = field(default_factory=new_id)
    answers: list[Answer] = []
    shown: int = -1  # which of the answers; -1 is the last one, whatever comes
    versions: list[str] = []
    single: bool = False
    left_out: bool = False

    @property
    def has_answer(self) -> bool:
        return bool(self.answers) and -1 <= self.shown < len(self.answers)

    @property
    def answer(self) -> Answer:
        return self.answers[self.shown]

    @answer.setter
    def answer(self, answer: Answer) -> None:
        self.answers[self.shown] = answer

    def shows(self, answer_id: str) -> bool:
        """Tell whether the answer with that id is the one that is shown; an empty id stands for whichever is."""
        return answer_id in ("", self.answer.id)

    @property
    def number(self) -> int:
        """Return which of its answers is shown, from 1."""
        return self.shown % len(self.answers) + 1

    def show(self, number: int) -> None:
        """Show another of its answers, from 1."""
        self.shown = -1 if number == len(self.answers) else number - 1

    @property
    def whole_text(self) -> str:
        """Return a prompt and what the model made of it as one text, whether or not it echoed the prompt."""
        text = self.answer.text
        return text if self.is_echoed else self.question + text

    @property
    def is_echoed(self) -> bool:
        """Tell whether the answer's text begins with the prompt because that was asked for."""
        return self.answer.echo and self.answer.text.startswith(self.question)
