"""The only module that turns model text into `Markup`.

For now an answer is shown as plain text; its line breaks are kept by the stylesheet. What is rendered
piece by piece while an answer streams is the same as the whole rendered at once.
"""

from markupsafe import Markup, escape


def render(text: str) -> Markup:
    """Return an answer's text, or any piece of it, as HTML."""
    # HTML takes a bare carriage return for a line feed, and so does an event stream.
    return Markup(str(escape(text)).replace("\r", "&#13;"))
