"""What kind of model a model is, and how much it takes: by what its endpoint says of it, and else by its name.

There is no standard for either, so each field that servers are known to send has a line here:
OpenRouter and llama.cpp (`architecture`), Mistral and Azure (`capabilities`), Together, LM Studio and
Vercel (`type`), GitHub (`supported_output_modalities`, `task`). OpenAI, Ollama and many others send names alone.
"""

import re
from typing import Any, Literal, get_args

Kind = Literal["chat", "completion", "image", "transcription", "speech", "embedding", "moderation", "other"]
KINDS: tuple[Kind, ...] = get_args(Kind)

# The first that a name matches counts, so that `bge-reranker` is no embedding and `gpt-realtime-whisper` no dictation.
NAMES: tuple[tuple[Kind, re.Pattern[str]], ...] = (
    ("other", re.compile(r"rerank")),
    ("other", re.compile(r"realtime|native-audio|audio-preview|(^|/)gpt-audio|lyria|livetranslate")),
    ("other", re.compile(r"(^|/)(sora|veo|aqa|cogvideo)|seedance|video|[ti]2v(\W|$)")),
    ("moderation", re.compile(r"moderation|guard")),
    ("embedding", re.compile(r"embed|minilm|(^|[/_-])(bge|gte|e5|bce|m3e|voyage)[-_.]|(^|/)text-(search|similarity)-")),
    ("transcription", re.compile(r"whisper|transcri|sensevoice|paraformer|parakeet|(^|[^a-z])(asr|stt)|asr([^a-z]|$)")),
    ("speech", re.compile(r"(^|[^a-z])tts|tts([^a-z]|$)|cosyvoice|kokoro|orpheus|sambert|fish-speech|(^|/)speech-\d")),
    ("image", re.compile(r"dall-e|flux|stable-?diffusion|sdxl|(^|/)sd[-\d]|imagen|(^|[^a-z])image([^a-z]|$)|t2i")),
    ("image", re.compile(r"wanx|cogview|seedream|seededit|kolors|hunyuan-?image|recraft|ideogram|midjourney")),
    ("completion", re.compile(r"gpt-3\.5-turbo-instruct|(^|[/-])(ada|babbage|curie|davinci)(-|$)|[-_]base$")),
)

# What OpenAI lists but answers only in its Responses API.
RESPONSES_ONLY = re.compile(r"codex|deep-research|computer-use|(^|/)(o\d|gpt-\d[.\d]*)-pro(-|$)")

OUTPUTS: dict[str, Kind] = {
    "image": "image",
    "embedding": "embedding",
    "embeddings": "embedding",
    "speech": "speech",
    "transcription": "transcription",
}
CAPABILITIES: dict[str, Kind] = {
    "completion_chat": "chat",
    "chat_completion": "chat",
    "completion": "completion",
    "image_generation": "image",
    "audio_transcription": "transcription",
    "audio_speech": "speech",
    "embeddings": "embedding",
    "moderation": "moderation",
    "classification": "moderation",
}
TYPES: dict[str, Kind] = {
    "chat": "chat",
    "llm": "chat",
    "vlm": "chat",
    "chat-completion": "chat",
    "completion": "completion",
    "language": "completion",
    "code": "completion",
    "image": "image",
    "text-to-image": "image",
    "transcribe": "transcription",
    "speech-to-text": "transcription",
    "automatic-speech-recognition": "transcription",
    "audio": "speech",
    "text-to-speech": "speech",
    "embedding": "embedding",
    "embeddings": "embedding",
    "moderation": "moderation",
    "rerank": "other",
    "reranker": "other",
    "video": "other",
}
# Whose servers answer plain completions with the same models that they chat with.
COMPLETES_TOO = ("llamacpp", "vllm", "sglang", "library", "organization_owner")

# Where servers say how many tokens fit, what is served before what the model was made for.
WINDOWS = (
    "meta.n_ctx",  # llama.cpp
    "loaded_context_length",  # LM Studio
    "max_model_len",  # vLLM, SGLang
    "context_length",  # OpenRouter, Together, Fireworks
    "context_window",  # Groq, Vercel
    "max_context_length",  # Mistral, LM Studio
    "context_size",  # Novita
    "metadata.context_length",  # DeepInfra
    "capabilities.limits.max_context_window_tokens",  # GitHub Copilot
    "limits.max_input_tokens",  # GitHub Models
    "top_provider.context_length",
    "meta.n_ctx_train",
)


def kinds_of(raw: dict[str, Any], name: str) -> tuple[Kind, ...]:
    """Return what a model of a list can do, its main kind first; one that says nothing is taken for a chat model."""
    kinds = _said_by_modalities(raw, name) or _said_by_capabilities(raw, name) or _said_by_type(raw, name)
    if not kinds:
        kinds = (_responses_only(raw, name) or named(name) or "chat",)
    if kinds == ("chat",) and raw.get("owned_by") in COMPLETES_TOO:
        return ("chat", "completion")
    return kinds


def named(name: str) -> Kind | None:
    """Return the kind that a name tells, or None."""
    name = name.lower()
    if name.startswith("ft:"):  # ft:base model:organisation:…
        name = name.split(":")[1]
    return next((kind for kind, pattern in NAMES if pattern.search(name)), None)


def context_tokens(raw: dict[str, Any]) -> int | None:
    """Return a model's context window in tokens, or None where its endpoint does not say."""
    for path in WINDOWS:
        value: Any = raw
        for key in path.split("."):
            value = value.get(key) if isinstance(value, dict) else None
        if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 12:
            value = int(value)
        if isinstance(value, int) and not isinstance(value, bool) and value > 0:
            return value
    return None


def _said_by_modalities(raw: dict[str, Any], name: str) -> tuple[Kind, ...]:
    outputs = _modalities(raw, "output")
    if not outputs:
        return ()
    told = named(name)
    if "text" in outputs:
        if _modalities(raw, "input") == {"audio"}:
            return ("transcription",)
        # Servers say "text" of whatever takes text. A model that can draw, too, says so in its name.
        draws = told == "image" and "image" in outputs
        text = told in ("embedding", "moderation", "transcription", "completion") or "rerank" in name.lower()
        return (told if told and (draws or text) else "chat",)
    for output, kind in OUTPUTS.items():
        if output in outputs:
            return (kind,)
    return ("speech" if "audio" in outputs and told == "speech" else "other",)


def _modalities(raw: dict[str, Any], side: str) -> set[str]:
    architecture = raw.get("architecture")
    nested = architecture.get(f"{side}_modalities") if isinstance(architecture, dict) else None
    for found in (nested, raw.get(f"{side}_modalities"), raw.get(f"supported_{side}_modalities")):
        if isinstance(found, list):
            return {item.lower() for item in found if isinstance(item, str)}
    return set()


def _said_by_capabilities(raw: dict[str, Any], name: str) -> tuple[Kind, ...]:
    said = raw.get("capabilities")
    if not isinstance(said, dict) or not any(key in said for key in CAPABILITIES):
        return ()
    able = tuple(dict.fromkeys(kind for key, kind in CAPABILITIES.items() if said.get(key) in (True, "true")))
    if "chat" in able:  # A model that chats is no moderation for being able to classify.
        return tuple(kind for kind in able if kind not in ("embedding", "moderation"))
    told = named(name)
    return able[:1] or (told or "other",)


def _said_by_type(raw: dict[str, Any], name: str) -> tuple[Kind, ...]:
    capabilities = raw.get("capabilities")
    nested = capabilities.get("type") if isinstance(capabilities, dict) else None
    for said in (raw.get("type"), raw.get("task"), nested):
        if not isinstance(said, str) or said.lower() not in TYPES:
            continue
        if said == "language" and "context_window" in raw:  # Vercel's word for a chat model, and Together's for no one.
            return ("chat",)
        if said == "audio" and named(name) == "transcription":
            return ("transcription",)
        return (TYPES[said.lower()],)
    return ()


def _responses_only(raw: dict[str, Any], name: str) -> Kind | None:
    openais = str(raw.get("owned_by")).startswith(("openai", "system"))
    return "other" if openais and RESPONSES_ONLY.search(name.lower()) else None
