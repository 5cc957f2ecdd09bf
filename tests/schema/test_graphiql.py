"""GraphiQL in a real browser, where there is one: a token, an example, its answer, the docs."""

import os
from pathlib import Path

import pytest

from tests.schema import browser

pytestmark = pytest.mark.skipif(browser.CHROMIUM is None, reason="there is no Chromium")

ANSWER = "document.querySelector('.result-window')?.innerText.includes(%r)"
EDITOR = "document.querySelector('.graphiql-query-editor')?.innerText.includes(%r)"
VARIABLES = "document.querySelector('.graphiql-editor-tool .CodeMirror')?.CodeMirror%s"
DOCS = "document.querySelector('.graphiql-doc-explorer')?.innerText.includes(%r)"
CHOOSE = """(() => {
    const select = document.getElementById('examples');
    const found = [...select.options].find(one => one.textContent === %r);
    if (!found) return false;
    select.value = found.value;
    select.dispatchEvent(new Event('change'));
    return true;
})()"""
RUN = """(() => {
    const button = document.querySelector('.graphiql-execute-button');
    if (button) button.click();
    return !!button;
})()"""


async def keep(page, name):
    """A picture for people: `HUIKE_PICTURES` names a folder."""
    picture = await page.picture()
    assert picture.startswith(b"\x89PNG")
    if folder := os.environ.get("HUIKE_PICTURES"):
        (Path(folder) / f"{name}.png").write_bytes(picture)


async def test_a_token_an_example_and_the_docs(address, world, tmp_path):
    base = address.replace("ws://", "http://").removesuffix("/graphql")
    async with browser.opened(f"{base}/graphiql#token={world.token}", tmp_path) as page:
        await page.until("document.getElementById('status')?.textContent === 'Test'")
        assert world.token not in await page.run("location.href")
        await page.until("document.getElementById('examples').options.length > 40")
        # an example, run
        await page.until(CHOOSE % "Who am I: the merchant and the rights of my token")
        await page.until(EDITOR % "viewer")
        await page.until(RUN)
        await page.until(ANSWER % "permissions")
        await keep(page, "answer")
        # a subscription goes over the socket
        await page.until(CHOOSE % "Follow a job live")
        await page.until(EDITOR % "jobProgress")
        await page.until(VARIABLES % "?.getValue().includes('id')")
        await page.run(VARIABLES % f"""?.setValue('{{"id": "{world.ids["Job"]}"}}')""")
        await page.until(RUN)
        await page.until(ANSWER % "QUEUED")
        # the documentation, searched
        await page.run("document.querySelector('[aria-label*=\"Documentation Explorer\"]').click()")
        await page.until("!!document.querySelector('.graphiql-doc-explorer-search input')")
        await page.run("document.querySelector('.graphiql-doc-explorer-search input').focus()")
        await page.write("customerTimeline")
        await page.until(DOCS % "customerTimeline")
        await keep(page, "docs")
        given = [{"name": "prefers-color-scheme", "value": "dark"}]
        await page.send("Emulation.setEmulatedMedia", features=given)
        await keep(page, "dark")
        assert page.faults == []
        assert all(one.startswith((base, "data:")) for one in page.addresses), page.addresses
