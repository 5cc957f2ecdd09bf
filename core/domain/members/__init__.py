"""Members: the programme, tiers and their history, the points ledger, joins and exits."""
