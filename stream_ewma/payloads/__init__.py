"""Record values to readings, smoothed readings to record values: one file a format."""

from typing import Final, Literal, TypeAlias

from stream_ewma.errors import SettingsError
from stream_ewma.payloads.binary import BinaryDecoder, DoubleEncoder
from stream_ewma.payloads.columns import Decoder, Encoder, ReadingOptions, WritingOptions
from stream_ewma.payloads.json_read import JsonDecoder
from stream_ewma.payloads.json_write import JsonEncoder
from stream_ewma.payloads.text import TextDecoder, TextEncoder

InputFormat: TypeAlias = Literal["json", "text", "double", "float"]
OutputFormat: TypeAlias = Literal["json", "text", "double"]

_PLAIN: Final = WritingOptions()


def decoder(input_format: InputFormat, options: ReadingOptions) -> Decoder:
    """What reads record values in `input_format`.

    Raises:
        SettingsError: The options ask for what the format cannot give.
    """
    if input_format == "json":
        return JsonDecoder(options)
    if input_format == "text":
        return TextDecoder(options)
    return BinaryDecoder(input_format, options)


def encoder(output_format: OutputFormat, options: WritingOptions = _PLAIN) -> Encoder:
    """What writes record values in `output_format`.

    Raises:
        SettingsError: The options ask for what the format cannot give.
    """
    if output_format == "json":
        return JsonEncoder(options)
    if options.shape == "enrich":
        raise SettingsError(
            [f"output.shape: a value in format {output_format} cannot enrich, write `record`"]
        )
    if output_format == "text":
        return TextEncoder()
    return DoubleEncoder()
