import pytest
from user import run_here

from effsearch.families import EFFICIENTNET_B0
from effsearch.runs.folder import create
from effsearch.runs.ranking import Row, to_csv


@pytest.fixture
def effsearch(monkeypatch, tmp_path):
    """Runs a command in an empty folder: exit status, standard output, standard error."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")

    def run(*arguments: str) -> tuple[int, str, str]:
        done = run_here(*arguments)
        return done.returncode, done.stdout, done.stderr

    return run


@pytest.fixture
def run_folder(tmp_path):
    manifest = {
        "run": {"kind": "nas", "created": "2026-01-01T00:00:00+00:00"},
        "settings": {
            "space": "mbconv",
            "data": "scenes",
            "target": 4e8,
            "reward": "soft",
            "exponent": -0.07,
            "resolution": 224,
            "classes": 1000,
            "proxy": {
                "name": "quick",
                "resolution": 40,
                "width": 0.25,
                "epochs": 3,
                "train_images": 4000,
                "validation_images": 4000,
            },
        },
        "data": {"name": "scenes", "synthetic": True, "classes": ["a", "b"], "train": 4000},
    }
    run = create(tmp_path / "results", "first", manifest, {"space.toml": "space"})
    b0 = EFFICIENTNET_B0
    row = Row(
        1, b0.key, str(b0), "complete", 0.5, 0.01, 3, 0.5, 385814752, 0.9645, 5288548, 3, 9.5, True, True, "b0", None
    )
    run.ranking.write_text(to_csv([row]))
    return run
