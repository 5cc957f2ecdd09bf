import pytest

from core.testing import installation, merchant

__all__ = ["installation", "merchant"]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """The slow ones first: several processes then end at about the same time."""
    items.sort(key=lambda item: "slow" not in item.keywords)
