"""Columns of numpy, pandas and polars, without importing the latter two: they are optional.

What is one of their objects was made by them, so they are loaded then.
"""

import sys
from types import ModuleType
from typing import Any, Final, Protocol, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stream_ewma.columns import Float64

Table: TypeAlias = "dict[str, NDArray[Any]]"


class Labelled(Protocol):
    """A Series or DataFrame of pandas or polars."""

    def to_numpy(self) -> NDArray[Any]:
        """Its values."""
        ...


Values: TypeAlias = ArrayLike | Labelled
_LIBRARIES: Final = ("pandas", "polars")


def library_of(column: object) -> ModuleType | None:
    """The library that made `column`: pandas or polars; None: another."""
    for kind in type(column).__mro__:
        name = kind.__module__.partition(".")[0]
        if name in _LIBRARIES:
            return sys.modules[name]
    return None


def is_of(column: object, library: str) -> bool:
    """Whether pandas or polars made `column`."""
    found = library_of(column)
    return found is not None and found.__name__ == library


def numbers_of(name: str, column: Any) -> NDArray[Any]:
    """Real numbers of any width, missing ones as NaN, in any number of dimensions.

    Args:
        name: of the argument, for the message.
        column: an array-like, or an object of pandas or polars.

    Raises:
        TypeError: these are no numbers.
    """
    if hasattr(column, "collect"):
        raise TypeError(f"{name}: write collected values, not a {type(column).__name__}")
    if is_of(column, "pandas"):
        column = _numbers_of_pandas(name, column)
    elif is_of(column, "polars"):
        column = column.to_numpy()
    elif isinstance(column, np.ma.MaskedArray):
        column = np.ma.filled(column.astype(np.float64), np.nan)
    array = np.asarray(column)
    if array.dtype.kind == "O":
        _refuse_text(name, array)
        array = array.astype(np.float64)
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{name}: write real numbers, not {array.dtype}")
    if array.ndim == 0:
        raise TypeError(f"{name}: write a sequence of numbers, not a single one")
    return array


def _numbers_of_pandas(name: str, column: Any) -> NDArray[Any]:
    dtypes = list(column.dtypes) if hasattr(column, "columns") else [column.dtype]
    # Others than numpy's floats are converted, which copies: they may have missing values.
    if all(isinstance(each, np.dtype) and each.kind == "f" for each in dtypes):
        return np.asarray(column.to_numpy())
    is_numeric = sys.modules["pandas"].api.types.is_numeric_dtype
    for each in dtypes:
        if each.kind == "O" and isinstance(each, np.dtype):
            _refuse_text(name, column.to_numpy(object))
        elif not is_numeric(each) or each.kind == "c":
            raise TypeError(f"{name}: write real numbers, not {each}")
    return np.asarray(column.to_numpy(float, na_value=np.nan))


def _refuse_text(name: str, array: NDArray[Any]) -> None:
    """A number in quotes would be read as one, and a word as an error of Python's own."""
    for each in array.flat:
        if isinstance(each, str | bytes):
            raise TypeError(f"{name}: write real numbers, not {each!r}")


def rebuild(column: Any, array: Float64) -> Any:
    """`array` as the kind of column that `column` is, with its labels."""
    library = library_of(column)
    if library is None:
        return array
    if library.__name__ == "polars":
        if array.ndim == 1:
            return library.Series(column.name, array, nan_to_null=True)
        named = {name: array[:, place] for place, name in enumerate(column.columns)}
        return library.DataFrame(named, nan_to_null=True)
    if array.ndim == 1 and hasattr(column, "index"):
        return library.Series(array, index=column.index, name=column.name, copy=False)
    if array.ndim == 1:
        return array
    return library.DataFrame(array, index=column.index, columns=column.columns, copy=False)


def table_of(column: Any, columns: Table) -> Any:
    """Named columns as a DataFrame of the library that made `column`, with its index; or as is."""
    library = library_of(column)
    if library is None:
        return columns
    if library.__name__ == "polars":
        return library.DataFrame(columns, nan_to_null=True)
    return library.DataFrame(columns, index=getattr(column, "index", None), copy=False)
