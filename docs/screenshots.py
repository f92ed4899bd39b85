"""Take the screenshots of the page: `python -m docs.screenshots [FOLDER]`.

With a folder: every state, in light and dark, on screens of four sizes, against the tests' own loopback
server. Without one: the README's two, in docs/images, with the local model.
"""

import sys
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

from tests import chromium
from tests.conftest import Server
from tests.openai_server import SILENCE, OpenAIServer, Reply, chunk, event

SIZES = {"desk": (1280, 800), "tablet": (768, 1024), "phone": (390, 844), "narrow": (320, 640)}
ENGLISH = (
    "A conversation is sent whole: the API keeps nothing between two requests, so every question carries the "
    "turns before it.\n\nThat is why a long conversation costs more with each question, and why providers cache "
    "the beginning of what you send.",
    "Two things help:\n\n  1. Clear the conversation when the subject changes.\n  2. Keep the system prompt short.",
)
CHINESE = (
    "每次提问都会把整段对话重新发送一遍：系统提示、之前的问答，以及这一次的问题。\n\n"
    "因此对话越长，每个问题花费的 tokens 就越多。换话题时，清空对话即可。"
)


def for_the_readme(folder):
    with tempfile.TemporaryDirectory() as data, sync_playwright() as playwright:
        server = Server(data)
        browser = playwright.chromium.launch(executable_path=chromium.find(), args=["--no-sandbox"])
        try:
            for name, size, theme in (("desk", (1000, 640), "light"), ("phone", (390, 640), "dark")):
                page = browser.new_page(
                    viewport=dict(zip(("width", "height"), size, strict=True)),
                    color_scheme=theme,
                    device_scale_factor=2,
                )
                page.goto(server.url)
                for question in ("What is the capital of China?", "And the capital of France?"):
                    page.locator("#question").fill(question)
                    page.locator("#send").click()
                    page.locator(f".turn:has-text({question!r}) .answer[data-status=done]").wait_for()
                page.wait_for_timeout(150)
                page.screenshot(path=folder / f"{name}.png")
        finally:
            server.close()


def every_state(folder):
    folder.mkdir(parents=True, exist_ok=True)
    openai = OpenAIServer()
    settings = {"OPENAI_BASE_URL": openai.base_url, "OPENAI_API_KEY": "sk-test", "CHAT_MODEL": "test-model"}
    with tempfile.TemporaryDirectory() as data, sync_playwright() as playwright:
        server = Server(data, **settings)
        browser = playwright.chromium.launch(executable_path=chromium.find(), args=["--no-sandbox"])
        try:
            for size, (width, height) in SIZES.items():
                for theme in ("light", "dark"):
                    phone = width < 500
                    context = browser.new_context(
                        viewport={"width": width, "height": height},
                        color_scheme=theme,
                        device_scale_factor=2 if phone else 1,
                        has_touch=phone,
                        is_mobile=phone,
                    )
                    take(context.new_page(), server.url, openai, folder / f"{size}-{theme}")
                    context.close()
        finally:
            server.close()
            openai.close()


def take(page, url, openai, name):
    """Go through a page's states and take a picture of each."""

    def picture(state):
        page.wait_for_timeout(150)
        page.screenshot(path=f"{name}-{state}.png")

    def ask(question, status="done"):
        page.locator("#question").fill(question)
        page.locator("#send").click()
        page.locator(f"article.turn:last-child .answer[data-status={status}]").wait_for()

    page.goto(url)
    picture("empty")
    page.locator("#model-button").click()
    picture("model")
    page.locator("#model-button").click()
    openai.enqueue(Reply.text(ENGLISH[0]), Reply.text(ENGLISH[1]))
    ask("Why does every question in a chat cost more than the one before?")
    ask("What can I do about it?")
    picture("answered")
    openai.enqueue(Reply.text(CHINESE))
    ask("为什么对话越长，费用越高？")
    picture("chinese")
    openai.enqueue(Reply([event(chunk(ENGLISH[0][:140])), SILENCE]))
    ask("Say that again, in one sentence.", "pending")
    page.wait_for_timeout(300)
    page.locator("#question").fill("And a question that comes too early")
    page.locator("#send").click()
    page.locator(".notice").wait_for()
    picture("streaming")
    page.locator("#stop").click()
    page.locator(".answer[data-status=stopped]").wait_for()
    picture("stopped")
    openai.enqueue(Reply.error(429, "Rate limit reached for test-model.", headers={"Retry-After": "20"}))
    ask("One more?", "failed")
    picture("failed")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        every_state(Path(sys.argv[1]))
    else:
        for_the_readme(Path(__file__).parent / "images")
