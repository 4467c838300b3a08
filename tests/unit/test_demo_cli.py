import argparse
import subprocess
import sys

import pytest

from stream_ewma.cli import demo, main


def _parse(*arguments):
    parser = argparse.ArgumentParser()
    demo.add_arguments(parser)
    return parser.parse_args(arguments)


@pytest.mark.parametrize(
    ("arguments", "advice"),
    [
        (["--half-life", "3"], "3 has no unit; write 3s"),
        (["--half-life", "0s"], "not a half-life"),
        (["--half-life", "soon"], "write 30s"),
        (["--alpha", "0"], "write a number above 0, at most 1"),
        (["--alpha", "1.5"], "write a number above 0, at most 1"),
        (["--alpha", "nan"], "write a number above 0, at most 1"),
        (["--alpha", "x"], "write a number"),
        (["--rate", "-1"], "write a number above 0"),
        (["--rate", "inf"], "write a number above 0"),
        (["--seconds", "0"], "write a number above 0"),
        (["--keys", "0"], "write a whole number from 1 up"),
        (["--keys", "2.5"], "write a whole number from 1 up"),
        (["--seed", "-3"], "write a whole number from 0 up"),
        (["--source", "moon"], "invalid choice"),
        (["--alpha", "0.1", "--half-life", "3s"], "not allowed with"),
    ],
)
def test_a_wrong_flag_is_one_line_that_says_what_to_write(arguments, advice, capsys):
    with pytest.raises(SystemExit) as ended:
        _parse(*arguments)
    assert ended.value.code == 2
    assert advice in capsys.readouterr().err


@pytest.mark.parametrize("flag", ["--keys", "--seed"])
def test_flags_of_simulated_sensors_want_that_source(flag, capsys):
    assert main(["demo", flag, "5"]) == 78
    assert "--source simulated" in capsys.readouterr().err


@pytest.mark.parametrize("missing", ["confluent_kafka", "psutil", "rich"])
def test_without_the_extra_one_line_says_how_to_install_it(missing):
    code = (
        f"import sys; sys.modules[{missing!r}] = None\n"
        "from stream_ewma.cli import main\n"
        "sys.exit(main(['demo', '--seconds', '1']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 69
    assert done.stderr == "the demo needs its extra: pip install 'stream-ewma[demo]'\n"
    assert done.stdout == ""
