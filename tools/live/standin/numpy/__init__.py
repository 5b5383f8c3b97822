"""What the model needs of NumPy, for Python in a web page: arrays of integers in memory that compiled code can read.

The page's bundle has it in NumPy's place, which would double what a reader fetches.  It is exact or it raises: there
is no number with a point, none wraps around, and what is not here is an AttributeError.
"""

from __future__ import annotations

import ctypes
import operator
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate, product
from types import GenericAlias
from typing import Any

_SPELT: dict[Any, str] = {bool: "bool", int: "int64", "<u2": "uint16", "<u4": "uint32", "<u8": "uint64", "<i8": "int64"}
_LETTERS = {"bool": "?", "uint8": "B", "uint16": "H", "uint32": "I", "uint64": "Q", "int64": "q"}


class generic:
    """A type of elements."""

    def __new__(cls, value: Any = 0) -> Any:
        return dtype(cls).python(value)


class number(generic):
    """A type of numbers."""


class uint8(number): ...


class uint16(number): ...


class uint32(number): ...


class uint64(number): ...


class int64(number): ...


class bool_(generic): ...


_SPELT[bool_] = "bool"


class dtype:
    """The type of an array's elements."""

    name: str
    letter: str
    kind: str
    itemsize: int
    python: type

    def __class_getitem__(cls, of: Any) -> Any:
        return GenericAlias(cls, of)

    def __new__(cls, of: Any) -> dtype:
        if isinstance(of, dtype):
            return of
        name = _SPELT.get(of) or getattr(of, "__name__", str(of))
        if name not in _LETTERS:
            raise TypeError(f"elements of {name}: the page's arrays hold {', '.join(_LETTERS)}")
        if name not in _DTYPES:
            made = _DTYPES[name] = object.__new__(cls)
            made.name, made.letter, made.kind = name, _LETTERS[name], name[0]
            made.itemsize = memoryview(bytes(8)).cast("B").cast(made.letter).itemsize  # type: ignore[call-overload]
            made.python = bool if name == "bool" else int
        return _DTYPES[name]

    def __str__(self) -> str:
        return self.name

    __repr__ = __str__


_DTYPES: dict[str, dtype] = {}


class _Flags:
    def __init__(self, contiguous: bool) -> None:
        self.c_contiguous = contiguous


Shape = tuple[int, ...]


class ndarray:
    """A view of a flat memory: a shape, and for each dimension how many elements apart its neighbours are."""

    def __class_getitem__(cls, of: Any) -> Any:
        return GenericAlias(cls, of)

    def __init__(self, memory: Any, of: dtype, shape: Shape, strides: Shape, first: int) -> None:
        self._memory, self.dtype, self.shape, self._strides, self._first = memory, of, shape, strides, first

    # what it is

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return _product(self.shape)

    @property
    def nbytes(self) -> int:
        return self.size * self.dtype.itemsize

    @property
    def flags(self) -> _Flags:
        return _Flags(self._strides == _strides(self.shape) or self.size == 0)

    @property
    def T(self) -> ndarray:
        return ndarray(self._memory, self.dtype, self.shape[::-1], self._strides[::-1], self._first)

    @property
    def __array_interface__(self) -> dict[str, tuple[int, bool]]:
        start = ctypes.addressof(ctypes.c_char.from_buffer(self._memory)) if len(self._memory) else 0
        return {"data": (start + self._first * self.dtype.itemsize, False)}

    def __buffer__(self, _flags: int) -> Any:
        if not self.flags.c_contiguous:
            raise BufferError("the elements do not lie one after the other")
        flat = self._memory[self._first : self._first + self.size]
        return flat if self.ndim == 1 else flat.cast("B").cast(self.dtype.letter, self.shape)

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("an array without a dimension has no length")
        return self.shape[0]

    def __iter__(self) -> Iterator[Any]:
        return (self[at] for at in range(len(self)))

    def __bool__(self) -> bool:
        return bool(self.item())

    def __int__(self) -> int:
        return int(self.item())

    __index__ = __int__

    def __repr__(self) -> str:
        return f"array({self.tolist()}, dtype={self.dtype})"

    # where its elements are

    def _places(self) -> Iterable[int]:
        if self.ndim == 1:
            step = self._strides[0]
            return range(self._first, self._first + self.shape[0] * step, step) if step else [self._first] * len(self)
        rows = (range(0, count * step, step) if step else [0] * count
                for count, step in zip(self.shape, self._strides, strict=True))  # fmt: skip
        return (self._first + sum(at) for at in product(*rows))

    def _values(self) -> list[Any]:
        if self.flags.c_contiguous:
            return list(self._memory[self._first : self._first + self.size])
        return [self._memory[at] for at in self._places()]

    def _view(self, key: Any) -> ndarray | None:
        """Return the part that integers and slices name, or None if the key holds an array."""
        keys = list(key) if isinstance(key, tuple) else [key]
        if any(isinstance(one, ndarray | list) for one in keys):
            return None
        if Ellipsis in keys:
            at = keys.index(Ellipsis)
            keys[at : at + 1] = [slice(None)] * (self.ndim - len(keys) + 1)
        if len(keys) > self.ndim:
            raise IndexError(f"{len(keys)} indices for {self.ndim} dimensions")
        shape, strides, first = [], [], self._first
        for at, (count, step) in enumerate(zip(self.shape, self._strides, strict=True)):
            one = keys[at] if at < len(keys) else slice(None)
            if isinstance(one, slice):
                chosen = range(count)[one]
                shape.append(len(chosen))
                strides.append(step * chosen.step)
                first += chosen.start * step if chosen else 0
            else:
                first += range(count)[operator.index(one)] * step
        return ndarray(self._memory, self.dtype, tuple(shape), tuple(strides), first)

    def _chosen(self, key: Any) -> tuple[list[int], Shape]:
        """Return the places that an array of numbers or of truth values chooses, and the shape of what is chosen."""
        if isinstance(key, tuple):  # of each chosen row one word
            rows, column = key
            part: ndarray = self[:, operator.index(column)]
            return part._chosen(rows)
        keys = asarray(key)
        if keys.dtype.name == "bool":
            if keys.shape != self.shape:
                raise IndexError(f"truth values of shape {keys.shape} for an array of shape {self.shape}")
            places = [at for at, yes in zip(self._places(), keys._values(), strict=True) if yes]
            return places, (len(places),)
        rows = range(len(self))
        inner = self[0] if self.ndim > 1 and len(self) else None
        if inner is None:
            return [self._first + rows[at] * self._strides[0] for at in keys._values()], keys.shape
        parts = [list(self[rows[at]]._places()) for at in keys._values()]
        return [at for part in parts for at in part], keys.shape + inner.shape

    def __getitem__(self, key: Any) -> Any:
        part = self._view(key)
        if part is not None:
            return part if part.shape else self.dtype.python(self._memory[part._first])
        places, shape = self._chosen(key)
        return _array([self._memory[at] for at in places], self.dtype, shape)

    def __setitem__(self, key: Any, value: Any) -> None:
        part = self._view(key)
        places, shape = (part._places(), part.shape) if part is not None else self._chosen(key)
        if not isinstance(value, ndarray | list | tuple | range):
            for at in places:
                self._memory[at] = value
            return
        for at, one in zip(list(places), _broadcast(asarray(value), shape)._values(), strict=True):
            self._memory[at] = one

    # what is made of it

    def __neg__(self) -> ndarray:
        return _array([-one for one in self._values()], self.dtype, self.shape)

    def __invert__(self) -> ndarray:
        turned = operator.not_ if self.dtype.name == "bool" else operator.invert
        return _array(list(map(turned, self._values())), self.dtype, self.shape)

    def item(self) -> Any:
        if self.size != 1:
            raise ValueError("only an array of one element is a number")
        return self._values()[0]

    def tolist(self) -> Any:
        if self.ndim == 1:
            return self._values()
        return [one.tolist() for one in self] if self.shape else self.item()

    def tobytes(self) -> bytes:
        return bytes(self.copy()._memory.cast("B"))

    def copy(self) -> ndarray:
        return _array(self._values(), self.dtype, self.shape)

    def astype(self, of: Any) -> ndarray:
        return _array(self._values(), dtype(of), self.shape)

    def fill(self, value: Any) -> None:
        self[...] = value

    def reshape(self, *shape: Any) -> ndarray:
        wanted = list(shape[0] if len(shape) == 1 and isinstance(shape[0], tuple | list) else shape)
        if -1 in wanted:
            known = -_product(wanted)
            wanted[wanted.index(-1)] = self.size // known if known else 0
        if _product(wanted) != self.size:
            raise ValueError(f"{self.size} elements cannot have the shape {wanted}")
        of = self if self.flags.c_contiguous else self.copy()
        return ndarray(of._memory, of.dtype, tuple(wanted), _strides(wanted), of._first)

    def sum(self, axis: int | None = None) -> Any:
        if axis is None:
            return sum(self._values())
        if axis != 1 or self.ndim != 2:
            raise ValueError("sums are of all elements, or of each row")
        return _array([sum(row) for row in self.tolist()], dtype(int64), self.shape[:1])

    def max(self) -> Any:
        return max(self._values())

    def min(self) -> Any:
        return min(self._values())

    def any(self) -> bool:
        return any(self._values())

    def all(self) -> bool:
        return all(self._values())


def _operator(work: Callable[[Any, Any], Any], result: type | None, turned: bool = False) -> Callable[..., Any]:
    def method(self: ndarray, other: Any) -> Any:
        if other is None or isinstance(other, str):
            return NotImplemented
        same = not isinstance(other, ndarray) or other.dtype is self.dtype
        of = dtype(result) if result else self.dtype if same and self.dtype.name != "bool" else dtype(int64)
        if self.dtype.name == "bool" and (isinstance(other, bool) or getattr(other, "dtype", None) is self.dtype):
            of = dtype(bool)
        left, right = _together(self, asarray(other))
        values = map(work, *((right, left) if turned else (left, right)))
        return _array(list(values), of, _shape_of(self, asarray(other)))

    return method


_WORK: dict[str, Callable[[Any, Any], Any]] = {
    **{name: getattr(operator, name) for name in ("add", "sub", "mul", "floordiv", "mod", "xor", "lshift", "rshift")},
    "and": operator.and_,
    "or": operator.or_,
}
for _name, _work in _WORK.items():
    setattr(ndarray, f"__{_name}__", _operator(_work, None))
    setattr(ndarray, f"__r{_name}__", _operator(_work, None, turned=True))
for _name in ("eq", "ne", "lt", "le", "gt", "ge"):
    setattr(ndarray, f"__{_name}__", _operator(getattr(operator, _name), bool))


def _product(numbers: Iterable[int]) -> int:
    out = 1
    for one in numbers:
        out *= one
    return out


def _strides(shape: Sequence[int]) -> Shape:
    return tuple(_product(shape[at + 1 :]) for at in range(len(shape)))


def _array(values: Sequence[Any], of: dtype, shape: Shape) -> ndarray:
    made = zeros(shape, of)
    for at, one in enumerate(values):
        made._memory[at] = one
    return made


def _shape_of(*arrays: ndarray) -> Shape:
    """Return the shape that arrays have together: a dimension of 1, or one that is missing, fits any."""
    most = max(one.ndim for one in arrays)
    columns = zip(*((1,) * (most - one.ndim) + one.shape for one in arrays), strict=True)
    shape = tuple(next((count for count in column if count != 1), 1) for column in columns)
    for one in arrays:
        _broadcast(one, shape)
    return shape


def _broadcast(one: ndarray, shape: Shape) -> ndarray:
    missing = len(shape) - one.ndim
    strides = (0,) * missing + tuple(
        0 if have == 1 != want else step
        for have, want, step in zip(one.shape, shape[missing:], one._strides, strict=True)
    )
    if missing < 0 or any(have not in (1, want) for have, want in zip(one.shape, shape[missing:], strict=True)):
        raise ValueError(f"shapes {one.shape} and {shape} do not fit")
    return ndarray(one._memory, one.dtype, shape, strides, one._first)


def _together(left: ndarray, right: ndarray) -> tuple[list[Any], list[Any]]:
    shape = _shape_of(left, right)
    return _broadcast(left, shape)._values(), _broadcast(right, shape)._values()


# what makes arrays


def zeros(shape: int | Sequence[int], of: Any = int64) -> ndarray:
    """Return an array of zeros."""
    counts = (shape,) if isinstance(shape, int) else tuple(shape)
    kind = dtype(of)
    memory: Any = memoryview(bytearray(_product(counts) * kind.itemsize))
    memory = memory.cast(kind.letter)
    return ndarray(memory, kind, counts, _strides(counts), 0)


empty = zeros


def array(values: Any, of: Any = None) -> ndarray:
    """Return a new array of values."""
    if isinstance(values, ndarray):
        return values.astype(of or values.dtype)
    if isinstance(values, int):
        return _array([values], dtype(of or (bool if isinstance(values, bool) else int64)), ())
    rows = list(values)
    if rows and isinstance(rows[0], ndarray | list | tuple | range):
        inner = [array(row, of) for row in rows]
        if len({one.shape for one in inner}) > 1:
            raise ValueError("the rows are not of one length")
        return _array([v for one in inner for v in one._values()], inner[0].dtype, (len(rows), *inner[0].shape))
    kind = of or (bool if rows and all(isinstance(one, bool) for one in rows) else int64)
    if not all(isinstance(one, int) for one in rows):
        raise ValueError(f"elements that are not whole numbers: {rows!r:.40}")
    return _array(rows, dtype(kind), (len(rows),))


def asarray(values: Any, of: Any = None) -> ndarray:
    """Return values as an array: themselves, if they are one."""
    if isinstance(values, ndarray) and (of is None or dtype(of) is values.dtype):
        return values
    return array(values, of)


def arange(start: int, stop: int | None = None, *, dtype: Any = int64) -> ndarray:
    """Return the numbers of a range."""
    return array(range(start) if stop is None else range(start, stop), dtype)


def frombuffer(memory: Any, of: Any) -> ndarray:
    """Return an array in memory that is already there."""
    kind = dtype(of)
    flat: Any = memoryview(memory).cast("B")
    flat = flat.cast(kind.letter)
    return ndarray(flat, kind, (len(flat),), (1,), 0)


def full_like(like: ndarray, value: Any) -> ndarray:
    """Return an array of the same shape and type, filled with a value."""
    made = zeros(like.shape, like.dtype)
    made.fill(value)
    return made


def atleast_1d(values: Any) -> ndarray:
    """Return values as an array that has a dimension."""
    one = asarray(values)
    return one if one.shape else one.reshape(1)


def concatenate(arrays: Iterable[ndarray]) -> ndarray:
    """Return arrays of one dimension, one after the other."""
    parts = [asarray(one) for one in arrays]
    kind = parts[0].dtype if len({one.dtype for one in parts}) == 1 else dtype(int64)
    return array([value for one in parts for value in one._values()], kind)


def stack(arrays: Iterable[ndarray], axis: int = 0) -> ndarray:
    """Return arrays of one shape as rows, or as columns."""
    rows = array([asarray(one).tolist() for one in arrays])
    return rows if axis == 0 else rows.T


def repeat(values: Any, counts: Any) -> ndarray:
    """Return each value as often as its count says."""
    one, often = _together(atleast_1d(values), asarray(counts))
    return array([value for value, count in zip(one, often, strict=True) for _ in range(count)], asarray(values).dtype)


def tile(values: ndarray, count: int) -> ndarray:
    """Return an array so many times over."""
    return array(asarray(values)._values() * count, asarray(values).dtype)


def reshape(values: Any, shape: Any) -> ndarray:
    """Return values in a shape."""
    return asarray(values).reshape(shape)


def roll(values: ndarray, by: int, axis: int = 0) -> ndarray:
    """Return the rows of an array, moved along in a circle."""
    if axis:
        raise ValueError("rows are moved, nothing else")
    count = len(values)
    moved: ndarray = values[[(at - by) % count for at in range(count)]]
    return moved


# what is found in them


def flatnonzero(values: Any) -> ndarray:
    """Return where an array is not zero."""
    return array([at for at, one in enumerate(asarray(values)._values()) if one], int64)


def unique(values: Any, return_index: bool = False, return_inverse: bool = False) -> Any:
    """Return the different values, in order; where each stands first, and which of them each value is, if asked for."""
    flat = list(asarray(values)._values())
    found = sorted(set(flat))
    first = {value: at for at, value in reversed(list(enumerate(flat)))}
    place = {value: at for at, value in enumerate(found)}
    parts = [array(found, asarray(values).dtype)]
    parts += [array([first[value] for value in found], dtype(int64))] if return_index else []
    parts += [array([place[value] for value in flat], dtype(int64))] if return_inverse else []
    return tuple(parts) if len(parts) > 1 else parts[0]


def where(yes: ndarray, one: Any, other: Any) -> ndarray:
    """Return elements of one array where a condition holds, else of the other."""
    parts = [asarray(part) for part in (yes, one, other)]
    shape = _shape_of(*parts)
    lists = [_broadcast(part, shape)._values() for part in parts]
    return _array([a if c else b for c, a, b in zip(*lists, strict=True)], dtype(int64), shape)


def isin(values: Any, among: Iterable[int]) -> ndarray:
    """Return for each value whether it is among others."""
    known, one = set(among), asarray(values)
    return _array([value in known for value in one._values()], dtype(bool), one.shape)


def cumsum(values: Any) -> ndarray:
    """Return the sums of all values up to each."""
    return array(list(accumulate(asarray(values)._values())), int64)


def diff(values: ndarray) -> ndarray:
    """Return by how much each value is more than the one before."""
    more: ndarray = values[1:] - values[:-1]
    return more


def argmax(values: Any) -> int:
    """Return where the largest value stands first."""
    flat = asarray(values)._values()
    return flat.index(max(flat))


def argsort(values: Any) -> ndarray:
    """Return where the values stand, the smallest first."""
    flat = asarray(values)._values()
    return array(sorted(range(len(flat)), key=flat.__getitem__), int64)
