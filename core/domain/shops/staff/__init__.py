"""The people who work for a merchant: their accounts, how they log in, and their sessions."""
