"""The WooCommerce plugin's business card."""

from core.sdk import ConnectorPlugin, Manifest
from plugins.woocommerce.connector import WooCommerceConnector
from plugins.woocommerce.settings import WooCommerceSettings

plugin = ConnectorPlugin(
    Manifest("woocommerce", "WooCommerce", "0.1.0", ">=0.1,<0.2", WooCommerceSettings),
    WooCommerceConnector(),
)
