"""Both READMEs say the same: structure, commands, settings and links are equal, so that neither is left behind."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
ENGLISH, CHINESE = ((ROOT / name).read_text() for name in ("README.md", "README.zh-CN.md"))


def structure(text):
    """Return what each line is: a heading by its level, a row of a table by its cells, a point of a list, a fence."""
    found = []
    for line in text.split("\n"):
        if heading := re.match("#+ ", line):
            found.append(heading.group())
        elif line.startswith("|"):
            found.append(f"| {line.count('|')}")
        elif line.startswith(("- ", "```", "<p", "<i")):
            found.append(line[:2])
    return found


def commands(text):
    blocks = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    return [re.sub(r"\s+# .*", "", line) for block in blocks for line in block.splitlines()]


def code(text):
    return sorted(re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL)))


def test_both_have_the_same_structure():
    assert structure(ENGLISH) == structure(CHINESE)


def test_both_have_the_same_commands():
    assert commands(ENGLISH) == commands(CHINESE)


def test_both_name_the_same_settings_and_values():
    assert code(ENGLISH) == code(CHINESE)


def test_both_lead_to_the_same_places_and_to_each_other():
    def links(text):
        return sorted(re.findall(r"\]\(([^)]+)\)|<(http[^>]+)>", text))

    others = {("README.md", ""), ("README.zh-CN.md", "")}
    assert [link for link in links(ENGLISH) if link not in others] == [
        link for link in links(CHINESE) if link not in others
    ]
    assert "[中文](README.zh-CN.md)" in ENGLISH and "[English](README.md)" in CHINESE


def test_the_chinese_one_names_the_buttons_as_the_page_does():
    """What stands in bold is what the page says."""
    from webapp.i18n import catalogue

    said = set(catalogue("zh-CN").values())
    bold = set(re.findall(r"\*\*([^*]+)\*\*", CHINESE)) - {
        "Enter",
        "Shift+Enter",
        "↑",
        "Esc",
        "Ctrl+/",
        "token",
        "Markdown",
        "中文和英文",
    }
    assert bold <= said
