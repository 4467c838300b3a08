"""Eight bytes at a time inside a kernel: a span's bytes as little-endian words.

The compiler turns neither eight byte loads or stores into one nor a loop over bits, or a product
by halves, into one instruction; each is a few lines of LLVM here, with the same thing said in
Python beside it.
"""

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.extending import intrinsic, overload

from stream_ewma.columns import Bytes
from stream_ewma.jit import inner_kernel

WORD: Final = 8
"""Bytes in a word."""


def load_word(source: Bytes, at: int) -> np.uint64:
    """The word at `at`; all eight bytes are known to lie within the array."""
    return np.uint64(int.from_bytes(source[at : at + WORD].tobytes(), "little"))


def store_word(target: Bytes, at: int, word: np.uint64) -> None:
    """Write `word` at `at`; all eight bytes are known to lie within the array."""
    target[at : at + WORD] = np.frombuffer(int(word).to_bytes(WORD, "little"), np.uint8)


def trailing_zeros(word: np.uint64) -> int:
    """Number of zero bits below the lowest one bit; 64 where there is none."""
    bits = int(word)
    return (bits & -bits).bit_length() - 1 if bits else 64


def leading_zeros(word: np.uint64) -> int:
    """Number of zero bits above the highest one bit; 64 where there is none."""
    return 64 - int(word).bit_length()


def high_product(a: np.uint64, b: np.uint64) -> np.uint64:
    """The upper 64 bits of the 128-bit product."""
    return np.uint64(int(a) * int(b) >> 64)


@inner_kernel
def signed(number: Any) -> int:
    """`number` as a signed 64-bit integer, the type that kernels count in.

    Compiled, an unsigned and a signed operand would make a double; interpreted, one byte's
    arithmetic would wrap around at 256.
    """
    return np.int64(number)  # type: ignore[return-value]


@inner_kernel
def first_bytes(count: int) -> np.uint64:
    """The mask of a word's first bytes: none where `count` is negative, at most all eight."""
    if count <= 0:
        return np.uint64(0)
    return np.uint64(0xFFFFFFFFFFFFFFFF) >> np.uint64(8 * max(WORD - count, 0))


@inner_kernel
def word_at(source: Bytes, at: int) -> np.uint64:
    """The eight bytes from `at` on as a little-endian word, zeros beyond the end of the array.

    Args:
        source: uint8, contiguous.
        at: not negative.
    """
    if at <= len(source) - WORD:
        return load_word(source, at)
    word = np.uint64(0)
    for i in range(len(source) - 1, at - 1, -1):
        word = (word << np.uint64(8)) | np.uint64(source[i])
    return word


@intrinsic
def _emit_load(_context: Any, source: Any, at: Any) -> tuple[Any, Callable[..., Any]]:
    """Emit one unaligned eight-byte load."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        index = context.cast(builder, arguments[1], signature.args[1], types.intp)
        address = builder.bitcast(builder.gep(array.data, [index]), ir.IntType(64).as_pointer())
        return builder.load(address, align=1)

    return types.uint64(source, at), generate


@intrinsic
def _emit_store(_context: Any, target: Any, at: Any, word: Any) -> tuple[Any, Callable[..., Any]]:
    """Emit one unaligned eight-byte store."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        index = context.cast(builder, arguments[1], signature.args[1], types.intp)
        address = builder.bitcast(builder.gep(array.data, [index]), ir.IntType(64).as_pointer())
        builder.store(arguments[2], address, align=1)
        return context.get_dummy_value()

    return types.void(target, at, word), generate


@intrinsic
def _count_trailing_zeros(_context: Any, word: Any) -> tuple[Any, Callable[..., Any]]:
    """Emit cttz, defined for zero too."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 0))

    return types.int64(word), generate


@intrinsic
def _count_leading_zeros(_context: Any, word: Any) -> tuple[Any, Callable[..., Any]]:
    """Emit ctlz, defined for zero too."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.ctlz(arguments[0], ir.Constant(ir.IntType(1), 0))

    return types.int64(word), generate


@intrinsic
def _multiply_high(_context: Any, a: Any, b: Any) -> tuple[Any, Callable[..., Any]]:
    """Emit a 128-bit multiplication and take its upper half: one instruction."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        wide = ir.IntType(128)
        product = builder.mul(*(builder.zext(factor, wide) for factor in arguments))
        return builder.trunc(builder.lshr(product, ir.Constant(wide, 64)), ir.IntType(64))

    return types.uint64(a, b), generate


def _are_contiguous_bytes(array: object) -> bool:
    return isinstance(array, types.Array) and (
        (array.dtype, array.ndim, array.layout) == (types.uint8, 1, "C")
    )


@overload(load_word)
def _compiled_load(source: Bytes, at: int) -> Callable[..., Any] | None:  # noqa: ARG001  as what it stands for
    """What `load_word` is inside a compiled kernel; only contiguous bytes have such a form."""
    if not _are_contiguous_bytes(source):
        return None

    def load(source: Bytes, at: int) -> np.uint64:
        word: np.uint64 = _emit_load(source, at)  # type: ignore[call-arg]
        return word

    return load


@overload(store_word)
def _compiled_store(target: Bytes, at: int, word: np.uint64) -> Callable[..., None] | None:  # noqa: ARG001  as what it stands for
    """What `store_word` is inside a compiled kernel; only contiguous bytes have such a form."""
    if not _are_contiguous_bytes(target) or word != types.uint64:
        return None

    def store(target: Bytes, at: int, word: np.uint64) -> None:
        _emit_store(target, at, word)  # type: ignore[call-arg]

    return store


@overload(trailing_zeros)
def _compiled_trailing_zeros(word: np.uint64) -> Callable[..., int] | None:
    """What `trailing_zeros` is inside a compiled kernel."""
    if word != types.uint64:
        return None

    def count(word: np.uint64) -> int:
        zeros: int = _count_trailing_zeros(word)  # type: ignore[call-arg]
        return zeros

    return count


@overload(leading_zeros)
def _compiled_leading_zeros(word: np.uint64) -> Callable[..., int] | None:
    """What `leading_zeros` is inside a compiled kernel."""
    if word != types.uint64:
        return None

    def count(word: np.uint64) -> int:
        zeros: int = _count_leading_zeros(word)  # type: ignore[call-arg]
        return zeros

    return count


@overload(high_product)
def _compiled_high_product(a: np.uint64, b: np.uint64) -> Callable[..., np.uint64] | None:
    """What `high_product` is inside a compiled kernel."""
    if a != types.uint64 or b != types.uint64:
        return None

    def multiply(a: np.uint64, b: np.uint64) -> np.uint64:
        high: np.uint64 = _multiply_high(a, b)  # type: ignore[call-arg]
        return high

    return multiply
