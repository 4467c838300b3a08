"""The examples in the docstrings of the public library give what they say."""

import doctest
import importlib

import pytest

import stream_ewma
from stream_ewma import errors
from stream_ewma.smoothing import series


@pytest.mark.parametrize("name", ["ewma", "smooth", "Ewma"])
def test_the_public_functions_show_what_they_do(name):
    public = getattr(stream_ewma, name)
    module = importlib.import_module(public.__module__)
    (first, *_) = doctest.DocTestFinder().find(public, name, module=module)

    assert first.examples
    result = doctest.DocTestRunner().run(first)

    assert result.failed == 0


def test_the_library_is_these_names():
    library = ["Ewma", "Options", "ewma", "smooth"]
    service = ["Settings", "SettingsError", "Smoother", "StreamEwmaError", "load_settings"]
    assert sorted(stream_ewma.__all__) == sorted([*library, *service, "__version__"])
    assert dir(stream_ewma) == sorted(stream_ewma.__all__)
    assert stream_ewma.ewma is series.ewma
    assert stream_ewma.SettingsError is errors.SettingsError
    assert issubclass(stream_ewma.SettingsError, stream_ewma.StreamEwmaError)
    with pytest.raises(AttributeError, match="module 'stream_ewma' has no attribute 'emwa'"):
        stream_ewma.emwa  # noqa: B018
