"""The test kit for plugin authors: a real PostgreSQL and Redis, and a merchant for each test.

In your conftest.py: `from core.testing import *` brings the fixtures `installation` (session),
`merchant` and `clock`. Tests run in one event loop; set pytest-asyncio's loop scopes to session.
"""

from core.testing.fixtures import TestMerchant, installation, merchant

__all__ = ["TestMerchant", "installation", "merchant"]
