"""The addresses of plugins' routes: one for each merchant, which nobody can make up."""

from core.sdk.ids import is_number
from core.storage.keyring import Keyring

PURPOSE = "hook"


def route_url(keyring: Keyring, base_url: str, merchant_id: int, route: str) -> str:
    """Where a merchant's route of a plugin answers; the same each time."""
    return f"{base_url}/hooks/{route}/{merchant_id}.{_signature(keyring, merchant_id, route)}"


def read_route_token(keyring: Keyring, route: str, token: str) -> int | None:
    """The merchant of an address's token, or None when it is not one of ours."""
    merchant, _, signature = token.partition(".")
    if not is_number(merchant):
        return None
    text = f"{merchant}.{route}"
    return int(merchant) if keyring.verify(PURPOSE, text, signature) else None


def _signature(keyring: Keyring, merchant_id: int, route: str) -> str:
    return keyring.sign(PURPOSE, f"{merchant_id}.{route}")
