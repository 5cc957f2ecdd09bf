"""Running a stand-in on loopback."""

from contextlib import asynccontextmanager

from aiohttp import web


@asynccontextmanager
async def served(handler):
    """The base address of a server that answers each request by `handler`."""
    server = web.Server(handler)
    runner = web.ServerRunner(server, handle_signals=False)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    try:
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()
