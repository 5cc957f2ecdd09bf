"""Kinds of contact data: the right that shows each, and how it looks to who lacks it."""

from collections.abc import Callable
from dataclasses import dataclass

WIDE = (("\u3400", "\u9fff"), ("\U00020000", "\U000323af"))
"""Chinese characters, one of which hides as much as a whole word of another script."""


def mask_name(name: str) -> str:
    """张三 -> 张**, Ann Smith -> A***."""
    chinese = any(first <= name[:1] <= last for first, last in WIDE)
    return f"{name[:1]}{'**' if chinese else '***'}"


def mask_phone(phone: str) -> str:
    """+8613812341234 -> 138****1234."""
    if phone.startswith("+86") and len(phone) == 14:
        return f"{phone[3:6]}****{phone[-4:]}"
    return f"****{phone[-4:]}" if len(phone) > 7 else "****"


def mask_email(email: str) -> str:
    """ann@example.com -> a***@example.com."""
    local, at, domain = email.partition("@")
    return f"{local[:1]}***@{domain}" if at else "****"


def mask_address(address: str) -> str:
    """杭州市西湖区文三路 1 号 -> 杭州市****."""
    return f"{address[:3]}****"


@dataclass(frozen=True)
class Kind:
    """A kind of contact data, the right to see it, and how it is masked."""

    name: str
    permission: str
    mask: Callable[[str], str]


NAME = Kind("name", "PII_NAME", mask_name)
PHONE = Kind("phone", "PII_PHONE", mask_phone)
EMAIL = Kind("email", "PII_EMAIL", mask_email)
ADDRESS = Kind("address", "PII_ADDRESS", mask_address)

RIGHTS = tuple(kind.permission for kind in (NAME, PHONE, EMAIL, ADDRESS))
"""The rights to see contact data unmasked."""
