"""Record batches as they stand in a broker's files: who wrote them, and with which epoch."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_HEADER = struct.Struct(">qiibIhiqqqhii")
_SIZE_AND_BASE = 12
_TRANSACTIONAL, _CONTROL = 0x10, 0x20


@dataclass(frozen=True)
class Batch:
    """The header of a batch.

    Attributes:
        is_control: it ends a transaction.
    """

    base_offset: int
    producer_id: int
    epoch: int
    is_transactional: bool
    is_control: bool


def batches(folder: Path) -> Iterator[Batch]:
    """The batches in a partition's folder, in order."""
    for segment in sorted(folder.glob("*.log")):
        data = segment.read_bytes()
        at = 0
        while at + _HEADER.size <= len(data):
            base, size, _, _, _, attributes, *_, producer, epoch, _, _ = _HEADER.unpack_from(
                data, at
            )
            if size <= 0 or at + _SIZE_AND_BASE + size > len(data):
                break  # the file is longer than what was written to it
            yield Batch(
                base,
                producer,
                epoch,
                bool(attributes & _TRANSACTIONAL),
                bool(attributes & _CONTROL),
            )
            at += _SIZE_AND_BASE + size


def zombie_writes(folder: Path) -> list[str]:
    """Signs that two producers have written to a transactional partition at the same time.

    The epochs of a producer id never decrease, and once another (id, epoch) has written, the one
    before it never writes again.
    """
    found = []
    highest: dict[int, int] = {}
    writer: tuple[int, int] | None = None
    former: set[tuple[int, int]] = set()
    for batch in batches(folder):
        own = batch.producer_id, batch.epoch
        if batch.epoch < highest.get(batch.producer_id, 0):
            found.append(f"{folder.name}@{batch.base_offset}: epoch {own} after a later one")
        highest[batch.producer_id] = max(batch.epoch, highest.get(batch.producer_id, 0))
        if batch.is_control:
            continue
        if not batch.is_transactional:
            found.append(f"{folder.name}@{batch.base_offset}: not in a transaction")
        if own != writer:
            if own in former:
                found.append(f"{folder.name}@{batch.base_offset}: {own} writes again")
            if writer is not None:
                former.add(writer)
            writer = own
    return found
