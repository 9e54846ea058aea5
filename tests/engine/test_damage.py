"""What is torn, damaged or full on the disk of a run: set aside, told, and gone on from."""

import json
import logging
import resource

import pytest
from toys import drive, new_run, settings, toy

from effsearch.errors import RunError
from effsearch.evaluation import Evaluation
from effsearch.training import CorruptCheckpoint


def keys(status) -> list[str]:
    return [record.candidate.key for record in status.records if record.state == "complete"]


def damaged(run) -> list[str]:
    return sorted(path.name for path in run.path.rglob("*.corrupt*"))


def test_a_torn_last_line_of_the_journal_is_set_aside_and_named(tmp_path, caplog):
    whole = keys(drive(new_run(tmp_path, "whole"), settings(), 8))
    run = new_run(tmp_path)
    drive(run, settings(), 4)
    sound = run.journal.read_bytes()
    count = sound.count(b"\n")
    run.journal.write_bytes(sound + b'{"op_code": 4, "worker')
    with caplog.at_level(logging.WARNING):
        assert keys(drive(run, settings(), 8)) == whole
    assert f"line {count + 1} of {run.journal} is torn; quarantined as journal.log.corrupt" in caplog.text
    assert (run.path / "journal.log.corrupt").read_bytes() == b'{"op_code": 4, "worker'
    assert run.journal.read_bytes().startswith(sound)


def test_a_last_line_torn_at_any_byte_costs_at_most_its_own_change(tmp_path):
    run = new_run(tmp_path)
    whole = keys(drive(run, settings(), 3))
    lines = run.journal.read_bytes().splitlines(keepends=True)
    for number, part in ((len(lines) - 1, 1), (len(lines) - 1, len(lines[-1]) - 1), (len(lines) // 2, 20)):
        torn = new_run(tmp_path, f"torn-{number}-{part}")
        torn.journal.write_bytes(b"".join(lines[:number]) + lines[number][:part])
        assert keys(drive(torn, settings(), 3)) == whole
        assert damaged(torn) == ["journal.log.corrupt"]


def test_a_damaged_line_in_the_middle_is_set_aside_with_what_follows_and_named(tmp_path, caplog):
    run = new_run(tmp_path)
    whole = keys(drive(run, settings(), 6))
    lines = run.journal.read_bytes().splitlines(keepends=True)
    middle = len(lines) // 2
    rest = [b"\x00" * (len(lines[middle]) - 1) + b"\n", *lines[middle + 1 :]]
    run.journal.write_bytes(b"".join([*lines[:middle], *rest]))
    with caplog.at_level(logging.WARNING):
        assert keys(drive(run, settings(), 6)) == whole
    assert f"line {middle + 1} of {run.journal} is corrupt: it and the {len(rest) - 1} lines after it" in caplog.text
    assert (run.path / "journal.log.corrupt").read_bytes() == b"".join(rest)


def test_a_second_damage_does_not_replace_what_the_first_set_aside(tmp_path):
    run = new_run(tmp_path)
    for part in (b"first", b"second"):
        drive(run, settings(), 2)
        with run.journal.open("ab") as file:
            file.write(part)
    drive(run, settings(), 2)
    assert damaged(run) == ["journal.log.corrupt", "journal.log.corrupt-2"]
    assert (run.path / "journal.log.corrupt").read_bytes() == b"first"


def test_a_truncated_checkpoint_is_set_aside_and_its_training_begins_anew(tmp_path, caplog):
    given: list[tuple[str, int, bytes | None]] = []

    def in_parts(architecture, seed, epochs, checkpoint) -> Evaluation:
        given.append((architecture.key, epochs, checkpoint))
        state = b"state of " + architecture.key.encode()
        if checkpoint is not None and checkpoint != state:
            raise CorruptCheckpoint("not what was written")
        return Evaluation(toy(architecture, seed).accuracy, epochs, 0.01, checkpoint=state if epochs < 2 else None)

    chosen = settings(rungs=(1, 2), proxy=settings().proxy.__class__(**(vars(settings().proxy) | {"epochs": 2})))
    run = new_run(tmp_path)
    whole = keys(drive(new_run(tmp_path, "whole"), chosen, 6, in_parts))
    given.clear()
    # Stopped as soon as the first rung is done, so that its checkpoints wait on the disk.
    drive(run, chosen, 6, in_parts, stopping=lambda: len(list(run.path.glob("checkpoints/*"))) >= 6)
    files = sorted(run.path.glob("checkpoints/*.safetensors"))
    assert files
    for file in files:
        file.write_bytes(file.read_bytes()[:-3])
    with caplog.at_level(logging.WARNING):
        resumed = drive(run, chosen, 6, in_parts)
    anew = [key for key, epochs, checkpoint in given if epochs == 2 and checkpoint is None]
    assert anew
    assert len(damaged(run)) == len(anew)
    assert caplog.text.count("is corrupt: quarantined as") == len(anew)
    assert sorted(keys(resumed)) == sorted(whole)
    assert not [record for record in resumed.records if record.state == "failed"]


def without_a_decision(entry) -> None:
    del entry["params"]["stage1_op"]


def with_another_choice(entry) -> None:
    kind = json.loads(entry["distributions"]["stage1_layers"])
    kind["attributes"]["choices"] = ["many", "few"]
    entry["distributions"]["stage1_layers"] = json.dumps(kind)


@pytest.mark.parametrize(
    "change",
    [
        lambda entry: entry.update(system_attrs=False),
        lambda entry: entry.update(user_attrs=[]),
        lambda entry: entry["system_attrs"].update(fixed_params=3),
        lambda entry: entry["system_attrs"].update({"effsearch:climb": "first"}),
        lambda entry: entry["system_attrs"].update(fixed_params={"width": 3}),
        without_a_decision,
        lambda entry: entry.update(params={}, distributions={}),
        with_another_choice,
    ],
)
def test_a_trial_that_no_search_has_made_is_refused_in_one_line(change, tmp_path):
    run = new_run(tmp_path)
    drive(run, settings(), 3)
    lines = [json.loads(line) for line in run.journal.read_text().splitlines()]
    change(next(line for line in lines if line.get("params")))
    run.journal.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    with pytest.raises(RunError, match=r"trial 0 of the study has|not a journal") as refused:
        drive(run, settings(), 4)
    assert "\n" not in str(refused.value)


def test_a_trial_that_was_left_running_with_an_evaluation_that_has_no_accuracy_is_trained_again(tmp_path):
    whole = keys(drive(new_run(tmp_path, "whole"), settings(), 3))
    run = new_run(tmp_path)
    drive(run, settings(), 3)
    lines = run.journal.read_text().splitlines()
    *before, noted, _ = lines
    found = json.loads(noted)
    found["user_attr"]["evaluation"]["accuracy"] = None
    run.journal.write_text("".join(f"{line}\n" for line in [*before, json.dumps(found)]))
    assert keys(drive(run, settings(), 3)) == whole


@pytest.mark.parametrize("key", ["../../there", "/tmp/there", "a/b", ""])
def test_no_checkpoint_is_read_or_written_elsewhere(key, tmp_path):
    run = new_run(tmp_path)
    with pytest.raises(RunError, match="not the key of a network"):
        run.write_checkpoint(key, 0, b"state")
    with pytest.raises(RunError, match="not the key of a network"):
        run.read_checkpoint(key, 0)
    assert not list(tmp_path.rglob("*there*"))


@pytest.mark.parametrize("room", [0, 1, 150, 700])
def test_a_full_disk_ends_in_one_line_and_keeps_what_was_finished(tmp_path, room):
    whole = keys(drive(new_run(tmp_path, "whole"), settings(), 8))
    run, before = new_run(tmp_path), resource.getrlimit(resource.RLIMIT_FSIZE)
    tried: list[str] = []

    def filling(architecture, seed) -> Evaluation:
        tried.append(architecture.key)
        if len(tried) == 5:
            resource.setrlimit(resource.RLIMIT_FSIZE, (run.journal.stat().st_size + room, before[1]))
        return toy(architecture, seed)

    try:
        with pytest.raises(RunError, match="cannot be written: File too large") as caught:
            drive(run, settings(), 8, filling)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert "\n" not in str(caught.value)
    assert f"go on with: effsearch nas --resume {run.path}" in str(caught.value)
    assert all(json.loads(line) for line in run.journal.read_text().splitlines())
    tried.clear()
    resumed = drive(
        run, settings(), 8, lambda architecture, seed: tried.append(architecture.key) or toy(architecture, seed)
    )
    assert keys(resumed) == whole
    assert not set(tried) & set(whole[:4])
    assert not damaged(run)
