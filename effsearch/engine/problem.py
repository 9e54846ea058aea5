"""What a search is made of: a problem, which says what to do next, and the steps that it may answer."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Protocol

from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler

from effsearch.architecture import parse
from effsearch.reward import Reward
from effsearch.runs.ranking import Judged
from effsearch.runs.records import Candidate, RecordIndex


@dataclass(frozen=True)
class Propose:
    """Train what is queued, or else what the sampler proposes."""


@dataclass(frozen=True)
class Train:
    """Train a known candidate; `again` if it continues a training that the sampler has learnt from."""

    candidate: Candidate
    again: bool = False


@dataclass(frozen=True)
class Wait:
    """Nothing to begin before a running training has ended."""


@dataclass(frozen=True)
class Done:
    """Nothing is left to do; `problem` says what went wrong, if anything."""

    problem: str | None = None


Step = Propose | Train | Wait | Done


@dataclass(frozen=True)
class Clock:
    """Seconds left (perhaps infinite) and expected of a training (0: unknown), workers, and whether any is busy."""

    left: float
    expected: float
    workers: int
    pending: bool = False


@dataclass(frozen=True)
class Outlook:
    """How far a search has come, in words, and the seconds left at the pace so far (None: unknown)."""

    text: str
    seconds_left: float | None

    @classmethod
    def of(cls, text: str, remaining: int, paces: Sequence[float], workers: int) -> "Outlook":
        """For `remaining` units of work on `workers`, by the median of the seconds that units took so far."""
        return cls(text, remaining * median(paces) / workers if paces else None)


class Problem(Protocol):
    """What is searched: which trainings, in which order, and how they stand in the study.

    `score` is maximised; `distributions` are the study's; `proposer` is the source of candidates from the sampler.
    """

    score: Reward
    distributions: Mapping[str, BaseDistribution]
    proposer: str

    def first(self) -> Iterable[Candidate]:
        """What a new run trains before anything is proposed."""
        return ()

    def sampler(self, proposals: int) -> BaseSampler:
        """The sampler for proposal number `proposals`, seeded by it so that a resumed run proposes the same."""

    def next_step(self, records: RecordIndex, clock: Clock) -> Step:
        """What to do next, from nothing but what was done."""

    def params(self, candidate: Candidate) -> dict[str, Any]:
        """The decisions that give a candidate."""

    def candidate(self, params: Mapping[str, Any]) -> Candidate:
        """The candidate that decisions give."""

    def task(self, candidate: Candidate) -> Any:
        """What the evaluator is given of a candidate, besides its seed: by default its architecture."""
        return parse(candidate.notation)

    def judge(self, records: RecordIndex) -> Mapping[str, Judged]:
        """What all trainings together say of each network, by key; by default nothing, and only its own count."""
        return {}

    def outlook(self, records: RecordIndex, workers: int) -> Outlook: ...


def proposal_seed(seed: int, proposals: int) -> int:
    """The seed of proposal number `proposals` of a search."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{proposals}".encode()).digest()[:4], "big")
