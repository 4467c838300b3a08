"""JSON Schema of the settings file, for editors."""

from typing import Any, Final

from stream_ewma.settings.models import Settings
from stream_ewma.settings.names import sections, settings
from stream_ewma.settings.written import as_written

_NUMBER: Final = {
    "ge": "minimum",
    "gt": "exclusiveMinimum",
    "le": "maximum",
    "minimum": "minimum",
    "exclusiveMinimum": "exclusiveMinimum",
    "maximum": "maximum",
}
_WORDS: Final[dict[str | None, dict[str, str]]] = {
    "integer": _NUMBER,
    "number": _NUMBER,
    "string": {"minLength": "minLength", "maxLength": "maxLength"},
    "array": {"minLength": "minItems", "maxLength": "maxItems"},
    "object": {"minLength": "minProperties"},
}
_BOUNDS: Final = {bound for words in _WORDS.values() for bound in words}


def schema() -> dict[str, Any]:
    """The schema, from the models.

    It requires nothing: whatever the file lacks may come from a flag or a variable. A section whose
    lines are all comments is null.
    """
    found = Settings.model_json_schema()
    definitions = found["$defs"]
    for definition in (found, *definitions.values()):
        definition.pop("required", None)
    for name, model in sections().items():
        if name:
            section = found["properties"][name]
            section.pop("default", None)
            found["properties"][name] = {
                "anyOf": [{"$ref": f"#/$defs/{model.__name__}"}, {"type": "null"}],
                "description": model.__doc__,
            }
    for setting in settings().values():
        section, _, last = setting.name.rpartition(".")
        place = definitions[sections()[section].__name__] if section else found
        properties = place["properties"][last]
        if "default" in properties:
            properties["default"] = as_written(setting.field, setting.field.default)
    _mend(found)
    head = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Settings of stream-ewma",
    }
    return head | found


def _mend(part: Any) -> None:
    """Put bounds in JSON Schema's words, and drop titles, which say nothing new.

    pydantic leaves bounds as they are where a validator comes before them, also where they are
    about what the validator makes of the text.
    """
    if isinstance(part, list):
        for inner in part:
            _mend(inner)
    if not isinstance(part, dict):
        return
    if isinstance(part.get("title"), str):
        del part["title"]
    words = _WORDS.get(part.get("type"), {})
    for bound in [name for name in _BOUNDS if isinstance(part.get(name), int | float)]:
        limit = part.pop(bound)
        if bound in words:
            part[words[bound]] = limit
    for inner in part.values():
        _mend(inner)
