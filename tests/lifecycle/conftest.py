import pytest

from core.testing.fixtures import START


@pytest.fixture(autouse=True)
def _at_start(merchant):
    """The days of these tests are counted from START, whatever others did to the clock."""
    before = merchant.clock()
    merchant.clock.move(START - before)
    yield
    merchant.clock.move(before - merchant.clock())
