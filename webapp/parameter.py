"""One parameter of a request as data: what is allowed, in numbers and in words."""

from typing import Literal, NamedTuple

from .conversation import Mode
from .wording import Sentence, say

Kind = Literal["number", "whole", "text", "choice", "lines", "json", "yes-no"]

MAX_STOPS = 4
MAX_STOP_CHARS = 200


class Parameter(NamedTuple):
    """One parameter. `low` and `high` belong to numbers, `choices` to choices, `limit` (characters) to texts.

    `other` is the pattern of what else a choice takes, so that it is typed and not picked. `sent` is
    false for what a request has elsewhere or not at all.
    """

    name: str
    label: str
    kind: Kind
    what: str
    modes: tuple[Mode, ...]
    low: int = 0
    high: int = 0
    choices: tuple[str, ...] = ()
    other: str = ""
    limit: int = 0
    rows: int = 1
    words: Sentence | None = None
    may_be_nothing: bool = False
    sent: bool = True

    @property
    def allowed(self) -> Sentence:
        """The range in words, as it stands beside the field and in messages."""
        if self.words:
            return self.words
        match self.kind:
            case "number":
                return say("{low} to {high}", low=self.low, high=self.high)
            case "whole":
                return say("{low:,} to {high:,}, whole", low=self.low, high=self.high)
            case "text":
                return say("up to {limit:,} characters", limit=self.limit)
            case "choice":
                return say("{others} or {last}", others=", ".join(self.choices[:-1]), last=self.choices[-1])
            case "lines":
                return say("up to {limit}, one a line", limit=MAX_STOPS)
            case "json":
                return say("one JSON object")
        return say("yes or no")
