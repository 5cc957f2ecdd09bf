"""The tables that models describe."""

import importlib
from collections.abc import Iterable

from tortoise.models import Model


def tables_of(modules: Iterable[str]) -> set[str]:
    """The names of the tables whose models are in these modules."""
    return {
        value._meta.db_table
        for module in modules
        for value in vars(importlib.import_module(module)).values()
        if isinstance(value, type) and issubclass(value, Model) and value is not Model
    }
