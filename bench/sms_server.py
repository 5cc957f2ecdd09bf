"""What the SMS client is measured against: `python -m bench.sms_server stand_in|plain`.

Prints its address and serves until it is ended.
"""

import asyncio
import importlib
import sys
from datetime import UTC, datetime
from typing import cast

import uvloop

OK = b'{"Code":"OK","Message":"OK","RequestId":"R","BizId":"900619746936498440^0"}'
END = b"\r\n\r\n"
ANSWER = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(OK)
    + OK
)
TEMPLATE = "亲爱的${name}，您的积分有${points}分，拒收请回复R"


async def serve(kind: str) -> None:
    if kind == "plain":
        server = await asyncio.get_running_loop().create_server(Plain, "127.0.0.1", 0)
        print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
        await server.serve_forever()
    stand_in = importlib.import_module("tests.stand_ins.aliyun").AliyunStandIn(
        lambda: datetime.now(UTC)
    )
    stand_in.add_template("SMS_1", TEMPLATE)
    stand_in.limit_per_number = None
    async with importlib.import_module("tests.stand_ins.serving").served(stand_in.answer) as url:
        print(url, flush=True)
        await asyncio.Event().wait()


class Plain(asyncio.Protocol):
    """Says yes to each request, which has no body; so fast that it never is what is measured."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._read = b""

    def data_received(self, data: bytes) -> None:
        *whole, self._read = (self._read + data).split(END)
        self._transport.write(ANSWER * len(whole))


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(sys.argv[1]))
