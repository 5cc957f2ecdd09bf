"""Where sealed values stand: columns of tables, and copies of rows that are kept as JSON.

Each place is described in SQL, so that sealing anew and counting treat all of them alike.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from core.domain.privacy.tables import personal_tables
from core.registry import Registry
from core.sdk.personal import PersonalTable
from core.storage.database import Session, Work
from core.storage.keyring import SealError


@dataclass(frozen=True)
class Sealed:
    """One column, or one key of a JSON column, with sealed values.

    All but `table` are SQL on a row `t`: `value` is the bytes, `place` what they are bound to,
    `change` sets them to `u.new`. `size` is how many are treated at once.
    """

    name: str
    table: str
    value: str
    place: str
    change: str
    where: str = "TRUE"
    size: int = 500


def sealed_values(registry: Registry) -> list[Sealed]:
    """Every place where the keyring's encryption keys were used."""
    tables = personal_tables(registry)
    by_table = {table.table: table for table in tables}
    found = [
        Sealed(
            "plugin_states.settings_sealed", "plugin_states", "t.settings_sealed",
            "'plugin_states.settings|' || t.merchant_id || '|' || t.plugin",
            "settings_sealed = u.new",
        ),
        Sealed(
            "staff.email_sealed", "staff", "t.email_sealed",
            "'staff.email|' || t.merchant_id || '|' || t.id", "email_sealed = u.new",
        ),
        Sealed(
            "staff.totp_sealed", "staff", "t.totp_sealed",
            "'staff.totp|' || t.merchant_id || '|' || t.id", "totp_sealed = u.new",
        ),
        Sealed(
            "oidc_providers.secret_sealed", "oidc_providers", "t.secret_sealed",
            "'oidc_providers.secret|' || t.merchant_id", "secret_sealed = u.new",
        ),
        *(
            Sealed(
                f"webhooks.{name}_sealed", "webhooks", f"t.{name}_sealed",
                f"'webhooks.{name}|' || t.merchant_id || '|' || t.id", f"{name}_sealed = u.new",
            )
            for name in ("secret", "previous")
        ),
        Sealed(
            "shop_connections.token_sealed", "shop_connections", "t.token_sealed",
            "'shop_connections.token|' || t.merchant_id || '|' || t.shop_id",
            "token_sealed = u.new",
        ),
        Sealed(
            "dead_letters.payload_sealed", "dead_letters", "t.payload_sealed",
            "'dead_letters.payload|' || t.merchant_id || '|' || t.shop_id || '|' || t.resource "
            "|| '|' || t.external_id",
            "payload_sealed = u.new", size=50,
        ),
        # pieces of a mebibyte
        Sealed(
            "job_files.data", "job_files", "t.data",
            "'job_files.data|' || t.merchant_id || '|' || t.job_id || '|' || t.role || '|' "
            "|| t.piece",
            "data = u.new", size=8,
        ),
    ]  # fmt: skip
    for table in tables:
        found += [_column(table, column) for column in table.sealed]
        for copy, copied in table.copies.items():
            owner = f"COALESCE(t.{copy} ->> 'id', t.{table.customer}::text)"
            found += [
                _in_json(table.table, copy, [column], place, owner)
                for column, place in by_table[copied].sealed.items()
            ]
        found += [
            _in_json("customer_merge_moves", "content", [column], place, "t.row_id",
                     f"t.table_name = '{table.table}'")
            for column, place in table.sealed.items()
        ]  # fmt: skip
    for column, place in by_table["customers"].sealed.items():
        # before and after, both of the kept customer's row
        found += [
            _in_json("customer_merges", "filled", [column, step], place, "t.into_id")
            for step in ("0", "1")
        ]
    return found


def _column(table: PersonalTable, column: str) -> Sealed:
    place = f"'{table.sealed[column]}|' || t.merchant_id || '|' || t.id"
    return Sealed(f"{table.table}.{column}", table.table, f"t.{column}", place, f"{column} = u.new")


def _in_json(
    table: str, column: str, path: Sequence[str], place: str, owner: str, where: str = "TRUE"
) -> Sealed:
    steps = "{" + ",".join(path) + "}"
    text = f"(t.{column} #>> '{steps}')"
    return Sealed(
        f"{table}.{column}.{'.'.join(path)}",
        table,
        rf"CASE WHEN {text} ~ '^\\x([0-9a-f]{{2}})+$' THEN decode(substr({text}, 3), 'hex') END",
        f"'{place}|' || t.merchant_id || '|' || {owner}",
        rf"{column} = jsonb_set(t.{column}, '{steps}', to_jsonb('\x' || encode(u.new, 'hex')))",
        where,
    )


async def count_other(session: Session, sealed: Sealed, key_id: int) -> int:
    """How many values of a place are sealed with any other key than this one."""
    count: int = await session.sql.fetchval(
        f"""SELECT count(*) FROM {sealed.table} t
            WHERE t.merchant_id = $1 AND {sealed.where}
              AND substr({sealed.value}, 1, 1) <> $2::bytea""",
        session.merchant_id, bytes([key_id]),
    )  # fmt: skip
    return count


async def count_under(session: Session, sealed: Sealed, key_id: int) -> int:
    """How many values of a place are sealed with this key."""
    count: int = await session.sql.fetchval(
        f"""SELECT count(*) FROM {sealed.table} t
            WHERE t.merchant_id = $1 AND {sealed.where}
              AND substr({sealed.value}, 1, 1) = $2::bytea""",
        session.merchant_id, bytes([key_id]),
    )  # fmt: skip
    return count


@dataclass(frozen=True)
class Portion:
    """The last row looked at (0: there are no more), values changed, and those that do not open."""

    last: int = 0
    changed: int = 0
    broken: int = 0


async def reseal_portion(w: Work, sealed: Sealed, after: int) -> Portion:
    """Seal the next values anew that are under another key than the keyring's primary one.

    Rows that somebody else is changing are passed over: this transaction waits for no row, so it
    is part of no deadlock. A value that does not open is left as it is.
    """
    rows = await w.sql.fetch(
        f"""SELECT t.id, {sealed.value} AS value, {sealed.place} AS place FROM {sealed.table} t
            WHERE t.merchant_id = $1 AND t.id > $2 AND {sealed.where}
              AND substr({sealed.value}, 1, 1) <> $3::bytea
            ORDER BY t.id LIMIT $4 FOR NO KEY UPDATE SKIP LOCKED""",
        w.merchant_id, after, bytes([w.keyring.primary]), sealed.size,
    )  # fmt: skip
    if not rows:
        return Portion()
    ids, old, new = [], [], []
    for row in rows:
        try:
            opened = w.keyring.open_bytes(row["value"], row["place"])
        except SealError:
            continue
        ids.append(row["id"])
        old.append(row["value"])
        new.append(w.keyring.seal_bytes(opened, row["place"]))
    done: str = await w.sql.execute(
        f"""UPDATE {sealed.table} t SET {sealed.change}
            FROM unnest($2::bigint[], $3::bytea[], $4::bytea[]) AS u (id, old, new)
            WHERE t.merchant_id = $1 AND t.id = u.id AND {sealed.where}
              AND {sealed.value} = u.old""",
        w.merchant_id, ids, old, new,
    )  # fmt: skip
    return Portion(rows[-1]["id"], int(done.rpartition(" ")[2]), len(rows) - len(ids))
