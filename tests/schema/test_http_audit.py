"""The audit suite of graphql-http, where node and the package are at hand.

`npm install --no-save graphql graphql-http` in the project's folder brings it, or in any other
that HUIKE_NODE then names.
"""

import asyncio
import contextlib
import json
import os
import shutil
from pathlib import Path

import pytest
import uvicorn

from core.app import listen

FOLDER = Path(os.environ.get("HUIKE_NODE") or Path(__file__).parents[2])
SCRIPT = Path(__file__).with_name("http_audit.mjs")
AUDITS = 61


@pytest.mark.skipif(
    not (shutil.which("node") and (FOLDER / "node_modules/graphql-http").is_dir()),
    reason="needs node and the npm package graphql-http",
)
async def test_all_audits_pass(app):
    listener = listen("127.0.0.1", 0)
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off"))
    server.capture_signals = contextlib.nullcontext
    task = asyncio.create_task(server.serve([listener]))
    try:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/graphql"
        process = await asyncio.create_subprocess_exec(
            "node", str(SCRIPT), str(FOLDER), url, stdout=asyncio.subprocess.PIPE
        )
        async with asyncio.timeout(120):
            output, _ = await process.communicate()
    finally:
        server.should_exit = True
        await task
        listener.close()
    found = json.loads(output)
    assert [one for one in found if one["status"] != "ok"] == []
    assert len(found) >= AUDITS
