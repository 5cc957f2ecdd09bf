"""GraphiQL in a real browser, where there is one: a token, an example, its answer, the docs."""

import os
from pathlib import Path

import pytest

from tests.schema import browser

pytestmark = pytest.mark.skipif(browser.CHROMIUM is None, reason="there is no Chromium")

ANSWER = "document.querySelector('.result-window')?.innerText.includes(%r)"
EDITOR = "document.querySelector('.graphiql-query-editor')?.innerText.includes(%r)"
VARIABLES = "document.querySelector('.graphiql-editor-tool .CodeMirror')?.CodeMirror%s"
WRITTEN = """(() => {
    const editor = document.querySelector('.graphiql-query-editor .CodeMirror').CodeMirror;
    editor.setValue(%r);
    editor.setCursor({line: 0, ch: %d});
    editor.focus();
})()"""
TABS = "document.querySelector('.graphiql-tabs')?.innerText.includes(%r)"
ENTER = {"key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 13}
DOCS = "document.querySelector('.graphiql-doc-explorer')?.innerText.includes(%r)"
CHOOSE = """((title) => {
    const box = document.getElementById('examples');
    const { options } = document.getElementById('titles');
    if (![...options].some(one => one.value === title)) return false;
    box.value = title;
    box.dispatchEvent(new Event('input'));
    return true;
})(%r)"""
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
        await page.until("document.getElementById('titles').options.length > 40")
        # an example, run
        await page.until(CHOOSE % "Who am I: the merchant and the rights of my token")
        await page.until(EDITOR % "viewer")
        await page.until(RUN)
        await page.until(ANSWER % "permissions")
        await keep(page, "answer")
        # variables with a default are left to it
        await page.until(CHOOSE % "A page of customers with their newest orders")
        await page.until(EDITOR % "Customers")
        await page.until(VARIABLES % "?.getValue().includes('where')")
        await page.until(RUN)
        await page.until(ANSWER % "张三")
        # a subscription goes over the socket
        await page.until(CHOOSE % "Follow a job live")
        await page.until(EDITOR % "jobProgress")
        await page.until(VARIABLES % "?.getValue().includes('id')")
        await page.run(VARIABLES % f"""?.setValue('{{"id": "{world.ids["Job"]}"}}')""")
        await page.until(RUN)
        await page.until(ANSWER % "QUEUED")
        await page.until(RUN)  # and is ended by the same button
        # also beside a query, run by the keyboard where the cursor stands
        two = "query Rights { viewer { permissions } } "
        both = f'{two} subscription B {{ segmentSize(id: "{world.ids["Segment"]}") {{ name }} }}'
        await page.run(WRITTEN % (both, len(two) + 20))
        await page.until(TABS % "Rights")
        await page.send("Input.dispatchKeyEvent", type="rawKeyDown", modifiers=2, **ENTER)
        await page.until(ANSWER % "segmentSize")
        await page.until(RUN)
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
