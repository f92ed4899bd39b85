"""The parser's tree as HTML: one block at a time, without recursion, whatever the model wrote."""

import re
from html import escape

import comrak

from . import han
from .highlighting import highlight, highlight_open, label
from .inline import HANDLERS, LINK_END, Inline, Piece, as_id, value
from .source import STOOD_IN, upright

FIRST_TAG = re.compile(r"(?<=<)[a-z]+[1-6]?")
LANGUAGE = re.compile(r"[\w+#.-]+")
ALIGNED = (  # The parser's enumerations have no hash.
    (comrak.TableAlignment.Left, "left"),
    (comrak.TableAlignment.Center, "center"),
    (comrak.TableAlignment.Right, "right"),
)


class Writer(Inline):
    """Writes the blocks of an answer, one after the other."""

    def write(self, node: comrak.AstNode, start: int, original: str) -> str:
        """Return the HTML of a top-level block; `original` is its source, and begins at `start`."""
        self.start = start
        written: list[str] = []
        left: list[Piece] = [node]
        while left:
            piece = left.pop()
            if not isinstance(piece, str):
                left.extend(reversed(HANDLERS.get(type(piece.node_value), Writer._children)(self, piece)))
                continue
            written.append(piece)
            if piece is LINK_END and self.linked:
                written.append(self.whereto(written))
        html = han.joined("".join(written))
        if not html.isascii() and STOOD_IN.search(html):
            html = STOOD_IN.sub(lambda match: escape(upright(match[0])), html)
        language = han.language(original)
        return FIRST_TAG.sub(rf'\g<0> lang="{language}"', html, count=1) if language else html

    # Blocks

    def _children(self, node: comrak.AstNode) -> list[Piece]:
        return list(node.children)

    def _paragraph(self, node: comrak.AstNode) -> list[Piece]:
        return ['<p dir="auto">', *node.children, "</p>\n"]

    def _heading(self, node: comrak.AstNode) -> list[Piece]:
        # The page has the first level, and its turns the second.
        tag = f"h{min(value(node).level + 2, 6)}"
        return [f'<{tag} dir="auto">', *node.children, f"</{tag}>\n"]

    def _quote(self, node: comrak.AstNode) -> list[Piece]:
        return ["<blockquote>\n", *node.children, "</blockquote>\n"]

    def _break(self, node: comrak.AstNode) -> list[Piece]:
        return ["<hr>\n"]

    def _list(self, node: comrak.AstNode) -> list[Piece]:
        kind = value(node)
        tag = "ol" if kind.list_type == comrak.ListType.Ordered else "ul"
        start = f' start="{kind.start}"' if tag == "ol" and kind.start != 1 else ""
        return [f'<{tag}{start} dir="auto">\n', *node.children, f"</{tag}>\n"]

    def _item(self, node: comrak.AstNode) -> list[Piece]:
        return ["<li>", *_in_item(node), "</li>\n"]

    def _task(self, node: comrak.AstNode) -> list[Piece]:
        done = value(node).symbol is not None
        said = escape(self.answer.gettext("Done") if done else self.answer.gettext("To do"))
        box = f'<input type="checkbox" disabled{" checked" if done else ""} aria-label="{said}">'
        return [f'<li class="task">{box}', *_in_item(node), "</li>\n"]

    def _html(self, node: comrak.AstNode) -> list[Piece]:
        literal = value(node).literal if isinstance(node.node_value, comrak.HtmlBlock) else value(node)
        return ['<p class="as-written" dir="auto">', escape(self.source.restored(literal.rstrip("\r\n"))), "</p>\n"]

    def _code_block(self, node: comrak.AstNode) -> list[Piece]:
        block = value(node)
        code = self.source.restored(block.literal)
        code = code[: -2 if code.endswith("\r\n") else -1] if code.endswith(("\n", "\r")) else code
        named = LANGUAGE.search(self.source.restored(block.info))
        language = named[0][:40] if named else ""
        growing = self.answer.open and block.fenced and not block.closed
        gettext = self.answer.gettext
        id_ = self.new_id(f"code-{self.start}")
        return [
            f'<div class="code-block"><div class="code-title"><span>{escape(label(language) or gettext("Code"))}</span>'
            f'<button type="button" class="copy" data-copy="{id_}" data-copied="{escape(gettext("Copied"))}" '
            f'data-not-copied="{escape(gettext("Selected: press Ctrl+C"))}">{escape(gettext("Copy"))}</button></div>'
            f'<pre tabindex="0" dir="ltr"><code id="{id_}">',
            (highlight_open if growing else highlight)(code, language),
            "</code></pre></div>\n",
        ]

    def _table(self, node: comrak.AstNode) -> list[Piece]:
        classes = [_aligned(alignment) for alignment in value(node).alignments]
        said = escape(self.answer.gettext("Table"))
        pieces: list[Piece] = [f'<div class="table" tabindex="0" role="group" aria-label="{said}"><table>\n']
        for i, row in enumerate(node.children):
            cell = "td" if i else "th"
            pieces.append("<tr>" if i > 1 else "<tbody>\n<tr>" if i else "<thead>\n<tr>")
            for column, child in enumerate(row.children):
                aligned = classes[column] if column < len(classes) else ""
                pieces.append(f'<{cell} class="{aligned}" dir="auto">' if aligned else f'<{cell} dir="auto">')
                pieces += *child.children, f"</{cell}>"
            pieces.append("</tr>\n" if i else "</tr>\n</thead>\n")
        pieces.append("</tbody>\n</table></div>\n" if len(node.children) > 1 else "</table></div>\n")
        return pieces

    def _footnote(self, node: comrak.AstNode) -> list[Piece]:
        name = value(node).name
        back = self.answer.gettext("Back to reference {label}").format(label=name)
        target = escape(f"#{self.answer.name}-ref-{as_id(name)}")
        return [
            f'<div class="footnote"{self.note_id(f"note-{as_id(name)}")} dir="auto">',
            f'<a class="footnote-label" href="{target}" aria-label="{escape(back)}">{escape(name)}</a>\n',
            *_in_item(node),
            "</div>\n",
        ]


def _in_item(node: comrak.AstNode) -> list[Piece]:
    """Return an item's content, its paragraphs written alike whether the list is tight or loose.

    So a list that becomes loose while it is being written changes nothing of what has been shown.
    """
    pieces: list[Piece] = []
    for child in node.children:
        if isinstance(child.node_value, comrak.Paragraph):
            pieces += "<p>", *child.children, "</p>\n"
        else:
            pieces.append(child)
    return pieces


def _aligned(alignment: comrak.TableAlignment) -> str:
    return next((name for known, name in ALIGNED if known == alignment), "")


HANDLERS |= {
    comrak.Paragraph: Writer._paragraph,
    comrak.Heading: Writer._heading,
    comrak.BlockQuote: Writer._quote,
    comrak.ThematicBreak: Writer._break,
    comrak.List: Writer._list,
    comrak.Item: Writer._item,
    comrak.TaskItem: Writer._task,
    comrak.HtmlBlock: Writer._html,
    comrak.CodeBlock: Writer._code_block,
    comrak.Table: Writer._table,
    comrak.FootnoteDefinition: Writer._footnote,
}
