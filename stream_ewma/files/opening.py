"""Finding, naming and opening the data: a file or standard input, compressed or not."""

import gzip
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import BinaryIO, Final, Literal, TypeAlias, cast, get_args

from stream_ewma.errors import DataError, MissingInputError

FileFormat: TypeAlias = Literal["csv", "jsonl", "parquet"]
FORMATS: Final[tuple[FileFormat, ...]] = get_args(FileFormat)

_BLOCK: Final = 1 << 20
_LONGEST_ROW: Final = 1 << 26
_PARQUET_MAGIC: Final = b"PAR1"
_ENDINGS: Final[dict[str, FileFormat]] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".parquet": "parquet",
    ".pq": "parquet",
}


def format_of(path: Path) -> FileFormat | None:
    """The format that the ending of a file's name says; None where it says none."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes[-1:] == [".gz"]:
        suffixes.pop()
    return _ENDINGS.get(suffixes[-1]) if suffixes else None


@dataclass(slots=True)
class Blocks:
    """The bytes of a stream in blocks, each led by what the reader left of the one before.

    A block is what there is, up to a mebibyte: rows of a pipe are not held up for more to come.

    Attributes:
        name: what messages call the data.
        stream: where the bytes come from.
        size: bytes of the whole file; None where it is not known.
        left: what the next block begins with.
        is_ahead: `left` has been read only to be looked at, and is a block by itself: to wait
            for more would hold up what is there.
    """

    name: str
    stream: BinaryIO
    size: int | None = None
    left: bytes = b""
    is_ahead: bool = False

    def next(self) -> tuple[bytes, bool]:
        """The next block, and whether the data ends with it.

        Raises:
            DataError: a row is longer than any can be, or the file is damaged.
        """
        if self.is_ahead:
            block, self.left, self.is_ahead = self.left, b"", False
            return block, False
        try:
            read = self.stream.read1(_BLOCK)  # type: ignore[attr-defined]
        except (EOFError, gzip.BadGzipFile) as error:
            raise DataError(f"{self.name}: cannot be unpacked ({error})") from None
        except OSError as error:
            raise MissingInputError(f"{self.name}: cannot be read ({error.strerror})") from None
        block, self.left = self.left + read, b""
        if len(block) > _LONGEST_ROW:
            raise DataError(
                f"{self.name}: a row has more than {_LONGEST_ROW >> 20} MiB; is a quote not closed,"
                " or is this another format? write --format csv, jsonl or parquet"
            )
        return block, not read

    def first_line(self) -> bytes:
        """The bytes up to the first end of a line, which stay to be read."""
        is_last = False
        while not is_last and b"\n" not in self.left:
            self.left, is_last = self.next()
        self.is_ahead = True
        return self.left.partition(b"\n")[0]

    @property
    def share(self) -> float | None:
        """How much of the file has been read, 0 to 1; None where it is not known."""
        if not self.size:
            return None
        raw = self.stream.fileobj if isinstance(self.stream, gzip.GzipFile) else self.stream
        return min(1.0, float(raw.tell()) / self.size)


@contextmanager
def open_blocks(name: str) -> Iterator[Blocks]:
    """Open a file, or standard input where the name is `-`.

    Raises:
        MissingInputError: it cannot be opened.
    """
    if name == "-":
        yield Blocks("standard input", sys.stdin.buffer)
        return
    path = Path(name)
    try:
        file = path.open("rb")
    except FileNotFoundError:
        near = _near(path)
        advice = f"; write {near}" if near else ""
        raise MissingInputError(f"{name}: there is no such file{advice}") from None
    except OSError as error:
        raise MissingInputError(f"{name}: cannot be read ({error.strerror})") from None
    with file:
        size = path.stat().st_size
        packed = path.suffix.lower() == ".gz"
        stream = cast("BinaryIO", gzip.GzipFile(fileobj=file)) if packed else file
        yield Blocks(name, stream, size)


def _near(path: Path) -> str | None:
    """A file beside the missing one whose name is nearly the same."""
    from_same_folder = path.parent.iterdir() if path.parent.is_dir() else iter(())
    names = {other.name: other for other in from_same_folder if other.is_file()}
    close = nearest(path.name, list(names))
    return str(names[close]) if close else None


def nearest(name: str, names: list[str]) -> str | None:
    """The one of `names` that was probably meant; None where none is near."""
    lowered = {known.lower(): known for known in names}
    close = get_close_matches(name.lower(), lowered, 1, 0.6)
    return lowered[close[0]] if close else None


def sniff(blocks: Blocks) -> FileFormat:
    """The format of data whose name does not say it, from its first bytes.

    Raises:
        DataError: it is none that can be told.
    """
    first = blocks.first_line().lstrip(b"\xef\xbb\xbf \t\r")
    if first.startswith(_PARQUET_MAGIC):
        return "parquet"
    if first[:1] in (b"{", b"-") or first[:1].isdigit():
        return "jsonl"
    if (
        any(mark in first for mark in (b",", b"\t", b";"))
        or first.strip().replace(b"_", b"").isalnum()
    ):
        return "csv"
    raise DataError(f"{blocks.name}: what format is it? write --format csv, jsonl or parquet")
