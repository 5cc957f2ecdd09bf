"""Shops that flow in from their platforms, and what is done there for them."""
