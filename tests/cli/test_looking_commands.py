"""`effsearch report`, `plot` and `show --plot`, on a run that a search has left."""

import builtins
import sys

import pytest
from user import without_torch

SEARCH = ("nas", "--table", "bench.csv", "--target-flops", "4M", "--trials", "24", "--run", "search")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with the run of a search that only looks up."""
    folder = tmp_path_factory.mktemp("user")
    lines = [
        f"{depth},{width},{0.5 + depth / 100 + width / 999},{depth * width**2 * 1000},{width * 100}"
        for depth in range(1, 9)
        for width in (16, 24, 32, 40)
    ]
    (folder / "bench.csv").write_text("\n".join(["depth,width,accuracy,flops,params", *lines]) + "\n")
    done = without_torch(folder, *SEARCH)
    assert done.returncode == 0, done.stderr
    return folder


def test_a_report_is_written_into_the_run_and_its_size_said(folder):
    done = without_torch(folder, "report")
    assert (done.returncode, done.stderr) == (0, "")
    page = folder / "results" / "search" / "report.html"
    assert done.stdout == f"wrote results/search/report.html ({page.stat().st_size / 1e6:.1f} MB)\n"
    text = page.read_text()
    assert "acc: of table bench, 32 rows" in text
    assert "accuracy of the table (%)" in text
    assert "networks looked up" in text


@pytest.mark.parametrize(("suffix", "first"), [("svg", b"<?xml"), ("png", b"\x89PNG"), ("pdf", b"%PDF")])
def test_a_picture_has_the_format_of_its_suffix(folder, suffix, first):
    kind = {"svg": "pareto", "png": "progress", "pdf": "pareto"}[suffix]
    done = without_torch(folder, "plot", "search", "--kind", kind, "--out", f"x.{suffix}")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"drew x.{suffix}\n", "")
    assert (folder / f"x.{suffix}").read_bytes().startswith(first)


def test_the_front_is_drawn_in_80_columns_and_without_colours(folder):
    done = without_torch(folder, "show", "search", "--plot", columns=80)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0] == "accuracy of the table (%)"
    assert lines[-2] == "FLOPs (millions of multiply-adds)"
    assert lines[-1] == "· networks   o Pareto front   @ rank 1"
    assert max(map(len, lines)) <= 80
    assert "\x1b" not in done.stdout
    assert sum(line.count("@") for line in lines[:-1]) == 1


def test_one_network_alone_can_be_drawn(effsearch, run_folder):
    code, out, _ = effsearch("show", "--plot")
    assert code == 0
    assert out.count("@") == 2
    assert "validation top-1 (%)" in out


@pytest.mark.parametrize(
    ("package", "module", "arguments"),
    [
        ("jinja2", "effsearch.reports.page", ("report",)),
        ("plotext", "effsearch.reports.terminal_plot", ("show", "--plot")),
    ],
)
def test_a_package_that_is_missing_is_named(effsearch, run_folder, monkeypatch, package, module, arguments):
    real = builtins.__import__

    def without(name, *rest):
        if name.split(".")[0] == package:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return real(name, *rest)

    monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.setattr(builtins, "__import__", without)
    code, _, err = effsearch(*arguments)
    assert code == 2
    assert err == f"effsearch: this needs the package {package}: python -m pip install {package}\n"
    assert not (run_folder.path / "report.html").exists()
