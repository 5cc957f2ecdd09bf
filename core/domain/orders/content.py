"""What tells two contents of an order apart, and two descriptions of its buyer."""

from hashlib import blake2b

import orjson

from core.sdk.orders import OrderRecord
from core.storage.keyring import Keyring

CONTENT_BYTES, PERSON_BYTES = 16, 8

WHOLE_ORDER = "*"
"""Id of the one line under which a file tells all that was ordered; it gives way to real lines."""


def content_key(keyring: Keyring, merchant_id: int) -> bytes:
    """The merchant's key of content hashes."""
    return keyring.blind_index("orders.content", merchant_id, "")


def content_hash(record: OrderRecord, key: bytes) -> bytes:
    """A hash of the whole record, and behind it one of what it tells about the buyer.

    16 and 8 bytes; keyed, since contact data is in it.
    """
    r = record
    person = "\0".join(
        part or "" for part in (r.buyer_id, r.name, r.phone, r.email, r.province, r.city, r.address)
    )
    if r.identities:
        person += repr(r.identities)
    whole = blake2b(orjson.dumps(record), digest_size=CONTENT_BYTES, key=key).digest()
    return whole + blake2b(person.encode(), digest_size=PERSON_BYTES, key=key).digest()


def same_person(digest: bytes, other: bytes) -> bool:
    """Whether two content hashes tell the same about the buyer."""
    return digest[CONTENT_BYTES:] == other[CONTENT_BYTES:]
