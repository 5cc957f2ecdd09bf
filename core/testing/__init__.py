"""The test kit for plugin authors: a real PostgreSQL and Redis, and a merchant for each test.

In your conftest.py: `from core.testing import installation, merchant` brings the fixtures, one for
all tests and one for each; `merchant.clock` can be moved. Tests run in one event loop: set
pytest-asyncio's loop scopes to session. `check_plugin` looks whether your plugin keeps all rules,
`check_facet` tries a facet of yours in every way in which it will be asked, and `check_nodes`
finds types whose ids find nothing.
"""

from core.testing.conformance import PluginFault, check_plugin
from core.testing.facets import FacetFault, check_facet
from core.testing.fixtures import TestMerchant, installation, merchant
from core.testing.nodes import NodeFault, check_nodes

__all__ = [
    "FacetFault", "NodeFault", "PluginFault", "TestMerchant", "check_facet", "check_nodes",
    "check_plugin", "installation", "merchant",
]  # fmt: skip
