"""What tells two contents of an order apart."""

from hashlib import blake2b

import orjson

from core.sdk.orders import OrderRecord
from core.storage.keyring import Keyring


def content_key(keyring: Keyring, merchant_id: int) -> bytes:
    """The merchant's key of content hashes."""
    return keyring.blind_index("orders.content", merchant_id, "")


def content_hash(record: OrderRecord, key: bytes) -> bytes:
    """16 bytes that tell two contents of an order apart; keyed, since contact data is in it."""
    return blake2b(orjson.dumps(record), digest_size=16, key=key).digest()
