import subprocess
import sys
from dataclasses import FrozenInstanceError, field, replace
from typing import Any

import pytest

from core.cli import lean

BOTH = pytest.mark.parametrize("dataclass", [lean._dataclass, lean.dataclass])
"""The standard library's says what is right."""


@BOTH
def test_a_dataclass_shows_itself(dataclass):
    @dataclass
    class Leaf:
        name: str
        secret: str = field(default="s", repr=False)

    @dataclass(slots=True)
    class Tree:
        leaves: list[Any]

    class Named(Leaf):
        pass

    @dataclass(kw_only=True)
    class Own:
        a: int

        def __repr__(self):
            return "mine"

    @dataclass(repr=False)
    class Silent:
        a: int

    tree = Tree([Leaf("x"), Named("y"), Own(a=1)])
    tree.leaves.append(tree)
    begin = "test_a_dataclass_shows_itself.<locals>."
    assert repr(tree) == (
        f"{begin}Tree(leaves=[{begin}Leaf(name='x'), {begin}Named(name='y'), mine, ...])"
    )
    assert repr(Silent(1)).startswith("<")


@BOTH
@pytest.mark.parametrize("options", [{}, {"slots": True}, {"kw_only": True}])
def test_a_frozen_one_refuses_changes(dataclass, options):
    @dataclass(frozen=True, **options)
    class Point:
        x: int
        y: int = 2

    point = Point(x=1)
    with pytest.raises(FrozenInstanceError, match=r"^cannot assign to field 'x'$"):
        point.x = 3
    with pytest.raises(FrozenInstanceError, match=r"^cannot delete field 'y'$"):
        del point.y
    with pytest.raises((FrozenInstanceError, TypeError)):
        point.other = 1
    assert (point, hash(point)) == (Point(x=1), hash(Point(x=1)))
    assert replace(point, y=5) == Point(x=1, y=5) != point


@BOTH
def test_what_extends_a_frozen_one_has_attributes_of_its_own(dataclass):
    @dataclass(frozen=True)
    class Point:
        x: int

    class Marked(Point):
        pass

    point = Marked(1)
    point.mark = "a"
    assert point.mark == "a"
    del point.mark
    assert not hasattr(point, "mark")
    with pytest.raises(FrozenInstanceError):
        point.x = 2


def test_the_commands_classes_share():
    looked = """
import core.cli
from core.cli import lean
from core.sdk.plugin import Manifest
from core.schema.customers import Customer
assert Customer.__repr__ is Manifest.__repr__ is lean._repr
assert Manifest.__setattr__ is lean._setattr
"""
    subprocess.run([sys.executable, "-c", looked], check=True)
