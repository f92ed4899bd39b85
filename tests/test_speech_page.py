"""Dictation and reading aloud in a real Chromium, whose microphone beeps."""

import io
import wave

import pytest
from playwright.sync_api import expect

from .conftest import launch, wait_until
from .openai_server import SILENCE, Reply

pytestmark = pytest.mark.browser

TALK = {"name": "talk.mp3", "mimeType": "audio/mpeg", "buffer": b"ID3 talk"}
SAID = Reply([b'{"text": "said aloud"}'], content_type="application/json")


@pytest.fixture(scope="module")
def browser(playwright):
    browser = launch(
        playwright, "--use-fake-device-for-media-stream", "--host-resolver-rules=MAP parley.example 127.0.0.1"
    )
    yield browser
    browser.close()


MODELS = {"TRANSCRIPTION_MODEL": "ears", "SPEECH_MODEL": "mouth"}


@pytest.fixture
def config(config):
    return config | MODELS | {"MAX_AUDIO_MB": 1, "ALLOWED_HOSTS": ("parley.example",)}


@pytest.fixture
def page(visit, live):
    return visit(live, permissions=["microphone"])


def state(page, name):
    expect(page.locator("#dictation")).to_have_attribute("data-state", name)


def says(page):
    return page.locator(".dictation-says").inner_text()


def box(page):
    return page.locator("#question").input_value()


def record(page):
    page.locator("#microphone").click()
    recording(page)


def recording(page):
    """Wait until there is something to hear: a recording that ends at once is empty."""
    state(page, "recording")
    expect(page.locator(".dictation-time")).to_have_text("0:01")


def beep(seconds):
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(1)
        sound.setframerate(8000)
        sound.writeframes(bytes(range(100, 150)) * int(160 * seconds))
    return Reply([file.getvalue()], content_type="audio/wav")


def test_what_is_said_stands_at_the_caret_and_is_not_sent(page, openai):
    openai.enqueue(SAID)
    page.locator("#question").fill("Before after")
    page.locator("#question").evaluate("box => box.setSelectionRange(6, 6)")
    record(page)
    expect(page.locator("#microphone")).to_have_attribute("aria-pressed", "true")
    assert says(page) == "Recording"
    page.locator("#dictation-done").click()
    state(page, "idle")
    assert box(page) == "Before said aloud after"
    assert page.locator("#question").evaluate("box => box.selectionEnd") == len("Before said aloud")
    assert page.evaluate("document.activeElement.id") == "question"
    assert openai.paths == ["/v1/audio/transcriptions"]
    name, kind, content = openai.uploads[0]
    assert (name, kind, content[:4]) == ("recording.webm", "audio/webm", b"\x1a\x45\xdf\xa3")
    assert page.locator("article.turn").count() == 0
    page.reload()
    assert box(page) == "Before said aloud after"


def test_the_keyboard_is_enough_and_what_is_typed_meanwhile_stays(page, openai):
    openai.enqueue(Reply(['{"text": "你好"}'.encode()], content_type="application/json"))
    page.locator("#question").press("Tab")
    assert page.evaluate("document.activeElement.id") == "microphone"
    page.keyboard.press("Enter")
    recording(page)
    page.locator("#question").fill("请说：")
    page.locator("#microphone").focus()
    page.keyboard.press("Enter")
    state(page, "idle")
    assert box(page) == "请说：你好"


def test_esc_throws_a_recording_away(page, openai):
    record(page)
    page.keyboard.press("Escape")
    state(page, "idle")
    expect(page.locator("#dictation-cancel")).to_be_hidden()
    page.locator("#microphone").click()
    state(page, "recording")
    page.locator("#dictation-cancel").click()
    state(page, "idle")
    assert page.evaluate("document.activeElement.id") == "question"
    assert openai.bodies == []


def test_a_failure_keeps_the_recording_and_it_can_be_sent_again(visit, page, openai):
    openai.enqueue(Reply.error(500, "The ears hurt."), SAID)
    page.locator("#question").fill("Typed.")
    record(page)
    page.locator("#dictation-done").click()
    state(page, "failed")
    assert "The ears hurt." in says(page)
    assert box(page) == "Typed."
    page.keyboard.press("Escape")
    state(page, "failed")
    page.locator("#dictation-again").click()
    state(page, "idle")
    assert box(page) == "Typed. said aloud"
    assert openai.uploads[0] == openai.uploads[1]
    visit.expects = ""


def test_a_server_that_is_gone_keeps_the_recording(visit, serve, openai):
    server = serve(OPENAI_BASE_URL=openai.base_url, OPENAI_API_KEY="sk-test", CHAT_MODEL="test-model", **MODELS)
    page = visit(server.url, permissions=["microphone"])
    record(page)
    server.kill()
    page.locator("#dictation-done").click()
    state(page, "failed")
    assert "Your recording is kept" in says(page)
    server.start()
    page.locator("#dictation-again").click()
    state(page, "idle")
    assert box(page) == "What was said."
    visit.expects = ""


def test_waiting_for_the_words_can_be_given_up(page, openai):
    openai.enqueue(Reply(wait=SILENCE))
    record(page)
    page.locator("#dictation-done").click()
    state(page, "sending")
    wait_until(lambda: openai.uploads)
    page.keyboard.press("Escape")
    state(page, "idle")
    assert box(page) == ""


def test_a_forbidden_microphone_is_told_and_a_file_does(visit, live, openai):
    page = visit(live)
    page.locator("#microphone").click()
    state(page, "failed")
    assert "not allowed" in says(page)
    page.locator("#recording").set_input_files(TALK)
    state(page, "idle")
    assert box(page) == "What was said."
    assert openai.uploads == [("recording.mp3", "audio/mpeg", b"ID3 talk")]


def test_a_missing_microphone_is_told(page):
    missing = "async () => { throw new DOMException('', 'NotFoundError'); }"
    page.evaluate(f"() => {{ navigator.mediaDevices.getUserMedia = {missing}; }}")
    page.locator("#microphone").click()
    state(page, "failed")
    assert "No microphone was found" in says(page)


def test_a_file_that_is_too_large_is_not_sent(page, openai):
    page.locator("#recording").set_input_files(TALK | {"buffer": b"x" * 1_100_000})
    state(page, "failed")
    assert "larger than 1 MB" in says(page)
    expect(page.locator("#dictation-again")).to_be_hidden()
    page.locator("#dictation-cancel").click()
    state(page, "idle")
    assert openai.bodies == []


def test_a_file_that_is_no_recording_is_told(visit, page, openai):
    page.locator("#recording").set_input_files({"name": "a.pdf", "mimeType": "application/pdf", "buffer": b"%PDF"})
    state(page, "failed")
    assert "no recording" in says(page)
    assert openai.bodies == []
    visit.expects = ""


def test_without_https_the_file_field_remains(visit, live, openai):
    page = visit(live.replace("127.0.0.1", "parley.example"))
    visit.problems.clear()  # Chromium complains about a header that plain http cannot have.
    assert not page.evaluate("isSecureContext")
    expect(page.locator("#microphone")).to_be_hidden()
    page.locator("#recording").set_input_files(TALK)
    expect(page.locator("#question")).to_have_value("What was said.")


def test_a_question_is_sent_as_ever_beside_it(page, openai):
    page.locator("#question").fill("One?")
    page.locator("#question").press("Enter")
    expect(page.locator(".answer .text")).to_have_text("You said: One?")
    assert openai.questions == ["One?"]


def test_an_answer_is_read_aloud_part_by_part_as_it_is_listened_to(page, openai):
    openai.enqueue(Reply.text("Some words. " * 340), beep(0.2), beep(30))
    page.locator("#question").fill("One?")
    page.locator("#send").click()
    page.get_by_role("button", name="Read aloud").click()
    expect(page.locator("audio")).to_have_count(2)
    assert page.locator("audio").first.evaluate("audio => audio.ended && audio.duration > 0.1")
    wait_until(lambda: page.locator("audio").last.evaluate("audio => !audio.paused && audio.currentTime > 0"))
    assert page.evaluate("document.activeElement.tagName") == "AUDIO"
    assert openai.paths.count("/v1/audio/speech") == 2
    # A range: the browser seeks in what it has not played.
    page.locator("audio").last.evaluate("audio => { audio.currentTime = 25; }")
    wait_until(lambda: page.locator("audio").last.evaluate("audio => audio.currentTime > 25"))
    page.reload()
    page.get_by_role("button", name="Read aloud").click()
    expect(page.locator("audio")).to_have_count(2)
    assert openai.paths.count("/v1/audio/speech") == 2


def test_reading_aloud_that_fails_is_told_and_offered_again(visit, page, openai):
    openai.enqueue(Reply.text("Words."), Reply.error(400, "Unknown voice."))
    page.locator("#question").fill("One?")
    page.locator("#send").click()
    page.get_by_role("button", name="Read aloud").click()
    expect(page.locator("#notice")).to_contain_text("Unknown voice.")
    openai.enqueue(beep(0.1))
    page.get_by_role("button", name="Read aloud").click()
    wait_until(lambda: page.locator("audio").evaluate("audio => audio.ended"))
    visit.expects = ""


def test_reading_aloud_does_not_disturb_another_tab(visit, page, live, openai):
    page.locator("#question").fill("One?")
    page.locator("#send").click()
    other = visit(live, context=page.context)
    other.get_by_role("button", name="Read aloud").wait_for()
    openai.enqueue(beep(0.1))
    page.get_by_role("button", name="Read aloud").click()
    expect(page.locator("audio")).to_be_visible()
    openai.enqueue(beep(0.1))
    other.get_by_role("button", name="Read aloud").click()
    for tab in (other, page):
        wait_until(lambda tab=tab: tab.locator("audio").evaluate("audio => audio.ended"))


def test_without_a_script_both_can_be_done(visit, live, openai):
    page = visit(live, java_script_enabled=False)
    page.locator("#question").fill("Typed.")
    page.locator("input[name=audio]").set_input_files(TALK)
    page.locator("#transcribe").click()
    assert box(page) == "Typed. What was said."
    assert page.locator("article.turn").count() == 0
    page.locator("#transcribe").click()
    assert "Choose an audio file first." in page.locator("#notice").inner_text()
    assert box(page) == "Typed. What was said."
    page.locator("#send").click()
    wait_until(lambda: page.get_by_role("button", name="Read aloud").count())
    openai.enqueue(beep(1))
    page.get_by_role("button", name="Read aloud").click()
    expect(page.locator("audio")).to_be_visible()
    page.get_by_role("link", name="Back to the conversation").click()
    assert "#turn-" in page.url
    visit.expects = ""  # the refusal's status


def test_on_a_phone_nothing_is_wider_than_the_screen(visit, live):
    page = visit(
        live,
        viewport={"width": 320, "height": 640},
        is_mobile=True,
        has_touch=True,
        permissions=["microphone"],
    )
    for button in ("#microphone", "#send"):
        assert page.locator(button).bounding_box()["height"] >= 44
    page.locator("#microphone").tap()
    state(page, "recording")
    assert page.evaluate("document.documentElement.scrollWidth") == 320
    page.locator("#dictation-done").tap()
    state(page, "idle")
    assert page.evaluate("document.documentElement.scrollWidth") == 320
