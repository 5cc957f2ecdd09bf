"""Journeys: customers on their way through several steps, each a row of enrolments."""
