"""Take the screenshots of the page: `python -m docs.screenshots [FOLDER]`.

With a folder: every state, on screens of three sizes, in light and dark, in English and Chinese. Without one: the
README's two, in docs/images. A stub on loopback answers, so that every picture shows the same words.
"""

import re
import sys
import tempfile
from contextlib import contextmanager
from itertools import product
from pathlib import Path

from playwright.sync_api import sync_playwright

from tests import chromium
from tests.conftest import Server
from tests.openai_server import DONE, SILENCE, OpenAIServer, Reply, chunk, event

MODEL = "qwen3-32b"
SIZES = {"1440": (1440, 900), "768": (768, 1024), "390": (390, 844)}
LANGUAGES = {"en": "en-US", "zh": "zh-CN"}

# What is asked and answered in the pictures, by language: parts of a file, each below its name.
WORDS = {
    language: dict(re.findall(r"<!-- (\w+) -->\n(.*?)(?=\n\n<!--|\n\Z)", path.read_text(), re.DOTALL))
    for language in LANGUAGES
    for path in [Path(__file__).parent / "samples" / f"{language}.md"]
}


@contextmanager
def parley():
    """Yield a browser, the address of a server, and the stub that answers for the model."""
    openai = OpenAIServer()
    settings = {"OPENAI_BASE_URL": openai.base_url, "OPENAI_API_KEY": "sk-test", "CHAT_MODEL": MODEL}
    with tempfile.TemporaryDirectory() as data, sync_playwright() as playwright:
        server = Server(data, **settings)
        browser = playwright.chromium.launch(executable_path=chromium.find(), args=["--no-sandbox"])
        try:
            yield browser, server.url, openai
        finally:
            browser.close()
            server.close()
            openai.close()


@contextmanager
def opened(browser, url, size, theme, language, **options):
    """Yield a page of a new visitor."""
    width, height = size
    phone = width < 500
    context = browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme=theme,
        locale=LANGUAGES[language],
        has_touch=phone,
        is_mobile=phone,
        **options,
    )
    page = context.new_page()
    page.goto(url)
    yield page
    context.close()


def said(text):
    """Return a reply that says how many tokens it took, as most endpoints do."""
    completion = len(text) // 3
    usage = {"prompt_tokens": 31, "completion_tokens": completion, "total_tokens": 31 + completion}
    end = chunk(finish="stop", usage=usage) | {"model": MODEL}
    return Reply([event(chunk(text) | {"model": MODEL}), event(end), DONE])


def ask(page, openai, question, reply, status="done"):
    openai.enqueue(reply)
    page.locator("#question").fill(question)
    page.locator("#send").click()
    page.locator(f"article.turn:last-child .answer[data-status={status}]").wait_for()


def every_state(folder):
    folder.mkdir(parents=True, exist_ok=True)
    with parley() as (browser, url, openai):
        for size, theme, language in product(SIZES, ("light", "dark"), LANGUAGES):
            with opened(browser, url, SIZES[size], theme, language) as page:
                take(
                    page,
                    openai,
                    WORDS[language],
                    lambda state, of=f"{size}-{theme}-{language}": folder / f"{state}-{of}.png",
                )


def take(page, openai, words, path):
    """Go through a page's states and take a picture of each."""

    def picture(state):
        page.wait_for_timeout(200)  # For what is animated.
        page.screenshot(path=path(state))

    picture("empty")
    page.locator("#menu-button").click()
    picture("menu")
    page.keyboard.press("Escape")
    ask(page, openai, words["why"], said(words["because"]))
    picture("answered")
    ask(page, openai, words["code"], said(words["program"]))
    picture("code")
    ask(page, openai, words["again"], Reply([event(chunk(words["begun"])), SILENCE]), "pending")
    page.locator(".turn:last-child .text strong").wait_for()
    picture("streaming")
    page.locator("#stop").click()
    page.locator(".answer[data-status=stopped]").wait_for()
    ask(page, openai, words["more"], Reply.error(429, "Rate limit reached.", headers={"Retry-After": "20"}), "failed")
    picture("error")
    page.locator("#parameters-line a").click()
    page.locator("form#parameters").wait_for()
    picture("panel")


def for_the_readme(folder):
    pictures = (("desk", (1120, 860), "light", "en"), ("phone", (390, 800), "dark", "zh"))
    with parley() as (browser, url, openai):
        for name, size, theme, language in pictures:
            with opened(browser, url, size, theme, language, device_scale_factor=2) as page:
                words = WORDS[language]
                ask(page, openai, words["why"], said(words["because"]))
                page.wait_for_timeout(200)
                page.screenshot(path=folder / f"{name}.png")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        every_state(Path(sys.argv[1]))
    else:
        for_the_readme(Path(__file__).parent / "images")
