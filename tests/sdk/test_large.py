"""Large libraries are loaded by who uses them first, and nobody else waits for it."""

import importlib
import sys
import threading

from core.sdk import large


async def test_a_library_is_loaded_once_and_in_a_thread(monkeypatch):
    monkeypatch.delitem(sys.modules, "colorsys", raising=False)
    load, threads = importlib.import_module, []

    def noted(name):
        threads.append(threading.current_thread())
        return load(name)

    monkeypatch.setattr(importlib, "import_module", noted)
    library = large._Large("colorsys")
    for _ in range(2):
        await large.loaded(library)
    assert "colorsys" in sys.modules
    assert len(threads) == 1
    assert threads[0] is not threading.main_thread()
    assert library.ONE_THIRD
