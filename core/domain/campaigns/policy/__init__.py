"""What every message must pass, asked when it is planned and again when it is claimed.

addresses.py says where messages go, consent.py who may be written to, caps.py how often, hours.py
and windows.py when, rates.py how fast; gate.py puts them together for the messages of one step.
"""

from core.domain.campaigns.policy.addresses import (
    SEALED_CONTACTS,
    Address,
    address_columns,
    address_of,
    contact_address,
)
from core.domain.campaigns.policy.consent import (
    PERSONAL,
    personal_columns,
    skip_reason_sql,
    unproven_allowed_sql,
)

__all__ = [
    "PERSONAL",
    "SEALED_CONTACTS",
    "Address",
    "address_columns",
    "address_of",
    "contact_address",
    "personal_columns",
    "skip_reason_sql",
    "unproven_allowed_sql",
]
