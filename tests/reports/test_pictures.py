import pytest
from folders import grid_run, nas_run, train_run

from effsearch.errors import ReportError, RunError
from effsearch.reports.pictures import KINDS, OF_RUN, figure_of


def words(figure):
    """Labels of axes and of what a legend names."""
    return [text for axes in figure.axes for text in (axes.get_xlabel(), axes.get_ylabel())] + [
        text.get_text() for axes in figure.axes if axes.get_legend() for text in axes.get_legend().get_texts()
    ]


EXPECTED = {
    ("nas", "pareto"): {
        "FLOPs (millions of multiply-adds)",
        "parameters (millions)",
        "Pareto front",
        "EfficientNet-B0",
    },
    ("nas", "progress"): {"networks trained", "reward", "best so far"},
    ("grid", "pareto"): {"FLOPs (thousands of multiply-adds)", "baseline", "fewer epochs"},
    ("grid", "progress"): {"reward"},
    ("grid", "surface"): {"alpha (depth)", "beta (width)", "optimum of the fit"},
    ("curves", "pareto"): {"parameters (thousands)"},
    ("curves", "progress"): {"networks trained"},
    ("curves", "curves"): {"validation top-1 (%)", "depth", "width"},
    ("verify", "means"): {
        "FLOPs (millions of multiply-adds)",
        "validation top-1 (%)\nbars: 95 % interval",
        "found",
        "b0",
    },
    ("verify", "pareto"): {"EfficientNet-B0"},
    ("verify", "progress"): {"networks trained"},
    ("transfer", "transfer"): {"parameters (millions)", "test top-1 (%)\nbars: 95 % interval", "large", "small"},
    ("train", "progress"): {"epoch", "training loss (nats)", "validation top-1 (%)"},
}


def test_every_picture_has_its_expectation():
    assert set(EXPECTED) == {(command, kind) for command, kinds in OF_RUN.items() for kind in kinds}


@pytest.mark.parametrize(("command", "kind"), EXPECTED)
def test_a_picture_says_what_it_shows(runs, command, kind):
    figure = figure_of(runs[command], kind)
    assert EXPECTED[command, kind] <= set(words(figure))
    figure.canvas.draw()


@pytest.mark.parametrize("command", OF_RUN)
@pytest.mark.parametrize("kind", KINDS)
def test_a_picture_that_a_run_cannot_have_is_refused_with_those_it_has(runs, command, kind):
    if kind not in OF_RUN[command]:
        with pytest.raises(ReportError, match=f"which has {', '.join(OF_RUN[command])}; got --kind {kind}"):
            figure_of(runs[command], kind)


def test_the_front_drawn_is_the_ranking_s(tmp_path):
    figure = figure_of(nas_run(tmp_path), "pareto")
    (front,) = [line for line in figure.axes[0].lines if line.get_marker() == "D"]
    accuracies = list(front.get_ydata())
    assert accuracies == sorted(accuracies)
    assert max(accuracies) == max(max(line.get_ydata()) for line in figure.axes[0].lines if line.get_marker() in "oD*")


def test_a_surface_that_cannot_be_fitted_is_said(tmp_path):
    run = grid_run(tmp_path)
    lines = run.ranking.read_text().splitlines()
    run.ranking.write_text("\n".join(lines[:4]) + "\n")
    with pytest.raises(RunError, match="has no surface: too few networks"):
        figure_of(run, "surface")


def test_a_training_without_an_epoch_has_no_picture(tmp_path):
    run = train_run(tmp_path)
    (run.path / "metrics.jsonl").unlink()
    with pytest.raises(RunError, match="no finished epoch yet"):
        figure_of(run, "progress")
