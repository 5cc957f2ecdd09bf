"""Coupon tools."""
