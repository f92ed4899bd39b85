"""What of an answer is read aloud: its words without the signs of Markdown, in parts that a provider takes.

Code is left out: nobody follows it by ear. Tables are read row by row. Of a very long text its beginning is read.
"""

import re

# Bytes of UTF-8: about four minutes of English and five of Chinese. OpenAI takes 4,096 characters, and
# with some models 2,000 tokens, which so many characters of Chinese would exceed.
LONGEST_PART = 4000
# Characters of an answer, two hours of English; to look for signs in them takes up to some tenths of a second.
LONGEST = 100_000

FENCE = re.compile(r"^ {0,3}(`{3,}(?!`)|~{3,}(?!~))[^\n]*\n.*?(?:^ {0,3}\1[`~]* *$|\Z)", re.MULTILINE | re.DOTALL)
SIGNS = (  # Their lengths are bounded, so that no text, however odd, takes long.
    (re.compile(r"^ {0,3}(?:[-*_] *){3,}$", re.MULTILINE), ""),  # a rule
    (re.compile(r"^ *\|?(?: {0,9}:?-+:? {0,9}\|)+(?: {0,9}:?-+:? {0,9})?$", re.MULTILINE), ""),  # below a table's head
    (re.compile(r"^ *\| *| ?\| *$", re.MULTILINE), ""),
    (re.compile(r"(?<=\S) +\| +(?=\S)"), ", "),
    (re.compile(r"^[ >]*(?:#{1,6} +|> ?|[-*+] +(?:\[[ xX]\] +)?)", re.MULTILINE), ""),
    (re.compile(r"!?\[([^\]\n]{0,200})\]\([^)\n]{0,300}\)"), r"\1"),
    (re.compile(r"<(https?://[^>\s]{1,300})>"), r"\1"),
    (re.compile(r"(?<!`)(`{1,3})(?!`)([^`\n]{1,200})\1(?!`)"), r"\2"),
    (re.compile(r"(\*{1,3}|~~)(?=\S)(.{1,300}?)(?<=\S)\1"), r"\2"),
    (re.compile(r"(?<!\w)(_{1,3})(?=\S)(.{1,300}?)(?<=\S)\1(?!\w)"), r"\2"),
    (re.compile(r"\n\s*\n"), "\n\n"),
)
NEXT = re.compile(r"\s*")  # what stands before the next part
# Where a part may end, the better ones first.
BORDERS = tuple(
    re.compile(border)
    for border in (r"\n\n", r"\n", r"[.!?…][\"')\]”’]*\s|[。！？…][”’」』）]*", r"[,;:]\s|[，、；：]", r"\s")
)


def has_code(text: str) -> bool:
    """Tell whether a text has blocks of code, which are not read."""
    return FENCE.search(text[:LONGEST]) is not None


def is_cut(text: str) -> bool:
    """Tell whether only the beginning of a text is read."""
    return len(text) > LONGEST


def words(text: str) -> str:
    """Return a Markdown text as it is said."""
    text = FENCE.sub("\n", text[:LONGEST])
    for signs, instead in SIGNS:
        text = signs.sub(instead, text)
    return text.strip()


def parts(text: str) -> list[str]:
    """Return a Markdown text as it is said, in parts of up to LONGEST_PART bytes that end where a breath is."""
    said, found, start = words(text), [], 0
    while start < len(said):
        window = said[start : start + LONGEST_PART].encode()[:LONGEST_PART].decode(errors="ignore")
        fits = start + len(window) == len(said)
        end = len(said) if fits else start + _border(window)
        found.append(said[start:end].strip())
        start = NEXT.match(said, end).end()  # type: ignore[union-attr]  # It takes nothing, too.
    return found


def _border(window: str) -> int:
    """Return where to cut: behind the last good border in the window's second half, or at its end."""
    for border in BORDERS:
        ends = [match.end() for match in border.finditer(window) if match.end() > len(window) // 2]
        if ends:
            return ends[-1]
    return len(window)
