"""The AliExpress plugin's business card."""

from collections.abc import Sequence

from core.sdk import Channel, Connector, Manifest, hookimpl
from plugins.aliexpress.channel import AliExpressMessages
from plugins.aliexpress.connector import AliExpressConnector
from plugins.aliexpress.settings import AliExpressSettings


class AliExpressPlugin:
    manifest = Manifest(
        name="aliexpress",
        title="AliExpress",
        version="0.1.0",
        core=">=0.1,<0.2",
        settings=AliExpressSettings,
    )

    @hookimpl
    def channels(self) -> Sequence[Channel]:
        return [AliExpressMessages()]

    @hookimpl
    def connectors(self) -> Sequence[Connector]:
        return [AliExpressConnector()]


plugin = AliExpressPlugin()
