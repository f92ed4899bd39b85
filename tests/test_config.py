from pathlib import Path

import pytest

from webapp import config

ROOT = Path(__file__).parent.parent


def test_the_defaults_are_the_local_model_on_loopback():
    values = config.read({})
    assert (values["HOST"], values["PORT"]) == ("127.0.0.1", 8000)
    assert config.wants_local_model(values)


def test_an_empty_value_is_not_set_but_an_empty_system_prompt_is_one():
    values = config.read({"PORT": "", "OPENAI_API_KEY": "", "SYSTEM_PROMPT": ""})
    assert values["PORT"] == 8000
    assert values["OPENAI_API_KEY"] is None
    assert values["SYSTEM_PROMPT"] == ""


def test_a_key_alone_means_openai():
    values = config.read({"OPENAI_API_KEY": "sk-test"})
    assert not config.wants_local_model(values)
    assert (values["OPENAI_BASE_URL"], values["CHAT_MODEL"]) == (config.OPENAI_URL, config.OPENAI_MODEL)


def test_an_endpoint_alone_needs_neither_key_nor_model():
    values = config.read({"OPENAI_BASE_URL": "http://localhost:11434/v1/"})
    assert (values["OPENAI_BASE_URL"], values["CHAT_MODEL"]) == ("http://localhost:11434/v1", None)
    assert not config.wants_local_model(values)


def test_a_sub_path_is_kept_without_its_last_slash():
    assert [config.read({"BASE_PATH": path})["BASE_PATH"] for path in ("", "/", "/a/b", "/a/")] == [
        "",
        "",
        "/a/b",
        "/a",
    ]


def test_proxies_are_addresses_and_networks():
    trusted = config.read({"TRUSTED_PROXIES": "127.0.0.1, 10.0.0.0/8,::1"})["TRUSTED_PROXIES"]
    assert [str(network) for network in trusted] == ["127.0.0.1/32", "10.0.0.0/8", "::1/128"]


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("PORT", "http", "a whole number from 0 to 65,535"),
        ("PORT", "70000", "a whole number from 0 to 65,535"),
        ("PORT", "-1", "a whole number"),
        ("PORT", "٣", "a whole number"),
        ("OPENAI_BASE_URL", "localhost:11434", "an address such as"),
        ("OPENAI_BASE_URL", "ftp://localhost/v1", "an address such as"),
        ("OPENAI_BASE_URL", "http://[::1/v1", "an address such as"),
        ("OPENAI_BASE_URL", "http://localhost:port/v1", "an address such as"),
        ("LOCAL_MODEL", "/no/such.gguf", "the path of a model file"),
        ("LOCAL_MODEL", __file__, "the path of a model file"),
        ("ALLOW_ANYONE", "yes", "0 or 1"),
        ("ANSWER_TIMEOUT", "0", "a whole number from 1"),
        ("TOKEN_BUDGET", "0", "a whole number from 1"),
        ("VISITOR_TOKEN_BUDGET", "1e6", "a whole number from 1"),
        ("MAX_QUESTION_CHARS", "many", "a whole number from 1"),
        ("BASE_PATH", "parley", "a path such as /parley"),
        ("BASE_PATH", "/parley/../other", "a path such as /parley"),
        ("BASE_PATH", "//evil.example", "a path such as /parley"),
        ("BASE_PATH", "/a b", "a path such as /parley"),
        ("HOST", "999.1.1.1", "an address of this machine, such as 127.0.0.1"),
        ("HOST", "[::1]", "an address of this machine, such as 127.0.0.1"),
        ("HOST", "http://localhost", "an address of this machine, such as 127.0.0.1"),
        ("TRUSTED_PROXIES", "localhost", "addresses and networks such as 127.0.0.1"),
        ("TRUSTED_PROXIES", "10.0.0.0/33", "addresses and networks such as 127.0.0.1"),
    ],
)
def test_nonsense_is_refused_with_the_variable_its_value_and_what_is_allowed(name, value, allowed):
    with pytest.raises(config.SettingError) as refused:
        config.read({name: value})
    assert str(refused.value).startswith(f"{name} is {value!r}; allowed is {allowed}")


def test_beyond_this_machine_it_wants_to_be_told_that_anyone_may_come():
    with pytest.raises(config.SettingError, match="ALLOW_ANYONE=1"):
        config.read({"HOST": "0.0.0.0"})
    assert config.read({"HOST": "0.0.0.0", "ALLOW_ANYONE": "1"})["HOST"] == "0.0.0.0"


def test_a_local_model_beside_an_endpoint_is_refused(tmp_path):
    (tmp_path / "model.gguf").write_bytes(b"GGUF")
    assert config.read({"LOCAL_MODEL": str(tmp_path / "model.gguf")})["LOCAL_MODEL"] == tmp_path / "model.gguf"
    with pytest.raises(config.SettingError, match="one or the other"):
        config.read({"LOCAL_MODEL": str(tmp_path / "model.gguf"), "OPENAI_API_KEY": "sk-test"})


@pytest.mark.parametrize("key", ["sk-…", "sk 1", "sk-1\n"])
def test_a_key_that_cannot_be_one_is_refused_and_not_repeated(key):
    with pytest.raises(config.SettingError, match="OPENAI_API_KEY is not one that can be used") as refused:
        config.read({"OPENAI_API_KEY": key})
    assert key not in str(refused.value)


def test_an_env_file_that_is_no_text_is_refused(tmp_path, monkeypatch):
    (tmp_path / ".env").write_bytes("PORT=8001".encode("utf-16"))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(config.SettingError, match=r"\.env cannot be read"):
        config.read()


def test_the_environment_wins_over_the_env_file(tmp_path, monkeypatch):
    (tmp_path / ".env").write_text("PORT=8001\nCHAT_MODEL=from-file\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PORT", "8002")
    values = config.read()
    assert (values["PORT"], values["CHAT_MODEL"]) == (8002, "from-file")


def test_every_setting_is_documented_with_its_default():
    documented = {}
    for line in (ROOT / "docs/settings.md").read_text().splitlines():
        cells = [cell.strip().strip("`") for cell in line.split("|")]
        if len(cells) == 5 and cells[1].isupper():
            documented[cells[1]] = cells[2]
    assert documented == {s.name: "not set" if s.default is None else s.default for s in config.SETTINGS}


@pytest.mark.parametrize(
    ("url", "public"),
    [
        ("https://api.openai.com/v1", "https://api.openai.com/v1"),
        ("https://me:pass@host:8443/v1/", "https://host:8443/v1"),
        ("http://me:p@ss@[::1]:80/v1?key=secret#secret", "http://[::1]:80/v1"),
        ("", ""),
    ],
)
def test_a_public_address_has_no_user_no_password_and_no_query(url, public):
    assert config.public_url(url) == public


def test_a_name_in_the_env_file_that_is_nearly_a_setting_is_noticed(tmp_path, monkeypatch):
    lines = (
        "ACCES_CODE=open sesame 7",
        "VISITOR_QUESTION_PER_MINUTE=2",
        "port=1",
        "PORT=2",
        "https_proxy=",
        "MY_OWN=1",
    )
    (tmp_path / ".env").write_text("\n".join((*lines, "FLASK_DEBUG=1", "HOSTNAME=x", "USER=me", "OPENAI_ORG_ID=x")))
    monkeypatch.chdir(tmp_path)
    assert config.mistyped() == {
        "ACCES_CODE": "ACCESS_CODE",
        "VISITOR_QUESTION_PER_MINUTE": "VISITOR_QUESTIONS_PER_MINUTE",
        "port": "PORT",
    }
