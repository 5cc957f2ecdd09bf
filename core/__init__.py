"""Huike's core: customers, orders, segments and campaigns over GraphQL."""

__version__ = "0.1.0"
