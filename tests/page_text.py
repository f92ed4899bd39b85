"""A text's element as a browser has it, to which a stream's changes are made."""

import re
from html import unescape
from html.parser import HTMLParser

from webapp.growth import Change

VOID = {"br", "hr", "img", "input", "wbr"}


class Element:
    def __init__(self, start="", tag=""):
        self.start = start
        self.tag = tag
        self.children = []

    @property
    def elements(self):
        return [child for child in self.children if isinstance(child, Element)]

    @property
    def html(self):
        return "".join(child if isinstance(child, str) else child.outer for child in self.children)

    @property
    def outer(self):
        return self.start if self.tag in VOID or self.start.endswith("/>") else f"{self.start}{self.html}</{self.tag}>"


class _Tree(HTMLParser):
    """Takes HTML as it is written, and wants every tag closed in its place."""

    def __init__(self, html):
        super().__init__(convert_charrefs=False)
        self.open = [Element()]
        self.feed(html)
        self.close()
        assert len(self.open) == 1, f"It is not balanced: {html}"

    def handle_starttag(self, tag, attrs):
        element = Element(self.get_starttag_text(), tag)
        self.open[-1].children.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_startendtag(self, tag, attrs):
        self.open[-1].children.append(Element(self.get_starttag_text(), tag))

    def handle_endtag(self, tag):
        assert self.open.pop().tag == tag

    def handle_data(self, data):
        self.open[-1].children.append(data)

    def handle_entityref(self, name):
        self.handle_data(f"&{name};")

    def handle_charref(self, name):
        self.handle_data(f"&#{name};")


def nodes(html):
    """Return the nodes of balanced HTML; anything else fails."""
    return _Tree(html).open[0].children


class PageText:
    """The element; `sent` counts the characters of HTML that came into it."""

    def __init__(self, html=""):
        self.root = Element()
        self.root.children = nodes(html)
        self.sent = 0

    @property
    def html(self):
        return self.root.html

    def apply(self, changes):
        """Make changes of one message: as htmx does it, all targets are looked up before the first of them."""
        targets = [self._target(change.depth, change.before) for change in changes]
        for change, (parent, target) in zip(changes, targets, strict=True):
            self.sent += len(change.html)
            new = nodes(change.html)
            if change.swap == "beforeend":
                target.children += new
            elif change.swap == "innerHTML":
                target.children = new
            else:
                place = parent.children.index(target)
                parent.children[place : place + 1] = new if change.swap == "outerHTML" else []

    def take(self, stream, channel="text"):
        """Make the changes of a stream's messages to one of the answer's texts."""
        for message in stream.split("\n\n"):
            data = "\n".join(line[6:] for line in message.split("\n") if line.startswith("data: "))
            self.apply([change for name, change in changes_of(data) if name.startswith(f"{channel}-")])

    def _target(self, depth, before):
        parent, target = None, self.root
        for _ in range(depth):
            parent, target = target, target.elements[-1 - before]
        return parent, target


def changes_of(html):
    """Return the changes of texts that a message has, each with the element's id."""
    parts = re.findall(r'<hx-partial hx-target="([^"]+)" hx-swap="(\w+)">(.*?)</hx-partial>', html, re.DOTALL)
    found = []
    for target, swap, content in parts:
        name, *steps = target.removeprefix("#").split(" &gt; ")
        before = re.search(r"nth-last-child\((\d+)\)", target)
        found.append((name, Change(swap, len(steps), content, int(before[1]) - 1 if before else 0)))
    return found


def words(html):
    """Return the words that HTML shows, with each stretch of white space as one space."""
    return " ".join(unescape(re.sub("<[^>]*>", "", html)).split())
