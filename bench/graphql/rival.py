"""PostGraphile, installed on demand from its lock file into a folder that is kept for later runs.

It answers the same questions from the same tables, with a role that may do everything, and has
neither tokens nor limits to check. Orders and lines have no foreign keys here, so comments on the
tables tell it how they belong together.
"""

import tempfile
from pathlib import Path

PROJECT = Path(__file__).with_name("postgraphile")
INSTALLED = Path(tempfile.gettempdir()) / "huike-bench-postgraphile"
