"""Tokens that were looked at a moment ago: not each request of a client asks the database again."""

import hmac
from collections import OrderedDict
from time import monotonic

from core.domain.shops.caller import Caller
from core.domain.shops.tokens import PREFIX, hash_secret, read_token, token_caller
from core.storage.database import Database
from core.storage.signals import Signals, name_of

SECONDS = 1.0
MOST = 1_000


class KnownTokens:
    """Who presented a token during the last second.

    One that is revoked or rotated is forgotten at once in the process that does it, in the others
    as soon as the database tells. While nobody listens to that, nothing is remembered.
    """

    def __init__(self, db: Database, signals: Signals) -> None:
        self._db = db
        self._signals = signals
        self._known: OrderedDict[str, tuple[Caller, float]] = OrderedDict()
        self._changes = 0
        signals.tell_all(self._forget)

    async def authenticate(self, token: str) -> Caller | None:
        """Who presents this token; None when it is malformed, unknown, expired or revoked."""
        found = read_token(token, PREFIX, 1)
        if found is None:
            return None
        merchant_id, token_id, (secret,) = found
        proof = hash_secret(secret)
        name = name_of("token", merchant_id, token_id)
        known = self._remembered(name, proof)
        if known is not None:
            return known
        changes = self._changes
        caller = await token_caller(self._db, merchant_id, token_id, proof)
        # what changed while the database was asked may have come too late for its answer
        if caller is not None and changes == self._changes and self._signals.listening:
            self._known[name] = caller, monotonic() + SECONDS
            self._known.move_to_end(name)
            if len(self._known) > MOST:
                self._known.popitem(last=False)
        return caller

    def _remembered(self, name: str, proof: bytes) -> Caller | None:
        caller, ends = self._known.get(name, (None, 0.0))
        if caller is None or monotonic() >= ends or not self._signals.listening:
            return None
        if caller.until is not None and caller.until <= self._db.clock():
            return None
        return caller if hmac.compare_digest(caller.proof, proof) else None

    def _forget(self, name: str | None) -> None:
        self._changes += 1
        if name is None:
            self._known.clear()
        else:
            self._known.pop(name, None)
