"""Examples have no time limit: the first one of a run may compile a kernel."""

from hypothesis import settings

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
