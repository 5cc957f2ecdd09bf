"""Trying the settings before they are stored."""

from pydantic import BaseModel

from core.clock import system_clock
from plugins.taobao.client import Client
from plugins.taobao.settings import TaobaoSettings


async def check_app(settings: BaseModel) -> None:
    """Ask the platform's time, which needs a right key and secret and no seller."""
    assert isinstance(settings, TaobaoSettings)
    if settings.app_key is None:
        return
    async with Client.opened(settings, system_clock) as client:
        await client.read("taobao.time.get")
