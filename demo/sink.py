"""The SMTP server that the demo sends to, in a process of its own, and what it wrote down."""

import asyncio
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

START_SECONDS = 20


@dataclass(frozen=True)
class MailSink:
    """Where it listens, and the file with a line for each message that it took."""

    port: int
    log: Path

    def received(self) -> Counter[str]:
        """How often each Message-ID arrived."""
        lines = self.log.read_text(encoding="utf-8").splitlines()
        return Counter(line.split("\t")[0] for line in lines)


@asynccontextmanager
async def mail_sink(log: Path) -> AsyncIterator[MailSink]:
    """Run the sink until the end of the block."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "core.testing.smtp", "--port", "0", "--log", str(log),
        stdout=asyncio.subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        async with asyncio.timeout(START_SECONDS):
            first_line = await process.stdout.readline()
        if not first_line:
            raise RuntimeError("the mail sink did not start")
        yield MailSink(int(first_line), log)
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()
