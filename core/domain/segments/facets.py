"""Core's facets: what a rule can ask about a customer."""

from core.sdk.facets import Facet

FACETS: list[Facet] = []
