import os
from pathlib import Path

import pytest

from effsearch.data import info, load, load_test, prepare
from effsearch.data.folder import list_folder
from effsearch.errors import DataError

TRAIN_TEST = {"train/cat": 6, "train/dog": 5, "test/cat": 2, "test/dog": 3}


def test_train_and_test_keep_the_test_split_apart(make_tree, cache):
    folder = prepare(str(make_tree(TRAIN_TEST)), 16, cache=cache)
    images = load(folder)
    assert images.classes == ("cat", "dog")
    assert len(images.train) + len(images.validation) == 11
    assert len(load_test(folder)) == 5
    test = {pixels.tobytes() for pixels in load_test(folder).pixels}
    for split in (images.train, images.validation):
        assert not test & {pixels.tobytes() for pixels in split.pixels}


@pytest.mark.parametrize("name", ["val", "valid", "validation", "Val"])
def test_val_drives_the_search_and_is_not_cut_out_of_train(make_tree, cache, name):
    root = make_tree({"train/cat": 3, "train/dog": 1, f"{name}/cat": 2, f"{name}/dog": 2})
    folder = prepare(str(root), 16, cache=cache)
    images = load(folder)
    assert (len(images.train), len(images.validation)) == (4, 4)
    with pytest.raises(DataError, match=r"^pets has no test split: .*pets gives train and validation alone$"):
        load_test(folder)


def test_val_and_test_are_what_they_say(make_tree, cache):
    root = make_tree(TRAIN_TEST | {"val/cat": 1, "val/dog": 1})
    folder = prepare(str(root), 16, cache=cache)
    assert info(folder).counts == {"train": 11, "validation": 2, "test": 5}
    assert len(load(folder).validation) == 2


@pytest.mark.parametrize("prefix", ["", "train/"])
def test_class_folders_alone_give_a_test_split_that_no_seed_changes(make_tree, cache, prefix):
    folder = prepare(str(make_tree({f"{prefix}cat": 10, f"{prefix}dog": 20})), 16, cache=cache)
    assert info(folder).counts == {"train": 24, "test": 6}
    assert load_test(folder).labels.tolist() == [0, 0, 1, 1, 1, 1]
    assert len(load(folder, split_seed=1).train) + len(load(folder, split_seed=1).validation) == 24


def test_images_lie_at_any_depth_in_any_known_format_and_hidden_files_do_not_count(make_tree):
    root = make_tree({"cat/a/b": 2, "cat": 1, "dog": 3, "empty": 0, ".hidden": 3, "cat/.thumbnails": 2})
    (root / "notes.txt").write_text("not an image")
    (root / "dog" / "00.png").rename(root / "dog" / "00.PNG")
    (root / "dog" / "._01.png").write_bytes(b"")
    (root / "nothing").mkdir()
    listing = list_folder(root)
    assert listing.classes == ("cat", "dog")
    names = [file.name for split in listing.splits.values() for files in split.values() for file in files]
    assert sorted(names) == ["cat/00.png", "cat/a/b/00.png", "cat/a/b/01.png", "dog/00.PNG", "dog/01.png", "dog/02.png"]


def test_links_are_followed_but_not_in_circles(make_tree, tmp_path):
    real = make_tree({"cat": 3, "dog": 3}, "real")
    linked = tmp_path / "linked"
    linked.mkdir()
    for name in ("cat", "dog"):
        (linked / name).symlink_to(real / name)
    (real / "cat" / "again").symlink_to(real / "cat")
    assert sum(len(files) for split in list_folder(linked).splits.values() for files in split.values()) == 6


def test_a_link_to_nothing_is_reported_as_skipped(make_tree, cache):
    root = make_tree({"cat": 5, "dog": 5})
    (root / "cat" / "gone.png").symlink_to(root / "nowhere.png")
    assert info(prepare(str(root), 16, cache=cache)).skipped == (("cat/gone.png", "No such file or directory"),)


def test_a_class_called_train_is_a_class(make_tree):
    assert list_folder(make_tree({"bus": 3, "car": 3, "train": 3})).classes == ("bus", "car", "train")


def test_a_class_may_be_missing_from_test_but_not_from_train(make_tree):
    list_folder(make_tree({"train/cat": 2, "train/dog": 2, "test/cat": 2}, "fine"))
    root = make_tree(TRAIN_TEST | {"test/eel": 1, "test/fox": 1})
    with pytest.raises(DataError, match=r"pets: test has classes that train lacks: 'eel', 'fox'$"):
        list_folder(root)


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ({}, r"pets has no class folder with images \(\.bmp, \.gif, "),
        ({".": 3}, r"pets has no class folder with images"),
        ({"cat": 3}, r"pets has one class, 'cat'; at least two are needed$"),
        (
            {"cat": 3, "dog": 2, "eel": 1},
            r"train, validation and test: too few images in class 'dog' \(2\), 'eel' \(1\); ",
        ),
        (
            {"train/cat": 2, "train/dog": 1, "test/cat": 1},
            r"train of .*: too few images in class 'dog' \(1\); .* least 2$",
        ),
        ({"val/cat": 2, "test/cat": 1}, r"pets has test/ and val/ but no train/$"),
        ({"train/cat": 2, "train/dog": 2, "val/cat": 1, "valid/cat": 1}, r"has both val/ and valid/; one validation"),
        ({f"{index:02d}": 1 for index in range(8)}, r"'04' \(1\) and 3 more; each class needs at least 3$"),
    ],
)
def test_what_the_listing_can_tell_is_said_in_one_line(make_tree, cache, counts, message):
    with pytest.raises(DataError, match=message) as caught:
        prepare(str(make_tree(counts)), 16, cache=cache)
    assert "\n" not in str(caught.value)
    assert not cache.exists()


def test_a_file_is_not_an_image_set(tmp_path, cache):
    file = tmp_path / "images.zip"
    file.write_bytes(b"")
    with pytest.raises(DataError, match=r"images\.zip is a file; an image set is a folder"):
        prepare(str(file), 16, cache=cache)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="needs a user whom permissions bind")
def test_a_folder_that_cannot_be_listed_is_named(make_tree):
    root = make_tree(TRAIN_TEST)
    (root / "train" / "cat").chmod(0)
    try:
        with pytest.raises(DataError, match="cat cannot be listed: Permission denied"):
            list_folder(root)
    finally:
        (root / "train" / "cat").chmod(0o755)


def test_the_name_is_fit_for_a_folder(make_tree, cache):
    folder = prepare(make_tree(TRAIN_TEST, "my pets (2)"), 16, cache=cache)
    assert folder.parent == cache / "packed"
    assert folder.name.startswith("my_pets_2_-")
    assert info(folder).source == str(Path(folder.parents[2] / "my pets (2)").resolve())
