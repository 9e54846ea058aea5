import pytest

from effsearch.data import info, load, prepare
from effsearch.data.cache import ship, unpacked


def never() -> bytes:
    raise AssertionError("the images are here already")


@pytest.fixture
def packed(tmp_path, make_tree):
    return prepare(str(make_tree({"train/cat": 4, "train/dog": 4})), 16, cache=tmp_path / "first")


def test_a_machine_that_has_the_images_fetches_nothing(packed, tmp_path):
    assert unpacked(packed, never, tmp_path / "second") == packed


def test_a_machine_without_them_gets_the_same_images_once(packed, tmp_path):
    data, about = ship(packed), info(packed)
    pixels = load(packed).train.images([0, 1])
    elsewhere = packed.rename(tmp_path / "away")
    here = unpacked(packed, lambda: data, tmp_path / "second")
    assert here != elsewhere
    assert info(here).digest == about.digest
    assert (load(here).train.images([0, 1]) == pixels).all()
    assert unpacked(packed, never, tmp_path / "second") == here


def test_a_damaged_copy_is_fetched_again(packed, tmp_path):
    data = ship(packed)
    packed.rename(tmp_path / "away")
    here = unpacked(packed, lambda: data, tmp_path / "second")
    (here / "train_pixels.npy").write_bytes(b"")
    assert unpacked(packed, lambda: data, tmp_path / "second") == here
    assert len(load(here).train) > 0
