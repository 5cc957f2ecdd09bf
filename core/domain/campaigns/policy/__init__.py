"""What every message must pass, asked when it is planned and again when it is claimed.

consent.py says who may be written to, caps.py how often, hours.py and windows.py when, rates.py
how fast; gate.py puts them together for the messages of one step.
"""

from core.domain.campaigns.policy.consent import (
    CONTACTS,
    PERSONAL,
    personal_columns,
    skip_reason_sql,
    unproven_allowed_sql,
)

__all__ = ["CONTACTS", "PERSONAL", "personal_columns", "skip_reason_sql", "unproven_allowed_sql"]
