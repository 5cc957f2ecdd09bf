"""Personalised parcel inserts."""
