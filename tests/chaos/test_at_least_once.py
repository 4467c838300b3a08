"""At least once: after a fault, records come again bit by bit, and none is missing.

Each member keeps warm copies of the other's partitions, and goes on from them.
"""

import pytest

from .campaign import ALL_FAULTS
from .configurations import GUARDED
from .conftest import MakeScene
from .scene import Scene
from .verdict import verdict

FAULTS = {fault.name: fault for fault in ALL_FAULTS}


@pytest.fixture(scope="module")
def scene(make_scene: MakeScene) -> Scene:
    standbys = {"state": {"standbys": 1}}
    made = make_scene(GUARDED, "at_least_once", seed=6, over=standbys)
    made.chaos.start(made.size)
    return made


@pytest.mark.parametrize("name", ["K2 kill", "K3 stop", "kill all", "hand-over"])
def test_the_service_gets_over(scene: Scene, name: str) -> None:
    outcome = FAULTS[name].inject(scene)
    scene.fill()

    assert outcome.hit, outcome.detail
    assert not scene.chaos.judge.differences


def test_records_came_again_but_none_differs_or_is_missing(scene: Scene) -> None:
    problems = verdict(scene)

    judge = scene.chaos.judge
    assert not problems
    assert not judge.differences
    assert all(each.matched for each in judge.outputs)
    assert any(each.repeated for each in judge.outputs), "no fault struck uncommitted work"
