"""One operation's values completed level by level: all objects of a selection in one step."""

import asyncio
from bisect import bisect_right
from collections.abc import Awaitable, Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from graphql import GraphQLError, GraphQLResolveInfo, Undefined, located_error
from graphql.execution.executor import invalid_return_type_error
from graphql.pyutils import Path, is_iterable
from strawberry.types.info import Info

from core.schema.executor.faults import Fault, present_step
from core.schema.executor.later import Later, RowBatch, Rows, rows_of
from core.schema.executor.plans import Field, Kind, Place, Selection, Shape, option

if TYPE_CHECKING:
    from core.schema.executor.run import Run

Where = Callable[[int], Path | None]
"""The path of a value by its number among those completed together; asked for errors only."""

Done = tuple[list[Any], dict[int, Fault]]
"""Completed values, and the faults of those that have to become null further up."""


class Raised:
    """In place of a value, what its resolver raised."""

    __slots__ = ("error",)

    def __init__(self, error: Exception) -> None:
        self.error = error


class Together(list[Any]):
    """In place of promises that differ by their `pk` alone: one of them, and the keys of all."""

    def __init__(self, promise: Later, pks: list[Any]) -> None:
        super().__init__(pks)
        self.promise = promise


class Mixed(list[Any]):
    """Values of which some, these `at_once`, were there one wait before the others."""

    def __init__(self, values: list[Any], at_once: list[int]) -> None:
        super().__init__(values)
        self.at_once = at_once


class RowLists(list[Any]):
    """In place of lists of objects of a type of rows, those of their rows."""

    def __init__(self, of: type, lists: list[Any]) -> None:
        super().__init__(lists)
        self.of = of


class PlannedInfo(Info[Any, Any]):
    """A resolver's `info`, which knows what is selected of what it returns."""

    def __init__(self, run: "Run", one: Field, path: Callable[[], Path]) -> None:
        assert one.ours is not None
        self._field = one.ours
        self.shape = one.shape
        self._run = run
        self._place = one.place
        self._path = path

    @property
    def context(self) -> Any:
        return self._run.context

    @cached_property
    def _raw_info(self) -> GraphQLResolveInfo[Any]:  # type: ignore[override]
        return raw_info(self._run, self._place, self._path())


def raw_info(run: "Run", place: Place, path: Path | None) -> GraphQLResolveInfo[Any]:
    """What the stock executor tells of a field."""
    assert path is not None
    return run.executor.build_resolve_info(place.definition, place.nodes, place.parent, path)


class Completion:
    """The level-by-level part of one operation."""

    def __init__(self, run: "Run") -> None:
        self._run = run
        self._errors = run.errors
        self._calls: dict[int, dict[str, Any]] = {}

    # -- objects ----------------------------------------------------------------------------------

    async def selection(
        self, selection: Selection, objects: Sequence[Any], where: Where, step: int
    ) -> Done:
        """The dictionaries of objects of one type."""
        faults: dict[int, Fault] = {}
        pending = selection.pending
        try:
            made = selection.build(objects, self._inline_calls(selection, where))
        except Exception:  # whatever it was, it is met again where it can be told
            made, faults = await self._carefully(selection, objects, where, step)
            pending = selection.objects
        if pending:
            # of objects that are null already too: errors that the stock executor meets first count
            self._take(faults, await self._pending(pending, objects, made, where, step))
            for number in faults:
                made[number] = None
        return made, faults

    async def one_by_one(
        self, selection: Selection, objects: Sequence[Any], where: Where, step: int
    ) -> Done:
        """As `selection`, for the root of a mutation: no field begins before the last one ended."""
        made = [{one.place.response: one.constant for one in selection.fields} for _ in objects]
        for one in selection.fields:
            if one.constant is None:
                await self._pending([one], objects, made, where, step)
        return made, {}

    def _inline_calls(self, selection: Selection, where: Where) -> list[dict[str, Any]]:
        return [
            self._call(one, where) if one.inline and one.call is not None else {}
            for one in selection.fields
        ]

    async def _carefully(
        self, selection: Selection, objects: Sequence[Any], where: Where, step: int
    ) -> Done:
        """The inline leaves as the stock executor does them."""
        leaves = [one for one in selection.fields if one.inline and one.nested is None]
        entries, faults = await self._by_stock(leaves, objects, where, step)
        blank = {one.place.response: None for one in selection.fields}
        made = [None if number in faults else blank | entry for number, entry in enumerate(entries)]
        return made, faults

    async def _by_stock(
        self, fields: list[Field], objects: Sequence[Any], where: Where, step: int
    ) -> tuple[list[dict[str, Any]], dict[int, Fault]]:
        """Fields by the stock executor: those that wait are done when all others are."""
        entries: list[dict[str, Any]] = []
        faults: dict[int, Fault] = {}
        waiting: list[tuple[int, str, Awaitable[Any]]] = []
        for number, source in enumerate(objects):
            entry: dict[str, Any] = {}
            entries.append(entry)
            try:
                for one in fields:
                    response = one.place.response
                    value = entry[response] = self._stock(one, source, number, where, step)
                    if self._run.executor.is_awaitable(value):
                        waiting.append((number, response, value))
            except GraphQLError as error:
                faults[number] = Fault(step, error)
        later = (_at(step + 1, value) for _, _, value in waiting)
        results = await asyncio.gather(*later, return_exceptions=True)
        for (number, response, _), value in zip(waiting, results, strict=True):
            if isinstance(value, GraphQLError):
                self._take(faults, {number: Fault(step + 1, value)})
            elif isinstance(value, BaseException):
                raise value
            else:
                entries[number][response] = value
        return entries, faults

    def _stock(self, one: Field, source: Any, number: int, where: Where, step: int) -> Any:
        """A field of one object, by the stock executor. Raises a located error."""
        present_step.set(step)
        place = one.place
        path = Path(where(number), place.response, place.parent.name)
        executor = self._run.executor
        return executor.execute_field(place.parent, source, place.details, path, None)

    def _take(self, faults: dict[int, Fault], more: dict[int, Fault]) -> None:
        """Add faults; of two of one value the one stays that the stock executor meets first."""
        when = self._errors.when
        for number, fault in more.items():
            if number in faults:
                _ = self._run.executor  # it knows their order
                fault = min(faults[number], fault, key=when)
            faults[number] = fault

    async def _pending(
        self, fields: list[Field], objects: Sequence[Any], made: list[Any], where: Where, step: int
    ) -> dict[int, Fault]:
        """Fill in what the compiled function left open; returns the faults of whole objects."""
        resolved = [(one, self._resolve(one, objects, where)) for one in fields]
        waiting: list[Awaitable[dict[int, Fault]]] = []
        faults: dict[int, Fault] = {}
        for one, values in resolved:
            work = self._fill(one, objects, values, made, where, step)
            if one.waits:
                waiting.append(work)
            else:
                self._take(faults, await work)
        if len(waiting) == 1:
            self._take(faults, await waiting[0])
        elif waiting:
            for found in await asyncio.gather(*waiting):
                self._take(faults, found)
        return faults

    def _resolve(self, one: Field, objects: Sequence[Any], where: Where) -> list[Any]:
        """What a field's source gives for each object; a promise or an awaitable is left as is."""
        try:
            if one.column is not None:
                return [row[one.column] for row in rows_of(objects)]
            if one.make is not None:
                return [one.make(row) for row in rows_of(objects)]
            if one.attribute is not None:
                return [getattr(source, one.attribute) for source in objects]
            if one.call is None:
                return []
            call = self._call(one, where)
        except Exception as error:
            if one.call is None:
                return [self._read(one, source) for source in objects]
            return [Raised(error)] * len(objects)
        values: list[Any] = []
        resolve = one.call if one.takes_object else _without_object(one.call)
        if one.pk is not None and objects:
            try:
                first = resolve(objects[0], **call)
                if first.__class__ is Later:
                    return Together(first, [row[one.pk] for row in rows_of(objects)])
            except Exception as error:
                return [Raised(error)] * len(objects)
        for source in objects:
            try:
                values.append(resolve(source, **call))
            except Exception as error:
                values.append(Raised(error))
        return values

    def _read(self, one: Field, source: Any) -> Any:
        """What the source of a field without a call gives for one object."""
        try:
            if one.attribute is not None:
                return getattr(source, one.attribute)
            return source.row[one.column] if one.make is None else one.make(source.row)
        except Exception as error:
            return Raised(error)

    async def _fill(
        self, one: Field, objects: Sequence[Any], values: list[Any], made: list[Any], where: Where,
        step: int,
    ) -> dict[int, Fault]:  # fmt: skip
        """Complete one field of all objects; returns the faults that the field cannot hold."""
        if one.stock:
            entries, faults = await self._by_stock([one], objects, where, step)
            completed = [entry.get(one.place.response) for entry in entries]
        else:
            place = one.place

            def here(number: int) -> Path:
                return Path(where(number), place.response, place.parent.name)

            if one.call is not None:
                values, step = await self._settle(values, step)
            completed, faults = await self.shape(one.shape, values, here, step)
            if faults and one.shape.kind is not Kind.NON_NULL:
                for number, fault in faults.items():
                    self._errors.tell(fault, here(number))
                    completed[number] = None
                faults = {}
        response = one.place.response
        for entry, value in zip(made, completed, strict=True):
            if entry is not None:
                entry[response] = value
        return faults

    # -- values -----------------------------------------------------------------------------------

    async def shape(self, shape: Shape, values: Sequence[Any], where: Where, step: int) -> Done:
        """Values of one type, completed."""
        if values.__class__ is Mixed:
            return await self._in_two_parts(shape, values, where, step)
        match shape.kind:
            case Kind.NON_NULL:
                return await self._non_null(shape, values, where, step)
            case Kind.LIST:
                return await self._lists(shape, values, where, step)
            case Kind.OBJECT:
                return await self._objects(shape, values, where, step)
            case Kind.ABSTRACT:
                return await self._abstract(shape, values, where, step)
        return self._leaves(shape, values, where, step)

    async def _in_two_parts(self, shape: Shape, values: Any, where: Where, step: int) -> Done:
        at_once = set(values.at_once)
        later = [number for number in range(len(values)) if number not in at_once]
        parts = ((values.at_once, step - 1), (later, step))
        works = (
            self.shape(shape, [values[number] for number in part], _among(where, part), waits)
            for part, waits in parts
        )
        completed: list[Any] = [None] * len(values)
        faults: dict[int, Fault] = {}
        for (part, _), (done, more) in zip(parts, await asyncio.gather(*works), strict=True):
            for number, one in zip(part, done, strict=True):
                completed[number] = one
            faults.update({part[number]: fault for number, fault in more.items()})
        return completed, faults

    async def _non_null(self, shape: Shape, values: Sequence[Any], where: Where, step: int) -> Done:
        assert shape.inner is not None
        completed, faults = await self.shape(shape.inner, values, where, step)
        for number, value in enumerate(completed):
            if value is None and number not in faults:
                error = TypeError(f"Cannot return null for non-nullable field {shape.place.name}.")
                faults[number] = _fault(error, shape.place, where(number), step)
        return completed, faults

    async def _lists(self, shape: Shape, values: Sequence[Any], where: Where, step: int) -> Done:
        """All lists' items completed together."""
        if len(values) == 1 and isinstance(values[0], Rows):
            values = RowLists(values[0].of, [values[0].rows])
        flat: list[Any] = []
        starts: list[int] = []
        owners: list[int] = []
        faults: dict[int, Fault] = {}
        for number, value in enumerate(values):
            if value is None or value is Undefined:
                continue
            try:
                items = value if value.__class__ is list else await self._items(shape, value)
            except Exception as error:
                faults[number] = _fault(error, shape.place, where(number), step)
                continue
            starts.append(len(flat))
            owners.append(number)
            flat += items

        def item(number: int) -> Path:
            owner = bisect_right(starts, number) - 1
            return Path(where(owners[owner]), number - starts[owner], None)

        assert shape.inner is not None
        whole: Sequence[Any] = flat
        if isinstance(values, RowLists):
            whole = Rows(values.of, flat)
        elif any(hasattr(one, "__await__") for one in set(map(type, flat))):
            whole, step = await self._settle(flat, step)
        done, item_faults = await self.shape(shape.inner, whole, item, step) if flat else ([], {})
        for number, fault in sorted(item_faults.items()):
            if shape.inner.kind is Kind.NON_NULL:
                self._take(faults, {owners[bisect_right(starts, number) - 1]: fault})
            else:
                self._errors.tell(fault, item(number))
                done[number] = None
        completed: list[Any] = [None] * len(values)
        for owner, start, end in zip(owners, starts, [*starts, len(flat)][1:], strict=True):
            if owner not in faults:
                completed[owner] = done[start:end]
        return completed, faults

    async def _items(self, shape: Shape, value: Any) -> Sequence[Any]:
        if isinstance(value, Raised):
            raise value.error
        if isinstance(value, Exception):
            raise value
        if self._run.executor.is_async_iterable(value):
            return [one async for one in value]
        if not is_iterable(value):
            raise GraphQLError(
                f"Expected Iterable, but did not find one for field '{shape.place.name}'."
            )
        return list(value)

    async def _objects(self, shape: Shape, values: Sequence[Any], where: Where, step: int) -> Done:
        selection = shape.selection
        assert selection is not None
        if (
            values.of is selection.origin if isinstance(values, Rows)
            else set(map(type, values)) == {selection.origin}
        ):  # fmt: skip
            return await self.selection(selection, values, where, step)
        faults: dict[int, Fault] = {}
        fit: list[int] = []
        for number, value in enumerate(values):
            if value is None or value is Undefined:
                continue
            try:
                await self._check_type(shape, value, where(number))
                fit.append(number)
            except Exception as error:
                faults[number] = _fault(error, shape.place, where(number), step)
        completed: list[Any] = [None] * len(values)
        done, more = await self.selection(
            selection, [values[number] for number in fit], _among(where, fit), step
        )
        for number, one in zip(fit, done, strict=True):
            completed[number] = one
        self._take(faults, {fit[number]: fault for number, fault in more.items()})
        return completed, faults

    async def _check_type(self, shape: Shape, value: Any, path: Path | None) -> None:
        """Raises unless the value is an object of the shape's type."""
        if isinstance(value, Raised):
            raise value.error
        if isinstance(value, Exception):
            raise value
        if shape.type.is_type_of is None:
            return
        fits = shape.type.is_type_of(value, raw_info(self._run, shape.place, path))
        if not (await fits if self._run.executor.is_awaitable(fits) else fits):
            raise invalid_return_type_error(shape.type, value, shape.place.details)

    async def _abstract(self, shape: Shape, values: Sequence[Any], where: Where, step: int) -> Done:
        """Objects of an interface or union, those of one type together."""
        faults: dict[int, Fault] = {}
        members: dict[str, list[int]] = {}
        for number, value in enumerate(values):
            if value is None or value is Undefined:
                continue
            try:
                name = await self._runtime_type(shape, value, where(number))
                members.setdefault(name, []).append(number)
            except Exception as error:
                faults[number] = _fault(error, shape.place, where(number), step)
        completed: list[Any] = [None] * len(values)
        groups = list(members.values())
        for group, (done, more) in zip(
            groups,
            await asyncio.gather(
                *(
                    self._objects(
                        shape.options[name], [values[number] for number in group],
                        _among(where, group), step,
                    )
                    for name, group in members.items()
                )
            ),
            strict=True,
        ):  # fmt: skip
            for number, one in zip(group, done, strict=True):
                completed[number] = one
            self._take(faults, {group[number]: fault for number, fault in more.items()})
        return completed, faults

    async def _runtime_type(self, shape: Shape, value: Any, path: Path | None) -> str:
        if isinstance(value, Raised):
            raise value.error
        if isinstance(value, Exception):
            raise value
        info = raw_info(self._run, shape.place, path)
        resolve = shape.type.resolve_type or self._run.executor.type_resolver
        name: Any = resolve(value, info, shape.type)
        if self._run.executor.is_awaitable(name):
            name = await name
        found = self._run.executor.ensure_valid_runtime_type(
            name, shape.type, shape.place.details, info, value
        )
        option(self._run.executor, shape, found)
        return found.name

    def _leaves(self, shape: Shape, values: Sequence[Any], where: Where, step: int) -> Done:
        assert shape.leaf is not None
        completed: list[Any] = []
        faults: dict[int, Fault] = {}
        for number, value in enumerate(values):
            done = None
            try:
                if isinstance(value, Raised):
                    raise value.error
                if value is not None and value is not Undefined:
                    done = shape.leaf(value)
            except Exception as error:
                faults[number] = _fault(error, shape.place, where(number), step)
            completed.append(done)
        return completed, faults

    # -- what resolvers are given and give --------------------------------------------------------

    def _call(self, one: Field, where: Where) -> dict[str, Any]:
        """The named arguments of a resolver, the same for all objects. Raises for bad ones."""
        found = self._calls.get(id(one))
        if found is None:
            found = self._calls[id(one)] = self._arguments(one, where)
        return found

    def _arguments(self, one: Field, where: Where) -> dict[str, Any]:
        place = one.place

        def path() -> Path:
            return Path(where(0), place.response, place.parent.name)

        info = PlannedInfo(self._run, one, path)
        call: dict[str, Any] = {}
        if one.arguments is not None:
            call = one.arguments.of(self._run, info)
        if one.info is not None:
            call[one.info] = info
        return call

    async def _settle(self, values: list[Any], step: int) -> tuple[list[Any], int]:
        """The values with every promise kept and every awaitable awaited, all at once."""
        if isinstance(values, Together):
            kept = await _kept(values.promise.of_rows(), values)
            batch = values.promise.batch
            return RowLists(batch.of, kept) if isinstance(batch, RowBatch) else kept, step + 1
        if len(values) == 1 and values[0].__class__ is Later:
            return await _kept(values[0], [values[0].pk]), step + 1
        promised: dict[Any, list[int]] = {}
        awaited: list[int] = []
        waiting = {kind for kind in set(map(type, values)) if hasattr(kind, "__await__")}
        if not waiting:
            return values, step
        at_once: list[int] = []
        for number, value in enumerate(values):
            if value.__class__ is Later:
                promised.setdefault(value.key, []).append(number)
            elif value.__class__ in waiting:
                awaited.append(number)
            else:
                at_once.append(number)
        settled = list(values)

        async def keep(numbers: list[int]) -> None:
            pks = [values[number].pk for number in numbers]
            for number, value in zip(numbers, await _kept(values[numbers[0]], pks), strict=True):
                settled[number] = value

        works: list[tuple[list[int], Awaitable[Any]]] = [
            (numbers, keep(numbers)) for numbers in promised.values()
        ]
        works += [([number], values[number]) for number in awaited]
        for (numbers, _), result in zip(works, await _all(works), strict=True):
            if isinstance(result, Exception):
                settled[numbers[0]] = Raised(result)
            elif isinstance(result, BaseException):
                raise result
            elif numbers[0] in awaited:
                settled[numbers[0]] = result
        return (Mixed(settled, at_once) if at_once else settled), step + 1


async def _kept(promise: Later, pks: list[Any]) -> list[Any]:
    """What a promise stands for, for each of the keys."""
    try:
        found = await promise.fetch(pks)
    except Exception as error:
        return [Raised(error)] * len(pks)
    values = map(found.get, pks)
    return [promise.missing if value is None else value for value in values]


async def _all(works: list[tuple[list[int], Awaitable[Any]]]) -> Sequence[Any]:
    """The results or exceptions of all; a single one needs no task of its own."""
    if len(works) > 1:
        return await asyncio.gather(*(work for _, work in works), return_exceptions=True)
    try:
        return [await works[0][1]]
    except Exception as error:
        return [error]


async def _at(step: int, value: Awaitable[Any]) -> Any:
    """What is awaited; its errors have so many waits before them."""
    present_step.set(step)
    return await value


def _without_object(call: Callable[..., Any]) -> Callable[..., Any]:
    def resolve(_: Any, **given: Any) -> Any:
        return call(**given)

    return resolve


def _among(where: Where, numbers: list[int]) -> Where:
    return lambda number: where(numbers[number])


def _fault(error: Exception, place: Place, path: Path | None, step: int) -> Fault:
    assert path is not None
    return Fault(step, located_error(error, place.nodes, path.as_list()))
