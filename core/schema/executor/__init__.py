"""Queries answered level by level, by functions compiled for what is selected.

docs/frontend/executor.md explains it. `Executor` is what a schema is given; the other modules are
`prepared` (an operation's variables, and what else its requests have in common), `run` (one of
these requests), `plans` (what is to be done for a selection, kept with its document), `arguments`
(what resolvers are given, out of `literals` and `inputs`), `kept` (within which bounds), `compile`
(the functions), `completion` (doing it), `faults` (where errors are told) and `later` (children
that resolvers promise, and that are fetched for a whole level at once).
"""

from core.schema.executor.executor import Executor

__all__ = ["Executor"]
