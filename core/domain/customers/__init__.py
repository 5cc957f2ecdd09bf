"""Customers, the identities they are known by, tags and consent."""
