"""Segments: a rule tree over facets, compiled to one SQL statement."""
