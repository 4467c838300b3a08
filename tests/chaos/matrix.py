"""The fault matrix of reliability.md, section 6: which test covers each row, or why none
does, and what keeps the service right there."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One row of the matrix.

    Attributes:
        fault: what happens.
        faults: of this suite (`python -m tests.chaos.run --list`), that are such a fault.
        tests: further tests, as `file::function` below `tests/`.
        excluded: why there is none, or what part of the row is not covered.
        guards: of `guards.py`: without one of them the row goes wrong, and is seen to.
    """

    fault: str
    faults: tuple[str, ...] = ()
    tests: tuple[str, ...] = ()
    excluded: str = ""
    guards: tuple[str, ...] = ()


_STEPS = tuple(f"K{number}" for number in range(8))
_START = "chaos/test_start.py::"
_ALWAYS = "chaos/test_exactly_once.py::test_every_record_came_out_once_and_everything_kept_agrees"
_COMPACTED = (
    "integration/test_compaction.py::"
    "test_a_compacted_changelog_keeps_a_row_a_key_and_restores_the_same_state"
)

MATRIX: Mapping[int, Row] = {
    1: Row(
        "kill -9 in a transaction",
        ("kill", "late outputs", *(f"{step} kill" for step in _STEPS)),
        guards=("one transaction", "delivered"),
    ),
    2: Row(
        "kill -9 between fence and restore, or in it", ("K8 kill", "K9 kill"), guards=("all rows",)
    ),
    3: Row("kill -9 of all members", ("kill all",), guards=("all rows",)),
    4: Row(
        "zombie: frozen past the session, then going on",
        ("long freeze", *(f"{step} stop" for step in _STEPS)),
        guards=("fencing",),
    ),
    5: Row(
        "zombie that wakes before its fence",
        ("before-K8 stop", "K8 stop", "K9 stop"),
        guards=("fence first",),
    ),
    6: Row("a pause shorter than the session", ("short freeze",), guards=("session",)),
    7: Row("event loop blocked past the session", ("blocked loop",), guards=("fencing",)),
    8: Row("broker killed", ("broker killed", "broker killed, long away"), guards=("asked again",)),
    9: Row(
        "brokers restarted, in turn",
        ("broker restart", "rolling brokers"),
        guards=("asked again",),
    ),
    10: Row(
        "only one of the coordinators dies",
        ("group coordinator killed", "transaction coordinator killed"),
        guards=("asked again",),
    ),
    11: Row(
        "broker frozen",
        ("broker frozen", "broker frozen past the session"),
        guards=("taken up anew",),
    ),
    12: Row(
        "network partition",
        (
            "cut",
            "brokers away 3 s",
            "brokers away past the session",
            "blackhole 3 s",
            "blackhole past the session",
            "slow network",
            "isolated past the session",
            "isolated from the group's coordinator",
        ),
        guards=("asked again", "word of the group"),
    ),
    13: Row(
        "half-open connections for one purpose",
        (
            "half-open heartbeats",
            "half-open fetches",
            "half-open transactions",
            "half-open produce",
        ),
        guards=("taken up anew",),
    ),
    14: Row(
        "EndTxn that arrives late",
        ("hold request EndTxn",),
        (
            (
                "integration/test_transactions.py::"
                "test_a_commit_that_arrives_late_ends_no_other_transaction"
            ),
        ),
        guards=("end once",),
    ),
    15: Row(
        "answer to EndTxn lost",
        ("lose answer EndTxn", "delay answer EndTxn"),
        guards=("taken up anew",),
    ),
    16: Row(
        "requests repeated, late, or lost",
        (
            *(f"repeat request {name}" for name in ("Produce", "TxnOffsetCommit")),
            *(f"hold request {name}" for name in ("Produce", "TxnOffsetCommit")),
            *(f"lose request {name}" for name in ("Produce", "TxnOffsetCommit", "EndTxn")),
            *(f"lose answer {name}" for name in ("Produce", "TxnOffsetCommit")),
        ),
        excluded=(
            "EndTxn that comes twice in one epoch: TCP delivers once and the service asks once; a "
            "broker takes the second for the end of the next transaction, unless the client has "
            "EndTxn v5 (KIP-890), which aiokafka has not"
        ),
        guards=("taken up anew",),
    ),
    17: Row(
        "OffsetFetch fails as a whole",
        tests=(
            (
                "integration/test_coordinator_errors.py::"
                "test_a_passing_error_neither_rewinds_nor_skips"
            ),
        ),
        guards=("offsets known",),
    ),
    18: Row(
        "every other error code",
        (
            "refuse 0 with 7",
            "refuse 0 with 10",
            "refuse 26 with 51",
            "refuse 28 with 14",
            "refuse 12 with 25",
        ),
        ("chaos/test_soak.py::test_a_refused_request",),
        "fetches, metadata and joining are refused by brokers that go, not by made-up answers",
        guards=("acknowledged",),
    ),
    19: Row("rebalance storm", ("storm",), guards=("all rows",)),
    20: Row(
        "cold start of several members with a large changelog",
        tests=("chaos/test_soak.py::test_a_cold_start_of_many_keys",),
        guards=("all rows",),
    ),
    21: Row(
        "more members than partitions, then owners die",
        ("idle members",),
        ("integration/test_group.py::test_an_idle_member_takes_over_when_the_owner_leaves",),
        "max_poll_interval is a day here: idle members poll all the time",
        guards=("all rows",),
    ),
    22: Row(
        "input partitions added",
        tests=(f"{_START}test_more_partitions_than_the_state_was_kept_for",),
        guards=("same topic",),
    ),
    23: Row(
        "partition counts that differ",
        tests=("integration/test_topics.py::test_verify_refuses_another_number_of_partitions",),
        guards=("topics fit",),
    ),
    24: Row(
        "input topic created anew",
        tests=(f"{_START}test_a_topic_that_was_created_anew",),
        guards=("same topic",),
    ),
    25: Row(
        "output or changelog deleted while running",
        tests=(
            f"{_START}test_an_output_topic_that_is_deleted_ends_the_service",
            f"{_START}test_a_changelog_that_is_deleted_ends_the_service",
        ),
        guards=("topics there",),
    ),
    26: Row(
        "input offset out of range",
        tests=(f"{_START}test_records_that_retention_removed_unread",),
        guards=("gap",),
    ),
    27: Row(
        "end of the changelog lost, or damaged",
        tests=(
            f"{_START}test_offsets_ahead_of_the_state",
            f"{_START}test_a_changelog_that_was_deleted",
            "integration/test_corrupt_batch.py::test_a_damaged_batch_parks_its_partition_alone",
            (
                "integration/test_corrupt_batch.py::"
                "test_a_damaged_changelog_is_refused_with_what_mends_it_and_nothing_is_written"
            ),
        ),
        guards=("offset compared", "checksums"),
    ),
    28: Row(
        "changelog of a newer version, or undecodable",
        tests=(
            f"{_START}test_a_row_that_a_newer_version_wrote",
            f"{_START}test_a_record_that_belongs_to_nothing_known",
        ),
        guards=("known rows",),
    ),
    29: Row(
        "compaction while running and restoring; tombstones",
        ("kill all",),
        (_ALWAYS, _COMPACTED),
        guards=("all rows",),
    ),
    30: Row(
        "the marker under compaction; keys that look like it",
        ("kill all",),
        (_ALWAYS, _COMPACTED),
        guards=("keys apart",),
    ),
    31: Row(
        "the group's offsets are gone",
        ("delete offsets",),
        (f"{_START}test_offsets_that_are_gone",),
        guards=("marker",),
    ),
    32: Row(
        "transactional id expired",
        tests=("chaos/test_soak.py::test_transactional_ids_that_expire",),
        guards=("taken up anew",),
    ),
    33: Row("transaction older than its timeout", ("slow transaction",), guards=("taken up anew",)),
    34: Row("somebody else fences", ("foreign producer",), guards=("taken up anew",)),
    35: Row(
        "bad records of the whole catalogue",
        tests=(
            _ALWAYS,
            "chaos/test_oracle.py::test_the_engine_and_the_judge_agree_on_an_undisturbed_run",
            "integration/test_bad_input.py::test_a_partition_of_bad_records_alone_advances",
        ),
        guards=("dead letters",),
    ),
    36: Row(
        "dead letter refused, or its topic missing",
        tests=(
            (
                "integration/test_refused_output.py::"
                "test_a_dead_letter_that_is_refused_too_stops_the_service_with_one_clear_line"
            ),
            "integration/test_topics.py::test_verify_names_every_topic_that_is_missing",
        ),
        guards=("last resort", "topics fit"),
    ),
    37: Row(
        "output too large",
        tests=(
            (
                "integration/test_refused_output.py::"
                "test_an_output_too_large_for_its_topic_becomes_a_dead_letter_and_the_others_go_on"
            ),
        ),
        guards=("refusals",),
    ),
    38: Row(
        "late, repeated, future and negative times",
        tests=(
            _ALWAYS,
            (
                "integration/test_refused_output.py::"
                "test_an_output_whose_time_the_topic_refuses_becomes_a_dead_letter"
            ),
        ),
        guards=("refusals",),
    ),
    39: Row("wall clock jumps by an hour", ("clock jump",), guards=("clock",)),
    40: Row(
        "broker's disk full",
        tests=("chaos/test_soak.py::test_a_full_disk",),
        guards=("all rows",),
    ),
    41: Row(
        "keys without bound",
        tests=(
            (
                "integration/test_bad_input.py::"
                "test_a_key_beyond_max_keys_is_a_dead_letter_and_known_keys_go_on"
            ),
        ),
        excluded="memory at ten million keys is measured in benchmarks/keys.py",
        guards=("bounded keys",),
    ),
    42: Row(
        "leaks of memory, descriptors, tasks",
        ("foreign producer",),
        tests=("chaos/test_soak.py::test_every_fault",),
        excluded="hours: python -m tests.chaos.run --minutes 60, whose report has the slopes",
        guards=("nothing left",),
    ),
    43: Row(
        "SIGTERM",
        ("hand-over", "K11 kill", "K11 stop", *(f"{s} term" for s in _STEPS)),
        guards=("asked to stop",),
    ),
    44: Row(
        "SIGTERM while the broker is away",
        tests=(
            (
                "integration/test_faults.py::"
                "test_a_stop_while_the_broker_is_away_ends_within_its_deadline"
            ),
        ),
        guards=("deadline",),
    ),
    45: Row(
        "rolling restart",
        ("rolling restart",),
        excluded="two versions side by side: there is no earlier release yet",
        guards=("all rows",),
    ),
    46: Row(
        "another factor after a restart",
        tests=(f"{_START}test_another_alpha_counts_from_where_the_state_stands",),
        guards=("rows kept",),
    ),
    47: Row(
        "downgrade",
        tests=(f"{_START}test_a_row_that_a_newer_version_wrote",),
        guards=("known rows",),
    ),
    48: Row(
        "permission revoked",
        ("refuse 0 with 29", "refuse 25 with 30", "refuse 22 with 53", "refuse 12 with 30"),
        excluded="the broker's answers are made up: an authorizer tells the client nothing else",
        guards=("acknowledged",),
    ),
    49: Row(
        "wrong credentials",
        tests=("integration/test_security.py::test_a_wrong_password_is_one_clear_line",),
        excluded="a password changed while running is seen at the next connection, as at the start",
        guards=("refusal told",),
    ),
    50: Row(
        "connections.max.reauth.ms",
        ("cut",),
        excluded="aiokafka cannot authenticate anew: the broker cuts the connection, as `cut` does",
        guards=("asked again",),
    ),
    51: Row(
        "certificates expire",
        tests=(
            "integration/test_security.py::test_an_authority_that_did_not_sign_is_one_clear_line",
        ),
        excluded="certificates are read at the start; new ones need a restart",
        guards=("refusal told",),
    ),
    52: Row(
        "metadata errors for a while", ("broker restart", "leaders move"), guards=("asked again",)
    ),
    53: Row(
        "unclean leader election",
        excluded="Kafka promises nothing after it: acknowledged records may be gone",
    ),
    54: Row(
        "aborted transactions in the input",
        tests=(
            (
                "integration/test_upstream_transactions.py::"
                "test_aborted_records_are_left_out_wherever_they_stand"
            ),
        ),
        guards=("committed input",),
    ),
}
