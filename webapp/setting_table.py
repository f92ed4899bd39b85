"""Every setting as data: its name, its default, one line of why, and how its text becomes a value."""

from .setting import Setting, base_path, code, gguf, host, hosts, key, networks, one_of, path, url, whole, yes_or_no

OPENAI_URL = "https://api.openai.com/v1"
OPENAI_MODEL = "gpt-5.4-mini"


def _limit(name: str, default: str, why: str) -> Setting:
    return Setting(name, default, why, whole(0, 1_000_000))


SETTINGS = (
    Setting("HOST", "127.0.0.1", "The address to listen on. Beyond this machine, see ACCESS_CODE.", host),
    Setting("PORT", "8000", "The port to listen on; 0 takes any free one.", whole(0, 65535)),
    Setting(
        "ACCESS_CODE",
        None,
        "The code that people sign in with, at least 8 characters. Another one ends all access. Not set: no sign-in.",
        code,
        secret=True,
    ),
    Setting(
        "ALLOW_ANYONE",
        "0",
        "1 lets the server listen beyond this machine without ACCESS_CODE: whoever reaches it spends your key.",
        yes_or_no,
    ),
    Setting(
        "ALLOWED_HOSTS",
        None,
        "Names under which the page may be asked for, with commas. Not set: on loopback only loopback's own, "
        "beyond it any.",
        hosts,
    ),
    Setting("BASE_PATH", "/", "The path below which the browser finds Parley, such as /parley.", base_path),
    Setting(
        "TRUSTED_PROXIES",
        None,
        "Addresses and networks of proxies, with commas, whose X-Forwarded-For, -Proto, -Host and -Prefix count.",
        networks,
    ),
    Setting("OPENAI_API_KEY", None, "The key for the endpoint. Set it, and the endpoint answers.", key, secret=True),
    Setting(
        "OPENAI_BASE_URL",
        None,
        f"The OpenAI-compatible endpoint. With a key and without this: {OPENAI_URL}.",
        url,
    ),
    Setting(
        "CHAT_MODEL",
        None,
        f"The model that answers. Not set: {OPENAI_MODEL} at OpenAI, elsewhere the first model "
        "that the endpoint lists.",
    ),
    Setting("IMAGE_MODEL", None, "The model that makes images. Not set: the endpoint's first of that kind."),
    Setting(
        "TRANSCRIPTION_MODEL",
        None,
        "The model that turns speech into text. Not set: the endpoint's first of that kind.",
    ),
    Setting("SPEECH_MODEL", None, "The model that reads aloud. Not set: the endpoint's first of that kind."),
    Setting("SPEECH_VOICE", "alloy", "The voice that reads aloud, by its name at the endpoint."),
    Setting(
        "SYSTEM_PROMPT",
        "You are a helpful assistant.",
        "What every request begins with. Set to nothing, no system prompt is sent.",
        empty_means_something=True,
    ),
    Setting("LOCAL_MODEL", None, "Another GGUF file for the local model to answer from.", gguf),
    Setting(
        "LOCAL_CONTEXT_TOKENS",
        "8192",
        "The local model's context window, in tokens.",
        whole(256, 1_000_000),
    ),
    Setting(
        "CONTEXT_TOKENS",
        None,
        "The context window that conversations have to fit, in tokens; older turns that do not fit are left out. Not "
        "set: what the endpoint reports.",
        whole(256, 100_000_000),
    ),
    Setting(
        "LOG_FORMAT",
        "text",
        "How a line of the log looks: text for people, json for programs.",
        one_of("text", "json"),
    ),
    Setting("DATA_DIR", "instance", "The folder that keeps the conversations.", path),
    Setting(
        "SESSION_DAYS",
        "90",
        "How many days a visitor's conversation is kept after their last use.",
        whole(1, 3650),
    ),
    Setting(
        "MAX_QUESTION_CHARS",
        "100000",
        "The longest question that is accepted, in characters.",
        whole(1, 10_000_000),
    ),
    Setting(
        "MAX_TURNS",
        "5000",
        "The most questions that a conversation may have, those of other versions counted.",
        whole(1, 1_000_000),
    ),
    Setting(
        "VISITOR_MB",
        "1000",
        "How much a visitor's conversations and their files may take, in MB.",
        whole(1, 1_000_000),
    ),
    _limit(
        "MIN_FREE_MB",
        "200",
        "MB of the disk that are left free for answers under way: with less, nothing new is taken. 0: none.",
    ),
    Setting("PRICES", None, "A JSON file with what each model costs, in the form of docs/prices.example.json.", path),
    Setting(
        "TOKEN_BUDGET",
        None,
        "Tokens that all visitors together may spend in a day (UTC). Not set: no limit.",
        whole(1, 10**15),
    ),
    Setting(
        "VISITOR_TOKEN_BUDGET",
        None,
        "Tokens that each visitor may spend in a day (UTC). Not set: no limit.",
        whole(1, 10**15),
    ),
    _limit(
        "VISITOR_QUESTIONS_PER_MINUTE",
        "20",
        "Questions that each visitor may ask in a minute, and whatever else costs as much. 0: no limit.",
    ),
    _limit(
        "ADDRESS_QUESTIONS_PER_MINUTE",
        "120",
        "The same for all visitors who come from one address (IPv6: one /64 network). 0: no limit.",
    ),
    _limit(
        "ADDRESS_VISITORS_PER_HOUR",
        "300",
        "New visitors who may send something from one address in an hour. 0: no limit.",
    ),
    _limit(
        "VISITOR_IMPORT_MB_PER_HOUR",
        "1000",
        "MB that each visitor may import in an hour: a file's, and again what is kept of it. 0: no limit.",
    ),
    _limit(
        "ADDRESS_IMPORT_MB_PER_HOUR",
        "3000",
        "The same for all visitors who come from one address (IPv6: one /64 network). 0: no limit.",
    ),
    _limit("VISITOR_ANSWERS", "5", "Answers that may be written at once for each visitor. 0: no limit."),
    Setting("MAX_ANSWERS", "200", "Answers that may be written at once in all. 0: no limit.", whole(0, 1_000_000)),
    _limit(
        "VISITOR_STREAMS",
        "20",
        "Pages of each visitor that follow an answer by a stream at once; more ask now and then. 0: no limit.",
    ),
    _limit(
        "MAX_STREAMS",
        "1000",
        "Streams that follow answers at once in all; the server takes 2000 connections. 0: no limit.",
    ),
    Setting(
        "MAX_IMPORT_MB",
        "50",
        "The largest file that can be imported, in MB, also unpacked.",
        whole(1, 2000),
    ),
    Setting(
        "MAX_AUDIO_MB",
        "25",
        "The largest recording that is accepted, in megabytes; OpenAI takes 25.",
        whole(1, 1000),
    ),
    Setting("CONNECT_TIMEOUT", "10", "Seconds to wait for a connection to the endpoint.", whole(1, 600)),
    Setting(
        "ANSWER_TIMEOUT",
        "600",
        "Seconds that a model may be silent, before its first token and between two.",
        whole(1, 86_400),
    ),
)
