"""The default templates as a reader sees them, in a real browser, where there is one."""

import os
from pathlib import Path

import pytest

from plugins.email.templates import LANGUAGES
from tests.plugins.email.test_templates import rendered
from tests.schema import browser

pytestmark = pytest.mark.skipif(browser.CHROMIUM is None, reason="there is no Chromium")

PHONE, DESK = 375, 1024
LEAST_CONTRAST = 4.5
"""Of text and what is behind it, by WCAG AA."""
LEAST_TAP = 40
LEAST_TEXT = 12
LOOK = """(() => {
    const parts = colour => colour.match(/[\\d.]+/g).map(Number);
    const light = colour => {
        const [r, g, b] = parts(colour).map(part => part / 255).map(
            part => part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const behind = element => {
        for (; element; element = element.parentElement) {
            const colour = getComputedStyle(element).backgroundColor;
            if ((parts(colour)[3] ?? 1) > 0) return colour;
        }
        return matchMedia('(prefers-color-scheme: dark)').matches ? 'rgb(18,18,18)'
            : 'rgb(255,255,255)';
    };
    const texts = [...document.body.querySelectorAll('*')].filter(element =>
        [...element.childNodes].some(node => node.nodeType === 3 && node.textContent.trim())
        && element.getClientRects().length && getComputedStyle(element).visibility !== 'hidden'
        && element.getBoundingClientRect().height > 1);
    return {
        texts: texts.map(element => {
            const style = getComputedStyle(element);
            const [one, other] = [light(style.color), light(behind(element))];
            return {
                text: element.textContent.trim().slice(0, 30), size: parseFloat(style.fontSize),
                contrast: (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05),
            };
        }),
        page: light(behind(document.querySelector('.page') ?? document.body)),
        width: document.documentElement.scrollWidth, window: innerWidth,
        button: document.querySelector('a[style*="inline-block"]').getBoundingClientRect().height,
    };
})()"""


@pytest.fixture(scope="module")
async def tab(tmp_path_factory):
    async with browser.opened("about:blank", tmp_path_factory.mktemp("browser")) as page:
        yield page


@pytest.mark.parametrize("width", [PHONE, DESK])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("language", LANGUAGES)
async def test_a_default_template_can_be_read(tab, tmp_path, language, scheme, width):
    file = tmp_path / "mail.html"
    file.write_text(rendered(language)["html"], "utf-8")
    await tab.send("Emulation.setDeviceMetricsOverride", width=width, height=640,
                   deviceScaleFactor=1, mobile=width == PHONE)  # fmt: skip
    await tab.send("Emulation.setEmulatedMedia", features=[
        {"name": "prefers-color-scheme", "value": scheme},
    ])  # fmt: skip
    await tab.send("Page.navigate", url=file.as_uri())
    await tab.until(f"document.title && location.href === {file.as_uri()!r}")
    picture = await tab.picture()
    assert picture.startswith(b"\x89PNG")
    if folder := os.environ.get("HUIKE_PICTURES"):
        (Path(folder) / f"mail-{language}-{scheme}-{width}.png").write_bytes(picture)
    seen = await tab.run(LOOK)
    assert len(seen["texts"]) >= 6
    for text in seen["texts"]:
        assert text["contrast"] >= LEAST_CONTRAST, text
        assert text["size"] >= LEAST_TEXT, text
    assert seen["width"] <= seen["window"]  # nothing to be pushed sideways
    assert seen["button"] >= LEAST_TAP
    assert (seen["page"] < 0.1) is (scheme == "dark")
