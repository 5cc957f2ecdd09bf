import pytest
from hypothesis import HealthCheck, settings

from core.sdk import outbound
from core.testing import installation, merchant

__all__ = ["installation", "merchant"]

# a busy machine is no fault of what is tested
settings.register_profile("huike", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("huike")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """The slow ones first: several processes then end at about the same time."""
    items.sort(key=lambda item: "slow" not in item.keywords)


@pytest.fixture(scope="session", autouse=True)
def stand_ins():
    """Stand-ins are on loopback, for tests without an installation too."""
    with outbound.allowed(outbound.LOOPBACK):
        yield
