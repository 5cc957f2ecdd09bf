"""Campaigns: audience, content, sending policy, the delivery ledger and its audit."""
