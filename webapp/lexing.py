"""Pygments' lexers, and a bound on their work.

Their regular expressions look as far ahead as the text goes, many at every position. Some then take time in the square
or the cube of its length: eight thousand characters of the wrong kind stood everything still for half a minute. So each
expression sees only a window, what begins with a sign of its own and finds no end is counted, and only languages whose
expressions were measured within that are in colours.
"""

import re
import sys
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

from pygments.lexer import Lexer, RegexLexerMeta
from pygments.lexers import get_lexer_by_name
from pygments.token import _TokenType
from pygments.util import ClassNotFound

LARGEST = 12_000  # characters; more takes too long, and nobody reads it here
LONGEST_LINE = 2000
WINDOW = 150  # characters that most expressions see
MOST_OPEN = 200  # comments and strings that are tried to the end and have none
MOST_TRIES = 25  # for each character, on average

# What begins with signs, such as a comment, may be long: it is tried only where they stand.
SIGNS = re.compile(r"(?:\\[^\w\s]|[/\"'`<#@%!&=~:;,-])+(?![*+?{|])")
UNQUOTED = re.compile(r"\\(.)")

Match = Callable[..., "re.Match[str] | None"]


class Exhausted(Exception):
    """The code takes more work than its colours are worth."""


class _Work:
    """What may still be done for the code in hand. Lexing never waits, so there is one at a time."""

    tries = sys.maxsize
    openings = sys.maxsize


def _bounded(_: Any, regex: Any, flags: int, __: str) -> Match:
    """Compile one of Pygments' expressions as a function that matches within bounds."""
    compiled = re.compile(regex.get() if hasattr(regex, "get") else regex, flags)
    signs = SIGNS.match(compiled.pattern) if "|" not in compiled.pattern.split("(")[0] else None
    return _of_signs(compiled, UNQUOTED.sub(r"\1", signs[0])) if signs else _of_window(compiled)


def _of_window(compiled: re.Pattern[str]) -> Match:
    match = compiled.match

    def within(text: str, at: int = 0, end: int = sys.maxsize) -> re.Match[str] | None:
        _Work.tries -= 1
        if _Work.tries < 0:
            raise Exhausted
        return match(text, at, min(end, at + WINDOW))

    return within


def _of_signs(compiled: re.Pattern[str], signs: str) -> Match:
    match = compiled.match

    def within(text: str, at: int = 0, end: int = sys.maxsize) -> re.Match[str] | None:
        if not text.startswith(signs, at):
            return None
        found = match(text, at, end)
        if found is None:
            _Work.openings -= 1
            if _Work.openings < 0:
                raise Exhausted
        return found

    return within


# All of them are made by this, also those that one language's lexer takes for another language within it.
RegexLexerMeta._process_regex = _bounded


# Pygments' classes for what people put into fences, each measured.
MEASURED = """
    Python2 Python Javascript TypeScript Jsx Tsx Json Json5 Yaml TOML Ini Xml Html Css Scss LessCss Sass
    Bash BashSession PythonConsole PowerShell Batch C Cpp Java Kotlin Swift Go Rust Ruby Php Perl Lua S
    Julia Matlab Haskell Elixir Scala CSharp ObjectiveC Groovy Makefile CMake Docker NginxConf Sql MySql
    Postgres GraphQL ProtoBuf Diff Tex Markdown Vim Dart CommonLisp FSharp
"""
LEXERS = frozenset(f"{name}Lexer" for name in MEASURED.split())


@lru_cache(256)
def _found(language: str) -> Lexer | None:
    try:
        return get_lexer_by_name(language, stripnl=False, ensurenl=False)
    except (ClassNotFound, ValueError):
        return None


def name_of(language: str) -> str:
    """Return a language's name for people, empty where it is unknown."""
    lexer = _found(language)
    return str(lexer.name) if lexer and lexer.name != "Text only" else ""


def lexer_for(language: str) -> Lexer | None:
    """Return a language's lexer, or None where it has none whose work is bounded."""
    lexer = _found(language)
    return lexer if type(lexer).__name__ in LEXERS else None


def tokens(lexer: Lexer, code: str) -> Iterator[tuple[int, _TokenType, str]]:
    """Yield the tokens of code. Raises Exhausted where that is too much work."""
    if len(code) > LARGEST + 1 or max(map(len, code.split("\n"))) > LONGEST_LINE:
        raise Exhausted
    _Work.tries, _Work.openings = MOST_TRIES * (len(code) + 100), MOST_OPEN
    try:
        yield from lexer.get_tokens_unprocessed(code)
    finally:
        _Work.tries = _Work.openings = sys.maxsize
