"""Calls into plugins: limited in time, and left out for a while after they fail too often."""

import asyncio

import pytest

from core import guard
from core.guard import FAILURES_TO_OPEN, OPEN_SECONDS, PluginFailed, guarded
from core.sdk import InvalidInput, Refused, RetryLater, Several
from core.sdk.errors import HuikeError

counter = iter(range(1, 10**6))


@pytest.fixture
def plugin():
    """A name that no other test has broken."""
    return f"plugin{next(counter)}"


@pytest.fixture
def clock(monkeypatch):
    class Time:
        now = 1000.0

        def monotonic(self):
            return self.now

    made = Time()
    monkeypatch.setattr(guard, "time", made)
    return made


async def answer():
    return 42


async def fail(error=ValueError):
    raise error("secret detail")


async def test_a_result_comes_through(plugin):
    assert await guarded(plugin, 1, 1, answer()) == 42


async def test_a_plugin_that_hangs_is_cut_off(plugin):
    ended = asyncio.Event()

    async def hang():
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()

    with pytest.raises(PluginFailed, match=r"did not answer within 0\.05 seconds"):
        await guarded(plugin, 1, 0.05, hang())
    assert ended.is_set()


async def test_an_unexpected_error_is_masked(plugin):
    with pytest.raises(PluginFailed) as caught:
        await guarded(plugin, 1, 1, fail())
    assert "secret" not in caught.value.message
    assert caught.value.retryable


@pytest.mark.parametrize("error", [InvalidInput, Refused, RetryLater])
async def test_expected_errors_pass_and_open_nothing(plugin, error):
    for _ in range(FAILURES_TO_OPEN + 1):
        with pytest.raises(error, match="secret detail"):
            await guarded(plugin, 1, 1, fail(error))
    with pytest.raises((HuikeError, Several)):
        await guarded(plugin, 1, 1, fail(lambda text: Several([InvalidInput(text)])))


async def break_it(plugin, merchant=1):
    for _ in range(FAILURES_TO_OPEN):
        with pytest.raises(PluginFailed, match=r"failed$"):
            await guarded(plugin, merchant, 1, fail())


async def test_the_breaker_opens_for_one_merchant_and_closes_again(plugin, clock):
    await break_it(plugin)
    called = answer()  # never awaited: the guard has to close it, or Python warns
    with pytest.raises(PluginFailed, match="rests for a while"):
        await guarded(plugin, 1, 1, called)
    assert await guarded(plugin, 2, 1, answer()) == 42
    clock.now += OPEN_SECONDS
    assert await guarded(plugin, 1, 1, answer()) == 42


async def test_a_success_in_between_keeps_it_closed(plugin, clock):
    for _ in range(3):
        for _ in range(FAILURES_TO_OPEN - 1):
            with pytest.raises(PluginFailed):
                await guarded(plugin, 1, 1, fail())
        assert await guarded(plugin, 1, 1, answer()) == 42


async def test_a_plugin_that_is_still_broken_rests_again(plugin, clock):
    await break_it(plugin)
    clock.now += OPEN_SECONDS
    await break_it(plugin)
    with pytest.raises(PluginFailed, match="rests"):
        await guarded(plugin, 1, 1, answer())


async def test_our_own_cancellation_is_not_the_plugins_fault(plugin):
    for _ in range(FAILURES_TO_OPEN + 1):
        task = asyncio.ensure_future(guarded(plugin, 1, 60, asyncio.sleep(60)))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert await guarded(plugin, 1, 1, answer()) == 42
