"""What is made of the lists that real servers send, and how they are fetched and kept."""

import threading

import pytest

from webapp import catalog as catalogs
from webapp.backend import Backend
from webapp.catalog import Catalog, Model, models_of
from webapp.config import read
from webapp.conversation import Conversation
from webapp.kinds import context_tokens, kinds_of, named
from webapp.llm_errors import ServerFailed

from .conftest import WAIT, wait_until
from .openai_server import Reply

NAMES = {
    "chat": """gpt-5.4-mini chat-latest gpt-4o-search-preview o3 deepseek-chat qwen3:8b qwen-vl-max claude-sonnet-4-5
        models/gemini-2.5-pro meta-llama/Llama-3.3-70B-Instruct ft:gpt-4o-mini-2024-07-18:whisper-lovers::a1
        glm-4.6 kimi-k2-0905-preview grok-4 gemma-3-27b-it mistral-large-latest phi4 Qwen/Qwen2.5-VL-72B-Instruct""",
    "completion": "gpt-3.5-turbo-instruct gpt-3.5-turbo-instruct-0914 davinci-002 babbage-002 text-davinci-003 "
    "ft:davinci-002:me::b2 Qwen2.5-7B-base",
    "image": """dall-e-3 gpt-image-1.5 chatgpt-image-latest black-forest-labs/FLUX.1-schnell imagen-4.0-generate-001
        stabilityai/stable-diffusion-xl-base-1.0 wanx2.1-t2i-turbo wan2.2-t2i-flash cogview-4 Kwai-Kolors/Kolors
        doubao-seedream-4-0 qwen-image-edit grok-2-image models/gemini-2.5-flash-image""",
    "transcription": """whisper-1 gpt-4o-transcribe-diarize gpt-4o-mini-transcribe-2025-12-15 whisper-large-v3-turbo
        FunAudioLLM/SenseVoiceSmall paraformer-v2 qwen3-asr-flash TeleAI/TeleSpeechASR voxtral-mini-transcribe""",
    "speech": """tts-1-hd gpt-4o-mini-tts-2025-12-15 qwen3-tts-flash cosyvoice-v2 kokoro-82m IndexTeam/IndexTTS-2
        canopylabs/orpheus-v1-english models/gemini-2.5-flash-preview-tts playai-tts""",
    "embedding": """text-embedding-3-small nomic-embed-text:latest BAAI/bge-m3 gte-large-zh intfloat/e5-mistral-7b
        text-similarity-davinci-001 all-minilm mistral-embed netease-youdao/bce-embedding-base_v1""",
    "moderation": "omni-moderation-latest text-moderation-007 meta-llama/llama-guard-4-12b gpt-oss-safeguard-20b",
    "other": """gpt-realtime-mini gpt-realtime-whisper gpt-4o-audio-preview gpt-audio-1.5 sora-2-pro veo-3.0 gte-rerank
        BAAI/bge-reranker-v2-m3 Wan-AI/Wan2.2-T2V-A14B models/gemini-2.5-flash-native-audio-latest""",
}
TEXT = {"architecture": {"input_modalities": ["text", "image"], "output_modalities": ["text"]}}


def drawing(*outputs):
    return {"architecture": {"modality": "text->text", "input_modalities": ["text"], "output_modalities": [*outputs]}}


SAID = [
    # OpenRouter
    ({"id": "anthropic/claude-sonnet-4.5", "context_length": 1000000, **TEXT}, ("chat",)),
    ({"id": "openai/gpt-4o-audio-preview", **drawing("text", "audio")}, ("chat",)),
    ({"id": "openai/gpt-5-codex", **TEXT}, ("chat",)),
    ({"id": "google/gemini-2.5-flash-image", **drawing("image", "text")}, ("image",)),
    ({"id": "black-forest-labs/flux.2-pro", **drawing("image")}, ("image",)),
    ({"id": "qwen/qwen3-vl", **drawing("embeddings")}, ("embedding",)),
    ({"id": "vendor/speaker", **drawing("speech")}, ("speech",)),
    ({"id": "google/lyria", **drawing("audio")}, ("other",)),
    ({"id": "vendor/clips", **drawing("video")}, ("other",)),
    ({"id": "openai/gpt-3.5-turbo-instruct", **TEXT}, ("completion",)),
    ({"id": "x", "architecture": {"input_modalities": ["audio"], "output_modalities": ["text"]}}, ("transcription",)),
    # llama.cpp says "text" of its embedding models, too.
    ({"id": "gemma-3-4b.gguf", "owned_by": "llamacpp", "meta": {"n_ctx": 8192}, **TEXT}, ("chat", "completion")),
    ({"id": "bge-m3-q8_0.gguf", "owned_by": "llamacpp", **TEXT}, ("embedding",)),
    ({"id": "bge-reranker-v2.gguf", "owned_by": "llamacpp", **TEXT}, ("other",)),
    # vLLM, Ollama, LM Studio
    ({"id": "Qwen/Qwen3-8B", "owned_by": "vllm", "root": "Qwen/Qwen3-8B", "parent": None}, ("chat", "completion")),
    ({"id": "qwen3:8b", "owned_by": "library"}, ("chat", "completion")),
    ({"id": "mxbai-embed-large:latest", "owned_by": "library"}, ("embedding",)),
    ({"id": "qwen2-vl-7b", "type": "vlm", "state": "not-loaded"}, ("chat",)),
    ({"id": "nomic", "type": "embeddings"}, ("embedding",)),
    # Mistral and Azure
    ({"id": "mistral-medium-2508", "type": "base", "capabilities": {"completion_chat": True}}, ("chat",)),
    ({"id": "mistral-embed", "capabilities": {"completion_chat": False, "vision": False}}, ("embedding",)),
    ({"id": "mistral-ocr-latest", "capabilities": {"completion_chat": False}}, ("other",)),
    ({"id": "m", "capabilities": {"completion_chat": False, "classification": True}}, ("moderation",)),
    ({"id": "v", "capabilities": {"completion_chat": True, "audio_transcription": True}}, ("chat", "transcription")),
    ({"id": "gpt-5.2", "capabilities": {"chat_completion": "true", "completion": "false"}}, ("chat",)),
    ({"id": "gpt-realtime", "capabilities": {"chat_completion": "false", "completion": "false"}}, ("other",)),
    ({"id": "ours", "capabilities": {"embeddings": True, "completion": False}}, ("embedding",)),
    ({"id": "gpt-image-2", "capabilities": {}}, ("image",)),
    # Together, Vercel, GitHub
    ({"id": "meta-llama/Llama-3-70b-hf", "type": "language", "context_length": 8192}, ("completion",)),
    ({"id": "anthropic/claude", "type": "language", "context_window": 200000}, ("chat",)),
    ({"id": "cartesia/sonic-2", "type": "audio"}, ("speech",)),
    ({"id": "openai/whisper-large-v3", "type": "audio"}, ("transcription",)),
    ({"id": "Virtue/Filter", "type": "moderation"}, ("moderation",)),
    ({"id": "openai/gpt-4.1", "supported_output_modalities": ["text"], "task": "x"}, ("chat",)),
    ({"id": "gpt-41-copilot", "capabilities": {"type": "completion"}}, ("completion",)),
    # OpenAI lists what only its Responses API answers.
    ({"id": "gpt-5.3-codex", "owned_by": "system"}, ("other",)),
    ({"id": "gpt-5.2-pro-2025-12-11", "owned_by": "openai"}, ("other",)),
    ({"id": "gpt-5.2", "owned_by": "system"}, ("chat",)),
    # Nothing that anyone knows
    ({"id": "x", "type": 7, "capabilities": ["chat"], "architecture": "moe", "owned_by": None}, ("chat",)),
    ({"id": "x", "architecture": {"output_modalities": [None]}, "task": {}}, ("chat",)),
]


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, names in NAMES.items() for name in names.split()])
def test_a_name_tells_the_kind(kind, name):
    assert (named(name) or "chat") == kind


@pytest.mark.parametrize(("raw", "kinds"), SAID, ids=lambda value: value.get("id") if isinstance(value, dict) else None)
def test_what_the_endpoint_says_counts_more(raw, kinds):
    assert kinds_of(raw, raw["id"]) == kinds


@pytest.mark.parametrize(
    ("raw", "tokens"),
    [
        ({"meta": {"n_ctx": 8192, "n_ctx_train": 131072}}, 8192),
        ({"meta": {"n_ctx_train": 131072}}, 131072),
        ({"meta": {"n_ctx": 0, "n_ctx_train": 4096}}, 4096),
        ({"max_model_len": 40960}, 40960),
        ({"context_length": 200000, "top_provider": {"context_length": 128000}}, 200000),
        ({"max_context_length": 32768, "loaded_context_length": 4096}, 4096),
        ({"context_window": 131072, "active": True}, 131072),
        ({"max_context_length": 131072}, 131072),
        ({"limits": {"max_input_tokens": 128000}}, 128000),
        ({"context_length": "32768"}, 32768),
        ({"context_length": 0}, None),
        ({"context_length": None, "meta": None}, None),
        ({"context_length": True}, None),
        ({"context_length": -1}, None),
        ({"context_length": "9" * 5000}, None),
        ({"context_length": {"tokens": 3}}, None),
        ({}, None),
    ],
)
def test_the_context_window_is_what_is_served(raw, tokens):
    assert context_tokens(raw) == tokens


def test_a_list_keeps_its_order_and_each_name_once():
    raw = [
        {"id": "b", "display_name": "Big B", "owned_by": "us"},
        {"id": "a", "aliases": ["a-latest", 7, "b\n"]},
        {"id": "b"},
        {"name": "named"},
        {"id": 5},
        {"id": ""},
        {"id": "two\nlines"},
        {"id": " blank"},
        {"id": "turned \u202e round"},
        {"id": "x" * 201},
        {},
    ]
    models = models_of(raw)
    assert [model.name for model in models] == ["b", "a", "named"]
    assert (models[0].title, models[0].owned_by, models[1].aliases) == ("Big B", "us", ("a-latest",))


def known(*objects, **chosen):
    catalog = Catalog(lambda: list(objects), chosen)
    catalog.load()
    return catalog


def test_a_model_is_found_by_its_name_and_by_its_other_names():
    catalog = known({"id": "qwen3:latest", "max_model_len": 5}, {"id": "m-1", "aliases": ["m"]})
    assert catalog.find("qwen3").name == catalog.find("qwen3:latest").name == "qwen3:latest"
    assert catalog.find("m").name == "m-1"
    assert catalog.find("nobody") is None
    assert (catalog.context_tokens("qwen3"), catalog.context_tokens("m"), catalog.context_tokens("x")) == (
        5,
        None,
        None,
    )


def test_the_first_of_a_kind_comes_before_one_that_does_it_beside_others():
    catalog = known({"id": "qwen3", "owned_by": "vllm"}, {"id": "davinci-002"}, {"id": "whisper-1"})
    assert (catalog.first("chat"), catalog.first("completion")) == ("qwen3", "davinci-002")
    assert (catalog.first("transcription"), catalog.first("image")) == ("whisper-1", None)


def test_a_setting_counts_more_than_the_list_and_needs_none():
    catalog = known({"id": "whisper-1"}, {"id": "tts-1"}, transcription="ours", speech=None)
    assert (catalog.for_kind("transcription"), catalog.for_kind("speech")) == ("ours", "tts-1")
    assert Catalog(list, {"image": "flux"}).for_kind("image") == "flux"
    assert Catalog(list).for_kind("image") is None


class Slow:
    """A list that comes when it is let."""

    def __init__(self, *objects):
        self.objects, self.asked, self.let = list(objects), 0, threading.Event()

    def __call__(self):
        self.asked += 1
        assert self.let.wait(WAIT)
        return self.objects


def test_a_look_waits_for_nobody_and_many_who_wait_share_one_request():
    slow = Slow({"id": "a"})
    catalog = Catalog(slow)
    catalog.look()
    catalog.look()
    assert catalog.looking
    assert catalog.first("chat") is None
    found = []
    waiting = [threading.Thread(target=lambda: found.append(catalog.load())) for _ in range(5)]
    for thread in waiting:
        thread.start()
    slow.let.set()
    for thread in waiting:
        thread.join(10)
    assert [listing.models[0].name for listing in found] == ["a"] * 5
    catalog.look()
    assert (slow.asked, catalog.looking) == (1, False)


def test_a_list_is_asked_for_again_when_it_is_old(monkeypatch):
    clock = [1000.0]
    monkeypatch.setattr(catalogs, "time", lambda: clock[0])
    asked = []
    catalog = Catalog(lambda: asked.append(1) or [{"id": "a"}])
    assert catalog.load().fetched == 1000
    clock[0] += catalogs.FRESH - 1
    assert catalog.load().fetched == 1000
    clock[0] += 1
    assert catalog.load().fetched == 1000 + catalogs.FRESH
    assert catalog.load(anew=True)
    assert len(asked) == 3


def test_a_failure_is_kept_for_a_moment_and_what_was_known_stays(monkeypatch):
    clock = [1000.0]
    monkeypatch.setattr(catalogs, "time", lambda: clock[0])
    replies = [[{"id": "a"}], ServerFailed("No list today.", 500), ServerFailed("Nor now.", 500), [{"id": "b"}]]

    def fetch():
        reply = replies.pop(0)
        if isinstance(reply, Exception):
            raise reply
        return reply

    catalog = Catalog(fetch)
    catalog.load()
    failed = catalog.load(anew=True)
    assert (str(failed.failure), failed.failure.status, failed.fetched) == ("No list today.", 500, 1000)
    assert catalog.first("chat") == "a"
    assert catalog.load() is failed
    clock[0] += catalogs.FAILED
    assert str(catalog.load().failure) == "Nor now."
    clock[0] += catalogs.FAILED
    assert (catalog.load().failure, catalog.first("chat")) == (None, "b")


def test_what_nobody_foresaw_is_a_failure_and_wakes_who_waits(caplog):
    catalog = Catalog(lambda: 1 / 0)
    assert "ZeroDivisionError" in str(catalog.load().failure)
    assert not catalog.looking
    assert "nobody foresaw" in caplog.text


@pytest.mark.parametrize(
    "body",
    [
        b'{"object":"list","data":[{"id":"one","extra":{"kept":1}}]}',
        b'[{"id":"one","extra":{"kept":1}}, "junk"]',
        b'{"models":[{"id":"one","extra":{"kept":1}}]}',
    ],
)
def test_every_field_of_every_form_of_list_is_kept(openai, body):
    openai.models = Reply([body], content_type="text/plain")
    backend = Backend(read({"OPENAI_BASE_URL": openai.base_url}))
    assert backend.llm.model_objects() == [{"id": "one", "extra": {"kept": 1}}]


@pytest.mark.parametrize("body", [b"<h1>Welcome</h1>", b'"models"', b'{"hello":1}', b"", b'{"data":7}'])
def test_what_is_no_list_is_told(openai, body):
    openai.models = Reply([body], content_type="text/html")
    catalog = Backend(read({"OPENAI_BASE_URL": openai.base_url})).catalog
    assert "This is not a list of models" in str(catalog.load().failure)


def test_an_empty_list_is_one(openai):
    openai.models = Reply([b'{"object":"list","data":null}'])
    listing = Backend(read({"OPENAI_BASE_URL": openai.base_url})).catalog.load()
    assert (listing.models, listing.failure) == ((), None)


def test_the_key_is_in_no_failure(openai):
    openai.models = Reply.error(401, "Wrong key: sk-secret")
    backend = Backend(read({"OPENAI_BASE_URL": openai.base_url, "OPENAI_API_KEY": "sk-secret"}))
    assert str(backend.catalog.load().failure) == "Wrong key: [key]"


def test_settings_name_the_models_of_the_kinds(openai):
    names = {"IMAGE_MODEL": "i", "TRANSCRIPTION_MODEL": "t", "SPEECH_MODEL": "s", "CHAT_MODEL": "c"}
    catalog = Backend(read({"OPENAI_BASE_URL": openai.base_url, **names})).catalog
    kinds = ("image", "transcription", "speech", "chat")
    assert [catalog.for_kind(kind) for kind in kinds] == ["i", "t", "s", "c"]
    assert openai.lists == 0


def test_the_first_model_never_makes_images_and_stays_when_the_list_changes(openai):
    openai.models = Reply([b'{"data":[{"id":"dall-e-3"},{"id":"tts-1"},{"id":"chatty"}]}'])
    backend = Backend(read({"OPENAI_BASE_URL": openai.base_url}))
    backend.start()
    assert wait_until(lambda: backend.name) == "chatty"
    openai.models = Reply([b'{"data":[{"id":"newer"},{"id":"chatty"}]}'])
    backend.catalog.load(anew=True)
    assert backend.name == "chatty"


def test_a_conversation_is_answered_by_the_model_chosen_for_it(openai):
    backend = Backend(read({"OPENAI_BASE_URL": openai.base_url, "CHAT_MODEL": "for-all"}))
    talk = Conversation(owner="me")
    assert backend.model(talk) == "for-all"
    talk.parameters["model"] = "mine"
    assert backend.model(talk) == "mine"
    assert openai.lists == 0


def test_the_context_window_is_the_one_of_the_conversations_model(openai):
    openai.models = Reply([b'{"data":[{"id":"small","max_model_len":4096},{"id":"silent"}]}'])
    backend = Backend(read({"OPENAI_BASE_URL": openai.base_url}))
    backend.catalog.load()
    talk = Conversation(owner="me")
    assert backend.context_tokens(talk) == 4096
    talk.parameters["model"] = "silent"
    assert backend.context_tokens(talk) is None


def test_the_window_that_is_set_counts_more_than_the_reported_one(openai):
    openai.models = Reply([b'{"data":[{"id":"small","max_model_len":4096}]}'])
    backend = Backend(read({"OPENAI_BASE_URL": openai.base_url, "CONTEXT_TOKENS": "9000"}))
    backend.catalog.load()
    talk = Conversation(owner="me")
    assert backend.context_tokens(talk) == 9000
    talk.parameters["context_tokens"] = 500
    assert backend.context_tokens(talk) == 500


def test_a_completion_is_asked_of_the_usual_model_where_that_one_completes(openai):
    backend = Backend(read({"OPENAI_BASE_URL": openai.base_url, "CHAT_MODEL": "qwen"}))
    talk = Conversation(owner="me", mode="completion")
    assert backend.model(talk) == "qwen"
    openai.models = Reply([b'{"data":[{"id":"davinci-002"},{"id":"qwen","owned_by":"vllm"}]}'])
    backend.catalog.load()
    assert backend.model(talk) == "qwen"
    openai.models = Reply([b'{"data":[{"id":"davinci-002"},{"id":"qwen"}]}'])
    backend.catalog.load(anew=True)
    assert backend.model(talk) == "davinci-002"


def test_the_local_model_is_known_without_a_request(tmp_path):
    (tmp_path / "little-q4_0.gguf").write_bytes(b"GGUF")
    settings = {"LOCAL_MODEL": str(tmp_path / "little-q4_0.gguf"), "DATA_DIR": str(tmp_path), "IMAGE_MODEL": "flux"}
    backend = Backend(read(settings | {"LOCAL_CONTEXT_TOKENS": "2048"}))
    assert backend.catalog.load(anew=True).models == (Model("little", ("chat", "completion"), 2048, "llamacpp"),)
    assert backend.catalog.context_tokens("little") == 2048
    assert (backend.catalog.first("completion"), backend.catalog.for_kind("image")) == ("little", None)
    talk = Conversation(owner="me", parameters={"model": "of another endpoint"})
    assert backend.model(talk) == "little"
