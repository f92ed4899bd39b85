"""Take the screenshots of the page: `python -m docs.screenshots [FOLDER]`.

Every state in light and dark, on a desk and on a phone, against the tests' own loopback server.
The README shows the two in docs/images.
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


def main(folder):
    folder.mkdir(parents=True, exist_ok=True)
    openai = OpenAIServer()
    settings = {"OPENAI_BASE_URL": openai.base_url, "OPENAI_API_KEY": "sk-test", "CHAT_MODEL": "gpt-5.4-mini"}
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
    page.locator("#model summary").click()
    picture("model")
    page.locator("#model summary").click()
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
    openai.enqueue(Reply.error(429, "Rate limit reached for gpt-5.4-mini.", headers={"Retry-After": "20"}))
    ask("One more?", "failed")
    picture("failed")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "docs/images/all"))
