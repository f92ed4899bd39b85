"""Following an answer: its text as server-sent events of HTML, from any position on."""

import re
from collections.abc import Callable, Iterator

from flask import current_app, g, render_template
from markupsafe import Markup

from .answers import Answers
from .beginning import Beginning, Reach, reach, shown
from .conversation import Answer, Conversation, Refused
from .growth import Change
from .i18n import gettext
from .pausing import Pause
from .reply import REASONING
from .running import Positions, texts_of

# Bubbles to the page's script, which asks for the page anew.
GONE = "event: parley:gone\ndata:\n\n"


def events(
    answers: Answers,
    before: Conversation,
    answer_id: str,
    positions: Positions,
    left: Callable[[], bool] = lambda: False,
    *,
    again: bool = False,
    polled: bool = False,
) -> Iterator[str]:
    """Yield an answer's text from its positions on as server-sent events, then its end.

    Positions are in characters, and say how much of its text the page shows. A page that was connected `again` gets
    what it shows anew: nobody knows in which steps it came there. `polled`, the events end after what is there, with
    what asks for the rest. Where whoever follows has `left`, or the turn is gone, the last event says so.
    """
    texts = _Texts(before, answer_id, positions)
    if not texts.ended and not polled and answers.runs(answer_id):
        # At once, even where the model is silent: it tells the page that nothing on the way holds events back.
        yield _event(f'<hx-partial hx-target="#polling-{answer_id}" hx-swap="delete"></hx-partial>', texts.positions)
    if html := texts.anew(all_of_them=again):
        yield _event(html, texts.positions)
    for came in () if texts.ended else answers.follow(answer_id, positions, texts.wait, once=polled):
        if left():
            break
        html = texts.take(came)
        if html:
            yield _event(html, texts.positions)
        elif not came:
            yield ": heartbeat\n\n"
    if left():
        yield GONE
    elif polled and answers.runs(answer_id):
        yield _to_be_continued(before, answer_id, texts)
    else:
        yield from _end(answers, before, answer_id, texts)


def _to_be_continued(conversation: Conversation, answer_id: str, texts: "_Texts") -> str:
    """Return the event that ends a poll: what waited, and what asks for the rest."""
    html, after = texts.take([]), _written(texts.positions)
    rest = render_template("_polling.html", conversation=conversation, id=answer_id, after=after, every="1s")
    partial = f'<hx-partial hx-target="#polling-{answer_id}" hx-swap="outerHTML">{rest}</hx-partial>'
    return _event(html + partial, texts.positions)


def _end(answers: Answers, before: Conversation, answer_id: str, texts: "_Texts") -> Iterator[str]:
    """Yield the events that end an answer: what is missing of its text, and what stands around it."""
    try:
        conversation = answers.live(answers.store.load(before.id, before.owner))
        turn = conversation.turn_of(answer_id)
    except Refused:  # Cleared meanwhile, or all was deleted.
        yield GONE
        return
    if html := texts.finish(turn.answer):
        yield _event(html, texts.positions)
    frame = render_template("_settled.html", conversation=conversation, turn=turn)
    yield _event(frame, texts.positions)
    yield "event: end\ndata:\n\n"


class _Texts:
    """The texts of an answer as one page shows them."""

    def __init__(self, conversation: Conversation, answer_id: str, positions: Positions):
        self.answer = answer = conversation.turn_of(answer_id).answer
        self.conversation = conversation
        # What was settled before anybody followed it here is sent whole: the page may be older than the server.
        self.ended = answer.status != "pending"
        self._texts: dict[int, Beginning] = {}
        self._misplaced: list[int] = []
        for channel, text in texts_of(answer).items():
            if positions.get(channel, 0) > len(text):
                positions[channel] = len(text)
                self._misplaced.append(channel)
            self._text(channel, text[: positions.get(channel, 0)])

    @property
    def positions(self) -> Positions:
        return {channel: text.position for channel, text in self._texts.items()}

    def anew(self, *, all_of_them: bool) -> str:
        """Return the HTML that replaces texts: all, or those of which the page claims to show more than there is."""
        channels = [] if self.ended else list(self._texts) if all_of_them else self._misplaced
        return "".join(
            _piece(self._texts[channel].name, self._texts[channel].anew()) + self._rest(channel, self.answer)
            for channel in channels
        )

    def wait(self) -> bool:
        """Tell whether text came that is not shown yet."""
        return any(text.waits for text in self._texts.values())

    def take(self, pieces: list[tuple[int, str]]) -> str:
        """Return the HTML for pieces of text, or for what waited, if there are none."""
        changes = [(channel, text.flush()) for channel, text in self._texts.items()] if not pieces else []
        changes += [(channel, self._text(channel).feed(text)) for channel, text in pieces]
        return "".join(
            _pieces(self._texts[channel].name, change)
            + (self._rest(channel, self.answer) if self._texts[channel].tells(now=not pieces) else "")
            for channel, change in changes
        )

    def finish(self, answer: Answer) -> str:
        """Return the HTML that is missing to an answer's whole texts."""
        texts = [(channel, self._text(channel), text) for channel, text in texts_of(answer).items()]
        return "".join(
            _pieces(on_page.name, on_page.finish(text, anew=self.ended, broken_off=answer.can_continue))
            + (self._rest(channel, answer) if on_page.is_long else "")
            for channel, on_page, text in texts
            if text or on_page.length
        )

    def _rest(self, channel: int, answer: Answer) -> str:
        """Return the HTML that replaces what stands behind a text: of a long one, how much more there is."""
        text = self._text(channel)
        rest = render_template(
            "_rest.html",
            conversation=self.conversation,
            answer=answer,
            channel=channel,
            length=text.length,
            end=text.end,
        )
        return f'<hx-partial hx-target="#rest-{text.name}" hx-swap="outerHTML">{rest}</hx-partial>'

    def _text(self, channel: int, text: str = "") -> Beginning:
        if channel not in self._texts:
            name = text_id(self.answer.id, channel)
            self._texts[channel] = Beginning(self.conversation.mode, name, text, gettext, reach(channel))
        return self._texts[channel]


def answer_text(conversation: Conversation, answer: Answer, text: str, channel: int = 0) -> Markup:
    """Return the HTML of an answer's text of one channel, as far as it has come and is shown."""
    if "pause" not in g:
        g.pause = Pause()
    g.pause()  # Others are served between the texts of a page that has many.
    pending, name = answer.status == "pending", text_id(answer.id, channel)
    within = _reach(answer, channel)
    return shown(conversation.mode, name, text, gettext, pending=pending, broken_off=answer.can_continue, within=within)


def shown_end(conversation: Conversation, answer: Answer, text: str, channel: int = 0) -> int:
    """Return how many characters of an answer's text of one channel are shown."""
    return _reach(answer, channel).end(conversation.mode, text)


def _reach(answer: Answer, channel: int) -> Reach:
    """Return how far a text is shown: on a page that has too much, as far as it was allotted."""
    return g.get("allotted", {}).get((answer.id, channel)) or reach(channel)


def _pieces(element_id: str, changes: list[Change]) -> str:
    return "".join(_piece(element_id, change) for change in changes)


def _piece(element_id: str, change: Change) -> str:
    # Not by render_template, which puts together for each piece what the templates of whole pages need.
    template = current_app.jinja_env.get_template("_piece.html")
    return template.render(target=change.selector(element_id), swap=change.swap, html=change.html)


def text_id(answer_id: str, channel: int) -> str:
    """Return the id of the element that has an answer's text of one channel."""
    if channel == REASONING:
        return f"reasoning-{answer_id}"
    return f"text-{answer_id}-{channel}" if channel else f"text-{answer_id}"


def positions_of(answer: Answer) -> str:
    """Return how far an answer has come, as one word that `read_positions` understands."""
    return _written({channel: len(text) for channel, text in texts_of(answer).items()})


def _written(positions: Positions) -> str:
    """Return positions as one word: `120` for the text alone, else `0:120,-1:45`."""
    if set(positions) <= {0}:
        return str(positions.get(0, 0))
    return ",".join(f"{channel}:{position}" for channel, position in sorted(positions.items()))


def read_positions(word: str) -> Positions:
    """Return the positions that a word names; what is none counts as the beginning."""
    if re.fullmatch("[0-9]{1,12}", word):
        return {0: int(word)}
    found = re.findall(r"(?:^|,)(-1|[0-9]):([0-9]{1,12})(?=,|$)", word)
    return {int(channel): int(position) for channel, position in found}


def _event(html: str, positions: Positions) -> str:
    # An event stream has three line ends, and HTML takes each of them for the same one.
    data = "".join(f"data: {line}\n" for line in re.split("\r\n|\r|\n", html))
    return f"id: {_written(positions)}\n{data}\n"
