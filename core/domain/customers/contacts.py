"""Normal forms of phone numbers and email addresses, and where they stand sealed."""

from core.sdk.contacts import normalise_email as normalise_email
from core.sdk.contacts import normalise_phone as normalise_phone
from core.storage.keyring import Keyring


def is_masked(name: str) -> bool:
    """Whether a platform has hidden part of a name, as in 张**."""
    return "*" in name


def seal_phone(keyring: Keyring, merchant_id: int, customer_id: int, phone: str) -> bytes:
    """A normalised phone number, sealed for its customer's row."""
    return keyring.seal(phone, f"customers.phone|{merchant_id}|{customer_id}")


def seal_email(keyring: Keyring, merchant_id: int, customer_id: int, email: str) -> bytes:
    """A normalised email address, sealed for its customer's row."""
    return keyring.seal(email, f"customers.email|{merchant_id}|{customer_id}")
