"""Renewing the encryption key: a new key, everything sealed anew under it, the old one retired.

The key of the blind indexes is another one and stays: with a new one no address would be found.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from core.domain.privacy.sealed import count_other, count_under, reseal_portion, sealed_values
from core.registry import Registry
from core.sdk.errors import WrongState
from core.storage import jobs
from core.storage.database import SYSTEM, Database
from core.storage.jobs import Job
from core.storage.keyring import Keyring, write_keyring

KIND = "keys.reseal"
MAX_PASSES = 20
PAUSE_SECONDS = 0.5
LOCK_SPACE = 0x686B
"""Advisory lock: whoever changes the keyring's file holds it."""
SETTLED = timedelta(minutes=10)
"""A key this young may not be known to every running process and open transaction yet."""


class KeyNotHere(Exception):
    """This process was not given the new keyring yet; the job is tried again later."""


@dataclass
class _Position:
    """How far the job has come: passes over all places, the place, and the row in it."""

    passes: int = 0
    place: int = 0
    after: int = 0
    resealed: int = 0
    broken: int = 0


class Resealing:
    """The job kind "keys.reseal"; params: `key`, the id of the key to seal with.

    It passes over all places again until a pass finds nothing, since what other transactions had
    in hand was left out.
    """

    name = KIND

    def __init__(self, registry: Registry) -> None:
        self._places = sealed_values(registry)

    async def run(self, db: Database, job: Job) -> dict[str, Any]:
        """Seal anew what is left; `left` of the result is what could not be."""
        wanted, keyring = job.params["key"], db.keyring
        keyring.refresh()
        ids = keyring.ids
        if wanted not in ids or ids.index(keyring.primary) < ids.index(wanted):
            raise KeyNotHere(f"this process does not seal with key {wanted} yet")
        at = _Position(**job.checkpoint)
        if job.total is None:
            job.total = await self._left(db, job)
        while True:
            before = at.resealed
            while at.place < len(self._places):
                await self._step(db, job, at)
            left = await self._left(db, job)
            if not left or at.passes + 1 >= MAX_PASSES:
                break
            at.passes, at.place, at.broken = at.passes + 1, 0, 0
            if at.resealed == before:
                await asyncio.sleep(PAUSE_SECONDS)  # others have the rest in hand
        return {"key": wanted, "resealed": at.resealed, "left": left}

    async def _step(self, db: Database, job: Job, at: _Position) -> None:
        async with job.step(db) as w:
            portion = await reseal_portion(w, self._places[at.place], at.after)
            at.resealed += portion.changed
            at.broken += portion.broken
            at.after = portion.last
            if not portion.last:
                at.place += 1
            job.done, job.failed = at.resealed, at.broken
            job.checkpoint = asdict(at)

    async def _left(self, db: Database, job: Job) -> int:
        async with db.read(job.merchant_id) as session:
            counts = [
                await count_other(session, place, db.keyring.primary) for place in self._places
            ]
        return sum(counts)


async def change_keyring(db: Database, path: Path, change: Callable[[Keyring], Keyring]) -> Keyring:
    """Change the keyring's file, and this process's keyring with it.

    Raises WrongState when somebody else is changing it: one of two new keys would be lost.
    """
    async with db.read(SYSTEM) as session:
        if not await session.try_lock(LOCK_SPACE, 0):
            raise WrongState("another command is changing the keyring: wait until it has ended")
        db.keyring.refresh()
        write_keyring(path, change(db.keyring))
        db.keyring.refresh()
    return db.keyring


async def start_resealing(db: Database, key_id: int) -> list[tuple[int, int]]:
    """Hand the work to the workers, a job for each merchant; returns (merchant, job)."""
    started = []
    for merchant_id in await db.merchants():
        async with db.work(merchant_id, "command") as w:
            job_id = await jobs.enqueue(w, KIND, {"key": key_id})
            w.audit("keys.rotated", {"key": key_id, "job": job_id})
            started.append((merchant_id, job_id))
    return started


async def still_sealed(db: Database, registry: Registry, key_id: int) -> Mapping[str, int]:
    """How many values are sealed with a key, by place; places without any are left out."""
    found: dict[str, int] = {}
    for merchant_id in await db.merchants():
        for place in sealed_values(registry):
            async with db.read(merchant_id) as session:
                count = await count_under(session, place, key_id)
            if count:
                found[place.name] = found.get(place.name, 0) + count
    return found


async def check_retirable(db: Database, registry: Registry, key_id: int) -> None:
    """Raises WrongState while something needs the key, or may still be sealed with it."""
    keyring = db.keyring
    if key_id not in keyring.ids:
        raise WrongState(f"there is no key {key_id}; there are: {_listed(keyring.ids)}")
    if key_id == keyring.primary:
        raise WrongState(f"key {key_id} is the primary one: rotate first")
    made = keyring.made.get(keyring.primary)
    if made is not None and db.clock() - made < SETTLED:
        minutes = SETTLED.total_seconds() / 60
        raise WrongState(
            f"the new key is younger than {minutes:g} minutes: a running process may still seal "
            "with the old one; wait, and try again"
        )
    left = await still_sealed(db, registry, key_id)
    if left:
        where = ", ".join(f"{name}: {count}" for name, count in sorted(left.items()))
        raise WrongState(
            f"{sum(left.values())} values are still sealed with key {key_id} ({where}): "
            "run `huike keys reseal`, then try again"
        )


async def note_retirement(db: Database, key_id: int) -> None:
    """Record in every merchant's audit log that a key is gone."""
    for merchant_id in await db.merchants():
        async with db.work(merchant_id, "command") as w:
            w.audit("keys.retired", {"key": key_id})


def _listed(ids: list[int]) -> str:
    return ", ".join(map(str, ids))
