"""One parameter of a request as data: what is allowed, in numbers and in words."""

from typing import Literal, NamedTuple

from .conversation import Mode

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
    words: str = ""
    may_be_nothing: bool = False
    sent: bool = True

    @property
    def allowed(self) -> str:
        """The range in words, as it stands beside the field and in messages."""
        if self.words:
            return self.words
        return {
            "number": f"{self.low} to {self.high}",
            "whole": f"{self.low:,} to {self.high:,}, whole",
            "text": f"up to {self.limit:,} characters",
            "choice": " or ".join(filter(None, (", ".join(self.choices[:-1]), "".join(self.choices[-1:])))),
            "lines": f"up to {MAX_STOPS}, one a line",
            "json": "one JSON object",
            "yes-no": "yes or no",
        }[self.kind]
