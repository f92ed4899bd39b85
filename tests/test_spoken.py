import pytest

from webapp.spoken import LONGEST, LONGEST_PART, has_code, is_cut, parts, words


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("# A title\n\nAnd **bold**, *italic*, ~~gone~~ and `code`.", "A title\n\nAnd bold, italic, gone and code."),
        ("- one\n- [x] two\n* three\n1. four", "one\ntwo\nthree\n1. four"),
        ("> said\n> twice", "said\ntwice"),
        ("See [the page](https://example.org/a_b) and ![a cat](cat.png).", "See the page and a cat."),
        ("| a | b |\n|---|:-:|\n| 1 | 2 |", "a, b\n\n1, 2"),
        ("one\n\n---\n\ntwo", "one\n\ntwo"),
        ("2 * 3 * 4 = 24 and a_name_here and __init__ too", "2 * 3 * 4 = 24 and a_name_here and init too"),
        ("**长城**是*中国*的`象征`。", "长城是中国的象征。"),
        ("Before\n```python\nprint('x')\n```\nafter", "Before\n\nafter"),
        ("Before\n~~~~\n~~~\nx\n~~~~\nafter", "Before\n\nafter"),
        ("Never closed\n```\nprint('x')", "Never closed"),
        ("```\nall code\n```", ""),
        ("5 - 3 = 2, a | b", "5 - 3 = 2, a, b"),
    ],
)
def test_the_signs_of_markdown_are_not_read(text, said):
    assert words(text) == said


@pytest.mark.timeout(20)
@pytest.mark.parametrize("odd", [*"[`~| #>\n", "*x", "~~a ", "| ", "_a", "<http://", "- ", "```\n", "|-"])
def test_no_text_takes_long(odd):
    parts(odd * 50_000)


def test_of_a_very_long_text_the_beginning_is_read():
    text = "word " * (LONGEST // 5)
    assert not is_cut(text) and is_cut(text + "x")
    assert parts(text + "and a million more " * 50_000) == parts(text)


def test_blocks_of_code_are_noticed():
    assert has_code("Before\n```\nx\n```")
    assert not has_code("An `x` and ``` in a line")


def test_a_short_text_is_one_part_and_no_text_is_none():
    assert parts("One. Two.") == ["One. Two."]
    assert parts(" \n ```\nx\n```") == []


@pytest.mark.parametrize(
    ("text", "ending"),
    [
        ("A sentence of some words. " * 1000, "."),
        ("长城是中国古代的防御工程。" * 1000, "。"),
        ("他问：“为什么？”" * 1000, "”"),
        ("Paragraph one, quite long, said here.\n\n" * 300, "."),
        ("words without any end " * 1000, ""),
        ("x" * 20_000, ""),
        ("字" * 5_000, ""),
    ],
)
def test_a_long_text_is_cut_where_a_sentence_ends_and_nothing_is_lost(text, ending):
    found = parts(text)
    assert len(found) > 1
    assert all(len(part.encode()) <= LONGEST_PART for part in found)
    assert all(part.endswith(ending) for part in found)
    assert "".join("".join(found).split()) == "".join(text.split())
