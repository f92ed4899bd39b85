"""One run of the model: the text so far, in memory and in its log, and who waits for more of it.

Text comes on channels (see `reply.Piece`): the choices by their index, and the reasoning.
"""

from collections.abc import Callable, Mapping
from io import StringIO
from threading import Condition, Event, Lock

from .answer_log import AnswerLog, Logs
from .call import Call
from .conversation import Answer, Conversation
from .reply import REASONING

HEARTBEAT = 10.0  # seconds; a proxy may close a stream that is silent for longer, and a closed browser shows itself

# How far a follower has read, in characters, by channel.
Positions = dict[int, int]


def texts_of(answer: Answer) -> dict[int, str]:
    """Return the texts of an answer by their channels."""
    texts = {answer.channel(index): text for index, text in enumerate(answer.choices)} or {0: answer.text}
    return texts | ({REASONING: answer.reasoning} if answer.reasoning else {})


def recover(answer: Answer, logs: Logs) -> None:
    """Give an answer whose process died what its logs have. Raises OSError.

    Where the record has more, of an answer that this one continues, the log could not be written.
    """
    before = texts_of(answer)
    kept = {channel: logs.read(answer.id, channel) for channel in {REASONING, *before}}
    _fill(answer, lambda channel: max(before.get(channel, ""), kept.get(channel, ""), key=len))


def _fill(answer: Answer, read: Callable[[int], str]) -> None:
    answer.text, answer.reasoning = read(0), read(REASONING)
    answer.choices = [read(answer.channel(index)) for index in range(len(answer.choices))]


class _Channel:
    """The text of one channel, and its log."""

    def __init__(self, log: AnswerLog):
        self.length = 0
        self._text = StringIO()
        self._log = log

    def append(self, text: str) -> None:
        self._log.append(text)
        self._text.seek(self.length)
        self._text.write(text)
        self.length += len(text)

    def read(self, position: int, limit: int) -> str:
        self._text.seek(position)
        return self._text.read(limit)

    def close(self) -> None:
        self._log.close()


class RunningAnswer:
    """An answer that is being written."""

    def __init__(self, answer: Answer, conversation: Conversation, logs: Logs):
        self.id = answer.id
        self.conversation_id = conversation.id
        self.owner = conversation.owner
        self.call = Call()
        self.ended = False  # no more text is taken
        self.settled = Event()  # and the record has it
        self.call.sent_from = conversation.sent_from
        self.recording = Lock()  # held by who writes its exchanges
        self.read_out = Event()  # nothing of the reply is being read any more
        self._news = Condition(Lock())
        self._logs = logs
        self._channels: dict[int, _Channel] = {}
        for channel, text in {0: "", **texts_of(answer)}.items():  # what it continues
            self.append(text, channel)

    def append(self, text: str, channel: int = 0) -> bool:
        """Take the next piece of text; False if the answer has ended, and the piece is not taken."""
        with self._news:
            if self.ended:
                return False
            if channel not in self._channels:
                self._channels[channel] = _Channel(self._logs.of(self.id, channel))
            self._channels[channel].append(text)
            self._news.notify_all()
            return True

    def read(self, channel: int = 0, position: int = 0, limit: int = -1) -> str:
        """Return the text of a channel from a position on, counted in characters."""
        with self._news:
            return self._channels[channel].read(position, limit) if channel in self._channels else ""

    def fill(self, answer: Answer) -> None:
        """Give an answer of a record the text that has come by now."""
        _fill(answer, self.read)

    def end(self) -> bool:
        """Close the answer for text; True for the caller who did it, and is to settle it."""
        with self._news:
            if self.ended:
                return False
            self.ended = True
            for channel in self._channels.values():
                channel.close()
            return True

    def complete_logs(self) -> None:
        """Write what its logs lack of an answer that has ended, if the disk takes it by now."""
        with self._news:
            for channel in self._channels.values():
                channel.close()

    def mark_settled(self) -> None:
        with self._news:
            self.settled.set()
            self._news.notify_all()

    def wait(self, positions: Mapping[int, int], seconds: float) -> bool:
        """Wait for text behind the positions or for the end; False if neither came in time."""
        with self._news:
            return self._news.wait_for(lambda: bool(self._unread(positions)) or self.settled.is_set(), seconds)

    def unread(self, positions: Mapping[int, int], limit: int) -> list[tuple[int, str]]:
        """Return what each channel has behind its position, up to a number of characters."""
        with self._news:
            unread = self._unread(positions)
            return [(channel, self._channels[channel].read(positions.get(channel, 0), limit)) for channel in unread]

    def _unread(self, positions: Mapping[int, int]) -> list[int]:
        return [number for number, one in self._channels.items() if one.length > positions.get(number, 0)]
