"""The smoothing settings that the suite runs, by name; `rows.py` has what each must compute."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

HALF_LIFE_MS = 20_000
STALE_AFTER_MS = 120_000
TTL_MS = 240_000
REORDER = 4
REORDER_GRACE_MS = 8_000
LATE_CUTOFF_MS = 60_000
RESET_AFTER_MS = 600_000
ALPHA = 0.2
DEVIATIONS = 3.0
ACCEPT_AFTER = 3
SORTED_MIN_PERIODS = 3
GUARDED_MIN_PERIODS = 4
MIN_N_EFF = 1.5
MAX_VALUE_BYTES = 4096
MAX_KEY_BYTES = 64


@dataclass(frozen=True)
class Configuration:
    """One way to smooth.

    Attributes:
        name: which.
        smoothing: the section `smoothing` of the settings.
        outputs: names of the fields behind `value`, in order.
        stale_after_ms: silence after which a key is reported; None: never.
        ttl_ms: silence after which a key is forgotten; None: never.
        resets: the field `restart` forgets the key before the reading.
    """

    name: str
    smoothing: Mapping[str, Any] = field(hash=False)
    outputs: tuple[str, ...]
    stale_after_ms: int | None = None
    ttl_ms: int | None = None
    resets: bool = False


PLAIN = Configuration("plain", {"alpha": ALPHA}, ("ewma", "count"))
SORTED = Configuration(
    "sorted",
    {
        "half_life": f"{HALF_LIFE_MS}ms",
        "weighting": "interval_next",
        "reorder": REORDER,
        "reorder_grace": f"{REORDER_GRACE_MS}ms",
        "late": "dlq",
        "min_periods": SORTED_MIN_PERIODS,
        "warm_up": "hold",
        "stale_after": f"{STALE_AFTER_MS}ms",
    },
    ("ewma", "count"),
    STALE_AFTER_MS,
    TTL_MS,
)
GUARDED = Configuration(
    "guarded",
    {
        "half_life": f"{HALF_LIFE_MS}ms",
        "outputs": ["ewma", "std", "zscore", "late", "count"],
        "outliers": {"deviations": DEVIATIONS, "accept_after": ACCEPT_AFTER},
        "late": "dlq",
        "late_cutoff": f"{LATE_CUTOFF_MS}ms",
        "reset_after": f"{RESET_AFTER_MS}ms",
        "min_periods": GUARDED_MIN_PERIODS,
        "min_n_eff": MIN_N_EFF,
        "warm_up": "flag",
        "stale_after": f"{STALE_AFTER_MS}ms",
    },
    ("ewma", "std", "zscore", "late", "count", "ready"),
    STALE_AFTER_MS,
    resets=True,
)
CONFIGURATIONS = {each.name: each for each in (PLAIN, SORTED, GUARDED)}
