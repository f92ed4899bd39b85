"""What is written in Chinese, Japanese or Korean, and how its lines join."""

import re

KANA = re.compile("[\u3041-\u3096\u30a1-\u30fa\u31f0-\u31ff\uff66-\uff9d]")
HANGUL = re.compile("[\u1100-\u11ff\uac00-\ud7a3]")
HAN = re.compile("[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
# Frequent characters that only one of the two ways of writing Chinese has.
TRADITIONAL = re.compile("[個們這來時說對會國學為後麼還過現開關問點樣應該實從經書見長發東車馬語話請讓與無種將動]")
SIMPLIFIED = re.compile("[个们这来时说对会国学为后么还过现开关问点样应该实从经书见长发东车马语话请让与无种将动]")
# Characters that stand beside each other without a space, also over the end of a line. Korean has spaces.
SOLID = (
    "\u2e80-\u2fdf\u3000-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff00-\uff60\U00020000-\U0003ffff"
)

# The end of a line among words, until it is known what stands on both sides of it.
SOFT_BREAK = "\ufdd2"
TAGS = r"(?:</?(?:strong|em|del)(?: class=\"dotted\")?>)*"
JOINT = re.compile(f"(?<=[{SOLID}])({TAGS}){SOFT_BREAK}({TAGS})(?=[{SOLID}])")


def language(text: str) -> str:
    """Return the language tag that has the right glyphs for a text; empty where it needs none."""
    if text.isascii():
        return ""
    han = len(HAN.findall(text))
    kana = len(KANA.findall(text))
    hangul = len(HANGUL.findall(text))
    if hangul * 4 > han + kana:
        return "ko"
    # A Chinese sentence may quote a kana or two.
    if kana and kana * 8 >= han:
        return "ja"
    if not han:
        return ""
    return "zh-Hant" if len(TRADITIONAL.findall(text)) > len(SIMPLIFIED.findall(text)) else "zh-Hans"


def joined(html: str) -> str:
    """Return HTML with its soft line breaks: nothing between characters that stand solid, else a line feed."""
    if SOFT_BREAK not in html:
        return html
    return JOINT.sub(r"\1\2", html).replace(SOFT_BREAK, "\n")
