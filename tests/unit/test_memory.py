"""The allocator's settings are taken where the C library has them."""

import ctypes

from stream_ewma.service.memory import keep_freed_memory


def test_says_whether_the_c_library_took_the_settings(monkeypatch) -> None:
    assert keep_freed_memory() is hasattr(ctypes.CDLL(None), "mallopt")

    monkeypatch.setattr(ctypes, "CDLL", lambda _name: object())

    assert keep_freed_memory() is False
