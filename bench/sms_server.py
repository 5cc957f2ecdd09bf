"""What the SMS client is measured against: `python -m bench.sms_server stand_in|plain`.

Prints its address and serves until it is ended.
"""

import asyncio
import importlib
import sys
from datetime import UTC, datetime
from typing import Any

import uvloop
from aiohttp import web

OK = b'{"Code":"OK","Message":"OK","RequestId":"R","BizId":"900619746936498440^0"}'
TEMPLATE = "亲爱的${name}，您的积分有${points}分，拒收请回复R"


async def serve(kind: str) -> None:
    handler: Any = answer
    if kind == "stand_in":
        stand_in = importlib.import_module("tests.stand_ins.aliyun").AliyunStandIn(
            lambda: datetime.now(UTC)
        )
        stand_in.add_template("SMS_1", TEMPLATE)
        stand_in.limit_per_number = None
        handler = stand_in.answer
    async with importlib.import_module("tests.stand_ins.serving").served(handler) as url:
        print(url, flush=True)
        await asyncio.Event().wait()


async def answer(request: web.BaseRequest) -> web.Response:
    await request.read()
    return web.Response(body=OK, content_type="application/json")


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(sys.argv[1]))
