import ast
import json

import nbformat
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from IPython.core.inputtransformer2 import TransformerManager
from nbclient import NotebookClient

from webapp.conversation import Answer, Conversation, Picture, Turn
from webapp.exchange import Exchange
from webapp.export import Sending, filename, messages, to_json, to_markdown
from webapp.failure import Failure
from webapp.llm import known_parameters
from webapp.notebook import to_notebook
from webapp.request import PATHS

from .openai_server import Reply

IPYTHON = TransformerManager()
SENDING = Sending("test-model", "Be brief.", {}, "https://api.example.com/v1")


def turn(question, text="", **more):
    about = {name: more.pop(name) for name in ("single", "left_out") if name in more}
    answer = Answer(**{"status": "done", "text": text, "model": "test-model", "started": 0.0, "ended": 60.0} | more)
    return Turn(question, answers=[answer], **about)


def conversation(*turns, **more):
    return Conversation(owner="the-owner", created=0.0, turns=list(turns), **more)


def no_exchanges(answer_id):
    return []


TALK = conversation(
    turn("你好？", "你好！"),
    turn("Left out?", "Yes.", left_out=True),
    turn("On its own?", "Yes, alone.", single=True),
    turn("Broken?", status="failed", failure=Failure("RateLimited", "Slow down.", 429)),
    turn('"""\n\\ and \'quotes\' 👩‍💻', "Fine."),
)

SENT = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "你好？"},
    {"role": "assistant", "content": "你好！"},
    {"role": "user", "content": "On its own?"},
    {"role": "assistant", "content": "Yes, alone."},
    {"role": "user", "content": '"""\n\\ and \'quotes\' 👩‍💻'},
    {"role": "assistant", "content": "Fine."},
]


# JSON


def test_messages_are_the_history_that_is_not_left_out():
    assert messages(TALK, "Be brief.") == SENT
    assert messages(TALK, "") == SENT[1:]


def test_messages_are_the_whole_history_also_where_the_window_is_too_small_for_it():
    small = conversation(*TALK.turns, sent_from=TALK.turns[-1].id)
    document = json.loads(to_json(small, SENDING, no_exchanges))
    assert document["messages"] == SENT
    assert "whole history" in document["parley"]["note"] and "context window" in document["parley"]["note"]
    assert "as it would be sent" not in notebook(small, SENDING).cells[0].source


def test_half_a_character_in_a_reply_does_not_spoil_the_file():
    exchange = Exchange("https://api.example.com/v1", "/chat/completions", {}, 200, reply={"id": "\ud83d"})
    content = to_json(TALK, SENDING, lambda answer_id: [exchange])
    assert json.loads(content)["turns"][0]["answers"][0]["exchanges"][0]["reply"] == {"id": "\ud83d"}


def test_the_json_has_everything_but_the_owner():
    content = to_json(TALK, SENDING, no_exchanges)
    document = json.loads(content)
    assert document["messages"] == SENT
    assert document["mode"] == "chat"
    assert [one["question"] for one in document["turns"]] == [one.question for one in TALK.turns]
    assert document["turns"][3]["answers"][0]["failure"] == {
        "kind": "RateLimited",
        "message": "Slow down.",
        "status": 429,
    }
    assert document["turns"][1]["left_out"] and document["turns"][2]["single"]
    assert '\n  "messages": [\n    {\n' in content.decode()
    assert "你好！" in content.decode()
    assert "the-owner" not in content.decode()


def test_exchanges_come_without_what_repeats_the_conversation_and_without_secrets():
    request = {"model": "m", "messages": SENT, "temperature": 0.5}
    reply = {"id": "1", "choices": [{"message": {"content": "你好！"}}]}
    exchange = Exchange(
        "https://user:sk-secret@api.example.com/v1?key=sk-secret", "/chat/completions", request, 200, reply=reply
    )
    kept = {TALK.turns[0].answer.id: [exchange]}
    content = to_json(TALK, SENDING, lambda answer_id: kept.get(answer_id, [])).decode()
    document = json.loads(content)
    assert document["turns"][0]["answers"][0]["exchanges"] == [
        {
            "base_url": "https://api.example.com/v1",
            "path": "/chat/completions",
            "request": {"model": "m", "temperature": 0.5},
            "status": 200,
            "reply": reply,
        }
    ]
    assert "messages" in document["parley"]["note"]
    assert "sk-secret" not in content
    assert "exchanges" not in document["turns"][1]["answers"][0]


@pytest.mark.parametrize("mode", ["completion", "image"])
def test_other_modes_have_turns_and_no_messages(mode):
    picture = Picture(file="a-1.png", revised_prompt="a red cat")
    document = json.loads(to_json(conversation(turn("A cat", pictures=[picture]), mode=mode), SENDING, no_exchanges))
    assert document["messages"] == []
    assert document["turns"][0]["answers"][0]["pictures"] == [{"file": "a-1.png", "revised_prompt": "a red cat"}]


# Markdown


def test_the_transcript_reads_from_top_to_bottom():
    assert to_markdown(TALK, SENDING) == (
        "# 你好？\n\n"
        "1970-01-01 00:00 UTC · test-model · exported from Parley\n\n"
        "System prompt:\n\n> Be brief.\n\n"
        "## Question 1\n\n> 你好？\n\n### Answer · test-model · 1970-01-01 00:01 UTC\n\n你好！\n\n"
        "## Question 2\n\n> Left out?\n\n*Left out: not sent with later questions.*\n\n"
        "### Answer · test-model · 1970-01-01 00:01 UTC\n\nYes.\n\n"
        "## Question 3\n\n> On its own?\n\n*Sent on its own, without the conversation before it.*\n\n"
        "### Answer · test-model · 1970-01-01 00:01 UTC\n\nYes, alone.\n\n"
        "## Question 4\n\n> Broken?\n\n### Answer · test-model · 1970-01-01 00:01 UTC\n\n"
        "*Failed (HTTP 429):*\n\n> Slow down.\n\n"
        '## Question 5\n\n> """\n> \\ and \'quotes\' 👩‍💻\n\n### Answer · test-model · 1970-01-01 00:01 UTC\n\nFine.\n'
    )


def test_choices_and_reasoning_are_folded_and_other_versions_are_not_there():
    one = turn("Why?", "A", reasoning="hm", choices=["A", "B"], kept=0, finish_reason="length")
    one.answers.insert(0, Answer(text="Earlier.", status="stopped", started=0.0))
    text = to_markdown(conversation(one), SENDING)
    assert "<details>\n<summary>Reasoning</summary>\n\nhm\n\n</details>\n\nA\n\n" in text
    assert "<summary>Choice 2 of 2, not kept</summary>\n\nB\n\n</details>" in text
    assert "Earlier." not in text
    assert "*Cut off at the limit of tokens for one answer.*" in text


@pytest.mark.parametrize(
    ("text", "end"),
    [
        ("```py\nprint(", "```py\nprint(\n```"),
        ("~~~~\n~~~\n```", "~~~~\n~~~\n```\n~~~~"),
        ("```\na\n```", "```\na\n```"),
        ("Use ``` in text", "Use ``` in text"),
    ],
)
def test_a_block_of_code_that_was_cut_off_does_not_go_on_behind_the_answer(text, end):
    assert f"\n\n{end}\n\n*Stopped.*\n" in to_markdown(conversation(turn("1", text, status="stopped")), SENDING)


def test_images_are_listed():
    pictures = [Picture(file="a-1.png", revised_prompt="a *red* cat"), Picture(url="https://example.com/a b(1).png>")]
    text = to_markdown(conversation(turn("A cat", pictures=pictures), mode="image"), SENDING)
    assert "- image 1: `a-1.png`: a \\*red\\* cat\n\n- [image 2](<https://example.com/ab(1).png>)\n" in text
    assert "System prompt" not in text


# Names


@pytest.mark.parametrize(
    ("question", "name"),
    [
        ("How do I ... it?", "1970-01-01-How-do-I-it.md"),
        ("../../etc/passwd\x00\nCON", "1970-01-01-etc-passwd-CON.md"),
        ("如何学习 Python？", "1970-01-01-如何学习-Python.md"),
        ("¡¿?!", "1970-01-01-conversation.md"),
        ("字" * 100, f"1970-01-01-{'字' * 48}.md"),
    ],
)
def test_a_file_is_named_for_its_day_and_first_question(question, name):
    assert filename(conversation(turn(question)), "md") == name


def test_an_empty_conversation_has_a_name_and_files():
    empty = conversation()
    assert filename(empty, "md") == "1970-01-01-Conversation.md"
    assert to_markdown(empty, SENDING).startswith("# Conversation\n")
    assert json.loads(to_json(empty, SENDING, no_exchanges))["turns"] == []
    nbformat.validate(nbformat.reads(to_notebook(empty, SENDING, set()).decode(), 4))


# The notebook


def notebook(talk, sending, known=None):
    known = known_parameters(PATHS[talk.mode]) if known is None else known
    book = nbformat.reads(to_notebook(talk, sending, known).decode(), as_version=4)
    nbformat.validate(book)
    return book


def test_each_question_is_a_cell_and_its_answer_the_output():
    book = notebook(TALK, SENDING)
    assert [cell.id for cell in book.cells] == ["setup", *(f"turn-{one.id}" for one in TALK.turns)]
    assert book.cells[1].source == (
        "# Question 1\n"
        'question = "你好？"\n\n'
        "reply = client.chat.completions.create(\n"
        "    model=model,\n"
        '    messages=messages[:1] + [{"role": "user", "content": question}],\n'
        ")\n"
        "print(reply.choices[0].message.content)"
    )
    assert [[(one.name, one.text) for one in cell.outputs] for cell in book.cells] == [
        [],
        [("stdout", "你好！\n")],
        [("stdout", "Yes.\n")],
        [("stdout", "Yes, alone.\n")],
        [("stderr", "Slow down.\n")],
        [("stdout", "Fine.\n")],
    ]


def test_the_notebook_names_the_endpoint_and_no_key():
    setup = notebook(TALK, SENDING._replace(base_url="https://me:sk-secret@api.example.com/v1")).cells[0].source
    assert 'client = OpenAI(base_url="https://api.example.com/v1")\n' in setup
    assert "OPENAI_API_KEY" in setup and "sk-secret" not in setup
    local = notebook(TALK, SENDING._replace(base_url=None)).cells[0].source
    assert "client = OpenAI()\n" in local and "Name an endpoint" in local


def test_what_the_package_does_not_know_goes_into_the_extra_body():
    fields = {"temperature": 0.5, "min_p": 0.1, "stream": True}
    source = notebook(TALK, SENDING._replace(fields=fields), {"temperature"}).cells[1].source
    assert '    temperature=0.5,\n    extra_body={"min_p": 0.1},\n)' in source


def replies(text):
    return Reply(
        [json.dumps({"id": "1", "object": "chat.completion", "choices": [choice(text)]}).encode()],
        content_type="application/json",
    )


def choice(text):
    return {"index": 0, "finish_reason": "stop", "text": text, "message": {"role": "assistant", "content": text}}


@pytest.fixture
def run(openai, tmp_path, monkeypatch):
    """Run a notebook in a kernel of its own; return what each cell printed."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-from-the-environment")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("JUPYTER_CONFIG_DIR", str(tmp_path / "jupyter"))
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "jupyter"))

    def run_cells(book):
        NotebookClient(book, timeout=60, resources={"metadata": {"path": str(tmp_path)}}).execute()
        return ["".join(output.text for output in cell.outputs) for cell in book.cells]

    return run_cells


def test_every_question_runs_on_its_own_after_the_first_cell(openai, run):
    fields = {
        "temperature": 0.5,
        "stop": ["。", "\n\n"],
        "response_format": {"type": "json_schema", "json_schema": {"name": "答", "schema": {"type": "object"}}},
        "min_p": 0.1,
        "stream": False,
    }
    book = notebook(TALK, SENDING._replace(base_url=openai.base_url, fields=fields))
    # From the last to the first: none has what the one before it would have left.
    book.cells[1:] = book.cells[:0:-1]
    answers = [f"答案 {number}" for number in range(5)]
    openai.enqueue(*map(replies, answers))
    assert run(book) == ["", *(f"{answer}\n" for answer in answers)]
    sent = {name: value for name, value in fields.items() if name != "stream"}
    before = [SENT[:1], SENT[:3], SENT[:1], SENT[:5], SENT[:5]]
    assert openai.bodies == [
        {"model": "test-model", "messages": [*history, {"role": "user", "content": one.question}], **sent}
        for one, history in reversed(list(zip(TALK.turns, before, strict=True)))
    ]
    assert openai.paths == ["/v1/chat/completions"] * 5
    assert {headers["Authorization"] for headers in openai.headers} == {"Bearer sk-from-the-environment"}


def test_a_notebook_of_completions_runs(openai, run):
    talk = conversation(turn("Once upon", " a time"), mode="completion")
    fields = {"max_tokens": 16, "echo": True, "suffix": "end", "n": 2}
    book = notebook(talk, SENDING._replace(base_url=openai.base_url, fields=fields))
    openai.enqueue(replies("Once upon a time"))
    assert run(book) == ["", "Once upon a time\n"]
    assert openai.paths == ["/v1/completions"]
    assert openai.bodies == [{"model": "test-model", "prompt": "Once upon", **fields}]


def test_a_notebook_of_images_runs(openai, run, tmp_path):
    talk = conversation(turn("A cat", pictures=[Picture(file="a-1.png")]), mode="image")
    book = notebook(talk, SENDING._replace(base_url=openai.base_url, fields={"n": 2, "output_format": "webp"}))
    assert book.cells[1].outputs[0].text == "a-1.png\n"
    data = [{"b64_json": "Q0FU"}, {"url": "https://example.com/1.png"}]
    openai.enqueue(Reply([json.dumps({"created": 1, "data": data}).encode()], content_type="application/json"))
    assert run(book) == ["", "image-1-1.webp\nhttps://example.com/1.png\n"]
    assert (tmp_path / "image-1-1.webp").read_bytes() == b"CAT"
    assert openai.bodies == [{"model": "test-model", "prompt": "A cat", "n": 2, "output_format": "webp"}]


QUESTIONS = st.text(st.characters(exclude_categories=["Cs", "Cc"]) | st.sampled_from("\n\t\"'\\`{}%!?#"), max_size=60)


@settings(max_examples=50, deadline=None)
@given(QUESTIONS, st.dictionaries(st.text(max_size=5), st.recursive(st.booleans() | QUESTIONS | st.none(), st.lists)))
def test_any_text_is_correct_python(question, extra):
    talk = conversation(turn(question, question, left_out=True))
    book = json.loads(to_notebook(talk, SENDING._replace(system_prompt=question, fields={"extra field": extra}), set()))
    sources = ["".join(cell["source"]) for cell in book["cells"]]
    for source in sources:
        # IPython gives some lines a meaning of their own; none of ours may have one.
        assert IPYTHON.transform_cell(source) == source + "\n"
    statements = [node for source in sources for node in ast.parse(source).body]
    values = {node.targets[0].id: node.value for node in statements if isinstance(node, ast.Assign)}
    assert ast.literal_eval(values["question"]) == question
    assert ast.literal_eval(values["reply"].keywords[-1].value) == {"extra field": extra}
    assert ast.literal_eval(values["messages"]) == messages(talk, question)


def test_a_very_long_text_is_in_the_notebook_in_one_piece():
    text = "A line.\n" * 20_000
    book = json.loads(to_notebook(conversation(turn("One?", text)), SENDING, set()))
    nbformat.validate(nbformat.reads(json.dumps(book), 4))
    setup, cell = book["cells"]
    assert cell["outputs"][0]["text"] == f"{text}\n"
    values = {
        node.targets[0].id: node.value for node in ast.parse(setup["source"]).body if isinstance(node, ast.Assign)
    }
    assert ast.literal_eval(values["messages"])[-1]["content"] == text
    assert len(setup["source"].splitlines()) < 50
