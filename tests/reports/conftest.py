import pytest
from folders import curves_run, grid_run, nas_run, train_run, transfer_run, verify_run

from effsearch.runs.folder import Run


@pytest.fixture(scope="package")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    """A run of each command, which tests only read."""
    folder = tmp_path_factory.mktemp("results")
    made = {"nas": nas_run, "grid": grid_run, "curves": curves_run, "train": train_run, "verify": verify_run}
    made |= {"transfer": transfer_run}
    return {kind: make(folder) for kind, make in made.items()}


@pytest.fixture(scope="package")
def large(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A search of 1,000 networks, which tests only read."""
    return nas_run(tmp_path_factory.mktemp("large"), count=1000)
