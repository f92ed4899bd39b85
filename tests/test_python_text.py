import ast

from hypothesis import given, settings
from hypothesis import strategies as st

from webapp.python_text import literal

from .test_exchange import json_values


@settings(deadline=None)
@given(json_values)
def test_any_json_is_the_same_in_python(value):
    assert ast.literal_eval(literal(value)) == value
    assert ast.literal_eval(literal(value, 60)) == value


@settings(deadline=None)
@given(st.text(st.sampled_from("'\"\\\n\tan你\x1b\u202e👍 {}$")))
def test_any_text_is_the_same_in_python(text):
    assert ast.literal_eval(literal(text)) == text
    assert ast.literal_eval(literal(text, 80)) == text


def test_chinese_stays_readable_and_what_turns_text_about_is_escaped():
    assert literal("\u3000中文，“引号”👩\u200d💻") == '"\u3000中文，“引号”👩\u200d💻"'
    assert literal("a\u202eb\x7f") == '"a\\u202eb\\u007f"'


def test_a_long_answer_is_source_that_python_takes():
    text = "a line\n" * 50_000
    assert ast.literal_eval(literal(text)) == text
