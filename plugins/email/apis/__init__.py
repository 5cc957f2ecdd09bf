"""Delivery services with an HTTP API, one small adapter each."""
