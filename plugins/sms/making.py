"""Opening the providers of a merchant's settings."""

from collections.abc import Callable, Sequence
from datetime import datetime

from core.sdk import PluginContext
from core.sdk.large import aiohttp
from plugins.sms.http import Caller
from plugins.sms.providers.aliyun import Aliyun
from plugins.sms.providers.gateway import Gateway
from plugins.sms.providers.protocol import Provider
from plugins.sms.providers.sandbox import Sandbox
from plugins.sms.providers.tencent import Tencent
from plugins.sms.providers.twilio import Twilio
from plugins.sms.settings import (
    AliyunSettings,
    AnyProvider,
    GatewaySettings,
    SandboxSettings,
    TencentSettings,
    TwilioSettings,
)

Outside = AliyunSettings | TencentSettings | TwilioSettings | GatewaySettings


def made(
    given: Sequence[AnyProvider], session: "aiohttp.ClientSession", context: PluginContext
) -> dict[str, Provider]:
    """The providers by name."""
    clock = context.database.clock
    return {
        one.name: Sandbox(one, context)
        if isinstance(one, SandboxSettings)
        else outside(one, session, clock)
        for one in given
    }


def outside(
    given: Outside, session: "aiohttp.ClientSession", clock: Callable[[], datetime]
) -> Provider:
    """A provider that is asked by HTTP."""
    caller = Caller(given.name, session)
    match given:
        case AliyunSettings():
            return Aliyun(given, caller, clock)
        case TencentSettings():
            return Tencent(given, caller, clock)
        case TwilioSettings():
            return Twilio(given, caller, clock)
        case GatewaySettings():
            return Gateway(given, caller)
