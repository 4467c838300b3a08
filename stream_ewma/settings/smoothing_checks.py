"""What single values of the smoothing cannot show: factors, modes and outputs that do not fit."""

from collections import Counter
from collections.abc import Iterator
from fnmatch import fnmatchcase

from stream_ewma.settings.checks import Conflict
from stream_ewma.settings.fields import KEY, STALE, TIMESTAMP, field_names
from stream_ewma.settings.sections import InputSettings, OutputSettings
from stream_ewma.settings.smoothing import (
    FACTOR_NAMES,
    FactorSettings,
    RuleSettings,
    SmoothingSettings,
)
from stream_ewma.smoothing.parameters import Clock
from stream_ewma.smoothing.plan import Plan

FACTOR_EXAMPLES = "alpha: 0.2 | span: 9 | com: 4 | half_life_samples: 10 | half_life: 30s"


def smoothing(
    input_: InputSettings, section: SmoothingSettings, output: OutputSettings
) -> Iterator[Conflict]:
    """Everything about the smoothing and the fields that it publishes."""
    of_factors = [*_factors(section), *_rules(section)]
    yield from of_factors
    if of_factors:
        return
    of_plan = list(_plan(input_, section, output))
    yield from of_plan
    if not of_plan:
        yield from _horizon(section)
        yield from _late(section)
        yield from _names_in_values(input_, section, output)
        yield from _fields(input_, section, output)
    yield from _output_forms(input_, section, output)


def _factors(section: SmoothingSettings) -> Iterator[Conflict]:
    if section.factors is None:
        yield from _one_factor("smoothing", section, "")
        return
    if not section.factors:
        yield Conflict("smoothing.factors", "is empty; write at least one, by name")
    for name in section.given:
        yield Conflict(
            f"smoothing.{name}",
            "is there beside smoothing.factors; keep one of them",
            ("smoothing.factors",),
        )
    for name, factor in section.factors.items():
        yield from _one_factor(f"smoothing.factors.{name}", factor, "")


def _rules(section: SmoothingSettings) -> Iterator[Conflict]:
    for number, rule in enumerate(section.rules):
        place = f"smoothing.rules.{number}"
        if not rule.model_fields_set & {"keys", "field"}:
            yield Conflict(f"{place}.keys", "is missing; write the pattern of some keys, as pump-*")
        if rule.factors is None:
            several = " or `factors`" if section.factors is not None else ""
            yield from _one_factor(place, rule, several)
        else:
            yield from _named_in_rule(place, rule, section)


def _named_in_rule(
    place: str, rule: RuleSettings, section: SmoothingSettings
) -> Iterator[Conflict]:
    if section.factors is None:
        yield Conflict(
            f"{place}.factors", "has no factors to replace; write smoothing.factors, or one factor"
        )
        return
    for name in rule.given:
        yield Conflict(f"{place}.{name}", "is there beside `factors`; keep one of them")
    for name, factor in (rule.factors or {}).items():
        if name not in section.factors:
            known = ", ".join(section.factors)
            yield Conflict(f"{place}.factors.{name}", f"is not a factor; write one of {known}")
        yield from _one_factor(f"{place}.factors.{name}", factor, "")


def _one_factor(place: str, section: FactorSettings, several: str) -> Iterator[Conflict]:
    others = tuple(f"{place}.{name}" for name in FACTOR_NAMES)
    given = section.given
    if len(given) > 1:
        yield Conflict(
            place, f"has {' and '.join(given)}, which exclude each other; keep one", others
        )
    if not given:
        yield Conflict(
            place,
            "does not say how fast old readings lose weight; write one of"
            f" {FACTOR_EXAMPLES}{several}",
            others,
        )


def _plan(
    input_: InputSettings, section: SmoothingSettings, output: OutputSettings
) -> Iterator[Conflict]:
    try:
        emission = None if output.emit is None else output.emit.emission()
        mode = section.mode(emission, weighted=input_.weight is not None)
        outputs = tuple(section.output_list())
        Plan(sets=section.key_rules().factors, mode=mode, outputs=outputs)
    except ValueError as error:
        name, _, message = str(error).partition(": ")
        place = "output" if name.partition(".")[0] == "emit" else "smoothing"
        yield Conflict(f"{place}.{name}", message)


def _horizon(section: SmoothingSettings) -> Iterator[Conflict]:
    wanted = any(output.quantity.value == "forecast" for output in section.output_list())
    if wanted and section.horizon is None:
        yield Conflict(
            "smoothing.horizon", "is missing for the output forecast; write 60s, or 10 readings"
        )
    if not wanted and section.horizon is not None:
        yield Conflict(
            "smoothing.horizon",
            "does nothing without the output forecast; leave it out, or add forecast to outputs",
        )
    if wanted and section.horizon is not None:
        clocks = {factors[0].clock for factors in section.key_rules().factors}
        fitting = Clock.EVENT_TIME if section.horizon.is_time else Clock.COUNT
        if clocks != {fitting}:
            yield Conflict(
                "smoothing.horizon",
                "must be a duration with half_life, and a number of readings without",
            )


def _late(section: SmoothingSettings) -> Iterator[Conflict]:
    clocks = {factors[0].clock for factors in section.key_rules().factors}
    given = {"late": section.late != "merge", "late_cutoff": section.late_cutoff is not None}
    for name in (name for name, is_set in given.items() if is_set):
        if Clock.EVENT_TIME not in clocks:
            yield Conflict(
                f"smoothing.{name}",
                "does nothing without half_life: readings are counted as they come; leave it out",
            )
        elif name == "late_cutoff" and section.weighting != "event":
            yield Conflict(
                "smoothing.late_cutoff", f"does nothing with {section.weighting}; write reorder"
            )


_MOST_NAMES = 62
"""Names that one value can be searched for: one bit each, see the JSON scan."""


def _names_in_values(
    input_: InputSettings, section: SmoothingSettings, output: OutputSettings
) -> Iterator[Conflict]:
    """More names than a value can be searched for, or names that always stand in it."""
    paths = [*(input_.values or {"": input_.value}).values()]
    paths += [path for path in (input_.timestamp, input_.key, input_.weight, input_.reset) if path]
    names = field_names(input_, section, output)
    columns = tuple(each.name for each in section.output_list())
    outputs = list(names.of_outputs(columns)) if output.shape == "enrich" else []
    count = sum(path.count(".") + 1 for path in paths) + len(outputs)
    if count > _MOST_NAMES:
        yield Conflict(
            "smoothing.outputs",
            f"makes {count} names to look for in each value, with the paths of the input; at most"
            f" {_MOST_NAMES} can be: leave outputs or values out, or write output.shape: record",
        )
    taken = {path.partition(".")[0] for path in paths} & set(outputs)
    for name in sorted(taken):
        yield Conflict(
            "output.names", f"adds '{name}' to values that have a field of that name; rename it"
        )
    series = list(input_.values or {})
    for number, rule in enumerate(section.rules):
        if rule.field != "*" and not any(fnmatchcase(name, rule.field) for name in series):
            known = ", ".join(series) or "none: input.values is not set"
            yield Conflict(
                f"smoothing.rules.{number}.field", f"matches none of the values; there are {known}"
            )


def _fields(
    input_: InputSettings, section: SmoothingSettings, output: OutputSettings
) -> Iterator[Conflict]:
    names = field_names(input_, section, output)
    for name, new in (output.names or {}).items():
        if name not in names.known:
            known = ", ".join(names.known)
            yield Conflict(f"output.names.{name}", f"is not a field; write one of {known}")
        elif new is None and name not in (KEY, TIMESTAMP, *names.known[2 : 2 + len(names.values)]):
            yield Conflict(
                f"output.names.{name}", "cannot be left out here; leave it out of the outputs"
            )
    columns = tuple(each.name for each in section.output_list())
    # Also what is enriched has the flat form where there is no object to add to.
    flat = (names.key, names.timestamp, *names.values)
    stale = (STALE,) if section.stale_after is not None else ()
    counts = Counter(name for name in (*flat, *names.of_outputs(columns), *stale) if name)
    for name, count in counts.items():
        if count > 1:
            yield Conflict(
                "output.names",
                f"gives the name '{name}' to {count} fields; write names that differ",
                ("input.values", "smoothing.outputs", "smoothing.factors"),
            )


def _output_forms(
    input_: InputSettings, section: SmoothingSettings, output: OutputSettings
) -> Iterator[Conflict]:
    if output.shape == "enrich" and (input_.format, output.format) != ("json", "json"):
        yield Conflict("output.shape", "enrich needs JSON in and out; write record")
    if output.format == "json":
        return
    if input_.values is not None and len(input_.values) > 1:
        yield Conflict(
            "output.format",
            f"{output.format} holds one number, input.values has {len(input_.values)}; write json",
            ("input.values",),
        )
    needs = {
        "smoothing.stale_after": section.stale_after is not None,
        "smoothing.warm_up": section.warm_up == "flag",
        "output.names": bool(output.names),
    }
    for name in (name for name, is_set in needs.items() if is_set):
        yield Conflict(
            name,
            f"needs fields, which format {output.format} has not; leave it out, or write"
            " output.format: json",
            ("output.format",),
        )
