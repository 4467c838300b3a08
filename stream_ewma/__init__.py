"""stream-ewma: exponentially weighted smoothing of live numeric streams.

    from stream_ewma import ewma, smooth, Ewma

are the mathematics as a library; the service is the command `stream-ewma`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stream_ewma.smoothing.online import Ewma
    from stream_ewma.smoothing.options import Options
    from stream_ewma.smoothing.series import ewma, smooth

__all__ = ["Ewma", "Options", "__version__", "ewma", "smooth"]

__version__ = "0.1.0"

_HOMES = {"Ewma": "online", "Options": "options", "ewma": "series", "smooth": "series"}


def __getattr__(name: str) -> Any:
    """Load the library on first use: `stream-ewma check` does without the compiler."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(import_module(f"{__name__}.smoothing.{_HOMES[name]}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return __all__
