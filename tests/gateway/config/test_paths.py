"""Where a run keeps things."""

import os
from pathlib import Path

from gateway.config.paths import SOCKET_PATH_BYTES, region_name, run_paths


def test_the_state_folder_is_the_one_given_else_systemds_else_the_users(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "xdg"))
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    assert run_paths("demo").state == tmp_path / "xdg" / "tieline" / "demo"
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "unit"))
    assert run_paths("demo").state == tmp_path / "unit"
    assert run_paths("demo", tmp_path / "given").state == tmp_path / "given"


def test_a_sockets_path_always_fits(tmp_path):
    for depth in (0, 1, 50):
        paths = run_paths("demo", tmp_path / "/".join(["folder"] * depth))
        for socket in (paths.command_socket, paths.simulator_socket):
            assert len(os.fsencode(socket)) <= SOCKET_PATH_BYTES


def test_all_who_name_one_state_folder_mean_one_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run_paths("demo", Path("state")) == run_paths("demo", tmp_path / "x" / ".." / "state")
    assert region_name("demo", run_paths("demo", Path("state"))) != region_name(
        "demo", run_paths("demo", Path("other"))
    )


def test_a_sites_name_is_made_fit_for_a_file_name(tmp_path):
    name = region_name("Süd/../werk" * 20, run_paths("x", tmp_path))
    assert "/" not in name
    assert len(name) < 64
