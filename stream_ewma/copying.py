"""Copying a span of bytes between columns inside a kernel.

A loop over the bytes costs about 80 ns for 60 bytes, because the compiler may not assume that the
two arrays are distinct; the C library's memcpy costs 2 to 3 ns.
"""

from collections.abc import Callable
from typing import Any

from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, overload

from stream_ewma.columns import Bytes
from stream_ewma.jit import kernel


def _move(target: Bytes, at: int, source: Bytes, start: int, length: int) -> None:
    """Copy bytes that are known to lie within both arrays."""
    target[at : at + length] = source[start : start + length]


@kernel
def copy_bytes(target: Bytes, at: int, source: Bytes, start: int, length: int) -> int:
    """Copy `source[start : start + length]` to `target[at:]`; the two must not overlap.

    Args:
        target: uint8, contiguous, writeable.
        at: where the copy begins in `target`.
        source: uint8, contiguous.
        start: where the span begins in `source`.
        length: bytes; none are copied where it is zero or negative (a null span).

    Returns:
        The position in `target` after the copy.

    Raises:
        IndexError: The span does not lie within both arrays.
    """
    if length <= 0:
        return at
    if at < 0 or start < 0 or length > len(target) - at or length > len(source) - start:
        raise IndexError("a span of bytes reaches outside its array")
    _move(target, at, source, start, length)
    return at + length


@intrinsic
def _memcpy(
    _context: Any, target: Any, at: Any, source: Any, start: Any, length: Any
) -> tuple[Any, Callable[..., Any]]:
    """Emit memcpy(&target[at], &source[start], length)."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        types_of = signature.args
        to = context.make_array(types_of[0])(context, builder, arguments[0])
        origin = context.make_array(types_of[2])(context, builder, arguments[2])
        at, start, length = (
            context.cast(builder, arguments[i], types_of[i], types.intp) for i in (1, 3, 4)
        )
        cgutils.raw_memcpy(  # type: ignore[no-untyped-call]
            builder, builder.gep(to.data, [at]), builder.gep(origin.data, [start]), length, 1
        )
        return context.get_dummy_value()

    return types.void(target, at, source, start, length), generate


@overload(_move)
def _compiled_move(
    target: Bytes,
    at: int,  # noqa: ARG001  an overload has the parameters of what it stands for
    source: Bytes,
    start: int,  # noqa: ARG001
    length: int,  # noqa: ARG001
) -> Callable[..., None] | None:
    """What `_move` is inside a compiled kernel; only contiguous bytes have such a form."""
    for array in (target, source):
        if not isinstance(array, types.Array):
            return None
        if (array.dtype, array.ndim, array.layout) != (types.uint8, 1, "C"):
            return None

    def move(target: Bytes, at: int, source: Bytes, start: int, length: int) -> None:
        _memcpy(target, at, source, start, length)  # type: ignore[call-arg]

    return move
