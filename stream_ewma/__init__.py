"""stream-ewma: exponentially weighted smoothing of live numeric streams."""

__version__ = "0.1.0"
