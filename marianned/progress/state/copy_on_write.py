"""Containers whose copies share what neither has changed: a copy of a large one costs little."""

from collections.abc import Iterable, Iterator, Mapping, ValuesView
from itertools import chain, compress, count
from typing import Generic, TypeVar, overload

T = TypeVar("T")
D = TypeVar("D")
_BITS = 7
_BLOCK = 1 << _BITS
"""So many items the first change in a block copies; a copy of the whole takes a step for each block."""

_TRUTH = bytes.maketrans(b"01", b"\0\1")
"""From digits to what they say."""


class BitSet:
    """A set of whole numbers from 0 on, ascending; it never changes: one int, with a bit for each of them."""

    __slots__ = ("_bits",)

    def __init__(self, bits: int = 0) -> None:
        self._bits = bits

    def plus(self, number: int) -> "BitSet":
        """Return it with a number."""
        return BitSet(self._bits | 1 << number)

    def minus(self, number: int) -> "BitSet":
        """Return it without a number."""
        return BitSet(self._bits & ~(1 << number)) if number in self else self

    def having(self, number: int, *, present: bool) -> "BitSet":
        """Return it with or without a number."""
        return self if (number in self) == present else BitSet(self._bits ^ 1 << number)

    @property
    def digits(self) -> bytes:
        """For each number from 0 up to the highest of them 1, if it is one of them, else 0."""
        return f"{self._bits:b}"[::-1].encode().translate(_TRUTH)

    @property
    def first(self) -> int:
        """The lowest of them; -1: there is none."""
        return (self._bits & -self._bits).bit_length() - 1

    def __contains__(self, number: int) -> bool:
        return bool(self._bits >> number & 1)

    def __iter__(self) -> Iterator[int]:
        return compress(count(), self.digits)

    def __len__(self) -> int:
        return self._bits.bit_count()

    def __bool__(self) -> bool:
        return self._bits != 0


class Vector(Generic[T]):
    """A list of fixed length in blocks; a copy shares all of them, and whoever changes one copies that first.

    `_own` are the blocks that nobody else has.
    """

    __slots__ = ("_blocks", "_length", "_own")

    def __init__(self, items: Iterable[T]) -> None:
        whole = list(items)
        self._length = len(whole)
        self._blocks = [whole[start : start + _BLOCK] for start in range(0, len(whole), _BLOCK)]
        self._own = set(range(len(self._blocks)))

    def copy(self) -> "Vector[T]":
        """Return a vector of its own with the same items."""
        other: Vector[T] = Vector(())
        other._length = self._length
        other._blocks = self._blocks.copy()
        self._own = set()
        return other

    def __getitem__(self, index: int) -> T:
        return self._blocks[index >> _BITS][index & _BLOCK - 1]

    def get(self, index: int) -> T | None:
        """Return the item at a place, or null where there is none."""
        return self._blocks[index >> _BITS][index & _BLOCK - 1] if 0 <= index < self._length else None

    def __setitem__(self, index: int, item: T) -> None:
        block = index >> _BITS
        if block not in self._own:
            self._blocks[block] = self._blocks[block].copy()
            self._own.add(block)
        self._blocks[block][index & _BLOCK - 1] = item

    def __iter__(self) -> Iterator[T]:
        return chain.from_iterable(self._blocks)

    def __len__(self) -> int:
        return self._length


class NumberMap(Mapping[int, T]):
    """Values by number, from 1 to `most`, ascending; on a vector, so that copies share it."""

    __slots__ = ("_count", "_items")

    def __init__(self, most: int) -> None:
        self._items: Vector[T | None] = Vector([None] * (most + 1))
        self._count = 0

    def copy(self) -> "NumberMap[T]":
        """Return a mapping of its own with the same values."""
        other: NumberMap[T] = NumberMap.__new__(NumberMap)
        other._items = self._items.copy()
        other._count = self._count
        return other

    def __getitem__(self, number: int) -> T:
        item = self._items.get(number)  # nothing is at 0
        if item is None:
            raise KeyError(number)
        return item

    @overload
    def get(self, number: int, /) -> T | None: ...
    @overload
    def get(self, number: int, /, default: T | D) -> T | D: ...
    def get(self, number: int, /, default: T | D | None = None) -> T | D | None:
        """Return the value of a number, or else `default`."""
        item = self._items.get(number)
        return default if item is None else item

    def __setitem__(self, number: int, item: T) -> None:
        self._count += self._items[number] is None
        self._items[number] = item

    def __iter__(self) -> Iterator[int]:
        if self._count == len(self._items) - 1:
            return iter(range(1, len(self._items)))
        return (number for number, item in enumerate(self._items) if item is not None)

    def __len__(self) -> int:
        return self._count

    def at(self, numbers: BitSet) -> list[T]:
        """Return the values at these numbers, ascending."""
        return [item for item in compress(self._items, numbers.digits) if item is not None]

    def values(self) -> ValuesView[T]:
        """Return the values, ascending by their numbers."""
        return _NumberMapValues(self)


class _NumberMapValues(ValuesView[T]):
    """The values, read off the blocks."""

    _mapping: NumberMap[T]

    def __iter__(self) -> Iterator[T]:
        return (item for item in self._mapping._items if item is not None)  # noqa: SLF001  a part of it
