"""Keys to numbers: every kind of column, missing keys, long and hostile ones."""

import numpy as np
import pandas as pd
import polars as pl
import pytest

from stream_ewma.smoothing.interning import keys_of


def numbers(column) -> list[int]:
    found = keys_of(column, len(column))
    assert found.slot.dtype == np.int32
    return found.slot.tolist()


KINDS = [
    np.array([7, -1, 7, 0]),
    np.array([7, 0, 7, 2**64 - 1], np.uint64),
    np.array([7, 1, 7, 0], ">i2"),
    np.array([0.5, -1, 0.5, 2], np.float32),
    np.array([0.0, np.nan, -0.0, 2]),
    np.array(["2020", "2021", "2020", "NaT"], "M8[Y]"),
    np.array(["ab", "", "ab", "a"]),
    np.array(["Ω", "o", "Ω", "ω"], ">U5"),
    np.array(["\U0001d6fc", "a", "\U0001d6fc", "b"]),
    np.array([b"ab", b"", b"ab", b"abc"]),
    np.array(["x", "y", "x", "z"], np.dtypes.StringDType()),
    np.array([(1, 2), (1, 3), (1, 2), (2, 2)], "i4,i4"),
    ["x", 1, "x", (1, "x")],
    ("x", None, "x", 0),
    pd.Series([7, None, 7, 0], dtype="Int64"),
    pd.Series(["x", None, "x", ""], dtype="str"),
    pd.Series(["x", None, "x", ""], dtype=object),
    pd.Series([7, 1, 7, 0]),
    pd.Categorical(["x", None, "x", "y"]),
    pd.to_datetime(["2020", "2021", "2020", "2022"], utc=True),
    pl.Series([7, None, 7, 0]),
    pl.Series([7, 1, 7, 0], dtype=pl.UInt8),
    pl.Series([0.5, None, 0.5, 1.0]),
    pl.Series(["x", None, "x", ""]),
    pl.Series(["x", "x\0", "x", ""]),
    pl.Series(["x", None, "x", "y"], dtype=pl.Categorical),
    pl.Series(["x", None, "x", "y"], dtype=pl.Enum(["y", "x"])),
    pl.Series(["x" * 200, "y", "x" * 200, "z"]),
]


@pytest.mark.parametrize("column", KINDS, ids=lambda column: f"{type(column).__name__}")
def test_equal_keys_have_equal_numbers_in_the_order_of_appearance(column):
    assert numbers(column) == [0, 1, 0, 2]
    assert len(keys_of(column, 4).names) == 3


@pytest.mark.parametrize("kind", [np.array, list, pl.Series])
def test_all_nans_are_one_key(kind):
    assert numbers(kind([1.5, float("nan"), 2.0, float("nan")])) == [0, 1, 2, 1]


def test_names_are_the_keys():
    assert list(keys_of(np.array(["b", "a", "b"]), 3).names) == ["b", "a"]
    assert list(keys_of(pl.Series(["b", None, "b"]), 3).names) == ["b", None]
    assert list(keys_of(pl.Series(["b", "a"], dtype=pl.Categorical), 2).names) == ["b", "a"]
    assert list(keys_of(pd.Series(["b", "a", "b"]), 3).names) == ["b", "a"]


def test_a_part_of_a_column_is_a_column():
    whole = pl.Series(["a", "b", "c", "b", "d"])
    assert numbers(whole[1:4]) == [0, 1, 0]
    assert numbers(whole[5:]) == []
    assert numbers(np.array(["a", "b", "c", "b"])[::-1]) == [0, 1, 0, 2]
    assert numbers(pl.Series(["", None])) == [0, 1]


def test_many_keys_are_told_apart():
    generator = np.random.default_rng(2)
    keys = generator.integers(-(2**63), 2**63 - 1, 30_000)
    column = np.concatenate([keys, keys[::-1], keys << 40])
    _, first, inverse = np.unique(column, return_index=True, return_inverse=True)
    expected = np.argsort(np.argsort(first))[inverse]

    assert numbers(column) == expected.tolist()


def test_strings_of_polars_do_without_pyarrow(monkeypatch):
    def missing(_column):
        raise ModuleNotFoundError("No module named 'pyarrow'")

    monkeypatch.setattr(pl.Series, "to_arrow", missing)

    assert numbers(pl.Series(["x", None, "x", ""])) == [0, 1, 0, 2]


def test_there_must_be_a_key_for_each_reading():
    with pytest.raises(ValueError, match="keys: write one for each of the 3 readings, not 2"):
        keys_of([1, 2], 3)
    with pytest.raises(TypeError, match="unhashable"):
        keys_of([[1]], 1)
