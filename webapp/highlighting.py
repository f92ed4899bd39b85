"""Code in colours: Pygments' tokens as a few classes."""

from functools import lru_cache
from html import escape

from pygments.token import STANDARD_TYPES, _TokenType

from .lexing import LARGEST, Exhausted, lexer_for, name_of, tokens

FIRST_LINES = 8

# Pygments' short names begin with these; what is not here has the colour of text.
CLASSES = {name: name for name in ("k", "s", "c", "m", "nf", "nc", "nb", "nt", "na", "nd", "nv", "gd", "gi", "gh")}
CLASSES |= {"ow": "k", "gu": "gh", "gp": "c", "no": "m", "ne": "nc", "fm": "nf", "vc": "nv", "vg": "nv", "vi": "nv"}
CLASSES |= {"se": "m", "si": "m", "bp": "nb", "py": "na", "l": "m", "ld": "s", "nl": "na", "cp": "nd"}


@lru_cache(512)
def _class(kind: _TokenType) -> str:
    short = STANDARD_TYPES.get(kind, "")
    while not short and kind.parent is not None:
        kind = kind.parent
        short = STANDARD_TYPES.get(kind, "")
    return CLASSES.get(short) or CLASSES.get(short[:1], "")


def label(language: str) -> str:
    """Return the name of a language for people, or what was given where it is unknown."""
    return (name_of(language) if language else "") or language


@lru_cache(64)
def highlight(code: str, language: str) -> str:
    """Return code as HTML whose text is exactly the code."""
    lexer = lexer_for(language) if language and len(code) <= LARGEST else None
    if lexer is None:
        return _escaped(code)
    pieces: list[str] = []
    at, last, run = 0, "", ""
    try:
        # Some lexers end a comment at a line's end alone, so there is one, which is taken away again.
        for index, kind, value in tokens(lexer, f"{code}\n"):
            if index != at:
                return _escaped(code)  # A lexer that leaves something out, or says it twice.
            at += len(value)
            if at > len(code):
                value = value[:-1]
            name = _class(kind)
            if name == last or value.isspace():
                run += value
                continue
            pieces.append(_span(last, run))
            last, run = name, value
    except Exhausted:
        return _escaped(code)
    pieces.append(_span(last, run))
    return "".join(pieces) if at == len(code) + 1 else _escaped(code)


def highlight_open(code: str, language: str) -> str:
    """Return code that is still growing: in colours up to a line that seldom moves, and as it is from there on."""
    end = 0
    lines, wanted = 0, FIRST_LINES
    settled = 0
    while (end := code.find("\n", end) + 1) and end <= LARGEST:
        lines += 1
        if lines == wanted:
            settled, wanted = end, wanted + wanted // 2
    return highlight(code[:settled], language) + _escaped(code[settled:])


def _span(name: str, text: str) -> str:
    return f'<span class="{name}">{_escaped(text)}</span>' if name else _escaped(text)


def _escaped(text: str) -> str:
    return escape(text).replace("\r", "&#13;")
