"""Connections that are lent, and given back as they were or as they must not be left."""

# ruff: noqa: PT012

import asyncio

import asyncpg
import pytest


async def backend(merchant):
    async with merchant.read() as session:
        return await session.sql.fetchval("SELECT pg_backend_pid()")


async def test_more_readers_than_connections_wait_for_each_other(merchant):
    async def read(number):
        async with merchant.read() as session:
            return await session.sql.fetchval("SELECT $1::int FROM pg_sleep(0.001)", number)

    assert await asyncio.gather(*map(read, range(200))) == list(range(200))


async def test_a_setting_does_not_outlast_its_reader(merchant):
    async with merchant.read() as session:
        await session.sql.execute("SET work_mem = '77MB'")
    for _ in range(30):
        async with merchant.read() as session:
            assert await session.sql.fetchval("SHOW work_mem") != "77MB"


async def test_a_transaction_that_was_left_open_is_undone(merchant):
    async with merchant.read() as session:
        await session.sql.execute("BEGIN")
        await session.sql.execute("UPDATE merchants SET name = 'left open'")
    async with merchant.read() as session:
        assert await session.sql.fetchval("SELECT name FROM merchants LIMIT 1") != "left open"
        assert not session.sql.is_in_transaction()


async def test_a_reader_who_is_cancelled_leaves_a_connection_that_works(merchant):
    async def read():
        async with merchant.read() as session:
            await session.sql.execute("SELECT pg_sleep(60)")

    readers = [asyncio.create_task(read()) for _ in range(5)]
    await asyncio.sleep(0.1)
    for one in readers:
        one.cancel()
    await asyncio.gather(*readers, return_exceptions=True)
    assert all(await asyncio.gather(*(backend(merchant) for _ in range(50))))


async def test_a_connection_that_was_cut_is_not_lent_again(merchant):
    pid = await backend(merchant)
    with pytest.raises(asyncpg.PostgresConnectionError):
        async with merchant.read() as session:
            pid = await session.sql.fetchval("SELECT pg_backend_pid()")
            await session.sql.execute("SELECT pg_terminate_backend(pg_backend_pid())")
    assert pid not in await asyncio.gather(*(backend(merchant) for _ in range(50)))


async def test_a_connection_that_was_given_back_cannot_be_used(merchant):
    async with merchant.read() as session:
        pass
    with pytest.raises(asyncpg.InterfaceError):
        await session.sql.fetchval("SELECT 1")
