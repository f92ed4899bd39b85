import os
import re
import threading
from io import BytesIO
from pathlib import Path

import pytest
from werkzeug.datastructures import FileStorage
from werkzeug.test import encode_multipart

from webapp import create_app
from webapp.sound import audio_ending
from webapp.speech import joined
from webapp.spoken import LONGEST, LONGEST_PART

from .conftest import Chat, wait_until
from .disk import FAULTS, Disk
from .openai_server import RESET, SILENCE, Reply

WEBM = b"\x1a\x45\xdf\xa3 a recording"


@pytest.fixture
def config(config):
    return config | {
        "TRANSCRIPTION_MODEL": "ears",
        "SPEECH_MODEL": "mouth",
        "SPEECH_VOICE": "nova",
        "MAX_AUDIO_MB": 1,
    }


def send(chat, content=WEBM, name="talk.webm", kind="audio/webm", htmx=False, question="", client=None, headers=None):
    fields = {"question": question, "audio": FileStorage(BytesIO(content), name, content_type=kind)}
    boundary, body = encode_multipart(fields)
    return (client or chat.client).post(
        f"/conversations/{chat.id}/transcribe",
        data=body,
        content_type=f"multipart/form-data; boundary={boundary}",
        headers=({"HX-Request": "true"} if htmx else {}) | (headers or {}),
    )


def box(response):
    return re.search(r'<textarea id="question".*?>\n(.*?)</textarea>', response.text, re.DOTALL).group(1)


def answer_id(chat):
    return re.findall(r'id="answer-([\w-]+)"', chat.page())[-1]


def read(chat, htmx=True, **form):
    return chat.post(f"answers/{answer_id(chat)}/speech", htmx=htmx, **form)


def source(response):
    return re.search(r'<audio[^>]* src="([^"]+)"', response.text).group(1)


@pytest.fixture
def disk(app, monkeypatch):
    return Disk(app.config["DATA_DIR"], monkeypatch)


# --- Dictation ---


@pytest.mark.parametrize("fault", FAULTS)
def test_words_that_cannot_be_kept_are_given_all_the_same(chat, openai, disk, fault, caplog):
    with disk.fails(fault, "files"):
        assert send(chat, htmx=True).text == "What was said."
    assert "The words of a recording could not be kept" in caplog.text
    for _ in range(2):
        assert send(chat, htmx=True).text == "What was said."
    assert len(openai.bodies) == 2, "Kept the second time."


@pytest.mark.parametrize("content", [b"", b"{", b"5", b"\xff"])
def test_kept_words_that_make_no_sense_are_asked_for_again(app, chat, openai, content):
    send(chat)
    (path,) = (app.config["DATA_DIR"] / "files" / chat.id).iterdir()
    path.write_bytes(content)
    assert send(chat, htmx=True).text == send(chat, htmx=True).text == "What was said."
    assert len(openai.bodies) == 2


def test_kept_words_that_cannot_be_read_are_asked_for_again(chat, openai, disk, caplog):
    send(chat)
    with disk.fails("broken", "files", reading=True):
        assert send(chat, htmx=True).text == "What was said."
    assert "cannot be read" in caplog.text


def test_a_recording_is_one_request_with_just_the_model(chat, openai):
    response = send(chat, htmx=True)
    assert (response.status_code, response.mimetype, response.text) == (200, "text/plain", "What was said.")
    assert openai.paths == ["/v1/audio/transcriptions"]
    assert openai.bodies == [{"model": "ears"}]
    assert openai.uploads == [("recording.webm", "audio/webm", WEBM)]


def test_without_a_script_the_words_stand_in_the_box_behind_what_was_typed(chat, openai):
    response = send(chat, question="Line one\r\nand two:")
    assert response.status_code == 200
    assert box(response) == "Line one\nand two: What was said."
    assert openai.paths == ["/v1/audio/transcriptions"], "Nothing is sent to the chat's model."
    assert "article" not in response.text
    assert 'name="single" value="yes" checked' not in response.text


def test_without_a_script_the_switch_stays_as_it_was_set(chat):
    fields = {"question": "Typed.", "single": "yes", "audio": FileStorage(BytesIO(WEBM), "a.webm")}
    response = chat.client.post(f"/conversations/{chat.id}/transcribe", data=fields)
    assert 'name="single" value="yes" checked' in response.text


def test_the_same_recording_again_is_not_paid_again(chat, openai):
    send(chat)
    assert send(chat, htmx=True).text == "What was said."
    assert len(openai.bodies) == 1
    send(chat, content=WEBM + b" and more")
    assert len(openai.bodies) == 2


@pytest.mark.parametrize(
    ("typed", "said", "whole"),
    [
        ("", "Hello.", "Hello."),
        ("Say:", "Hello.", "Say: Hello."),
        ("Say:\n", "Hello.", "Say:\nHello."),
        ("请说：", "你好。", "请说：你好。"),
        ("你好", "Hello", "你好Hello"),
        ("Hello", "你好", "Hello你好"),
        ("(", "Hello", "(Hello"),
    ],
)
def test_a_space_stands_only_where_one_belongs(typed, said, whole):
    assert joined(typed, said) == whole


@pytest.mark.parametrize(
    ("name", "kind", "content", "sent"),
    [
        ("a.mp3", "audio/mpeg", b"whatever", ("recording.mp3", "audio/mpeg")),
        ("Memo 1.M4A", "audio/x-m4a", b"whatever", ("recording.m4a", "audio/x-m4a")),
        ("film.mp4", "video/mp4", b"whatever", ("recording.mp4", "video/mp4")),
        ("noname", "audio/mp4", b"whatever", ("recording.m4a", "audio/mp4")),
        ("noname", "application/octet-stream", b"OggS...", ("recording.ogg", "application/octet-stream")),
        ("a.wav", "text/html", b"RIFF....WAVE", ("recording.wav", "application/octet-stream")),
        ("call.amr", "audio/amr", b"#!AMR", ("recording.amr", "audio/amr")),
        ('x"\n.../', "audio/strange", b"?", ("recording.audio", "audio/strange")),
    ],
)
def test_the_provider_gets_a_name_with_an_ending_that_it_knows(chat, openai, name, kind, content, sent):
    assert send(chat, content, name, kind).status_code == 200
    assert openai.uploads[0][:2] == sent


@pytest.mark.parametrize(
    ("content", "name", "kind", "status", "told"),
    [
        (b"", "a.mp3", "audio/mpeg", 422, "nothing in that recording"),
        (b"", "", "application/octet-stream", 422, "Choose an audio file"),
        (b"%PDF-1.7", "a.pdf", "application/pdf", 415, "no recording"),
        (b"x" * 2_000_000, "a.mp3", "audio/mpeg", 413, "has 1.9 MB; up to 1 MB can be sent"),
    ],
)
@pytest.mark.parametrize("htmx", [False, True])
def test_what_cannot_be_sent_is_told_and_what_was_typed_is_kept(chat, openai, content, name, kind, status, told, htmx):
    response = send(chat, content, name, kind, htmx=htmx, question="Typed before.")
    assert response.status_code == status
    assert told in response.text
    assert htmx or box(response) == "Typed before."
    assert htmx == ("<html" not in response.text)
    assert openai.bodies == []


def test_a_body_beyond_all_patience_is_refused_unread(chat, openai):
    response = send(chat, b"x" * 8_000_000)
    assert response.status_code == 413
    assert "much too large" in response.text
    assert openai.bodies == []


def test_a_form_without_a_file_field_is_refused(chat):
    response = chat.post("transcribe", question="Typed before.")
    assert response.status_code == 422
    assert box(response) == "Typed before."


@pytest.mark.parametrize(
    ("reply", "status", "told"),
    [
        (Reply.error(400, "Audio file might be corrupted."), 502, "Audio file might be corrupted."),
        (Reply.error(401, "Incorrect API key provided: sk-test."), 502, "Incorrect API key provided: [key]."),
        (Reply([b'{"language": "en"}'], content_type="application/json"), 502, "has no text"),
        (Reply([b"{oops"], content_type="application/json"), 502, "{oops"),
        (Reply([b"<h1>Welcome</h1>"], content_type="text/html"), 502, "Welcome"),
        (Reply([b'{"text": "  "}'], content_type="application/json"), 422, "No words were heard"),
        (Reply([RESET]), 502, "without an answer"),
    ],
)
@pytest.mark.parametrize("htmx", [False, True])
def test_a_failure_is_told_in_the_providers_words_and_can_be_tried_again(chat, openai, reply, status, told, htmx):
    openai.enqueue(reply)
    response = send(chat, htmx=htmx, question="Typed before.")
    assert response.status_code == status
    assert told in response.text
    assert len(openai.bodies) == 1
    assert htmx or box(response) == "Typed before."
    assert send(chat, htmx=True).text == "What was said."


def test_a_silent_endpoint_ends_with_a_message(config, openai):
    app = create_app({"TESTING": True, **config, "ANSWER_TIMEOUT": 1})
    openai.enqueue(Reply(wait=SILENCE))
    with app.test_client() as client:
        response = send(Chat(client))
    assert response.status_code == 504
    assert "silent for 1 s" in response.text


def test_a_transcription_as_mere_text_is_taken(chat, openai):
    openai.enqueue(Reply(["你好，世界。\n".encode()], content_type="text/plain; charset=utf-8"))
    assert send(chat, htmx=True).text == "你好，世界。"


def test_somebody_elses_conversation_takes_no_recording(chat, openai, app):
    with app.test_client() as other:
        response = send(chat, question="Typed before.", client=other)
        assert response.status_code == 404
        assert box(response) == "Typed before."
    assert openai.bodies == []


def test_another_site_cannot_send_a_recording_however_large(chat, openai):
    for size in (1000, 3_000_000):
        response = send(chat, b"x" * size, question="Typed.", headers={"Sec-Fetch-Site": "cross-site"})
        assert response.status_code == 403
        assert "another site" in response.text
    assert openai.bodies == []


# --- Reading aloud ---


def test_an_answer_is_read_aloud_and_the_second_time_costs_nothing(chat, openai):
    chat.answered("Is **this** read?")
    response = read(chat)
    assert response.status_code == 200
    assert openai.paths[1:] == ["/v1/audio/speech"]
    assert openai.bodies[1] == {"model": "mouth", "voice": "nova", "input": "You said: Is this read?"}
    assert re.fullmatch(rf"/conversations/{chat.id}/files/speech-[0-9a-f]{{40}}\.mp3", source(response))
    audio = chat.client.get(source(response), buffered=True)
    assert (audio.data, audio.mimetype) == (b"ID3 You said: Is this read?", "audio/mpeg")
    assert source(read(chat)) == source(response)
    assert len(openai.bodies) == 2


def test_two_clicks_at_once_are_one_request(chat, openai, app):
    chat.answered("One?")
    path, cookie = f"/conversations/{chat.id}/answers/{answer_id(chat)}/speech", chat.cookie()
    openai.enqueue(Reply([b"ID3 once"], content_type="audio/mpeg", wait=0.3))
    found = []

    def click():
        with app.test_client(use_cookies=False) as client:
            found.append(source(client.post(path, headers={"HX-Request": "true", "Cookie": cookie})))

    clicks = [threading.Thread(target=click) for _ in range(4)]
    for thread in clicks:
        thread.start()
    for thread in clicks:
        thread.join()
    assert len(found) == 4
    assert len(set(found)) == 1
    assert openai.paths.count("/v1/audio/speech") == 1


@pytest.mark.parametrize(
    ("content", "kind", "ending"),
    [
        (b"RIFF....WAVEfmt ", "application/octet-stream", "wav"),
        (b"OggS", "audio/mpeg", "ogg"),
        (b"fLaC", "", "flac"),
        (b"\xff\xfb\x90\x00", "audio/mpeg", "mp3"),
        (b"\xff\xf1\x50\x80", "audio/aac", "aac"),
        (b"???", "audio/wav", "wav"),
        (b"???", "audio/opus", "ogg"),
    ],
)
def test_the_file_is_named_for_what_came(chat, openai, content, kind, ending):
    chat.answered("One?")
    openai.enqueue(Reply([content], content_type=kind or "application/octet-stream"))
    response = read(chat)
    assert source(response).endswith(f".{ending}")
    assert source(read(chat)) == source(response)
    assert len(openai.bodies) == 2
    assert audio_ending(b"") == ""


def test_without_a_script_a_page_plays_it(chat, openai):
    chat.answered("One?")
    response = read(chat, htmx=False)
    assert response.status_code == 303
    page = chat.client.get(response.location)
    assert "<html" in page.text
    assert chat.client.get(source(page), buffered=True).data == b"ID3 You said: One?"
    assert "Read on" not in page.text
    assert len(openai.bodies) == 2


def test_a_long_answer_is_read_in_parts_each_when_it_is_asked_for(chat, openai):
    text = " ".join(f"Sentence {number} has some words." for number in range(300))
    openai.enqueue(Reply.text(text))
    chat.answered("One?")
    first = read(chat)
    assert "Part 1 of 3" in first.text
    assert 'name="part" value="2"' in first.text
    assert len(openai.bodies) == 2
    page = chat.client.get(f"/conversations/{chat.id}/answers/{answer_id(chat)}/speech").text
    assert page.count("<audio") == 1
    assert "Read on" in page
    read(chat, part="2")
    last = read(chat, htmx=False, part="3")
    assert last.location.endswith("#part-3")
    page = chat.client.get(last.location).text
    assert "Part 3 of 3" in page
    assert "Read on" not in page
    assert 'name="part"' not in read(chat, part="3").text
    said = [body["input"] for body in openai.bodies[1:]]
    assert [len(part) <= LONGEST_PART for part in said] == [True] * 3
    assert " ".join(said) == text
    assert read(chat, part="4").status_code == 404


def test_code_is_left_out_and_the_player_says_so(chat, openai):
    openai.enqueue(Reply.text("Do this:\n```\nx = 1\n```\nDone."))
    chat.answered("One?")
    assert "Code is not read." in read(chat).text
    assert openai.bodies[1]["input"] == "Do this:\n\nDone."


def test_an_answer_of_code_alone_is_not_paid_for(chat, openai):
    openai.enqueue(Reply.text("```\nx = 1\n```"))
    chat.answered("One?")
    assert read(chat).status_code == 422
    assert len(openai.bodies) == 1


def test_an_answer_that_is_still_coming_is_not_read(chat, openai):
    openai.enqueue(Reply([*Reply.text("Half").steps[:1], SILENCE]))
    chat.ask("One?")
    wait_until(lambda: "Half" in chat.page())
    assert "Read aloud" not in chat.page()
    assert read(chat).status_code == 409
    assert len(openai.bodies) == 1


@pytest.mark.parametrize(
    ("reply", "told"),
    [
        (Reply.error(400, "Unknown voice nova."), "Unknown voice nova."),
        (Reply([b'{"error": "No voice."}'], content_type="application/json"), "could not be read aloud. No voice."),
        (Reply([b'{"odd": "none"}'], content_type="application/json"), "sent no audio"),
        (Reply([b"<h1>Welcome</h1>"], content_type="text/html"), "Welcome"),
        (Reply([], content_type="audio/mpeg"), "without any sound"),
    ],
)
@pytest.mark.parametrize("htmx", [False, True])
def test_speech_that_fails_is_told_and_leaves_no_file(chat, openai, app, reply, told, htmx):
    chat.answered("One?")
    openai.enqueue(reply)
    response = read(chat, htmx=htmx)
    assert response.status_code == 502
    assert told in response.text
    assert not list(app.extensions["files"].folder.rglob("speech*"))
    assert read(chat).status_code == 200


def test_what_is_cleared_meanwhile_leaves_no_speech(chat, openai, app):
    chat.answered("One?")
    path, cookie = f"/conversations/{chat.id}/answers/{answer_id(chat)}/speech", chat.cookie()
    openai.enqueue(Reply([b"ID3"], content_type="audio/mpeg", wait=0.5))
    found = []

    def click():
        with app.test_client(use_cookies=False) as client:
            found.append(client.post(path, headers={"Cookie": cookie}).status_code)

    clicking = threading.Thread(target=click)
    clicking.start()
    wait_until(lambda: len(openai.bodies) == 2)
    chat.post("clear", confirmed="yes")
    clicking.join()
    assert found == [404]
    assert not list(app.extensions["files"].folder.rglob("speech*"))


def test_somebody_elses_answer_is_not_read(chat, openai, app):
    chat.answered("One?")
    path = f"/conversations/{chat.id}/answers/{answer_id(chat)}/speech"
    with app.test_client() as other:
        other.get("/")
        assert other.post(path).status_code == 404
        assert other.get(path).status_code == 404
    assert chat.post("answers/nosuch/speech").status_code == 404
    assert len(openai.bodies) == 1


def test_of_a_very_long_answer_the_beginning_is_read_and_that_is_said(chat, openai):
    openai.enqueue(Reply.text("word " * (LONGEST // 5) + "the end"))
    chat.answered("One?")
    for said in (read(chat).text, chat.client.get(f"/conversations/{chat.id}/answers/{answer_id(chat)}/speech").text):
        assert f"Only the first {LONGEST:,} characters are read." in said


# --- Where there is no such model ---


class TestWithoutModels:
    @pytest.fixture
    def config(self, config):
        return config | {"TRANSCRIPTION_MODEL": None, "SPEECH_MODEL": None}

    def test_nothing_is_offered(self, chat):
        page = chat.answered("One?")
        for name in ("dictation", "speech.js", "Read aloud", "transcribe"):
            assert name not in page

    def test_nothing_is_sent(self, chat, openai):
        chat.answered("One?")
        assert send(chat).status_code == 404
        assert "TRANSCRIPTION_MODEL" in send(chat, htmx=True).text
        assert "SPEECH_MODEL" in read(chat).text
        assert chat.client.get(f"/conversations/{chat.id}/answers/{answer_id(chat)}/speech").status_code == 404
        assert len(openai.bodies) == 1


def test_the_page_offers_what_there_are_models_for(chat):
    page = chat.answered("One?")
    for name in ('id="dictation"', "speech.js", "Read aloud", 'id="transcribe"'):
        assert name in page


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("htmx", [True, False])
def test_sound_that_cannot_be_kept_says_so_and_the_answer_stays(chat, disk, fault, htmx):
    chat.answered("One?")
    with disk.fails(fault, "files"):
        refused = read(chat, htmx=htmx)
        assert refused.status_code == 503
        assert "the sound could not be kept" in refused.text
        assert os.strerror(FAULTS[fault]) in refused.text
        assert "One?" in chat.page()
        assert chat.client.get(f"/conversations/{chat.id}/answers/{answer_id(chat)}/speech").status_code == 200
    assert source(read(chat))
    assert not list(Path(disk.folder).rglob("new-*"))
