"""The message service by WebSocket: the frames of the platform's own client, little-endian."""

import asyncio
import hashlib
import struct

import orjson
from aiohttp import WSMsgType, web

from tests.stand_ins.taobao.queue import PUBLISHER, give, take_off
from tests.stand_ins.taobao.shapes import at

VERSION = 2
CONNECT, CONNECTACK, SEND = 0, 1, 2
END, CUSTOM, STATUS, PHRASE, TOKEN = 0, 1, 2, 3, 5
PULL, CONFIRM, DATA = 1, 2, 3
AT_ONCE = 100
FORMATS = {2: "<b", 3: "<h", 4: "<i", 5: "<q", 6: "<q"}
"""How the numbers of a value's format are written."""


class Frame:
    """A frame that came: its type, its token, and the values of its own headers by name."""

    def __init__(self, data):
        version, self.kind = data[0], data[1]
        if version != VERSION:
            raise ValueError(f"version {version}")
        self.token, self.values = None, {}
        self._rest = data[2:]
        while (header := self._number("<h")) != END:
            if header == CUSTOM:
                name = self._text()
                self.values[name] = self._value()
            elif header == TOKEN:
                self.token = self._text()
            else:
                raise ValueError(f"header {header}")
        if self._rest:
            raise ValueError("something after the end")

    def _take(self, length):
        if length < 0 or length > len(self._rest):
            raise ValueError("the frame is cut off")
        taken, self._rest = self._rest[:length], self._rest[length:]
        return taken

    def _number(self, form):
        return struct.unpack(form, self._take(struct.calcsize(form)))[0]

    def _text(self):
        return self._take(self._number("<i")).decode()

    def _value(self):
        form = self._number("<b")
        if form == 1:
            return self._text()
        return self._number(FORMATS[form]) if form else None


def _text(value):
    return struct.pack("<i", len(value.encode())) + value.encode()


def _custom(name, form, value):
    told = _text(value) if form == 1 else struct.pack(FORMATS[form], value)
    return struct.pack("<h", CUSTOM) + _text(name) + bytes([form]) + told


def _framed(kind, *headers):
    return bytes([VERSION, kind]) + b"".join(headers) + struct.pack("<h", END)


def acknowledged(token):
    return _framed(CONNECTACK, struct.pack("<h", TOKEN) + _text(token))


def refused(status, phrase):
    return _framed(
        CONNECTACK, struct.pack("<hi", STATUS, status), struct.pack("<h", PHRASE) + _text(phrase)
    )


def told(token, message):
    """A message as it is sent."""
    return _framed(
        SEND, struct.pack("<h", TOKEN) + _text(token), _custom("__kind", 2, DATA),
        _custom("id", 5, message.id), _custom("topic", 1, message.topic),
        _custom("content", 1, orjson.dumps(message.content).decode()),
        _custom("userid", 1, str(message.shop.user_id)), _custom("nick", 1, message.shop.nick),
        _custom("publisher", 1, PUBLISHER), _custom("time", 1, at(message.pub_time)),
    )  # fmt: skip


def signature(values, secret):
    base = "".join(name + str(values[name]) for name in ("app_key", "group_name", "timestamp"))
    return hashlib.md5((secret + base + secret).encode()).hexdigest().upper()


class Socket:
    """Connections of consumers. `cut` ends them all, as the platform now and then does."""

    def __init__(self, world):
        self._world = world
        self._open = {}

    async def serve(self, request):
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        group = None
        async for message in socket:
            if message.type is not WSMsgType.BINARY:
                break
            try:
                frame = Frame(message.data)
                if frame.kind == CONNECT:
                    group = await self._connect(socket, frame)
                elif group is None or frame.token != self._open.get(socket):
                    break
                else:
                    await self._heard(socket, group, frame)
            except (ValueError, KeyError):
                break
        self._open.pop(socket, None)
        await socket.close()
        return socket

    async def _connect(self, socket, frame):
        values = frame.values
        app = self._world.apps.get(values["app_key"])
        if app is None or signature(values, app.secret) != values["sign"]:
            await socket.send_bytes(refused(401, "synthetic: the signature is wrong"))
            raise ValueError("refused")
        self._open[socket] = f"tok-{len(self._open) + 1}"
        await socket.send_bytes(acknowledged(self._open[socket]))
        return values["group_name"]

    async def _heard(self, socket, group, frame):
        if frame.values["__kind"] == PULL:
            for message in give(self._world, group, AT_ONCE):
                await socket.send_bytes(told(frame.token, message))
        elif frame.values["__kind"] == CONFIRM:
            take_off(self._world, group, {frame.values["id"]})

    async def cut(self):
        await asyncio.gather(*(socket.close() for socket in list(self._open)))
