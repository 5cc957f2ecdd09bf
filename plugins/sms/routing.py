"""Which providers may take a message, and under which signature."""

from collections.abc import Sequence
from dataclasses import dataclass

from core.sdk import MessageClass
from plugins.sms.settings import SmsSettings


@dataclass(frozen=True)
class Way:
    """Providers in the order in which they are tried, and the signature of the text."""

    providers: Sequence[str]
    signature: str


def way_of(settings: SmsSettings, shop_id: int | None, message_class: MessageClass) -> Way:
    """The way of a shop's messages of a class. A route of the shop goes before one of all shops,
    then one of the class before one of both."""
    fitting = [
        (route.shop is None, route.message_class is None, place)
        for place, route in enumerate(settings.routes)
        if route.shop in (None, shop_id) and route.message_class in (None, message_class)
    ]
    if not fitting:
        return Way([one.name for one in settings.providers], settings.signature)
    route = settings.routes[min(fitting)[2]]
    return Way(route.providers, route.signature or settings.signature)
