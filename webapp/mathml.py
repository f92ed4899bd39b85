"""LaTeX to MathML, with nothing of the model's in it but text."""

import re
from functools import lru_cache
from html import escape

from math_core import LatexError, LatexToMathML

LONGEST = 5000  # characters
MACROS = {"substack": r"\begin{matrix}#1\end{matrix}", "argmax": r"\operatorname*{arg\,max}"}
MACROS["argmin"] = r"\operatorname*{arg\,min}"
# Numbers would begin anew in each formula.
NUMBERED = re.compile(r"\\(begin|end)\{(equation|align|gather|multline|alignat)\}")
LABEL = re.compile(r"\\(?:label|nonumber|notag)\b(?:\{[^{}]*\})?")
ROOM = re.compile(r"\\\\\s*\[-?[\d.]+\s*[a-z]{2}\]")  # after a row
TAG = re.compile(r"<(/?)([a-z]+)((?: [a-z]+=\"[^\"<>]*\")*)(/?)>")
ATTRIBUTE = re.compile(r' ([a-z]+)="([^"<>]*)"')
ELEMENTS = re.compile(
    "math|mi|mn|mo|ms|mtext|mspace|mrow|mfrac|msqrt|mroot|mstyle|merror|mpadded|mphantom|menclose|msub|msup|msubsup|"
    "munder|mover|munderover|mmultiscripts|mprescripts|mtable|mtr|mtd|semantics"
)
ATTRIBUTES = re.compile(
    "display|displaystyle|scriptlevel|stretchy|symmetric|fence|separator|form|accent|accentunder|linethickness|lspace|"
    "rspace|minsize|maxsize|width|height|depth|voffset|largeop|movablelimits|mathvariant|notation|columnalign|"
    "rowspacing|columnspacing"
)
# The policy of our pages allows no inline style; the stylesheet knows these classes.
STYLES = {
    "text-align: right": "right",
    "text-align: left": "left",
    "padding-left:1em": "apart",
    "border-right: 0.05em solid currentcolor": "line-after",
    "border-left: 0.05em solid currentcolor": "line-before",
    "border-top: 0.05em solid currentcolor": "line-above",
    "border-bottom: 0.05em solid currentcolor": "line-below",
    "width: 100%": "wide",
    "width: 50%": "half",
}

_converter = LatexToMathML(macros=MACROS, fancy_error=False, allow_unreliable_rendering=True, max_expansions=500)


@lru_cache(512)
def to_mathml(latex: str, display: bool) -> str | None:
    """Return a formula as MathML, or None where it cannot be read."""
    if not latex or len(latex) > LONGEST or latex.count("{") > 500:
        return None
    latex = ROOM.sub(r"\\\\ ", LABEL.sub("", NUMBERED.sub(r"\\\1{\2*}", latex)))
    if r"\tag" in latex and r"\begin" not in latex:
        latex = rf"\begin{{equation*}}{latex}\end{{equation*}}"
    try:
        return _plain_tags(_converter.convert_with_local_state(latex, displaystyle=display))
    except LatexError:
        return None


def _plain_tags(mathml: str) -> str | None:
    """Return MathML with known elements and attributes alone, or None where there is anything else between them."""
    if re.search("[<>]", TAG.sub("", mathml)):
        return None
    return TAG.sub(_tag, mathml)


def _tag(match: re.Match[str]) -> str:
    closing, element, attributes, empty = match.groups()
    if not ELEMENTS.fullmatch(element):
        return ""
    kept = ""
    for name, value in ATTRIBUTE.findall(attributes):
        if ATTRIBUTES.fullmatch(name):
            kept += f' {name}="{value}"'
        elif name == "style":
            classes = [STYLES[part] for style in value.split(";") if (part := style.strip()) in STYLES]
            kept += f' class="{" ".join(classes)}"' if classes else ""
    return f"<{closing}{element}{kept}{empty}>"


def formula(source: str, latex: str, display: bool) -> str:
    """Return a formula as HTML: as MathML, or as its source where it cannot be read."""
    mathml = to_mathml(latex, display)
    if mathml is None:
        return f'<code class="math">{escape(source)}</code>'
    return f'<span class="display">{mathml}</span>' if display else mathml
