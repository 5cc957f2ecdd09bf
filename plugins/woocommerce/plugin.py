"""The WooCommerce plugin's business card."""

from collections.abc import Sequence

from core.sdk import Connector, Manifest, hookimpl
from plugins.woocommerce.connector import WooCommerceConnector
from plugins.woocommerce.settings import WooCommerceSettings


class WooCommercePlugin:
    manifest = Manifest(
        name="woocommerce",
        title="WooCommerce",
        version="0.1.0",
        core=">=0.1,<0.2",
        settings=WooCommerceSettings,
    )

    @hookimpl
    def connectors(self) -> Sequence[Connector]:
        return [WooCommerceConnector()]


plugin = WooCommercePlugin()
