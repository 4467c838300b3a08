"""How many examples a property is tried with, and that none has a time limit."""

import numba
from hypothesis import settings

# The first example of a run may compile a kernel.
settings.register_profile("compiled", deadline=None)
# Hundreds of times slower, and there for the coverage of the kernels alone.
settings.register_profile("interpreted", deadline=None, max_examples=20)
settings.load_profile("interpreted" if numba.config.DISABLE_JIT else "compiled")
