import json
import logging
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock
from PIL import Image

from effsearch.data import cache as cache_module, info, load, load_test, prepare, sources
from effsearch.data.packed import CorruptError, check
from effsearch.errors import DataError

COUNTS = {"train/cat": 6, "train/dog": 6, "test/cat": 2, "test/dog": 2}


@pytest.fixture
def decoded(monkeypatch):
    """Names of the files decoded, in order of decoding."""
    names = []
    original = sources.decode
    monkeypatch.setattr(sources, "decode", lambda path, resolution: names.append(path) or original(path, resolution))
    return names


def tree_state(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}


def test_what_is_packed_is_what_was_there(make_tree, cache):
    root = make_tree(COUNTS, size=(16, 16))
    folder = prepare(root, 16, cache=cache)
    about = info(folder)
    assert about.classes == ("cat", "dog")
    assert (about.name, about.source, about.resolution, about.synthetic) == ("pets", str(root.resolve()), 16, False)
    assert folder.name == f"pets-{about.digest[:12]}-16"
    assert (about.skipped, about.skipped_message(), about.enlarged, about.derived_from) == ((), "", 0, None)
    test = load_test(folder)
    np.testing.assert_array_equal(test.pixels[2], np.asarray(Image.open(root / "test" / "dog" / "00.png")))
    assert test.labels.tolist() == [0, 0, 1, 1]
    assert test.labels.dtype == np.int64
    with pytest.raises(ValueError, match="read-only"):
        test.pixels[0] = 0


def test_a_second_call_finds_it_and_decodes_nothing(make_tree, cache, decoded):
    root = make_tree(COUNTS)
    folder = prepare(root, 16, cache=cache)
    assert len(decoded) == 16
    before = tree_state(folder)
    assert prepare(str(root), 16, cache=cache) == folder
    assert len(decoded) == 16
    assert tree_state(folder) == before


def test_the_second_call_reads_no_image(make_tree, cache, monkeypatch):
    root = make_tree(COUNTS)
    folder = prepare(root, 16, cache=cache)
    monkeypatch.setattr(Path, "read_bytes", lambda path: pytest.fail(f"read {path}"))
    assert prepare(root, 16, cache=cache) == folder


def test_equal_content_has_one_digest_wherever_it_lies(make_tree, cache, tmp_path, decoded):
    root = make_tree(COUNTS)
    folder = prepare(root, 16, cache=cache)
    shutil.copytree(root, tmp_path / "elsewhere" / "pets")
    assert prepare(tmp_path / "elsewhere" / "pets", 16, cache=cache) == folder
    assert len(decoded) == 16


def test_another_image_another_name_another_class_are_other_content(make_tree, cache):
    root = make_tree(COUNTS)
    folders = {prepare(root, 16, cache=cache)}
    Image.new("RGB", (24, 20)).save(root / "train" / "cat" / "00.png")
    folders.add(prepare(root, 16, cache=cache))
    (root / "train" / "cat" / "01.png").rename(root / "train" / "cat" / "1.png")
    folders.add(prepare(root, 16, cache=cache))
    (root / "train" / "cat" / "02.png").rename(root / "train" / "dog" / "2.png")
    folders.add(prepare(root, 16, cache=cache))
    assert len(folders) == 4


def test_a_smaller_resolution_is_derived(make_tree, cache, decoded):
    root = make_tree(COUNTS, size=(40, 32))
    prepare(root, 32, cache=cache)
    count = len(decoded)
    folder = prepare(root, 16, cache=cache)
    assert len(decoded) == count
    about = info(folder)
    assert (about.resolution, about.derived_from, about.counts) == (16, 32, {"train": 12, "test": 4})
    direct = load_test(prepare(root, 16, cache=cache / "other"))
    derived = load_test(folder)
    np.testing.assert_array_equal(derived.labels, direct.labels)
    assert np.abs(derived.pixels.astype(int) - direct.pixels).mean() < 12
    assert info(prepare(root, 8, cache=cache)).derived_from == 32  # not from what was derived itself


def test_what_was_enlarged_is_not_shrunk_again(make_tree, cache):
    root = make_tree(COUNTS, size=(20, 20))
    assert info(prepare(root, 32, cache=cache)).enlarged == 16
    assert info(prepare(root, 16, cache=cache)).derived_from is None


DAMAGES = ("missing", "short", "resized", "no meta", "bad meta", "odd meta", "wrong type", "other labels")


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_folder_is_named_set_aside_and_built_anew(make_tree, cache, caplog, damage):
    root = make_tree(COUNTS)
    folder = prepare(root, 16, cache=cache)
    whole = (folder / "train_pixels.npy").read_bytes()
    if damage == "missing":
        (folder / "train_labels.npy").unlink()
    elif damage == "short":
        (folder / "train_pixels.npy").write_bytes(whole[:-100])
    elif damage == "resized":
        np.save(folder / "train_pixels.npy", np.zeros((12, 8, 8, 3), np.uint8))
    elif damage == "wrong type":
        np.save(folder / "train_labels.npy", np.zeros(12, np.int32))
    elif damage == "no meta":
        (folder / "meta.json").unlink()
    elif damage == "bad meta":
        (folder / "meta.json").write_text('{"name": ')
    elif damage == "odd meta":
        meta = json.loads((folder / "meta.json").read_text())
        (folder / "meta.json").write_text(json.dumps(meta | {"counts": 7}))
    else:
        labels = folder / "train_labels.npy"
        labels.write_bytes(labels.read_bytes()[:-8] + b"\x00" * 8)
    found = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(CorruptError):
        check(folder)
    with pytest.raises(DataError, match=r"is not a sound packed image set .*; prepare it again$"):
        load(folder)
    with caplog.at_level(logging.WARNING):
        assert prepare(root, 16, cache=cache) == folder
    assert f"{folder} is corrupt" in caplog.text
    assert f"quarantined as {folder.name}.corrupt" in caplog.text
    assert (folder / "train_pixels.npy").read_bytes() == whole
    aside = folder.with_name(f"{folder.name}.corrupt")
    assert {path.name: path.read_bytes() for path in aside.iterdir()} == found


def test_pixels_that_are_not_those_written_are_found_and_nothing_is_derived_from_them(make_tree, cache, decoded):
    root = make_tree(COUNTS, size=(40, 32))
    folder = prepare(root, 32, cache=cache)
    sound = (folder / "train_pixels.npy").read_bytes()
    (folder / "train_pixels.npy").write_bytes(sound[:-1000] + bytes([255 - sound[-1000]]) + sound[-999:])
    count = len(decoded)
    assert info(prepare(root, 16, cache=cache)).derived_from is None
    assert len(decoded) == 2 * count
    assert prepare(root, 32, cache=cache) == folder
    assert (folder / "train_pixels.npy").read_bytes() == sound
    assert (cache / "packed" / f"{folder.name}.corrupt").is_dir()
    # Neither is anything from what was set aside.
    shutil.rmtree(folder)
    assert info(prepare(root, 8, cache=cache)).derived_from == 16


def test_a_folder_of_another_version_is_replaced(make_tree, cache, caplog):
    root = make_tree(COUNTS)
    folder = prepare(root, 16, cache=cache)
    meta = json.loads((folder / "meta.json").read_text())
    (folder / "meta.json").write_text(json.dumps(meta | {"format": 0}))
    assert prepare(root, 16, cache=cache) == folder
    assert json.loads((folder / "meta.json").read_text()) == meta
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]
    assert not caplog.text


def test_a_folder_without_checksums_is_used(make_tree, cache, decoded):
    root = make_tree(COUNTS)
    folder = prepare(root, 16, cache=cache)
    meta = json.loads((folder / "meta.json").read_text())
    del meta["checksums"]
    (folder / "meta.json").write_text(json.dumps(meta))
    assert prepare(root, 16, cache=cache) == folder
    assert len(decoded) == 16


def test_no_pickle_is_ever_read(make_tree, cache):
    folder = prepare(make_tree(COUNTS), 16, cache=cache)
    np.save(folder / "train_labels.npy", np.array([{}] * 12, dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match=r"train_labels\.npy is no array"):
        load(folder)


def test_validation_is_stratified_seeded_and_apart_from_training(make_tree, cache):
    folder = prepare(make_tree({"train/cat": 20, "train/dog": 10, "test/cat": 2}), 8, cache=cache)
    images = load(folder, split_seed=1, validation_share=0.3)
    assert np.bincount(images.validation.labels).tolist() == [6, 3]
    assert sorted([*images.train.rows, *images.validation.rows]) == list(range(30))
    again, other = load(folder, split_seed=1, validation_share=0.3), load(folder, split_seed=2, validation_share=0.3)
    np.testing.assert_array_equal(images.validation.rows, again.validation.rows)
    assert set(images.validation.rows) != set(other.validation.rows)
    copied = images.validation.images(np.array([3, 0]))
    np.testing.assert_array_equal(copied[0], images.validation.pixels[images.validation.rows[3]])


@pytest.mark.parametrize("share", [0.0, 1.0, -1.0, float("nan")])
def test_a_share_of_nothing_or_all_is_refused(make_tree, cache, share):
    folder = prepare(make_tree(COUNTS), 8, cache=cache)
    with pytest.raises(DataError, match=r"a validation share of .* it lies between 0 and 1"):
        load(folder, validation_share=share)


@pytest.mark.parametrize("resolution", [7, 2049, 0, -32])
def test_resolutions_have_bounds(make_tree, cache, resolution):
    with pytest.raises(DataError, match=f"a resolution of {resolution} was asked for; 8 to 2048 are allowed"):
        prepare(make_tree(COUNTS), resolution, cache=cache)


def test_too_few_readable_images_are_an_error_and_leave_nothing(make_tree, cache):
    root = make_tree(COUNTS)
    for index in range(5):
        (root / "train" / "dog" / f"{index:02d}.png").write_text("damaged")
    message = (
        r"too few images in class 'dog' \(1\); each class needs at least 2; 5 images were skipped: train/dog/00\.png"
    )
    with pytest.raises(DataError, match=message) as caught:
        prepare(root, 16, cache=cache)
    assert "\n" not in str(caught.value)
    assert not any((cache / "packed").iterdir())


def test_a_test_split_without_a_readable_image_is_an_error(make_tree, cache):
    root = make_tree(COUNTS)
    for path in (root / "test").rglob("*.png"):
        path.write_text("damaged")
    with pytest.raises(DataError, match=r"test of .*pets has no readable image; 4 images were skipped"):
        prepare(root, 16, cache=cache)


@pytest.mark.parametrize("stop", [KeyboardInterrupt, MemoryError])
def test_an_interrupted_build_leaves_nothing(make_tree, cache, monkeypatch, stop):
    def interrupted(*arguments):
        raise stop

    monkeypatch.setattr(cache_module.packed, "write_meta", interrupted)
    with pytest.raises(stop):
        prepare(make_tree(COUNTS), 16, cache=cache)
    assert not any((cache / "packed").iterdir())


def run_python(code: str, *arguments: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", textwrap.dedent(code), *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_a_killed_build_leaves_no_half_and_the_next_clears_it_away(make_tree, cache):
    root = make_tree(COUNTS)
    code = """
        import os, signal, sys
        from pathlib import Path
        from effsearch.data import cache
        cache.packed.write_meta = lambda *arguments: os.kill(os.getpid(), signal.SIGKILL)
        cache.prepare(sys.argv[1], 16, cache=Path(sys.argv[2]))
    """
    process = run_python(code, str(root), str(cache))
    process.communicate()
    assert process.returncode == -9
    (left,) = (cache / "packed").iterdir()
    assert left.name.startswith(".building-")
    assert "-16." in left.name
    folder = prepare(root, 8, cache=cache)  # another resolution: clears away what it does not itself replace
    assert list((cache / "packed").iterdir()) == [folder]


def test_what_another_process_is_building_is_left_alone(make_tree, cache):
    building = cache / "packed" / ".building-other-0123-16"
    building.mkdir(parents=True)
    (cache / "locks").mkdir()
    with FileLock(cache / "locks" / "other-0123-16.lock"):
        prepare(make_tree(COUNTS), 16, cache=cache)
        assert building.exists()
    prepare(make_tree(COUNTS), 8, cache=cache)
    assert not building.exists()


def test_two_processes_build_once(make_tree, cache):
    root = make_tree(COUNTS | {"train/cat": 60})
    code = """
        import logging, sys
        from pathlib import Path
        from effsearch.data import prepare
        logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(message)s")
        print(prepare(sys.argv[1], 16, cache=Path(sys.argv[2])))
    """
    processes = [run_python(code, str(root), str(cache)) for _ in range(2)]
    outputs = [process.communicate() for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    assert sum(out.count("packing 70 images of pets at 16 px") for out, _ in outputs) == 1
    assert {out.splitlines()[-1] for out, _ in outputs} == {str(prepare(root, 16, cache=cache))}


def test_the_cache_folder_may_be_named_by_the_environment(make_tree, tmp_path, monkeypatch):
    monkeypatch.setenv("EFFSEARCH_CACHE", str(tmp_path / "mine"))
    assert prepare(make_tree(COUNTS), 16).parent == tmp_path / "mine" / "packed"
    assert prepare(make_tree(COUNTS), 16, cache=tmp_path / "given").parent == tmp_path / "given" / "packed"


def test_a_cache_that_cannot_be_written_is_one_line(make_tree, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(
        DataError, match=r"the cache folder .*/file/cache cannot be used: Not a directory; EFFSEARCH_CACHE"
    ):
        prepare(make_tree(COUNTS), 16, cache=tmp_path / "file" / "cache")


def test_a_disk_that_is_too_small_is_told_beforehand(make_tree, cache, monkeypatch, decoded):
    monkeypatch.setattr(cache_module.shutil, "disk_usage", lambda folder: shutil._ntuple_diskusage(10, 10, 1000))
    with pytest.raises(DataError, match=r"pets at 16 px needs 0\.0 GB, and the cache folder .* has 0\.0 GB left$"):
        prepare(make_tree(COUNTS), 16, cache=cache)
    assert not decoded


def test_a_disk_that_fills_up_is_one_line(make_tree, cache, monkeypatch):
    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache_module.packed, "write_split", full)
    with pytest.raises(DataError, match="cannot be used: No space left on device;"):
        prepare(make_tree(COUNTS), 16, cache=cache)
    assert not any((cache / "packed").iterdir())
