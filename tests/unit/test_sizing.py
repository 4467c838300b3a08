"""How much one transaction takes in, learned from how long the last ones took."""

from stream_ewma.service.sizing import LEAST_RECORDS, TransactionSize


def test_quick_transactions_are_bounded_by_the_setting_alone() -> None:
    size = TransactionSize(1_000_000, 60)
    size.committed(900_000, 7)
    assert size.limit == 1_000_000


def test_a_slow_one_halves_what_the_next_takes_in() -> None:
    size = TransactionSize(1_000_000, 60)
    size.committed(90_000, 31)
    assert size.limit == 45_000
    size.committed(10_000, 20)  # neither slow nor quick
    assert size.limit == 45_000


def test_one_that_did_not_end_quarters_it_down_to_the_least() -> None:
    size = TransactionSize(1_000_000, 60)
    limits = []
    while not size.is_least:
        size.expired(100_000)
        limits.append(size.limit)
    assert limits == [25_000, 6_250, 1_562, 390, LEAST_RECORDS]


def test_a_small_transaction_that_expires_does_not_make_the_limit_greater() -> None:
    size = TransactionSize(50, 60)
    size.expired(100_000)
    assert size.limit == 50
    assert size.is_least


def test_quick_ones_take_in_more_again() -> None:
    size = TransactionSize(10_000, 60)
    size.expired(4_000)
    limits = []
    for _ in range(5):
        size.committed(1_000, 1)
        limits.append(size.limit)
    assert limits == [2_000, 4_000, 8_000, 10_000, 10_000]


def test_it_becomes_less_each_time_however_many_offsets_have_no_record() -> None:
    size = TransactionSize(1_000_000, 60)
    for _ in range(8):
        size.expired(8_000_000)
    assert size.is_least
