import os
import subprocess
import sys
from pathlib import Path

import pytest

from effsearch.errors import RunError
from effsearch.files import write_atomically
from effsearch.runs.folder import Run, create, find, runs
from effsearch.runs.manifest import About

MANIFEST = {"run": {"kind": "nas", "created": "2026-01-01T00:00:00+00:00"}}


def make(results: Path, name: str, created: str = "2026-01-01") -> Run:
    return create(results, name, {"run": {"created": created}}, {"space.toml": "space"})


def test_a_run_is_made_whole(tmp_path):
    run = create(tmp_path / "new" / "results", "first", MANIFEST, {"space.toml": "the space"})
    assert run.about() == About("nas", "2026-01-01T00:00:00+00:00")
    assert run.space.read_text() == "the space"
    assert sorted(path.name for path in run.path.parent.iterdir()) == ["first"]


def test_an_existing_run_is_not_overwritten_and_nothing_is_left_behind(tmp_path):
    make(tmp_path, "first")
    with pytest.raises(RunError, match="first"):
        make(tmp_path, "first", "2027-01-01")
    assert find(tmp_path, "first").about().created == "2026-01-01"
    assert [path.name for path in tmp_path.iterdir()] == ["first"]


def test_a_manifest_that_cannot_be_written_leaves_nothing(tmp_path):
    with pytest.raises(TypeError):
        create(tmp_path, "first", {"run": {"bad": object()}}, {"space.toml": "space"})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/b", "/etc", "-x", "a b", "a\nb", "x" * 101, "é"])
def test_a_name_cannot_leave_the_results_folder(tmp_path, name):
    with pytest.raises(RunError, match="name"):
        create(tmp_path, name, MANIFEST, {"space.toml": "space"})
    assert list(tmp_path.iterdir()) == []


def test_results_that_cannot_be_made_are_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot make the run folder"):
        create(tmp_path / "file" / "results", "first", MANIFEST, {"space.toml": "space"})


def test_the_latest_run_is_found_by_its_time_of_creation(tmp_path):
    make(tmp_path, "b", "2026-01-01")
    make(tmp_path, "a", "2026-01-02")
    assert find(tmp_path, None).name == "a"
    assert [run.name for run in runs(tmp_path)] == ["b", "a"]
    assert find(tmp_path, "b").name == "b"
    assert find(tmp_path / "elsewhere", str(tmp_path / "b")).path == tmp_path / "b"


def test_a_missing_run_is_named_with_those_there_are(tmp_path):
    with pytest.raises(RunError, match="make one with"):
        find(tmp_path, None)
    make(tmp_path, "known")
    with pytest.raises(RunError, match=r"no run 'other'.*known"):
        find(tmp_path, "other")
    with pytest.raises(RunError, match="no run"):
        find(tmp_path, "../" + tmp_path.name + "/unknown")


@pytest.mark.parametrize("content", [b"not = [toml", b"\xff\xfe", b"a = " + b"[" * 5000, b"a = 0x" + b"f" * 5000])
def test_a_broken_manifest_is_one_line_and_does_not_hide_the_other_runs(tmp_path, content):
    make(tmp_path, "good")
    bad = make(tmp_path, "bad")
    (bad.path / "run.toml").write_bytes(content)
    with pytest.raises(RunError, match="cannot be read"):
        bad.manifest()
    assert find(tmp_path, None).name == "good"


def test_a_held_run_refuses_a_second_driver_and_says_who_holds_it(tmp_path):
    run = make(tmp_path, "first")
    code = (
        "import sys; from pathlib import Path; from effsearch.runs.folder import Run\n"
        "with Run(Path(sys.argv[1])).locked(): print('held')"
    )
    command = [sys.executable, "-c", code, str(run.path)]
    with run.locked():
        second = subprocess.run(command, capture_output=True, text=True, check=False)
        assert second.returncode == 1
        assert f"being driven by process {os.getpid()}" in second.stderr
    third = subprocess.run(command, capture_output=True, text=True, check=True)
    assert third.stdout == "held\n"


def test_a_lock_left_by_a_dead_process_does_not_block(tmp_path):
    run = make(tmp_path, "first")
    code = (
        "import os, signal, sys; from pathlib import Path; from effsearch.runs.folder import Run\n"
        "with Run(Path(sys.argv[1])).locked(): os.kill(os.getpid(), signal.SIGKILL)"
    )
    dead = subprocess.run([sys.executable, "-c", code, str(run.path)], check=False)
    assert dead.returncode == -9
    with run.locked():
        pass


def test_a_file_is_written_whole_or_not_at_all(tmp_path):
    file = tmp_path / "file"
    write_atomically(file, "old")
    with pytest.raises(UnicodeEncodeError):
        write_atomically(file, "new \ud800")
    assert file.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
