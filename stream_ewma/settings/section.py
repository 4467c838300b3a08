"""What all sections of the settings share."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from stream_ewma.settings.values import Whole

Positive = Annotated[Whole, Field(ge=1)]


class Section(BaseModel):
    """What all sections share: unknown names are errors, and no error repeats a value."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        use_attribute_docstrings=True,
        hide_input_in_errors=True,
        validate_default=False,
    )
