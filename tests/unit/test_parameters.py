"""Factors and the rules that choose them."""

import math
from decimal import Context, Decimal, localcontext

import pandas as pd
import pytest

from stream_ewma.smoothing.parameters import Clock, Factor, KeyRules, Rule, factor_set


def test_every_parameter_of_the_count_clock_gives_its_alpha() -> None:
    assert Factor(alpha=0.2).count_alpha == 0.2
    assert Factor(span=9).count_alpha == 0.2
    assert Factor(com=4).count_alpha == 0.2
    assert Factor(half_life_samples=1).count_alpha == 0.5


@pytest.mark.parametrize("factor", [Factor(span=1), Factor(com=0), Factor(half_life_samples=1e-9)])
def test_no_memory_is_alpha_one(factor: Factor) -> None:
    assert factor.count_alpha == 1.0


@pytest.mark.parametrize("half_life", [0.01, 0.7, 3.0, 1e3, 1e9, 1e15, 1e30, 1.7e308])
def test_alpha_of_a_half_life_is_correctly_rounded(half_life: float) -> None:
    with localcontext(Context(prec=400)):
        exact = 1 - (-Decimal(2).ln() / Decimal(half_life)).exp()

    alpha = Factor(half_life_samples=half_life).count_alpha

    assert 0 < alpha <= 1
    assert alpha == float(exact)
    assert alpha == pytest.approx(-math.expm1(-math.log(2) / half_life), rel=1e-15)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ({"alpha": 0.3}, {"alpha": 0.3}),
        ({"span": 5}, {"span": 5}),
        ({"com": 1.5}, {"com": 1.5}),
        ({"half_life_samples": 3}, {"halflife": 3}),
    ],
)
def test_parameters_mean_what_pandas_means(ours: dict, theirs: dict) -> None:
    second = pd.Series([0.0, 1.0]).ewm(**theirs, adjust=False).mean().iloc[1]
    assert Factor(**ours).count_alpha == pytest.approx(second, rel=1e-14)


def test_only_a_half_life_in_milliseconds_runs_on_event_time() -> None:
    assert Factor(half_life=30_000).clock is Clock.EVENT_TIME
    assert {Factor(alpha=1).clock, Factor(half_life_samples=1).clock} == {Clock.COUNT}


def test_a_half_life_of_event_time_has_no_alpha() -> None:
    with pytest.raises(ValueError, match=r"^half_life: .* no alpha"):
        _ = Factor(half_life=1).count_alpha


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"alpha": 0.0}, "alpha: write a number greater than 0 and at most 1, not 0.0"),
        ({"alpha": 1.0000001}, "alpha: write a number greater than 0 and at most 1, not 1.0000001"),
        ({"span": 0.99}, "span: write a number at least 1, not 0.99"),
        ({"com": -0.1}, "com: write a number at least 0, not -0.1"),
        ({"half_life_samples": 0}, "half_life_samples: write a number greater than 0, not 0"),
        ({"half_life": -1}, "half_life: write a number greater than 0, not -1"),
    ],
)
def test_a_value_outside_its_range_is_refused_by_name(given: dict, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        Factor(**given)


@pytest.mark.parametrize("name", ["alpha", "span", "com", "half_life_samples", "half_life"])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_value_that_is_not_finite_is_refused(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"^{name}: "):
        Factor(**{name: value})


def test_exactly_one_parameter_must_be_given() -> None:
    with pytest.raises(ValueError, match=r"exactly one of alpha, span, .*; given: none$"):
        Factor()
    with pytest.raises(ValueError, match=r"exactly one of .*; given: alpha, half_life$"):
        Factor(alpha=0.1, half_life=5)


def test_factors_of_one_key_count_on_one_clock() -> None:
    assert factor_set(Factor(span=9)) == (Factor(span=9),)
    assert factor_set([Factor(span=9), Factor(com=2)]) == (Factor(span=9), Factor(com=2))
    for wrong in ([], [Factor(span=9), Factor(half_life=9)]):
        with pytest.raises(ValueError, match=r"^factors: "):
            factor_set(wrong)


FAST, SLOW, OTHER = Factor(alpha=0.5), Factor(alpha=0.01), Factor(half_life=1000)


def test_the_first_matching_rule_decides() -> None:
    rules = KeyRules(OTHER, [Rule("pump-*", FAST), Rule("pump-7", SLOW), Rule("*-7", SLOW)])

    chosen = {key: rules.factors[rules.resolve(key)][0] for key in ("pump-7", "fan-7", "fan-8")}

    assert chosen == {"pump-7": FAST, "fan-7": SLOW, "fan-8": OTHER}


@pytest.mark.parametrize(
    ("glob", "key", "matches"),
    [
        ("pump-*", "Pump-7", False),  # case matters
        ("pump", "pump-7", False),  # the whole key
        ("pump", "a-pump", False),
        ("pump-?", "pump-7", True),
        ("pump-[0-4]", "pump-7", False),
        ("pump-[!0-4]", "pump-7", True),
        ("a.b", "axb", False),  # a dot is a dot
        ("*", "two\nlines", True),
        ("*", "", True),
    ],
)
def test_globs(glob: str, key: str, matches: bool) -> None:
    assert KeyRules(OTHER, [Rule(glob, FAST)]).resolve(key) == int(matches)


def test_without_rules_every_key_gets_the_default() -> None:
    rules = KeyRules(FAST)

    assert rules.factors == ((FAST,),)
    assert rules.resolve("anything") == 0


def test_rules_do_not_change_with_the_list_they_were_made_from() -> None:
    source = [Rule("a", FAST)]
    rules = KeyRules(OTHER, source)
    source.clear()

    assert rules.rules == (Rule("a", FAST),)
    assert rules == KeyRules(OTHER, (Rule("a", FAST),))


def test_more_rules_than_a_state_can_name_are_refused() -> None:
    KeyRules(OTHER, [Rule("a", FAST)] * 65_535)
    with pytest.raises(ValueError, match="at most 65535, not 65536"):
        KeyRules(OTHER, [Rule("a", FAST)] * 65_536)


def test_rules_of_another_number_of_factors_are_refused() -> None:
    KeyRules((FAST, FAST), [Rule("a", (OTHER, OTHER))])
    with pytest.raises(ValueError, match=r"^rules: each needs 2 factors, as the default has"):
        KeyRules((FAST, FAST), [Rule("a", OTHER)])
