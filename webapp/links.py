"""Links that are safe to follow, and show where they go."""

import re
from collections.abc import Iterator
from html import escape
from unicodedata import bidirectional
from urllib.parse import urlsplit

import idna

# Chinese, Japanese, Korean and their punctuation follow an address without a space, and are no part of it.
WIDE = "\u1100-\u11ff\u2018-\u201f\u2026\u2e80-\ua4cf\uac00-\ud7ff"
WIDE += "\uf900-\ufaff\ufe10-\ufe6f\uff00-\uffef\U0001f000-\U0003ffff"
# What turns text about, or is not seen at all: what Unicode calls ignorable, and blanks that are no space. Not the two
# signs that choose how an emoji looks.
UNSEEN = "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u2800"
UNSEEN += "\u3164\ufdd0-\ufdef\ufe00-\ufe0d\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
UNSEEN += "\U000e0000-\U000e0fff"
ADDRESS = re.compile(
    rf"(?<![A-Za-z0-9])(?:https?://(?=[A-Za-z0-9\[])|www\.(?=[A-Za-z0-9-]+\.))[^\s<>\"`{WIDE}{UNSEEN}]+"
    r"|(?<![\w.+-])[A-Za-z0-9][\w.+-]{0,63}@(?:[A-Za-z0-9-]{1,63}\.)+[A-Za-z]{2,24}(?![\w@-])",
    re.IGNORECASE,
)
TURNS_TEXT = re.compile(f"[{UNSEEN}]")
# What stands behind a host that an address begins with.
BEHIND_HOST = re.compile(r"(?::\d{1,5})?(?:[/?#]|\Z)")
# A browser takes a backslash for a slash: the host would be another than the one that is shown.
REFUSED = re.compile(r"[\0-\x20\x7f\\]")
ENTITY_END = re.compile(r"&[A-Za-z0-9]+;$")
LONGEST = 80  # characters of a remark
ATTRIBUTES = 'target="_blank" rel="noopener noreferrer nofollow"'


def safe(url: str) -> str | None:
    """Return an address that may be followed, or None."""
    url = TURNS_TEXT.sub("", url.strip())
    if REFUSED.search(url):
        return None
    try:
        parts = urlsplit(url)
        if parts.scheme == "mailto":
            return url if parts.path else None
        # A browser decodes a host's percent signs: it would be another than the one that is shown.
        return url if parts.scheme in ("http", "https") and parts.hostname and "%" not in parts.hostname else None
    except ValueError:
        return None


def web(url: str) -> str:
    """Return an address of the web that is what it looks like, or nothing."""
    url = safe(url) or ""
    return url if url[:4].lower() == "http" and "@" not in urlsplit(url).netloc else ""


def opening(url: str, kind: str = "") -> str:
    """Return the opening tag of a link to a safe address."""
    named = f'class="{kind}" ' if kind else ""
    return f'<a {named}href="{escape(url)}" {ATTRIBUTES}>'


def whereto(url: str, text: str) -> str:
    """Return what shows where a link goes, unless its text begins with that already."""
    parts = urlsplit(url)
    if parts.scheme == "mailto":
        target = shown = parts.path
    else:
        target = shown = parts.hostname or ""
        if not shown.isascii():
            try:
                shown = idna.encode(shown, uts46=True).decode()  # Letters of one script can look like another's.
            except UnicodeError:
                shown = shown.encode("unicode_escape").decode()
    told = re.sub(r"^(https?://|mailto:)?(www\.)?", "", TURNS_TEXT.sub("", text).strip().lower())
    target = target.removeprefix("www.")
    begins = told.startswith(target) and BEHIND_HOST.match(told, len(target))
    # Signs that are read from the right put the end of an address before its host.
    if begins and "@" not in parts.netloc and shown.removeprefix("www.") == target and not _from_the_right(told):
        return ""
    return _host(shown)


def _from_the_right(text: str) -> bool:
    return not text.isascii() and any(bidirectional(sign) in ("R", "AL", "AN") for sign in text)


def _host(host: str) -> str:
    """Return a remark with a host, or with a mail address: whose it is stands at its end."""
    return aside(host if len(host) <= LONGEST else f"…{host[1 - LONGEST :]}")


def aside(text: str) -> str:
    """Return a quiet remark behind a link."""
    return f' <bdi class="link-host">({escape(text if len(text) <= LONGEST else text[: LONGEST - 1] + "…")})</bdi>'


def linked(text: str) -> Iterator[str]:
    """Yield a text as HTML in which the addresses are links."""
    done = 0
    for match in ADDRESS.finditer(text):
        address = _ended(match[0])
        url = safe(_with_scheme(address))
        if url is None:
            continue
        yield escape(text[done : match.start()])
        done = match.start() + len(address)
        # Behind a sign that nobody sees, an address seems to go on.
        yield f"{opening(url)}{escape(address)}</a>{whereto(url, '' if TURNS_TEXT.match(text, done) else address)}"
    yield escape(text[done:])


def _with_scheme(address: str) -> str:
    if address[:4].lower() == "www.":
        return f"https://{address}"
    return address if "://" in address else f"mailto:{address}"


def _ended(address: str) -> str:
    """Return an address without the punctuation of the sentence around it."""
    surplus = address.count(")") - address.count("(")
    end = len(address)
    while end:
        last = address[end - 1]
        if last == ")" and surplus > 0:
            surplus -= 1
        elif last == ";" and (entity := ENTITY_END.search(address, max(0, end - 12), end)):
            end = entity.start() + 1
        elif last not in "?!.,:;*_~']}|":
            break
        end -= 1
    return address[:end]
