"""Formats of order files that core itself knows; docs/guides/import.md describes them."""

from core.sdk.orders import OrderFormat

ORDER_FORMATS: list[OrderFormat] = []
