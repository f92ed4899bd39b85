import json
import zipfile
from collections import Counter
from io import BytesIO
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from webapp import json_file
from webapp.candidate import BadImport, Candidate, TooLarge, add, counted
from webapp.conversation import Answer, Busy, Conversation, Picture, Turn
from webapp.export import Sending, to_json
from webapp.exported import MOST_RUNS
from webapp.failure import Failure
from webapp.importing import read
from webapp.question import UNREADABLE
from webapp.tokens import Counts, of_answer

SAMPLES = Path(__file__).parent / "samples"
LIMIT = 2_000_000
SENDING = Sending("test-model", "Be brief.", {}, "https://api.example.com/v1")


def candidates(found):
    return [one.opened() for one in found.packed]


def only(document):
    content = document if isinstance(document, bytes) else json.dumps(document).encode()
    (candidate,) = candidates(read(content, LIMIT))
    return candidate


def said(candidate):
    return [(turn.question, turn.answer.text) for turn in candidate.turns]


def exported(conversation):
    return to_json(conversation, SENDING, lambda answer_id: [])


def zipped(compression=zipfile.ZIP_DEFLATED, **files):
    archive = BytesIO()
    with zipfile.ZipFile(archive, "w", compression) as file:
        for name, content in files.items():
            path = name.replace("__", "/").replace("_", "-") + ".json"
            # Of no time at all: a test's name, which holds the bytes, must not change from one second to the next.
            file.writestr(zipfile.ZipInfo(path), content, compression)
    return archive.getvalue()


# ChatGPT


def chatgpt():
    return read((SAMPLES / "chatgpt-conversations.json").read_bytes(), LIMIT)


def test_a_chatgpt_export_gives_the_branch_that_its_page_shows():
    tea, other = candidates(chatgpt())
    assert (tea.title, tea.created) == ("Tea and kettles", 1760000000.125)
    assert said(tea) == [
        ("这是什么茶？\nHow hot should the water be?", "乌龙茶。**90 °C**."),
        ("And for how long?", "About three min"),
    ]
    first, second = (turn.answer for turn in tea.turns)
    assert (first.status, first.finish_reason, first.model) == ("done", "stop", "gpt-5-thinking")
    assert (first.started, first.ended) == (1760000001.5, 1760000009.25)
    assert first.reasoning == "Looking at the leaves\n\nThey are rolled, so an oolong."
    assert (second.finish_reason, second.model) == ("length", "gpt-5")
    assert said(other) == [("Say \ufffd.", "")]
    assert other.turns[0].answer.status == "stopped"


def test_what_of_a_chatgpt_export_is_left_behind_is_counted():
    found = chatgpt()
    assert found.skipped == {"empty": 1}
    assert candidates(found)[0].skipped == {"hidden": 2, "attachment": 2, "tool": 2, "version": 1}
    assert counted(Counter(candidates(found)[0].skipped)) == [
        "2 messages to and from tools",
        "2 hidden messages",
        "1 message of another version",
        "2 attachments (images, audio, files)",
    ]


def test_a_chatgpt_archive_is_unpacked_also_where_it_is_split():
    content = (SAMPLES / "chatgpt-conversations.json").read_text()
    assert len(candidates(read(zipped(conversations=content, user="{}"), LIMIT))) == 2
    split = read(zipped(export__conversations_000=content, export__conversations_001=content), LIMIT)
    assert len(candidates(split)) == 4
    assert split.skipped == {"empty": 2}


def test_a_chatgpt_tree_without_an_end_or_with_a_circle_is_read():
    nodes = {
        "1": {"parent": "2", "message": message("user", "Hello", 1)},
        "2": {"parent": "1", "message": message("assistant", "Hi", 2)},
    }
    assert said(only({"mapping": nodes})) == [("Hello", "Hi")]


def message(role, said, time=None):
    content = {"content_type": "text", "parts": [said]}
    return {"author": {"role": role}, "create_time": time, "content": content, "recipient": "all"}


# Open WebUI


def test_an_open_webui_export_gives_the_branch_that_its_page_shows():
    candidate = only((SAMPLES / "open-webui-chats.json").read_bytes())
    assert (candidate.title, candidate.created) == ("🍵 Tea", 1760000000)
    assert said(candidate) == [("泡茶要多久？", "三分钟。"), ("And black tea?", "")]
    answer = candidate.turns[0].answer
    assert (answer.reasoning, answer.model, answer.ended) == ("Green tea & oolong\ndiffer.", "qwen3:8b", 1760000009)
    assert candidate.parameters == {"system_prompt": "Answer in one sentence."}
    assert candidate.skipped == {"version": 1, "attachment": 1}


def test_an_open_webui_chat_may_stand_alone_and_may_be_old():
    (record,) = json.loads((SAMPLES / "open-webui-chats.json").read_text())
    assert len(only(record).turns) == len(only(record["chat"]).turns) == 2
    old = {"title": "Old", "messages": [{"role": "user", "content": "1"}, {"role": "assistant", "content": "2"}]}
    assert said(only([{"chat": old}])) == [("1", "2")]


def test_unfinished_folds_stay_in_the_text():
    text = '<details type="reasoning">' * 3 + "and no end"
    chat = {"messages": [{"role": "user", "content": "1"}, {"role": "assistant", "content": text}]}
    assert said(only([{"chat": chat}])) == [("1", text)]


# Lists of messages

MESSAGES = [
    {"role": "system", "content": "Be kind."},
    {"role": "assistant", "content": "Welcome."},
    {"role": "user", "content": [{"type": "text", "text": "Look:"}, {"type": "image_url", "image_url": {"url": "x"}}]},
    {"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]},
    {"role": "tool", "content": "1"},
    {"role": "assistant", "content": "A cat."},
    {"role": "user", "content": "Thank\r\nyou\x00"},
]


@pytest.mark.parametrize("document", [MESSAGES, {"model": "m", "messages": MESSAGES}])
def test_a_list_of_messages_is_a_conversation(document):
    candidate = only(document)
    assert said(candidate) == [("Look:", "A cat."), ("Thank\nyou\ufffd", "")]
    assert candidate.parameters == {"system_prompt": "Be kind."}
    assert candidate.skipped == {"orphan": 1, "attachment": 1, "tool": 2}


# Parley's own

FULL = Conversation(
    owner="owner",
    parameters={"temperature": 0.5, "stop": ["。"], "extra": {"a": {"b": [1, None, True]}}},
    turns=[
        Turn(
            "第一问\n```\n",
            answers=[
                Answer(status="failed", text="half", failure=Failure("RateLimited", "Slow down", 429, 3.5), ended=5.0),
                Answer(
                    status="done",
                    text="一",
                    reasoning="hm",
                    choices=["一", "二"],
                    kept=0,
                    model="m",
                    finish_reason="stop",
                    usage={
                        "prompt_tokens": 3,
                        "prompt_tokens_details": {"cached_tokens": 1, "audio_tokens": None},
                        "completion_tokens_details": None,
                        "cost": 0.25,
                    },
                    pictures=[Picture(url="https://example.com/1.png", revised_prompt="a cat")],
                    dropped=["seed"],
                    started=1.0,
                    ended=2.0,
                ),
            ],
        ),
        Turn("Two?", answers=[Answer(status="stopped", started=1.0)], single=True, left_out=True),
    ],
)


def without_ids(turns):
    turns = msgspec.convert(msgspec.to_builtins(turns), list[Turn])
    for turn in turns:
        turn.id = ""
        for answer in turn.answers:
            answer.id = ""
    return turns


def of_parley(*answers, shown=-1):
    return {"parley": {"format": 1}, "mode": "chat", "turns": [{"question": "q", "answers": answers, "shown": shown}]}


def test_of_an_answer_so_many_pictures_and_choices_are_taken_and_the_others_are_told():
    pictures = [{"url": f"https://example.com/{n}.png"} for n in range(50)]
    raw = {"status": "done", "pictures": pictures, "choices": ["x"] * 20, "dropped": ["p"] * 999}
    candidate = only(of_parley(raw | {"finish_reasons": ["stop"] * 999}))
    answer = candidate.turns[0].answer
    assert [len(answer.pictures), len(answer.choices), len(answer.finish_reasons), len(answer.dropped)] == [
        10,
        8,
        8,
        50,
    ]
    assert answer.pictures[0].url.endswith("/0.png")
    assert counted(Counter(candidate.skipped)) == ["52 answers, choices or images more than one question can have"]


@pytest.mark.parametrize(
    ("shown", "kept", "then"), [(-1, 150, -1), (3, 3, 0), (150, 150, 0), (151, 150, 1), (249, 150, 99)]
)
def test_of_a_turn_so_many_answers_are_taken_among_them_the_one_that_is_shown(shown, kept, then):
    answers = [{"text": str(number), "status": "done"} for number in range(250)]
    candidate = only(of_parley(*answers, shown=shown))
    turn = candidate.turns[0]
    assert [answer.text for answer in turn.answers] == [str(kept), *map(str, range(151, 250))]
    assert turn.shown == then and turn.answer.text == str(shown % 250)
    assert candidate.skipped["beyond"] == 150


def test_what_many_runs_have_used_stays_the_same_sum():
    usage = {"prompt_tokens": 5, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 1}}
    usages = [usage | {"completion_tokens_details": {"reasoning_tokens": n % 2}} for n in range(190)]
    answer = only(of_parley({"status": "done", "usage": usage, "usage_before": usages})).turns[0].answer
    assert len(answer.usage_before) == MOST_RUNS
    assert of_answer(answer) == Counts(prompt=955, cached=191, completion=382, reasoning=95, total=1337)


def test_a_conversation_of_too_many_answers_is_refused_in_words():
    many = of_parley(*[{"text": "a", "status": "done"}] * 6_000)
    with pytest.raises(TooLarge, match="has 12,000 answers; up to 10,000 can"):
        only(many | {"turns": many["turns"] * 2})
    with pytest.raises(TooLarge, match="has 12,000 answers"):
        only(many | {"other_versions": [many["turns"]]})
    with pytest.raises(TooLarge, match="has 12,001 answers"):
        only(of_parley({"usage_before": [{}] * 12_000}))
    assert only(many).skipped["beyond"] == 5_900


def test_what_parley_exported_comes_back_whole_with_new_ids():
    candidate = only(exported(FULL))
    assert without_ids(candidate.turns) == without_ids(FULL.turns)
    assert candidate.parameters == FULL.parameters
    assert not {turn.id for turn in candidate.turns} & {turn.id for turn in FULL.turns}
    assert candidate.turns[0].answer.id != FULL.turns[0].answer.id


def changed(**answer):
    document = json.loads(exported(Conversation(owner="o", turns=[Turn("1", answers=[Answer(status="done")])])))
    document["turns"][0]["answers"][0].update(answer)
    return document


@pytest.mark.parametrize(
    ("given", "name", "expected"),
    [
        ({"status": "pending"}, "status", "interrupted"),
        ({"kept": 7}, "kept", 0),
        ({"usage": {"prompt_tokens": "many", "total_tokens": -1, "x": [], "ok_tokens": 5}}, "usage", {"ok_tokens": 5}),
        ({"usage": {"prompt_tokens_details": {"cached_tokens": {}}}}, "usage", {"prompt_tokens_details": {}}),
        ({"pictures": [{"url": "javascript:alert(1)"}, {"file": "../../x.png"}]}, "pictures", []),
        ({"ended": 1e300, "started": 5}, "ended", 5.0),
        ({"text": "a\x1b[31m\r\nb"}, "text", "a\ufffd[31m\nb"),
        ({"failure": {"kind": "x", "message": "m", "retry_after": -5}}, "failure", Failure("x", "m")),
    ],
)
def test_what_could_not_be_ours_is_mended(given, name, expected):
    assert getattr(only(changed(**given)).turns[0].answer, name) == expected


def test_images_and_exchanges_that_stay_behind_are_counted():
    document = changed(
        pictures=[{"file": "a-1.png"}, {"file": "a-2.png"}, {"url": "https://example.com/1.png"}],
        exchanges=[{"base_url": "", "path": "/chat/completions", "request": {}}],
    )
    candidate = only(document)
    assert len(candidate.turns[0].answer.pictures) == 1
    assert counted(Counter(candidate.skipped)) == ["2 images, which the file does not hold", "1 request with its reply"]


def test_a_question_without_text_says_so_and_keeps_its_answer():
    document = changed(text="Yes.")
    document["turns"][0]["question"] = " \n"
    assert said(only(document)) == [("(no text)", "Yes.")]
    image = {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}
    answers = [{"role": "assistant", "content": text} for text in ("Hi.", "A cat.")]
    hello = {"role": "user", "content": "Hello"}
    assert said(only([hello, answers[0], image, answers[1]])) == [("Hello", "Hi."), ("(no text)", "A cat.")]
    webui = [hello, answers[0], {"role": "user", "content": "", "files": [{"id": "1"}]}, answers[1]]
    assert said(only([{"chat": {"messages": webui}}])) == [("Hello", "Hi."), ("(no text)", "A cat.")]
    picture = message("user", {"content_type": "image_asset_pointer"})
    nodes = {
        "1": {"message": picture},
        "2": {"parent": "1", "message": message("assistant", "A cat.")},
    }
    assert said(only({"mapping": nodes, "current_node": "2"})) == [("(no text)", "A cat.")]


@pytest.mark.parametrize("blank", ["", " ", " \n\t"])
def test_a_blank_message_is_none(blank):
    document = [{"role": "user", "content": "Hello"}, {"role": "user", "content": blank}]
    assert said(only(document)) == [("Hello", "")]


def test_a_turn_without_answers_gets_one_that_is_empty():
    document = changed()
    del document["turns"][0]["answers"]
    assert only(document).turns[0].answer.status == "stopped"


# What cannot be imported


def deep(levels):
    value = []
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "not a JSON file"),
        (b"hello", "not a JSON file"),
        (b"\xff\xfe\x00", "not a JSON file"),
        (b"[" * 100_000, "nested too deeply"),
        (b"PK\x03\x04 and no archive", "cannot be unpacked"),
        (b"{}", "nothing that Parley can import"),
        (b"3", "nothing that Parley can import"),
        (b'["a", 1, null]', "nothing that Parley can import"),
        (b"[]", "no conversation"),
        (b'[{"role": "user"}]', "no conversation"),
        (b'{"mapping": {}}', "no conversation"),
        (b'{"chat": {}}', "no conversation"),
        (b'{"messages": []}', "no conversation"),
        (json.dumps({**changed(), "parley": {"format": 99}}).encode(), "newer Parley"),
        (json.dumps({**changed(), "parley": {}}).encode(), "newer Parley"),
        (json.dumps({**changed(), "mode": ["chat"]}).encode(), "does not fit"),
        (json.dumps({**changed(), "turns": [1]}).encode(), "does not fit"),
        (json.dumps(changed(text=5)).encode(), r"turns\[0\]\.answers\[0\]\.text"),
        (json.dumps(changed(status="dancing")).encode(), "dancing"),
        (json.dumps({**changed(), "parameters": {"extra": deep(60)}}).encode(), "levels deep"),
        (zipped(user="{}"), "no conversations.json"),
    ],
    ids=lambda value: repr(value[:30]),
)
def test_what_does_not_fit_is_refused_with_the_reason(content, says):
    with pytest.raises(BadImport, match=says):
        read(content, LIMIT)


def test_a_file_that_is_too_large_is_refused_also_when_it_was_packed_small():
    with pytest.raises(TooLarge):
        read(b" " * 101, 100)
    bomb = zipped(conversations="[" + " " * 5_000_000)
    assert len(bomb) < 10_000
    with pytest.raises(TooLarge, match="Unpacked"):
        read(bomb, LIMIT)


@pytest.mark.parametrize("compression", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_an_archive_that_would_unpack_all_at_once_is_not_unpacked(compression, monkeypatch):
    bomb = zipped(compression, conversations="[" + " " * 5_000_000)
    monkeypatch.setattr(zipfile.ZipFile, "open", lambda *arguments: pytest.fail("It is being unpacked."))
    with pytest.raises(BadImport, match="ordinary zip"):
        read(bomb, LIMIT)


def test_an_archive_that_is_not_compressed_is_read():
    (candidate,) = candidates(read(zipped(zipfile.ZIP_STORED, conversations=json.dumps(MESSAGES)), LIMIT))
    assert len(candidate.turns) == 2


def test_a_long_list_is_decoded_one_conversation_at_a_time(monkeypatch):
    content = json.dumps([{"messages": [{"role": "user", "content": f"{number}?"}]} for number in range(20)]).encode()
    decoded = []
    decode = json_file._decoded
    monkeypatch.setattr(json_file, "_decoded", lambda document: decoded.append(len(document)) or decode(document))
    assert len(candidates(read(content, LIMIT))) == 20
    assert len(decoded) == 20
    assert max(decoded) < len(content) / 10


def test_other_encodings_are_read():
    text = json.dumps([{"role": "user", "content": "你好"}], ensure_ascii=False)
    for encoding in ("utf-8-sig", "utf-16"):
        assert said(only(text.encode(encoding))) == [("你好", "")]


NAMES = """parley format mode turns question answers text mapping current_node parent message author role content
content_type parts metadata chat history messages currentId parentId usage status title a b"""
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(["user", "assistant", "text", "a", "b", "chat"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(NAMES.split()), inner, max_size=6),
    max_leaves=40,
)


def garbage_is_refused_or_clean(content):
    try:
        found = read(content, LIMIT)
    except BadImport:
        return
    for candidate in candidates(found):
        conversation = Conversation(owner="o", mode=candidate.mode)
        add(conversation, candidate, "first")
        again = msgspec.json.decode(msgspec.json.encode(conversation), type=Conversation)
        assert again == conversation
        assert not any(UNREADABLE.search(turn.question + turn.answer.text) for turn in again.turns)


@settings(deadline=None)
@given(JSON)
def test_garbage_is_refused_or_becomes_what_can_be_saved(document):
    garbage_is_refused_or_clean(json.dumps(document).encode())


@settings(deadline=None)
@given(JSON)
def test_garbage_in_the_place_of_turns_is_refused_or_becomes_what_can_be_saved(value):
    document = {"parley": {"format": 1}, "mode": "chat", "turns": [{"question": "1", "answers": value}]}
    garbage_is_refused_or_clean(json.dumps(document).encode())
    garbage_is_refused_or_clean(json.dumps({"mapping": {"a": {"message": value}}}).encode())
    garbage_is_refused_or_clean(json.dumps(changed(usage=value)).encode())


@settings(deadline=None)
@given(st.binary(max_size=200), st.integers(0, 400))
def test_damaged_archives_are_refused(junk, position):
    archive = zipped(conversations='[{"role": "user", "content": "1"}]')
    garbage_is_refused_or_clean(archive[:position] + junk + archive[position + len(junk) :])


# Into a conversation


def asked(*questions, **more):
    turns = [Turn(question, answers=[Answer(status="done", text="Yes.")]) for question in questions]
    return Conversation(owner="owner", turns=turns, **more)


def test_a_candidate_is_added_at_the_end():
    conversation = asked("Before?")
    skipped = add(conversation, Candidate(turns=asked("1?", "2?").turns, skipped={"tool": 1}), "first")
    assert [turn.question for turn in conversation.turns] == ["Before?", "1?", "2?"]
    assert conversation.turns[1].id == "first"
    assert skipped == {"tool": 1}


def test_the_same_import_sent_twice_is_one():
    conversation = asked()
    for _ in range(2):
        add(conversation, Candidate(turns=asked("1?").turns), "first")
    assert len(conversation.turns) == 1


def test_parameters_are_taken_over_by_a_conversation_without_any():
    candidate = Candidate(turns=asked("1?").turns, parameters={"seed": 1})
    empty, used = asked(), asked("Before?")
    assert not add(empty, candidate, "first")
    assert empty.parameters == {"seed": 1}
    assert counted(add(used, candidate, "first")) == ["1 parameter or system prompt of the file"]
    assert used.parameters == {}


def test_nothing_is_added_while_an_answer_is_written_or_to_another_mode():
    busy = asked("Before?")
    busy.turns[0].answer.status = "pending"
    for conversation, error in ((busy, Busy), (asked(mode="image"), BadImport)):
        before = msgspec.json.encode(conversation)
        with pytest.raises(error):
            add(conversation, Candidate(turns=asked("1?").turns, parameters={"seed": 1}), "first")
        assert msgspec.json.encode(conversation) == before


def test_a_conversation_that_no_page_could_hold_is_refused():
    for turns in (asked(*["?"] * 5001).turns, asked("?" * 11_000_000).turns):
        with pytest.raises(TooLarge):
            add(asked(), Candidate(turns=turns), "first")
