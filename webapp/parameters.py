"""What is set for a conversation's requests: read from a form, shown in it again, and put into a request.

Values are kept by their parameter's name, in their own type, and only those that are set.
"""

import re
from collections.abc import Mapping
from typing import Any

from . import json_text
from .conversation import Mode
from .field import ESCAPES, NOTHING, excerpt, typed
from .parameter import Parameter
from .parameter_table import parameters_of
from .wording import capitalized, say

# More than every field at its longest, percent-encoded.
MAX_FORM_BYTES = 6_000_000

# What a request has from elsewhere; `response_format` of an image is how it comes back to be kept.
TAKEN = {
    "chat": ("messages", "stream_options"),
    "completion": ("prompt", "stream_options"),
    "image": ("prompt", "response_format", "stream"),
}

# What the summary says of a text of one's own, and of none.
OWN_TEXTS = {
    "system_prompt": (say("no system prompt"), say("own system prompt")),
    "suffix": (say("no suffix"), say("own suffix")),
}

REASONING_MODEL = re.compile(r"(?:.*/)?(?:ft:)?(?:o[1-9]|gpt-[5-9])(?:[.:@-].*)?", re.IGNORECASE | re.DOTALL)
SCHEMA_NAME = re.compile("[a-zA-Z0-9_-]{1,64}")


def read(mode: Mode, form: Mapping[str, str]) -> tuple[dict[str, Any], dict[str, str]]:
    """Return what a form sets, in its own types, and a message for each field that cannot be used."""
    values: dict[str, Any] = {}
    errors: dict[str, str] = {}
    for parameter in parameters_of(mode):
        try:
            value = typed(parameter, form)
        except ValueError as error:
            errors[parameter.name] = capitalized(error.args[0])
        else:
            if value is not None:
                values[parameter.name] = value
    for name, message in _together(mode, values).items():
        if name not in errors:
            errors[name] = message
            values.pop(name, None)
    in_order = [parameter.name for parameter in parameters_of(mode) if parameter.name in errors]
    return values, {name: errors[name] for name in in_order}


def shown(mode: Mode, values: Mapping[str, Any]) -> dict[str, str]:
    """Return the text of every field of the form, empty where nothing is set."""
    texts: dict[str, str] = {}
    for parameter in parameters_of(mode):
        value = values.get(parameter.name)
        texts[parameter.name] = "" if value is None else _text(parameter, value)
        if parameter.may_be_nothing:
            texts[NOTHING.format(parameter.name)] = "yes" if value == "" else ""
    return texts


def request_fields(mode: Mode, values: Mapping[str, Any], model: str) -> dict[str, Any]:
    """Return what goes into a request's body beside the model, the conversation or prompt, and the streaming."""
    names = [parameter.name for parameter in parameters_of(mode) if parameter.sent and parameter.name in values]
    fields = {name: values[name] for name in names}
    if mode == "chat":
        fields = {_sent_name(name, model): value for name, value in fields.items()}
        if "response_format" in fields:
            fields["response_format"] = _response_format(values)
    extra = values.get("extra")
    return fields | extra if isinstance(extra, dict) else fields


def summary(mode: Mode, values: Mapping[str, Any]) -> list[str]:
    """Return in a few words each what is set, by the API's names; nothing while everything is at its default."""
    parts = [_words(parameter, values[parameter.name]) for parameter in parameters_of(mode) if parameter.name in values]
    return [part for part in parts if part]


def is_reasoning_model(name: str) -> bool:
    """Tell whether a name is one of OpenAI's reasoning models, also behind a provider's prefix."""
    return bool(REASONING_MODEL.fullmatch(name))


# What must fit together.


def _together(mode: Mode, values: Mapping[str, Any]) -> dict[str, str]:
    """Return a message for each field that does not go with the others."""
    errors: dict[str, str] = {}
    if "top_logprobs" in values and not values.get("logprobs"):
        errors["top_logprobs"] = say("Needs log probabilities: set those to yes, or leave this at its default.")
    if values.get("response_format") == "json_schema" and "json_schema" not in values:
        errors["json_schema"] = say("The response format json_schema needs its schema here.")
    if "json_schema" in values and (wrong := _schema_error(values["json_schema"])):
        errors["json_schema"] = wrong
    if wrong := _extra_error(mode, values):
        errors["extra"] = wrong
    return errors


def _extra_error(mode: Mode, values: Mapping[str, Any]) -> str:
    extra = values.get("extra", {})
    own = [parameter.name for parameter in parameters_of(mode) if parameter.name in extra]
    if own:
        return say("Has a field of its own: {names}. Set it there, and take it out here.", names=", ".join(own))
    if taken := [name for name in TAKEN[mode] if name in extra]:
        return say("Comes from Parley itself: {names}. Take it out here.", names=", ".join(taken))
    if "max_completion_tokens" in extra and "max_tokens" in values:
        return say("Either max_completion_tokens here, or max tokens above; not both.")
    return ""


def _schema_error(schema: dict[str, Any]) -> str:
    wrapped = _wrapped(schema)
    if not (isinstance(wrapped["name"], str) and SCHEMA_NAME.fullmatch(wrapped["name"])):
        return say('"name" takes up to 64 letters, digits, _ and - of ASCII.')
    if not isinstance(wrapped.get("strict"), (bool, type(None))):
        return say('"strict" takes true or false.')
    return ""


# From a value to a request, to a field, and to words.


def _sent_name(name: str, model: str) -> str:
    return "max_completion_tokens" if name == "max_tokens" and is_reasoning_model(model) else name


def _response_format(values: Mapping[str, Any]) -> dict[str, Any]:
    form = {"type": values["response_format"]}
    if values["response_format"] == "json_schema":
        form["json_schema"] = _wrapped(values.get("json_schema", {}))
    return form


def _wrapped(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the API's object around a schema; a bare one is named after its title."""
    if schema.get("type") == "json_schema" and isinstance(schema.get("json_schema"), dict):
        schema = schema["json_schema"]  # The whole of `response_format` was pasted.
    if isinstance(schema.get("schema"), dict) and schema.keys() <= {"name", "description", "schema", "strict"}:
        return {"name": "answer"} | schema
    title = schema.get("title")
    return {"name": title if isinstance(title, str) and SCHEMA_NAME.fullmatch(title) else "answer", "schema": schema}


def _text(parameter: Parameter, value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if parameter.kind == "lines" and isinstance(value, list):
        return "\n".join(_escaped(str(line)) for line in value)
    return json_text.pretty(value) if parameter.kind == "json" else str(value)


def _escaped(line: str) -> str:
    for written, sign in ESCAPES.items():
        line = line.replace(sign, written)
    return line


def _words(parameter: Parameter, value: Any) -> str:
    name = parameter.name
    if parameter.kind == "json":
        return ", ".join(map(excerpt, value)) if name == "extra" and isinstance(value, dict) else ""
    if parameter.kind == "yes-no":
        return name if value is True else say("{name} off", name=name)
    if parameter.kind == "lines":
        lines = value if isinstance(value, list) else [value]
        return " ".join([name, *(f'"{_escaped(str(line))[:20]}"' for line in lines)])
    if parameter.rows > 1:
        return OWN_TEXTS[name][bool(value)]
    return f"{name} {excerpt(str(value))}"
