"""What is set for a conversation's requests: read from a form, shown in it again, and put into a request.

Values are kept by their parameter's name, in their own type, and only those that are set.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from . import json_text
from .conversation import Mode
from .json_text import parse_object
from .parameter import MAX_STOP_CHARS, MAX_STOPS, Parameter
from .parameter_table import parameters_of
from .question import UNREADABLE

# More than every field at its longest, percent-encoded.
MAX_FORM_BYTES = 6_000_000

# The box that is ticked to send none of a text whose default is not nothing.
NOTHING = "{}_none"

# What a request has from elsewhere; `response_format` of an image is how it comes back to be kept.
TAKEN = {
    "chat": ("messages", "stream_options"),
    "completion": ("prompt", "stream_options"),
    "image": ("prompt", "response_format", "stream"),
}

REASONING_MODEL = re.compile(r"(?:.*/)?(?:ft:)?(?:o[1-9]|gpt-[5-9])(?:[.:@-].*)?", re.IGNORECASE | re.DOTALL)
NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
WHOLE = re.compile(r"[+-]?[0-9]{1,20}")
SCHEMA_NAME = re.compile("[a-zA-Z0-9_-]{1,64}")
ESCAPES = {"\\\\": "\\", "\\n": "\n", "\\r": "\r", "\\t": "\t"}


def read(mode: Mode, form: Mapping[str, str]) -> tuple[dict[str, Any], dict[str, str]]:
    """Return what a form sets, in its own types, and a message for each field that cannot be used."""
    values: dict[str, Any] = {}
    errors: dict[str, str] = {}
    for parameter in parameters_of(mode):
        try:
            value = _typed(parameter, form)
        except ValueError as error:
            errors[parameter.name] = f"{str(error)[:1].upper()}{str(error)[1:]}."
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


def summary(mode: Mode, values: Mapping[str, Any]) -> str:
    """Return in a few words what is set, by the API's names; empty while everything is at its default."""
    parts = [_words(parameter, values[parameter.name]) for parameter in parameters_of(mode) if parameter.name in values]
    return " · ".join(filter(None, parts))


def is_reasoning_model(name: str) -> bool:
    """Tell whether a name is one of OpenAI's reasoning models, also behind a provider's prefix."""
    return bool(REASONING_MODEL.fullmatch(name))


# From a field to a value. Each raises ValueError, with the allowed range and what is wrong.


def _typed(parameter: Parameter, form: Mapping[str, str]) -> Any:
    text = form.get(parameter.name, "").replace("\r\n", "\n").replace("\r", "\n")
    if parameter.may_be_nothing and form.get(NOTHING.format(parameter.name)):
        if text.strip():
            raise ValueError("either a text, or none: empty the field or untick the box")
        return ""
    return READERS[parameter.kind](parameter, text) if text.strip() else None


def _number(parameter: Parameter, text: str) -> int | float:
    text = text.strip()
    if not NUMBER.fullmatch(text):
        raise ValueError(f"{parameter.allowed}; {_excerpt(text)} is not a number{_hint(text)}")
    number = float(text)
    if not parameter.low <= number <= parameter.high:
        raise ValueError(f"{parameter.allowed}; {_excerpt(text)} is out of range")
    return int(text) if WHOLE.fullmatch(text) else number


def _whole(parameter: Parameter, text: str) -> int:
    text = text.strip()
    if re.fullmatch("[+-]?[0-9]+", text) is None:
        raise ValueError(f"{parameter.allowed}; {_excerpt(text)} is not a whole number{_hint(text)}")
    if not WHOLE.fullmatch(text) or not parameter.low <= int(text) <= parameter.high:
        raise ValueError(f"{parameter.allowed}; {_excerpt(text)} is out of range")
    return int(text)


def _string(parameter: Parameter, text: str) -> str:
    text = text if parameter.rows > 1 else text.strip()
    if len(text) > parameter.limit:
        raise ValueError(f"{parameter.allowed}; this has {len(text):,}")
    return _readable(text, "\n" if parameter.rows > 1 else "")


def _choice(parameter: Parameter, text: str) -> str:
    text = text.strip()
    if parameter.other:
        text = text.lower().replace("×", "x").replace(" ", "")
    if text not in parameter.choices and not (parameter.other and re.fullmatch(parameter.other, text)):
        raise ValueError(f"{parameter.allowed}; {_excerpt(text)} is none of these")
    return text


def _lines(parameter: Parameter, text: str) -> list[str]:
    lines = [line for line in text.split("\n") if line.strip()]
    if len(lines) > MAX_STOPS:
        raise ValueError(f"{parameter.allowed}; these are {len(lines)}")
    return [_stop(line) for line in lines]


def _stop(line: str) -> str:
    stop = re.sub(r"\\[\\nrt]", lambda found: ESCAPES[found.group()], _readable(line))
    if len(stop) > MAX_STOP_CHARS:
        raise ValueError(f"up to {MAX_STOP_CHARS} characters each; {_excerpt(line)} has {len(stop):,}")
    return stop


def _json(parameter: Parameter, text: str) -> dict[str, Any]:
    return parse_object(text)


def _yes_or_no(parameter: Parameter, text: str) -> bool:
    if text.strip() not in ("yes", "no"):
        raise ValueError(f"{parameter.allowed}; {_excerpt(text)} is neither")
    return text.strip() == "yes"


READERS: dict[str, Callable[[Parameter, str], Any]] = {
    "number": _number,
    "whole": _whole,
    "text": _string,
    "choice": _choice,
    "lines": _lines,
    "json": _json,
    "yes-no": _yes_or_no,
}


def _readable(text: str, line_end: str = "\n") -> str:
    found = UNREADABLE.search(text) or (None if line_end else re.search("\n", text))
    if found:
        raise ValueError(
            f"text without control characters; character {found.start() + 1:,} is U+{ord(found.group()):04X}"
        )
    return text


def _excerpt(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= 40 else f"{text[:40]}…"


def _hint(text: str) -> str:
    """Return what helps where digits or a comma are those of another way of writing."""
    if re.fullmatch("[+-]?[0-9]+,[0-9]+", text):
        return f": write {text.replace(',', '.')}"
    if any(sign.isdigit() and not sign.isascii() for sign in text):
        return ": write it in the digits 0 to 9"
    return ""


# What must fit together.


def _together(mode: Mode, values: Mapping[str, Any]) -> dict[str, str]:
    """Return a message for each field that does not go with the others."""
    errors = {}
    if "top_logprobs" in values and not values.get("logprobs"):
        errors["top_logprobs"] = "Needs log probabilities: set those to yes, or leave this at its default."
    if values.get("response_format") == "json_schema" and "json_schema" not in values:
        errors["json_schema"] = "The response format json_schema needs its schema here."
    if "json_schema" in values and (wrong := _schema_error(values["json_schema"])):
        errors["json_schema"] = wrong
    if wrong := _extra_error(mode, values):
        errors["extra"] = wrong
    return errors


def _extra_error(mode: Mode, values: Mapping[str, Any]) -> str:
    extra = values.get("extra", {})
    own = [parameter.name for parameter in parameters_of(mode) if parameter.name in extra]
    if own:
        return f"Has a field of its own: {', '.join(own)}. Set it there, and take it out here."
    if taken := [name for name in TAKEN[mode] if name in extra]:
        return f"Comes from Parley itself: {', '.join(taken)}. Take it out here."
    if "max_completion_tokens" in extra and "max_tokens" in values:
        return "Either max_completion_tokens here, or max tokens above; not both."
    return ""


def _schema_error(schema: dict[str, Any]) -> str:
    wrapped = _wrapped(schema)
    if not (isinstance(wrapped["name"], str) and SCHEMA_NAME.fullmatch(wrapped["name"])):
        return '"name" takes up to 64 letters, digits, _ and - of ASCII.'
    if not isinstance(wrapped.get("strict"), (bool, type(None))):
        return '"strict" takes true or false.'
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
        return ", ".join(map(_excerpt, value)) if name == "extra" and isinstance(value, dict) else ""
    if parameter.kind == "yes-no":
        return name if value is True else f"{name} off"
    if parameter.kind == "lines":
        lines = value if isinstance(value, list) else [value]
        return " ".join([name, *(f'"{_escaped(str(line))[:20]}"' for line in lines)])
    if parameter.rows > 1:
        label = parameter.label.lower()
        return f"own {label}" if value else f"no {label}"
    return f"{name} {_excerpt(str(value))}"
