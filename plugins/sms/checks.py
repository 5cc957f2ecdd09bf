"""Trying a merchant's settings with the providers themselves."""

from datetime import UTC, datetime

from pydantic import BaseModel

from core.sdk import PluginContext
from core.sdk.large import aiohttp, loaded
from plugins.sms.http import connections
from plugins.sms.making import outside
from plugins.sms.providers.protocol import Checking
from plugins.sms.settings import SandboxSettings, SmsSettings


async def check_settings(settings: BaseModel) -> None:
    """Ask each provider whether the account is good. Raises an OutsideError."""
    assert isinstance(settings, SmsSettings)
    await loaded(aiohttp)
    async with connections() as http:
        for given in settings.providers:
            if isinstance(given, SandboxSettings):
                continue
            provider = outside(given, http, lambda: datetime.now(UTC))
            if isinstance(provider, Checking):
                await provider.check()


async def check_health(context: PluginContext) -> None:
    """The same with the merchant's stored settings."""
    await check_settings(context.settings)
