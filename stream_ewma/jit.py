"""The one door to numba: how kernels are compiled and where the compiled code is cached.

numba's own cache notices when the file of a kernel changes, not when a kernel that it calls (and
has inlined) in another file does. So the cache folder's name holds a hash of every source in the
rooms with kernels, of numba's version and of the flags that change the generated code.
"""

import hashlib
import os
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

import numba

_F = TypeVar("_F", bound=Callable[..., object])


_ROOMS = (".", "smoothing", "records", "payloads", "engine")
"""Where kernels are, and all that they call."""


def _fingerprint() -> str:
    digest = hashlib.sha256()
    package = Path(__file__).parent
    for source in sorted(file for room in _ROOMS for file in (package / room).glob("*.py")):
        digest.update(source.relative_to(package).as_posix().encode())
        digest.update(source.read_bytes())
    digest.update(version("numba").encode())
    digest.update(sys.version.encode())
    digest.update(os.environ.get("NUMBA_BOUNDSCHECK", "").encode())
    return digest.hexdigest()[:16]


def _cache_root() -> Path:
    root = os.environ.get("STREAM_EWMA_KERNEL_CACHE_DIR")
    if root:
        return Path(root)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "stream-ewma"


_CACHE_DIR = str(_cache_root() / f"kernels-{_fingerprint()}")


# numba's type hints leave out its settings and some of njit's flags.
_config: Any = numba.config
_njit: Any = numba.njit


def _compile(function: _F, *, inline: bool) -> _F:
    # numba looks the folder up when a function is decorated. Set for that moment only: another
    # user of numba in this process keeps the folder of their own.
    other = _config.CACHE_DIR
    _config.CACHE_DIR = _CACHE_DIR
    try:
        # Without numba's runtime (`_nrt`) there is no counting of references, two atomic
        # instructions for every array handed to an inner kernel: most of the time of a kernel
        # that reads bytes. The price: a kernel cannot allocate arrays.
        compiled: _F = _njit(
            nogil=True, cache=True, error_model="numpy", forceinline=inline, _nrt=False
        )(function)
    finally:
        _config.CACHE_DIR = other
    return compiled


def kernel(function: _F) -> _F:
    """Compile `function` on first use: IEEE arithmetic as written, interpreter lock released.

    A kernel gets its arrays from its caller, it allocates none.
    """
    return _compile(function, inline=False)


def inner_kernel(function: _F) -> _F:
    """As `kernel`, for a small one that other kernels call for every row: always inlined.

    A call of its own costs as much as parsing a number: every array goes over in seven words.
    """
    return _compile(function, inline=True)
