"""The faults that matter most, one after another on one running service; `-m soak` has all.

Each test breaks something and sees the service get over it; the last one gives the verdict on all
that came out, and on what is kept.
"""

import pytest

from .campaign import ALL_FAULTS
from .configurations import SORTED
from .conftest import MakeScene
from .scene import Scene
from .verdict import verdict

FAULTS = {fault.name: fault for fault in ALL_FAULTS}


@pytest.fixture(scope="module")
def scene(make_scene: MakeScene) -> Scene:
    made = make_scene(SORTED, "exactly_once", seed=5)
    made.chaos.start(made.size)
    return made


@pytest.mark.parametrize(
    "name",
    [
        "K3 kill",
        "K6 stop",
        "hold request EndTxn",
        "lose answer EndTxn",
        "repeat request TxnOffsetCommit",
        "broker killed",
        "delete offsets",
        "kill all",
        "hand-over",
    ],
)
def test_the_service_gets_over(scene: Scene, name: str) -> None:
    outcome = FAULTS[name].inject(scene)
    scene.fill()

    assert outcome.hit, outcome.detail
    assert not scene.chaos.judge.differences


def test_every_record_came_out_once_and_everything_kept_agrees(scene: Scene) -> None:
    problems = verdict(scene)

    judge = scene.chaos.judge
    assert not problems
    assert not judge.differences
    assert all(each.matched for each in judge.outputs)
    assert not any(each.repeated for each in judge.sequences)
