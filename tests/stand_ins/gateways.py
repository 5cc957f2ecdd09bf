"""What the stand-ins of gateways do alike: faults by plan, and a record of what was called."""

from collections import defaultdict
from dataclasses import dataclass
from email.utils import format_datetime

import orjson
from aiohttp import web


@dataclass
class Fault:
    method: str
    kind: str
    times: int = 1


class Dropped(Exception):
    """The connection goes before anything is done."""


class Watched:
    """A world whose calls are recorded and can be made to go wrong.

    `after` has what happens once a method, or "*", was answered.
    """

    def __init__(self):
        self.faults, self.calls, self.after = [], [], defaultdict(list)

    def fault(self, method, kind, times=1):
        """The next calls of a method go wrong."""
        self.faults.append(Fault(method, kind, times))

    def calls_of(self, method):
        return [params for name, params in self.calls if name == method]

    def next_fault(self, method):
        for fault in self.faults:
            if fault.method in (method, "*") and fault.times > 0:
                fault.times -= 1
                return fault
        return None

    async def answered(self, request, method, pairs, fault, body, **headers):
        """The answer of a call that was served; by a fault's kind it gets lost or spoilt."""
        for action in (*self.after[method], *self.after["*"]):
            action(pairs)
        kind = None if fault is None else fault.kind
        if kind == "after_write":
            return await drop(request)
        headers["Date"] = format_datetime(self.now(), usegmt=True)
        if kind == "http502":
            return web.Response(status=502, text="Bad Gateway", headers=headers)
        text = orjson.dumps(body)
        if kind == "broken_json":
            text = text[: len(text) // 2]
        return web.Response(body=text, content_type="application/json", headers=headers)


async def drop(request):
    """A body that begins and never ends."""
    answer = web.StreamResponse(headers={"Content-Length": "1000"})
    await answer.prepare(request)
    await answer.write(b'{"')
    request.transport.close()
    return answer
