"""Triggers and functions that migrations make."""
