"""Two languages, complete: every sentence of the source has its Chinese, and every page can be read in either."""

import ast
import re
from html.parser import HTMLParser
from string import ascii_uppercase

import msgspec
import pytest
from jinja2 import nodes

from tests import sentences
from webapp.conversation import Unknown
from webapp.failure import Failure, failure_of
from webapp.i18n import LANGUAGES, catalogue, gettext, ngettext, translated
from webapp.llm_errors import Garbage, RateLimited, TimedOut
from webapp.parameter_table import GROUPS, TABLE
from webapp.wording import Sentence, capitalized, plain, say, say_many

CHINESE = catalogue("zh-CN")
PLACES = re.compile(r"%\((\w+)\)s|\{(\w+)[^{}]*\}")
TAGS = re.compile(r"<[^>]*>")
# Names are the same in every language, and so are keys and code.
NAMES = {
    *("Parley", "curl", "Python", "Markdown", "JSON", "HTTP", "POST", "Jupyter", "notebook", "·"),
    *("Enter", "Shift", "Ctrl", "Esc", *ascii_uppercase),
    *("OPENAI_API_KEY=sk-…", "OPENAI_BASE_URL=https://api.openai.com/v1", "CHAT_MODEL=gpt-5.4-mini"),
}
SHOWN = {"title", "placeholder", "aria-label", "alt", "hx-confirm", "label", "aria-description"}
VALUES = {", change from:#single", "light dark"}  # of attributes that nobody sees
LETTERS = re.compile(r"[^\W\d_]")


# The catalogue


def test_every_sentence_has_its_chinese():
    found = sentences.everything()
    assert not {message: place for message, place in found.items() if message not in CHINESE}


def test_no_chinese_is_left_of_sentences_that_are_gone():
    assert not CHINESE.keys() - sentences.everything().keys()


@pytest.mark.parametrize("message", sorted(CHINESE))
def test_both_languages_have_the_same_places(message):
    def places(text):
        return sorted(match.group() for match in PLACES.finditer(text))

    def tags(text):
        return sorted(TAGS.findall(text))

    chinese = CHINESE[message]
    assert places(chinese) == places(message)
    assert tags(chinese) == tags(message)
    if message != " ":
        assert (chinese.strip() and LETTERS.search(chinese)) or not LETTERS.search(PLACES.sub("", message))
    assert '"' not in TAGS.sub("", chinese) or '"' in message, "It would end an attribute."


@pytest.mark.parametrize("message", sorted(CHINESE))
def test_chinese_is_set_as_chinese(message):
    text = re.sub(r"<code>.*?</code>|`[^`]*`", "x", CHINESE[message])
    han = r"[\u4e00-\u9fff]"
    text = TAGS.sub("", PLACES.sub("", text))
    assert not re.search(rf"{han}[,;:!?]|[,;:!?]{han}", text), "Full-width punctuation beside Chinese."
    assert not re.search(rf"{han}[A-Za-z0-9]|[A-Za-z0-9]{han}", text.replace("宽x高", "")), "A space beside Latin."
    assert "您" not in text


def test_what_python_says_is_a_literal():
    """A message that is put together when it runs would be found by nobody."""
    made = [
        (path.name, line, name)
        for path in sentences.MODULES
        if path.stem not in ("i18n", "wording", "failure")
        for line, name, message in sentences.calls(path)
        if message is None
    ]
    assert not made


def test_a_refusal_is_a_sentence():
    """Whatever is raised for a person goes through say()."""
    tree = {path: ast.parse(path.read_text()) for path in sentences.MODULES}
    raised = [
        (path.name, node.lineno)
        for path, module in tree.items()
        for node in ast.walk(module)
        if isinstance(node, ast.Call)
        and getattr(node.func, "id", "") in REFUSALS
        and node.args
        and isinstance(node.args[0], (ast.Constant, ast.JoinedStr))
    ]
    assert not raised


REFUSALS = {
    *("Refused", "Unknown", "BadQuestion", "QuestionTooLong", "BadName", "BadImport", "TooLarge", "BadRecording"),
    *("NoAudioModel", "NotAudio", "AudioFailed", "BudgetSpent", "NoModel", "Unreachable", "TimedOut", "BrokenOff"),
    *("Garbage", "EmptyAnswer", "LocalModelError", "FolderTaken"),
}


# The templates


class Words(HTMLParser):
    """Collects what a person would see or hear of a template's own text."""

    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attributes):
        for name, value in attributes:
            seen = name in SHOWN or (name.startswith("data-") and " " in (value or "").strip())
            if seen and LETTERS.search(value or ""):
                self.found.append(value)

    def handle_data(self, data):
        self.found += [word for word in data.split() if LETTERS.search(word) and word not in NAMES]


def _constants(node):
    """Yield the texts that an expression of a template may show, outside of what is translated."""
    if isinstance(node, nodes.Call) and getattr(node.node, "name", "") in ("_", "gettext", "ngettext"):
        return
    if isinstance(node, nodes.Const) and isinstance(node.value, str):
        yield node.value
    if isinstance(node, nodes.CondExpr):
        branches = [node.expr1, node.expr2]
    elif isinstance(node, (nodes.Or, nodes.And, nodes.Add)):
        branches = [node.left, node.right]
    elif isinstance(node, nodes.Concat):
        branches = node.nodes
    else:
        branches = []
    for branch in branches:
        if branch is not None:
            yield from _constants(branch)


def _own_text(source):
    """Return a template without comments, statements and expressions, so that its HTML can be read."""
    source = re.sub(r"\{#.*?#\}", "", source, flags=re.DOTALL)
    source = re.sub(r"\{% set \w+ %\}id=.*?\{% endset %\}", "", source)  # a set of attributes
    source = re.sub(r"\{\{.*?\}\}", " ", source, flags=re.DOTALL)
    return re.sub(r"\{%.*?%\}", "", source, flags=re.DOTALL)


@pytest.mark.parametrize("path", sentences.TEMPLATES, ids=lambda path: path.name)
def test_no_template_says_anything_untranslated(path):
    source = path.read_text()
    parser = Words()
    parser.feed(_own_text(source))
    parser.close()
    assert not parser.found
    outputs = sentences.environment.parse(source).find_all(nodes.Output)
    expressions = [node for output in outputs for node in output.nodes if not isinstance(node, nodes.TemplateData)]
    shown = [text for node in expressions for text in _constants(node) if " " in text.strip()]
    assert not [text for text in shown if text not in VALUES and LETTERS.search(text)]


def test_no_script_says_anything():
    for path in (sentences.ROOT / "static").glob("*.js"):
        code = re.sub(r"/\*.*?\*/|(?<![:\w])//[^\n]*", "", path.read_text(), flags=re.DOTALL)
        texts = [text for _, text in re.findall(r"([\"'`])((?:(?!\1)[^\n])*)\1", code)]
        assert not [text for text in texts if re.search(r"[A-Z][a-z]+,? [a-z]+ ", text)], path.name


# Sentences


def test_a_sentence_is_a_text_that_knows_what_it_was_made_of():
    sentence = say("Up to {limit:,}.", limit=1000)
    assert sentence == "Up to 1,000." and (sentence.message, sentence.values) == ("Up to {limit:,}.", {"limit": 1000})
    assert isinstance(str(ValueError(sentence)), Sentence)
    assert type(plain(sentence)) is str
    assert say_many("{number} thing", "{number} things", 1) == "1 thing"
    assert say_many("{number} thing", "{number} things", 2).message == "{number} things"
    assert capitalized(say("up to {limit}", limit=3)) == "Up to 3"


def test_a_change_reaches_the_text_and_its_values():
    changed = say("No connection: {reason}", reason="key sk-1").changed(lambda text: text.replace("sk-1", "[key]"))
    assert changed == "No connection: key [key]" and changed.values == {"reason": "key [key]"}


def test_the_table_of_parameters_is_translated():
    assert {*GROUPS, *(one.label for one in TABLE), *(one.what for one in TABLE)} <= CHINESE.keys()


def test_languages_are_named_in_themselves():
    assert LANGUAGES == {"en": "English", "zh-CN": "中文"}


# The language of a page


@pytest.mark.parametrize(
    ("asked_for", "language"),
    [
        ("zh-CN,zh;q=0.9,en;q=0.8", "zh-CN"),
        ("zh", "zh-CN"),
        ("zh-Hans-CN", "zh-CN"),
        ("zh-TW,en;q=0.5", "zh-CN"),
        ("en-GB,zh;q=0.9", "en"),
        ("fr,zh;q=0.3,en;q=0.2", "zh-CN"),
        ("de,fr", "en"),
        ("zh;q=0,en", "en"),
        ("zh;q=nonsense,*", "en"),
        ("*", "en"),
        ("", "en"),
    ],
)
def test_the_browser_says_which_language(client, asked_for, language):
    reply = client.get("/", headers={"Accept-Language": asked_for})
    assert f'<html lang="{language}">' in reply.text
    assert reply.headers["Content-Language"] == language
    assert {"Accept-Language", "Cookie"} <= set(re.split(", *", reply.headers["Vary"]))


def test_a_choice_counts_more_than_the_browser_and_nonsense_does_not_count(client):
    chinese = {"Accept-Language": "zh-CN"}
    client.set_cookie("language", "en")
    assert '<html lang="en">' in client.get("/", headers=chinese).text
    client.set_cookie("language", "tlh")
    assert '<html lang="zh-CN">' in client.get("/", headers=chinese).text


def test_every_kind_of_message_is_said_in_chinese(app):
    with app.test_request_context(headers={"Accept-Language": "zh"}):
        assert gettext("Send") == "发送"
        assert gettext("nobody translated this") == "nobody translated this"
        assert ngettext("%(count)s question", "%(count)s questions", 1) == "%(count)s 个提问"
        assert translated(say_many("{number} hour ago", "{number} hours ago", 1)) == "1 小时前"
        assert translated(say("The recording could not be put into words. {error}", error="Slow down.")).endswith(
            "Slow down."
        )
        nested = say("The answer could not be read aloud. {error}", error=say("The server is stopping."))
        assert translated(nested) == "回答未能朗读。服务器正在停止。"
        assert translated(Unknown(say("There is no such import."))) == "没有这次导入。"
        assert translated("What a provider said.") == "What a provider said."
        assert translated(capitalized(say("up to {limit}, one a line", limit=4))) == "最多 4 个，每行一个"
    assert translated(say("The server is stopping.")) == "The server is stopping."  # No request, no reader.


def test_a_failure_that_is_ours_is_kept_with_what_it_was_made_of(app):
    error = TimedOut(say("The model was silent for {seconds:,.0f} s.", seconds=600.0))
    failure = msgspec.json.decode(msgspec.json.encode(failure_of(error, "TimedOut")), type=Failure)
    assert failure.message == "The model was silent for 600 s."
    with app.test_request_context(headers={"Accept-Language": "zh"}):
        assert translated(failure.sentence) == "模型 600 秒没有响应。"
        assert translated(failure_of(RateLimited("Slow down.", 429), "RateLimited", 429).sentence) == "Slow down."
        assert translated(msgspec.json.decode(b'{"kind":"TimedOut","message":"As before."}', type=Failure).sentence)


def test_a_failure_whose_words_hold_a_sentence_or_half_a_character_can_be_kept():
    error = Garbage(
        say("The endpoint did not answer as the API does ({kind}): {told}", kind=say("no type"), told="\ud83d")
    )
    assert msgspec.json.encode(failure_of(error, "Garbage"))
