"""A provider in a process of its own, and the channel that talks to it.

`python -m tests.worker.stand_in LOG` serves JSON lines on a port that it prints. It writes down
the key of each message before it answers; some it takes without ever answering, some it loses
unread, and some it turns away. What it has, it tells when asked.
"""

import asyncio
import contextlib
import json
import random
import sys
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from pydantic import BaseModel

from core.registry import Owned
from core.sdk import (
    ContentField,
    Manifest,
    Receipt,
    RetryLater,
    Trace,
    Unknown,
)

NAME = "stand_in"
SILENT, LOST, BUSY = 0.02, 0.01, 0.02
"""How often a message is taken without an answer, is lost unread, is turned away."""
ANSWER_SECONDS = 1.0


async def serve(path):
    taken = set()

    def answer(asked, file):
        if "find" in asked:
            return {"found": [key in taken for key in asked["find"]]}
        chance = random.random()
        if chance < LOST:
            return None
        if chance < LOST + BUSY:
            return {"busy": True}
        taken.add(asked["key"])
        file.write(asked["key"] + "\n")
        file.flush()
        return None if chance < LOST + BUSY + SILENT else {"id": f"id-{asked['key']}"}

    async def connected(reader, writer):
        with path.open("a") as file, contextlib.suppress(ConnectionResetError):
            while line := await reader.readline():
                if (said := answer(json.loads(line), file)) is not None:
                    writer.write(json.dumps(said).encode() + b"\n")
        writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0, limit=2**20)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


class StandInSettings(BaseModel):
    port: int


class StandInSession:
    def __init__(self, port):
        self._port = port
        self._idle = []

    async def send(self, message):
        said = await self._ask({"key": message.key})
        if "busy" in said:
            raise RetryLater("busy", timedelta(milliseconds=200))
        return Receipt(said["id"], NAME, 1)

    async def find(self, messages):
        said = await self._ask({"find": [message.key for message in messages]})
        return [
            Receipt(f"id-{message.key}", NAME, 1) if found else Trace.ABSENT
            for message, found in zip(messages, said["found"], strict=True)
        ]

    async def _ask(self, asked):
        try:
            connection = self._idle.pop() if self._idle else await self._connect()
        except OSError as error:
            raise RetryLater(f"cannot connect: {error}") from error
        reader, writer = connection
        writer.write(json.dumps(asked).encode() + b"\n")
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                line = await reader.readline()
        except (TimeoutError, OSError):
            line = b""
        if not line:
            writer.close()
            raise Unknown("no answer", NAME)
        self._idle.append(connection)
        return json.loads(line)

    async def _connect(self):
        return await asyncio.open_connection("127.0.0.1", self._port, limit=2**20)

    def close(self):
        for _, writer in self._idle:
            writer.close()


class StandInChannel:
    name = title = NAME
    contact = "email"
    fields = (ContentField("text", "Text", max_length=500),)
    concurrency = 10
    # a request that a killed worker had written must have arrived before it is asked for
    reconcile_after = (timedelta(seconds=2), timedelta(seconds=4), timedelta(seconds=8))

    @asynccontextmanager
    async def open(self, settings):
        session = StandInSession(settings.port)
        try:
            yield session
        finally:
            session.close()


def with_stand_in(registry):
    """The registry with the channel."""
    return replace(
        registry,
        channels={**registry.channels, NAME: Owned(NAME, StandInChannel())},
        manifests={
            **registry.manifests,
            NAME: Manifest(NAME, NAME, "1", ">=0", settings=StandInSettings, timeout=5.0),
        },
    )


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1])))
