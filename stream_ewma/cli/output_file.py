"""Where the result of a command goes: standard output, or a file that is whole or not there."""

import gzip
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from stream_ewma.errors import OutputError


@contextmanager
def writing(path: Path | None) -> Iterator[BinaryIO]:
    """Standard output, or a file that takes its name only when all is written.

    Raises:
        OutputError: it cannot be written.
    """
    part = None if path is None else path.with_name(f".{path.name}.part")
    try:
        if path is None or part is None:
            yield sys.stdout.buffer
            return
        with part.open("wb") as file:
            if path.suffix.lower() == ".gz":
                with gzip.GzipFile(fileobj=file, mode="wb") as packed:
                    yield cast("BinaryIO", packed)
            else:
                yield file
        part.replace(path)
    except BrokenPipeError:  # the reader of standard output has had enough
        raise
    except OSError as error:
        place = path or "standard output"
        raise OutputError(f"{place}: cannot be written ({error.strerror})") from None
    finally:
        if part is not None:
            part.unlink(missing_ok=True)
