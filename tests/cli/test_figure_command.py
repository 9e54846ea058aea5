"""`effsearch compare imagenet --plot`: the paper's figure 1 in a terminal and as a file."""

import pytest

OWN = "name,accuracy,params,flops,data\nmine,0.781,6.1M,0.42G,\ntiny,0.45,1M,50M,scenes test\n"


@pytest.mark.parametrize(("suffix", "first"), [("svg", b"<?xml"), ("png", b"\x89PNG"), ("pdf", b"%PDF")])
def test_the_figure_is_written_in_the_format_of_its_suffix(effsearch, tmp_path, suffix, first):
    (tmp_path / "own.csv").write_text(OWN)
    theme = ("--theme", "dark") if suffix == "svg" else ()
    code, out, err = effsearch("compare", "imagenet", "--plot", f"x.{suffix}", "--add", "own.csv", *theme)
    assert (code, out, err) == (0, f"drew x.{suffix}\n", "")
    content = (tmp_path / f"x.{suffix}").read_bytes()
    assert content.startswith(first)
    if suffix == "svg":
        text = content.decode()
        assert all(f">{name}<" in text for name in ("B0", "B7", "GPipe", "mine", "tiny (scenes test)"))
        assert "#191f26" in text


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_the_figure_is_drawn_within_the_columns_of_the_terminal(effsearch, tmp_path, monkeypatch, columns):
    (tmp_path / "own.csv").write_text(OWN)
    monkeypatch.setenv("COLUMNS", str(columns))
    code, out, err = effsearch("compare", "imagenet", "--plot", "--add", "own.csv")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert max(map(len, lines)) <= min(columns, 200)
    assert "\x1b" not in out
    assert "parameters (millions)" in lines
    assert "FLOPs (billions of multiply-adds)" in lines
    words = " ".join(out.split())
    assert "EfficientNet: 0 B0 1 B1 2 B2" in words
    assert "own networks: A mine" in words
    assert "own, on other images: B tiny (scenes test)" in words
    assert "not accuracies on ImageNet" in words
    pictures = out[: out.index("others: a ")]
    assert pictures.count("A") >= 2


def test_a_terminal_that_is_not_high_enough_has_the_first_panel_alone(effsearch, monkeypatch):
    monkeypatch.setenv("LINES", "30")
    monkeypatch.setenv("FORCE_COLOR", "1")
    code, out, _ = effsearch("compare", "imagenet", "--plot")
    assert code == 0
    assert "parameters (millions)" in out
    assert "FLOPs (billions" not in out
    assert "Accuracy against FLOPs: in a higher window, or by --plot FILE" in " ".join(out.split())
    assert "\x1b[" in out
