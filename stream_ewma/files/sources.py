"""Which source reads a file."""

from pathlib import Path

from stream_ewma.errors import DataError
from stream_ewma.files.chunks import Source
from stream_ewma.files.csv_rows import CsvSource
from stream_ewma.files.lines import LinesSource
from stream_ewma.files.opening import Blocks, FileFormat, format_of, sniff
from stream_ewma.files.parquet import ParquetSource


def source_of(
    blocks: Blocks, name: str, file_format: FileFormat | None, delimiter: str | None
) -> Source:
    """What reads the data, by its format, its name's ending, or its first bytes.

    Raises:
        DataError: the format cannot be told, or the data is of another one.
        MissingExtraError: its library is not installed.
    """
    if not blocks.first_line() and not blocks.left:
        raise DataError(f"{blocks.name}: is empty")
    kind = file_format or (None if name == "-" else format_of(Path(name))) or sniff(blocks)
    if kind == "parquet":
        return ParquetSource(blocks)
    if b"\0" in blocks.first_line():
        raise DataError(f"{blocks.name}: is no {kind}, but binary; write --format parquet if it is")
    if kind == "csv":
        return CsvSource(blocks, delimiter)
    return LinesSource(blocks)
