"""Load on one address: wrk where it is installed, else a client of our own."""

import asyncio
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

SCRIPT = Path(__file__).with_name("ask.lua")


@dataclass(frozen=True)
class Target:
    """What is asked: an address with a path, and the bodies that are sent to it in turn."""

    port: int
    path: str
    bodies: list[bytes]
    token: str | None = None

    def headers(self) -> list[str]:
        """Of every request."""
        given = ["Content-Type: application/json", "Accept: application/json"]
        return [*given, f"Authorization: Bearer {self.token}"] if self.token else given


def ask(target: Target, body: bytes) -> Any:
    """One answer, parsed. Raises RuntimeError for anything but 200."""
    status, found = asyncio.run(_ask_once(target, body))
    if status != 200:
        raise RuntimeError(f"{target.path} answered {status}: {found[:500].decode()}")
    return orjson.loads(found)


def rate(target: Target, connections: int, seconds: float) -> float:
    """Answers per second. Raises RuntimeError when one was no success."""
    if shutil.which("wrk"):
        return _by_wrk(target, connections, seconds)
    return asyncio.run(_by_hand(target, connections, seconds))


def _by_wrk(target: Target, connections: int, seconds: float) -> float:
    with tempfile.NamedTemporaryFile() as file:
        file.write(b"\n".join(target.bodies))
        file.flush()
        headers = [part for line in target.headers() for part in ("-H", line)]
        done = subprocess.run(
            ["wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--timeout", "30s",
             "-s", str(SCRIPT), *headers, f"http://127.0.0.1:{target.port}{target.path}", "--",
             file.name],
            check=True, capture_output=True, text=True,
        )  # fmt: skip
    answered, microseconds, failed = map(int, done.stdout.rsplit("RESULT", 1)[1].split())
    if failed:
        raise RuntimeError(f"{failed} of {answered} answers of {target.path} were failures")
    return answered / microseconds * 1e6


async def _by_hand(target: Target, connections: int, seconds: float) -> float:
    requests = [_request(target, body) for body in target.bodies]
    ends = time.monotonic() + seconds
    count = 0

    async def keep_asking(start: int) -> None:
        nonlocal count
        reader, writer = await asyncio.open_connection("127.0.0.1", target.port)
        turn = start
        while time.monotonic() < ends:
            writer.write(requests[turn % len(requests)])
            status, found = await _answer(reader)
            if status != 200:
                raise RuntimeError(f"{target.path} answered {status}: {found[:500].decode()}")
            turn += connections
            count += 1
        writer.close()

    started = time.monotonic()
    await asyncio.gather(*(keep_asking(number) for number in range(connections)))
    return count / (time.monotonic() - started)


async def _ask_once(target: Target, body: bytes) -> tuple[int, bytes]:
    reader, writer = await asyncio.open_connection("127.0.0.1", target.port)
    writer.write(_request(target, body))
    found = await _answer(reader)
    writer.close()
    return found


def _request(target: Target, body: bytes) -> bytes:
    lines = [f"POST {target.path} HTTP/1.1", "Host: 127.0.0.1", *target.headers(),
             f"Content-Length: {len(body)}"]  # fmt: skip
    return "\r\n".join([*lines, "", ""]).encode() + body


async def _answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
    status = int(head.split(" ", 2)[1])
    if "content-length:" in head:
        return status, await reader.readexactly(int(head.split("content-length:")[1].split()[0]))
    found = b""
    while size := int((await reader.readline()) or b"0", 16):
        found += await reader.readexactly(size)
        await reader.readline()
    await reader.readline()
    return status, found
