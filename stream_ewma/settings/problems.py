"""pydantic's errors in this project's words: what is wrong, and what to write."""

from difflib import get_close_matches

from annotated_types import Ge, Gt, Le
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from stream_ewma.settings import names
from stream_ewma.settings.checks import CONFLICT
from stream_ewma.settings.smoothing_checks import FACTOR_EXAMPLES
from stream_ewma.settings.sources import Layer
from stream_ewma.settings.values import show

_REQUIRED = {
    "input.topics": "write the topics to read: input: {topics: [sensor-readings]} in the settings"
    " file, or the flag --input.topics sensor-readings",
    "smoothing": f"write one of {FACTOR_EXAMPLES} under it, or a flag as --smoothing.alpha 0.2",
}


def describe(name: str, details: ErrorDetails, layer: Layer) -> str:
    """What is wrong with the setting `name`, and what to write in the manner of `layer`."""
    kind = details["type"]
    if kind == CONFLICT:
        return str(details["msg"])
    if kind == "missing":
        return f"is missing; {_REQUIRED.get(name, 'write it')}"
    if kind == "extra_forbidden":
        return f"is not a setting; {_advice_on_unknown(name, layer)}"
    if kind == "value_error":
        return str(details["ctx"]["error"])
    if kind == "model_type":
        return f"is a section; write its settings under it: {', '.join(_fields_of(name))}"
    return _describe_value(kind, details, _field(name))


def _describe_value(kind: str, details: ErrorDetails, field: FieldInfo) -> str:
    """Errors that begin with the value, which is not shown where it may be a password."""
    is_secret = names.Setting("", field).is_secret
    value = "this" if is_secret else show(details["input"])
    match kind:
        case "literal_error":
            what, advice = "is not one of the choices", _choices(field, details["input"])
        case "bool_parsing" | "bool_type":
            what, advice = "is neither true nor false", "true or false"
        case "string_type":
            what, advice = "is not text", 'it in quotes, "..."'
        case "int_parsing" | "int_type" | "int_from_float" | "int_parsing_size":
            what, advice = "is not a whole number", _range(field)
        case "float_parsing" | "float_type" | "finite_number":
            what, advice = "is not a finite number", _range(field)
        case "greater_than" | "greater_than_equal" | "less_than_equal":
            what, advice = "is out of range", _range(field)
        case "too_short" | "string_too_short":
            what, advice = "is empty", "at least one"
        case "tuple_type":
            what, advice = "is not a list", "[..., ...]"
        case _:  # rare enough for pydantic's words
            what, advice = str(details["msg"]), "another value"
    return f"{value} {what}; write {advice}"


def _advice_on_unknown(name: str, layer: Layer) -> str:
    section, _, last = name.rpartition(".")
    part = names.part_of(section)
    if part is not None and section not in names.sections():
        near = names.nearest_in(part, last)
        return f"write {near}" if near else f"write one of {', '.join(part.model_fields)}"
    known = names.nearest(name)
    return f"write {layer.spell(known)}" if known else "leave it out"


def _fields_of(name: str) -> list[str]:
    model = names.part_of(name)
    return [] if model is None else list(model.model_fields)


def _field(name: str) -> FieldInfo:
    """The field of a dotted name; of the list or mapping for an item of one."""
    while name not in names.settings():
        section, _, last = name.rpartition(".")
        part = names.part_of(section)
        if part is not None and last in part.model_fields:
            return part.model_fields[last]
        name = section
    return names.settings()[name].field


def _choices(field: FieldInfo, value: object) -> str:
    choices = names.literals(field)
    lowered = {choice.lower().replace("_", "-"): choice for choice in choices}
    close = get_close_matches(str(value).lower().replace("_", "-"), lowered, 1, 0.6)
    if close:
        return f"{lowered[close[0]]} (of {' | '.join(choices)})"
    return " | ".join(choices)


def _range(field: FieldInfo) -> str:
    """The numbers that `field` takes, in words."""
    words = []
    for bound in names.metadata(field):
        match bound:
            case Gt(gt=limit):
                words.append(f"above {limit}")
            case Ge(ge=limit):
                words.append(f"at least {limit}")
            case Le(le=limit):
                words.append(f"at most {limit}")
    noun = "a whole number" if int in names.metadata(field) else "a number"
    return f"{noun} {' and '.join(words)}".rstrip()
