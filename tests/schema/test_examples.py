"""The example clients: the Python one against the application, the TypeScript one by its types."""

import asyncio
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from core.schema import segment_preview
from core.schema.scalars import split_id

EXAMPLES = Path(__file__).parents[2] / "examples"
TYPESCRIPT = EXAMPLES / "typescript"
NPX = shutil.which("npx")


async def started(address, *options):
    url = address.replace("ws://", "http://").removesuffix("/graphql")
    return await asyncio.create_subprocess_exec(
        sys.executable, "-u", EXAMPLES / "python" / "client.py", "--url", url, *options,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONIOENCODING": "utf-8"},
    )  # fmt: skip


async def said(process):
    async with asyncio.timeout(120):
        out, errors = await process.communicate()
    return out.decode(), errors.decode()


async def test_python_client_lists_previews_and_follows(address, world, monkeypatch):
    monkeypatch.setattr(segment_preview, "DIRECT_SECONDS", 60)
    job_id = world.ids["Job"]
    rule = '{"province": {"anyOf": ["浙江"]}}'
    process = await started(address, "--token", world.token, "--job", job_id, "--rule", rule)
    lines = []
    async with asyncio.timeout(120):
        while "none.such: QUEUED" not in "".join(lines):
            line = await process.stdout.readline()
            assert line, await said(process)
            lines.append(line.decode())
    async with world.merchant.work() as w:
        await w.sql.execute(
            "UPDATE jobs SET state = 'succeeded' WHERE merchant_id = $1 AND id = $2",
            w.merchant_id, int(split_id(job_id)[1]),
        )  # fmt: skip
    rest, errors = await said(process)
    out = "".join(lines) + rest
    assert process.returncode == 0, errors
    assert "张三  浙江省" in out
    assert "1 of 3 customers fit" in out
    assert "email: " in out
    assert "none.such: SUCCEEDED" in rest


async def test_python_client_says_why_it_was_refused(address, world):
    process = await started(address, "--token", "hk_wrong")
    out, errors = await said(process)
    assert process.returncode == 1
    assert errors.startswith("UNAUTHENTICATED: ")
    assert "Traceback" not in out + errors


@pytest.mark.slow
@pytest.mark.skipif(
    NPX is None or not (TYPESCRIPT / "node_modules").exists(),
    reason="needs node, and `npm install` in examples/typescript",
)
def test_typescript_client_fits_the_schema():
    for command in (["graphql-codegen"], ["tsc", "--noEmit"]):
        done = subprocess.run(
            [NPX, "--no-install", *command],
            cwd=TYPESCRIPT, capture_output=True, text=True, timeout=400,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
