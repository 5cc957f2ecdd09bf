"""`huike keys`: the keys that contact data is encrypted with."""

from typing import Any

import click
import orjson

from core.cli.base import fail, main, run, settings_or_fail
from core.installation import Installation, open_installation
from core.settings import SettingsError


@main.group(invoke_without_command=True)
@click.pass_context
def keys(context: click.Context) -> None:
    """List the encryption keys, renew them, and retire old ones."""
    if context.invoked_subcommand is None:
        _keys_list()


def _keys_list() -> None:
    from core.clock import system_clock
    from core.storage.keyring import load_keyring

    try:
        keyring = load_keyring(settings_or_fail())
    except SettingsError as error:
        fail(str(error))
    for key_id in keyring.ids:
        made = keyring.made.get(key_id)
        age = f"{(system_clock() - made).days} days old" if made else "of unknown age"
        use = "seals and opens" if key_id == keyring.primary else "opens only"
        click.echo(f"key {key_id}: {use}, {age}")


@keys.command("add")
def keys_add() -> None:
    """Add a key that opens only, so that it can be given to all machines before it seals."""
    run(_keys_add())


async def _keys_add() -> None:
    from core.domain.privacy.rotation import change_keyring
    from core.storage.keyring import keyring_path

    settings = settings_or_fail()
    async with open_installation(settings, with_redis=False) as installation:
        db = installation.db
        if settings.keyring is not None:
            _show_keyring(db.keyring.with_new_key(db.clock()), "then run `huike keys rotate`")
            return
        keyring = await change_keyring(
            db, keyring_path(settings), lambda ring: ring.with_new_key(db.clock())
        )
    click.echo(f"key {keyring.ids[-1]} was added; it opens only until `huike keys rotate`")


def _show_keyring(keyring: Any, then: str) -> None:
    click.echo("the keyring comes from HUIKE_KEYRING, which this command cannot change.", err=True)
    click.echo(f"give this text to every process, restart them all, {then}:", err=True)
    click.echo(keyring.to_text())


background_option = click.option(
    "--background", is_flag=True, help="Leave the work to the workers instead of doing it here."
)


@keys.command("rotate")
@background_option
def keys_rotate(background: bool) -> None:
    """Seal with a new key from now on, and everything that is stored anew."""
    run(_keys_rotate(background))


async def _keys_rotate(background: bool) -> None:
    from core.domain.privacy.rotation import change_keyring
    from core.storage.keyring import Keyring, keyring_path

    def renewed(keyring: Keyring) -> Keyring:
        added = keyring.ids[-1] != keyring.primary  # by `keys add`, before
        return (keyring if added else keyring.with_new_key(db.clock())).promoted(db.clock())

    settings = settings_or_fail()
    async with open_installation(settings, with_redis=False) as installation:
        db = installation.db
        if settings.keyring is not None:
            if db.keyring.ids[-1] == db.keyring.primary:
                added = db.keyring.with_new_key(db.clock())
                _show_keyring(added, "then run `huike keys rotate` again")
            else:
                _show_keyring(renewed(db.keyring), "then run `huike keys reseal`")
            return
        keyring = await change_keyring(db, keyring_path(settings), renewed)
        click.echo(f"key {keyring.primary} seals from now on: put the new keyring in your backup")
        await _reseal(installation, background)


@keys.command("reseal")
@background_option
def keys_reseal(background: bool) -> None:
    """Seal anew what is still sealed with older keys."""
    run(_keys_reseal(background))


async def _keys_reseal(background: bool) -> None:
    async with open_installation(settings_or_fail(), with_redis=False) as installation:
        await _reseal(installation, background)


async def _reseal(installation: Installation, background: bool) -> None:
    from core.domain.privacy.rotation import start_resealing
    from core.installation import job_kinds
    from core.storage import jobs

    db = installation.db
    started = await start_resealing(db, db.keyring.primary)
    if background:
        click.echo(f"{len(started)} jobs are left to the workers")
        return
    kinds = job_kinds(installation.registry)
    for merchant_id, job_id in started:
        job = await jobs.claim(db, merchant_id, job_id)
        if job is None:
            click.echo(f"merchant {merchant_id}: a worker does it already")
            continue
        await jobs.perform(db, job, kinds)
        async with db.read(merchant_id) as session:
            row = await jobs.get(session, job_id)
        if row["state"] != "succeeded":
            fail(f"merchant {merchant_id}: not done ({row['state']}); a worker will try it again")
        result = orjson.loads(row["result"])
        click.echo(
            f"merchant {merchant_id}: {result['resealed']} values sealed anew, "
            f"{result['left']} left"
        )


@keys.command("retire")
@click.argument("key_id", type=int)
def keys_retire(key_id: int) -> None:
    """Forget a key with which nothing is sealed any more."""
    run(_keys_retire(key_id))


async def _keys_retire(key_id: int) -> None:
    from core.domain.privacy.rotation import change_keyring, check_retirable, note_retirement
    from core.storage.keyring import keyring_path

    settings = settings_or_fail()
    async with open_installation(settings, with_redis=False) as installation:
        db = installation.db
        await check_retirable(db, installation.registry, key_id)
        await note_retirement(db, key_id)
        if settings.keyring is not None:
            _show_keyring(db.keyring.without(key_id), "and the key is gone")
            return
        await change_keyring(db, keyring_path(settings), lambda ring: ring.without(key_id))
    click.echo(f"key {key_id} is gone; backups made before need the keyring of their time")
