"""The panel of a conversation's parameters: what is set for its requests, and to set it."""

from collections.abc import Mapping

from flask import Blueprint, current_app, redirect, render_template, request
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.wrappers import Response

from . import store
from .chat import page_url
from .conversation import Conversation, Refused
from .parameter_table import groups_of
from .parameters import MAX_FORM_BYTES, read, shown, summary
from .wording import say

blueprint = Blueprint("panel", __name__)


class TooLong(Refused):
    status = 413

    def __init__(self) -> None:
        super().__init__(
            say("These parameters are longer than a request may be. Shorten the longest one; nothing was saved.")
        )


@blueprint.app_context_processor
def helpers() -> dict[str, object]:
    return {"parameters_summary": summary}


@blueprint.get("/conversations/<conversation_id>/parameters")
def parameters(conversation_id: str) -> str:
    """Return the panel; with `defaults` in the query its fields are empty, for the person to save."""
    conversation = store.loaded(conversation_id)
    values = {} if "defaults" in request.args else conversation.parameters
    return _form("parameters.html", conversation, shown(conversation.mode, values))


@blueprint.post("/conversations/<conversation_id>/parameters")
def save(conversation_id: str) -> Response | str | tuple[str, int]:
    """Save what was set, or return the form as it was typed, with what is wrong beside each field."""
    conversation = store.loaded(conversation_id)
    values, errors = read(conversation.mode, _typed())
    fragment = "HX-Request" in request.headers
    if errors:
        template = "_parameters.html" if fragment else "parameters.html"
        return _form(template, conversation, request.form, errors), 422
    with store.editing(conversation_id) as conversation:
        conversation.set_parameters(values)
    if fragment:
        return render_template("_parameters_saved.html", conversation=conversation)
    return redirect(page_url(conversation), code=303)


def _typed() -> Mapping[str, str]:
    request.max_content_length = request.max_form_memory_size = MAX_FORM_BYTES
    try:
        return request.form
    except RequestEntityTooLarge:
        raise TooLong from None


def _form(
    template: str, conversation: Conversation, texts: Mapping[str, str], errors: Mapping[str, str] | None = None
) -> str:
    return render_template(
        template,
        conversation=conversation,
        back=page_url(conversation),
        groups=groups_of(conversation.mode),
        texts=texts,
        errors=errors or {},
        server_prompt=current_app.config["SYSTEM_PROMPT"],
    )
