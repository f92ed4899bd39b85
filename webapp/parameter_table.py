"""Every parameter of a request, in groups: what it is for, what is allowed, and the modes that have it.

What is not set is not sent, so a parameter's default is the endpoint's own and is written nowhere here.
The ranges are those of the OpenAI API; a mode's parameters are sent in this order.
"""

from .conversation import Mode
from .parameter import Parameter
from .wording import say

EVERY: tuple[Mode, ...] = ("chat", "completion", "image")
WRITTEN: tuple[Mode, ...] = ("chat", "completion")
CHAT: tuple[Mode, ...] = ("chat",)
COMPLETION: tuple[Mode, ...] = ("completion",)
IMAGE: tuple[Mode, ...] = ("image",)

GROUPS: dict[str, tuple[Parameter, ...]] = {
    "Model and prompt": (
        Parameter(
            "model",
            "Model",
            "text",
            "Which model answers. Default is the one that the server names.",
            EVERY,
            limit=200,
            sent=False,
        ),
        Parameter(
            "system_prompt",
            "System prompt",
            "text",
            "What every request begins with. Default is the server's own.",
            CHAT,
            limit=50_000,
            rows=3,
            may_be_nothing=True,
            sent=False,
        ),
        Parameter(
            "suffix",
            "Suffix",
            "text",
            "Text that comes after the gap: the model fills in what stands between the prompt and this.",
            COMPLETION,
            limit=50_000,
            rows=3,
        ),
        Parameter("echo", "Echo", "yes-no", "Returns the prompt in front of the completion.", COMPLETION),
    ),
    "Image": (
        Parameter(
            "size",
            "Size",
            "choice",
            "Width and height in pixels. Which sizes there are depends on the model.",
            IMAGE,
            choices=("auto", "1024x1024", "1536x1024", "1024x1536", "1792x1024", "1024x1792", "512x512", "256x256"),
            other=r"[1-9][0-9]{0,4}x[1-9][0-9]{0,4}",
            words=say("auto, or width x height such as 1536x1024"),
        ),
        Parameter(
            "quality",
            "Quality",
            "choice",
            "How much work goes into the image, and what it costs. standard and hd are for DALL·E models.",
            IMAGE,
            choices=("auto", "low", "medium", "high", "xhigh", "max", "standard", "hd"),
        ),
        Parameter(
            "n", "Images", "whole", "How many images to make of one prompt. Each of them is paid for.", IMAGE, 1, 10
        ),
        Parameter(
            "background",
            "Background",
            "choice",
            "A transparent one needs the format png or webp, and a model that can.",
            IMAGE,
            choices=("auto", "transparent", "opaque"),
        ),
        Parameter(
            "output_format",
            "File format",
            "choice",
            "The form of the image's file, for GPT Image models.",
            IMAGE,
            choices=("png", "webp", "jpeg"),
        ),
        Parameter(
            "style",
            "Style",
            "choice",
            "For DALL·E 3 alone: vivid is dramatic, natural is plain.",
            IMAGE,
            choices=("vivid", "natural"),
        ),
    ),
    "Sampling": (
        Parameter(
            "temperature",
            "Temperature",
            "number",
            "How random the choice of tokens is: near 0 almost always the likeliest one, above 1 more surprises.",
            WRITTEN,
            0,
            2,
        ),
        Parameter(
            "top_p",
            "Top P",
            "number",
            "Draws only from the likeliest tokens that together are this probable. Set this or temperature, not both.",
            WRITTEN,
            0,
            1,
        ),
        Parameter(
            "presence_penalty",
            "Presence penalty",
            "number",
            "Above 0, tokens that have appeared at all become less likely, which favours new topics.",
            WRITTEN,
            -2,
            2,
        ),
        Parameter(
            "frequency_penalty",
            "Frequency penalty",
            "number",
            "Above 0, tokens become less likely the more often they have appeared, which avoids repetition.",
            WRITTEN,
            -2,
            2,
        ),
        Parameter(
            "seed",
            "Seed",
            "whole",
            "The same seed with the same request gives the same answer, as far as the server can manage it.",
            WRITTEN,
            -(2**63),
            2**63 - 1,
            words=say("any whole number of 64 bits"),
        ),
        Parameter(
            "n",
            "Choices",
            "whole",
            "How many answers to write to one question. The tokens of all of them are paid for.",
            WRITTEN,
            1,
            8,
        ),
    ),
    "Length and stop": (
        Parameter(
            "max_tokens",
            "Max tokens",
            "whole",
            "The longest answer, in tokens. For OpenAI's reasoning models it is sent as max_completion_tokens, "
            "and their reasoning counts.",
            CHAT,
            1,
            10_000_000,
        ),
        Parameter(
            "max_tokens",
            "Max tokens",
            "whole",
            "The longest completion, in tokens. Many servers stop after only 16 where this is not set.",
            COMPLETION,
            1,
            10_000_000,
        ),
        Parameter(
            "context_tokens",
            "Context window",
            "whole",
            "How many tokens the model can take. Older turns that do not fit are left out. It is not sent.",
            CHAT,
            1,
            10_000_000,
            sent=False,
        ),
        Parameter(
            "stop",
            "Stop sequences",
            "lines",
            r"The answer ends before any of these. Spaces count; write \n for a line break, \t for a tab, \\ for \.",
            WRITTEN,
            rows=2,
        ),
    ),
    "Reasoning and verbosity": (
        Parameter(
            "reasoning_effort",
            "Reasoning effort",
            "choice",
            "How much a reasoning model thinks before it answers. Not every model takes every value.",
            CHAT,
            choices=("none", "minimal", "low", "medium", "high", "xhigh", "max"),
        ),
        Parameter(
            "verbosity",
            "Verbosity",
            "choice",
            "How much the answer says, for the models that know this parameter.",
            CHAT,
            choices=("low", "medium", "high"),
        ),
    ),
    "Format": (
        Parameter(
            "response_format",
            "Response format",
            "choice",
            "Plain text, any JSON, or JSON that follows a schema. json_object wants the word JSON in a message.",
            CHAT,
            choices=("text", "json_object", "json_schema"),
        ),
        Parameter(
            "stream",
            "Streaming",
            "yes-no",
            "Default is yes. With no, the request does not ask for a stream, and the answer comes in one piece.",
            WRITTEN,
            sent=False,
        ),
        Parameter(
            "json_schema",
            "JSON schema",
            "json",
            'A JSON Schema, or the whole object with "name", "schema" and "strict". Sent only with the response format '
            "json_schema, kept otherwise.",
            CHAT,
            rows=4,
            sent=False,
        ),
    ),
    "Further": (
        Parameter(
            "logprobs",
            "Log probabilities",
            "yes-no",
            "Returns the log probability of each token of the answer, to be seen in the reply.",
            CHAT,
        ),
        Parameter(
            "top_logprobs",
            "Top log probabilities",
            "whole",
            "How many of the likeliest tokens come with each one. Needs log probabilities: yes.",
            CHAT,
            0,
            20,
        ),
        Parameter(
            "logprobs",
            "Log probabilities",
            "whole",
            "How many of the likeliest tokens come with each one; with 0, the log probability of the chosen one alone.",
            COMPLETION,
            0,
            5,
        ),
        Parameter(
            "user",
            "User",
            "text",
            "A stable id of the person who asks, with which a provider follows up abuse. Take one that names nobody.",
            EVERY,
            limit=128,
        ),
        Parameter(
            "extra",
            "Further fields",
            "json",
            'Fields for the request\'s body that have no place above, as one JSON object: {"top_k": 40}.',
            EVERY,
            rows=3,
            sent=False,
        ),
    ),
}

TABLE = tuple(parameter for group in GROUPS.values() for parameter in group)


def parameters_of(mode: Mode) -> list[Parameter]:
    return [parameter for parameter in TABLE if mode in parameter.modes]


def groups_of(mode: Mode) -> dict[str, list[Parameter]]:
    """Return a mode's parameters by the title of their group, without groups that have none."""
    groups = {title: [one for one in group if mode in one.modes] for title, group in GROUPS.items()}
    return {title: group for title, group in groups.items() if group}
