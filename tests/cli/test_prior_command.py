"""`effsearch nas --evaluator prior`: a ranked table without a training."""

import json

import pytest

SEARCH = ("nas", "--evaluator", "prior", "--target-flops", "400M", "--trials", "12", "--sampler", "random")


def test_the_prior_ranks_without_training_and_says_that_it_predicts(effsearch):
    code, out, err = effsearch(*SEARCH, "--run", "p")
    assert (code, err) == (0, "")
    for expected in ("nothing is trained", "PREDICTED from 5,138 trainings", "Kendall tau 0.91", "EfficientNet-B0"):
        assert expected in " ".join(out.split())
    assert "noise" not in out
    assert "12 predicted architectures" in out
    rows = json.loads(effsearch("show", "p", "--format", "json")[1])
    assert len(rows) == 12
    assert all(0.4 < row["accuracy"] < 0.8 for row in rows)
    again = effsearch("nas", "--resume", "p", "--trials", "13")[1]
    assert len(json.loads(effsearch("show", "p", "--format", "json")[1])) == 13
    assert "PREDICTED" in again


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--space", "mbconv"), "use --space b0, got mbconv"),
        (("--data", "cifar10"), "trains nothing: leave out what a training has, got data"),
        (("--epochs", "3"), "got epochs"),
        (("--proxy", "quick"), "got proxy"),
        (("--resolution", "192"), "at 224 px: use --space b0, got b0 at 192 px"),
        (("--sampler", "auto", "--prior"), "learns trainings from, got evaluator prior"),
        (("--evaluator", "training", "--space", "b0", "--prior"), "learns trainings from, got sampler random"),
        (("--evaluator", "training", "--sampler", "auto", "--prior"), "use --space b0, got mbconv"),
        (("--evaluator", "guess"), "must be one of training, prior, got 'guess'"),
    ],
)
def test_what_the_prior_cannot_do_says_so(effsearch, options, says):
    code, _, err = effsearch(*SEARCH, *options)
    assert code == 2
    assert err.count("\n") == 1
    assert says in err
