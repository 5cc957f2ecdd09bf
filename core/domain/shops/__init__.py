"""Merchants, their shops, staff tokens and the plugins they have switched on."""
