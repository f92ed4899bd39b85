"""What a question may be: text that a model can read, and not too much of it.

Raises, beside the refusals of a conversation,

    Refused
    ├── BadQuestion      the text cannot be a question
    └── QuestionTooLong
"""

import re

from .conversation import Refused
from .wording import say

# Control characters but tab and line feed, and surrogates, which no UTF-8 can carry.
UNREADABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


class BadQuestion(Refused):
    pass


class QuestionTooLong(Refused):
    status = 413


def check_question(text: str, limit: int) -> str:
    """Return a question as it is kept, with `\\n` for line ends; raise BadQuestion or QuestionTooLong."""
    question = text.replace("\r\n", "\n").replace("\r", "\n")
    if not question.strip():
        raise BadQuestion(say("The question is empty. Type something, then send it."))
    if len(question) > limit:
        raise QuestionTooLong(
            say(
                "The question has {length:,} characters; up to {limit:,} can be sent. Shorten it by {excess:,}.",
                length=len(question),
                limit=limit,
                excess=len(question) - limit,
            )
        )
    if found := UNREADABLE.search(question):
        raise BadQuestion(
            say(
                "Character {place:,} of the question is U+{code:04X}, a control character that models cannot read. "
                "Remove it, then send again.",
                place=found.start() + 1,
                code=ord(found.group()),
            )
        )
    return question
