"""stream-ewma: exponentially weighted smoothing of live numeric streams."""

from stream_ewma.smoothing.online import Ewma
from stream_ewma.smoothing.options import Options
from stream_ewma.smoothing.series import ewma, smooth

__all__ = ["Ewma", "Options", "__version__", "ewma", "smooth"]

__version__ = "0.1.0"
