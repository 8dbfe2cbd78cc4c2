"""What `tieline write` takes on its command line."""

import argparse

import pytest

from gateway.commands.cli import add_commands


@pytest.mark.parametrize("wait", ["nan", "inf", "1e300", "601", "0", "-1", "soon"])
def test_a_wait_that_no_command_can_have_is_a_fault_of_usage(wait, capsys):
    parser = argparse.ArgumentParser(prog="tieline")
    add_commands(parser.add_subparsers())
    with pytest.raises(SystemExit) as ended:
        parser.parse_args(["write", "a.b", "1", "--user", "olga", f"--wait={wait}"])
    assert ended.value.code == 2
    assert "--wait" in capsys.readouterr().err
