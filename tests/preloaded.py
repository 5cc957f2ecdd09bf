"""What the server process of tests/processes.py imports once for all of its forks."""

import importlib

import worker.runner  # noqa: F401
from core.installation import load_registry, model_apps
from core.settings import from_environment

for modules in model_apps(load_registry(from_environment({}))).values():
    for module in modules:
        importlib.import_module(module)
