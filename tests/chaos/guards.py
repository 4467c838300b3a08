"""What keeps the service right, and what goes wrong without it: each guard can be taken away.

A process under test that runs without one must be found out by the faults named here; this shows
that the suite can fail.

    python -m tests.chaos.run --without fencing
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from . import removals
from .settings import Guarantee


@dataclass(frozen=True)
class Guard:
    """Something that keeps the service right.

    Attributes:
        what: in words.
        remove: takes it away from this process.
        faults: those that show its absence.
        tests: those that fail without it, as `file::function` below `tests/`.
        guarantee: under which the faults show it.
    """

    what: str
    remove: Callable[[], None]
    faults: tuple[str, ...] = ()
    tests: tuple[str, ...] = ()
    guarantee: Guarantee = "exactly_once"


_START = "chaos/test_start.py::"
_COORDINATOR = "integration/test_coordinator_errors.py::"
_TOPICS = "integration/test_topics.py::"
_REFUSED = "integration/test_refused_output.py::"
_SECURITY = "integration/test_security.py::"

GUARDS: Mapping[str, Guard] = {
    "fencing": Guard(
        "one transactional id a partition, the same for whoever has it",
        removals.without_fencing,
        ("K3 stop", "K5 stop", "long freeze", "blocked loop"),
    ),
    "fence first": Guard(
        "the fence stands before state and offsets are read",
        removals.fencing_last,
        ("before-K8 stop",),
    ),
    "end once": Guard(
        "the end of a transaction is asked for once",
        removals.ending_twice,
        ("hold request EndTxn",),
    ),
    "acknowledged": Guard(
        "every batch is acknowledged before the commit",
        removals.unacknowledged,
        ("refuse 0 with 10", "refuse 0 with 29"),
    ),
    "marker": Guard(
        "the position is that of the changelog, not the group's",
        removals.group_offset,
        ("delete offsets",),
    ),
    "all rows": Guard(
        "every changed row is written",
        removals.some_rows,
        ("kill all", "K9 kill", "storm", "rolling restart", "idle members"),
        (
            "chaos/test_soak.py::test_a_cold_start_of_many_keys",
            "chaos/test_soak.py::test_a_full_disk",
            "integration/test_group.py::test_an_idle_member_takes_over_when_the_owner_leaves",
        ),
    ),
    "one transaction": Guard(
        "outputs, rows and position are in one transaction",
        removals.outputs_apart,
        ("K3 kill", "K4 kill", "K5 kill"),
    ),
    "delivered": Guard(
        "outputs are acknowledged before the position behind them is committed",
        removals.committed_before_delivered,
        ("late outputs",),
        guarantee="at_least_once",
    ),
    "taken up anew": Guard(
        "what fails for a while ends no process: its partition is taken up anew",
        removals.not_taken_up,
        (
            "lose request EndTxn",
            "lose answer EndTxn",
            "half-open transactions",
            "slow transaction",
            "foreign producer",
            "broker frozen past the session",
        ),
        ("chaos/test_soak.py::test_transactional_ids_that_expire",),
    ),
    "asked again": Guard(
        "what fails is asked again: by the client, and then by taking the partition up anew",
        removals.asked_once,
        (
            "cut",
            "broker killed",
            "broker restart",
            "transaction coordinator killed",
            "leaders move",
        ),
    ),
    "word of the group": Guard(
        "nobody is fenced before the group's coordinator has answered",
        removals.without_a_word,
        ("isolated from the group's coordinator",),
    ),
    "session": Guard(
        "the session outlasts a short pause", removals.short_session, ("short freeze",)
    ),
    "clock": Guard("only clocks that never jump are asked", removals.wall_clock, ("clock jump",)),
    "asked to stop": Guard("SIGTERM is a request", removals.deaf, ("K3 term",)),
    "nothing left": Guard(
        "what is given up is stopped, its tasks and connections with it",
        removals.left_running,
        ("foreign producer",),
    ),
    "keys apart": Guard(
        "no key of the input can be taken for a record of the changelog's own",
        removals.plain_keys,
        ("kill all",),
    ),
    "offsets known": Guard(
        "the group's offsets are asked for until there is an answer",
        removals.offsets_guessed,
        tests=(f"{_COORDINATOR}test_a_passing_error_neither_rewinds_nor_skips",),
    ),
    "same topic": Guard(
        "the topic is the one that the state was kept for, with as many partitions",
        removals.any_topic,
        tests=(
            f"{_START}test_more_partitions_than_the_state_was_kept_for",
            f"{_START}test_a_topic_that_was_created_anew",
        ),
    ),
    "offset compared": Guard(
        "the group's offset is held against the kept state",
        removals.offset_not_compared,
        tests=(
            f"{_START}test_offsets_ahead_of_the_state",
            f"{_START}test_a_changelog_that_was_deleted",
        ),
    ),
    "gap": Guard(
        "records that are gone unread are not passed over without a word",
        removals.gap_passed_over,
        tests=(f"{_START}test_records_that_retention_removed_unread",),
    ),
    "topics fit": Guard(
        "topics are looked at before the start",
        removals.unfit_topics,
        tests=(
            f"{_TOPICS}test_verify_refuses_another_number_of_partitions",
            f"{_TOPICS}test_verify_names_every_topic_that_is_missing",
        ),
    ),
    "topics there": Guard(
        "after some failures the topics are looked at again",
        removals.gone_topics,
        tests=(
            f"{_START}test_an_output_topic_that_is_deleted_ends_the_service",
            f"{_START}test_a_changelog_that_is_deleted_ends_the_service",
        ),
    ),
    "checksums": Guard(
        "the checksum of each batch is computed",
        removals.any_checksum,
        tests=(
            "integration/test_corrupt_batch.py::test_a_damaged_batch_parks_its_partition_alone",
            (
                "integration/test_corrupt_batch.py::"
                "test_a_damaged_changelog_is_refused_with_what_mends_it_and_nothing_is_written"
            ),
        ),
    ),
    "known rows": Guard(
        "a changelog that is not understood is not read",
        removals.unknown_passed_over,
        tests=(
            f"{_START}test_a_row_that_a_newer_version_wrote",
            f"{_START}test_a_record_that_belongs_to_nothing_known",
        ),
    ),
    "rows kept": Guard(
        "rows outlive a change of the factor",
        removals.forgotten_state,
        tests=(f"{_START}test_another_alpha_counts_from_where_the_state_stands",),
    ),
    "dead letters": Guard(
        "what cannot be smoothed becomes a dead letter",
        removals.dropped_letters,
        tests=("integration/test_bad_input.py::test_a_partition_of_bad_records_alone_advances",),
    ),
    "last resort": Guard(
        "a dead letter that is refused ends the service, which names it",
        removals.refused_letters_passed_over,
        tests=(
            (
                f"{_REFUSED}"
                "test_a_dead_letter_that_is_refused_too_stops_the_service_with_one_clear_line"
            ),
        ),
    ),
    "refusals": Guard(
        "what the brokers refuse for what it holds is found and published otherwise",
        removals.any_refusal_final,
        tests=(
            (
                f"{_REFUSED}"
                "test_an_output_too_large_for_its_topic_becomes_a_dead_letter_and_the_others_go_on"
            ),
            f"{_REFUSED}test_an_output_whose_time_the_topic_refuses_becomes_a_dead_letter",
        ),
    ),
    "bounded keys": Guard(
        "there are no more keys than `state.max_keys`",
        removals.unbounded_keys,
        tests=(
            (
                "integration/test_bad_input.py::"
                "test_a_key_beyond_max_keys_is_a_dead_letter_and_known_keys_go_on"
            ),
        ),
    ),
    "deadline": Guard(
        "the end has a deadline",
        removals.no_deadline,
        tests=(
            (
                "integration/test_faults.py::"
                "test_a_stop_while_the_broker_is_away_ends_within_its_deadline"
            ),
        ),
    ),
    "refusal told": Guard(
        "who is not let in is told why",
        removals.hidden_refusal,
        tests=(
            f"{_SECURITY}test_a_wrong_password_is_one_clear_line",
            f"{_SECURITY}test_an_authority_that_did_not_sign_is_one_clear_line",
        ),
    ),
    "committed input": Guard(
        "only what was committed is read",
        removals.uncommitted_input,
        tests=(
            (
                "integration/test_upstream_transactions.py::"
                "test_aborted_records_are_left_out_wherever_they_stand"
            ),
        ),
    ),
}
