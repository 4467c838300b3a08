"""The examples run as they are written; each asserts within itself what it shows."""

import runpy
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def run(monkeypatch, capsys):
    def run(name: str, *arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", [name, *arguments])
        runpy.run_path(str(EXAMPLES / name), run_name="__main__")
        return capsys.readouterr().out

    return run


def test_optimizers_take_the_steps_of_their_recurrences(run):
    out = run("optimizers.py")

    assert [line.split()[0] for line in out.splitlines()] == ["momentum", "RMSProp", "Adam"]


def test_a_training_loss_is_smoothed_as_tensorboard_does(run):
    out = run("training_loss.py", "--steps", "100")

    assert out.splitlines()[-1].startswith("100 steps, equal to TensorBoard's in all of them")


def test_every_example_is_run():
    assert {each.name for each in EXAMPLES.glob("*.py")} == {
        "fastapi_app.py",
        "optimizers.py",
        "training_loss.py",
    }
