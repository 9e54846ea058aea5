"""What a search may do next."""

from dataclasses import dataclass

from effsearch.runs.records import Candidate


@dataclass(frozen=True)
class Propose:
    """Train what is queued, or else what the sampler proposes."""


@dataclass(frozen=True)
class Train:
    """Train a known candidate; `again` where it is one that the sampler has learnt from already, for longer."""

    candidate: Candidate
    again: bool = False


@dataclass(frozen=True)
class Wait:
    """Nothing to begin before what runs has ended."""


@dataclass(frozen=True)
class Done:
    """Nothing is left to do; `problem` says what went wrong, if anything."""

    problem: str | None = None


Step = Propose | Train | Wait | Done


@dataclass(frozen=True)
class Clock:
    """The seconds left (perhaps infinite), what a training is expected to take (0: not known), and the workers."""

    left: float
    expected: float
    workers: int
    pending: bool = False


@dataclass(frozen=True)
class Outlook:
    """How far a search has come, in words, and the seconds that are left at the pace so far (None: not known)."""

    text: str
    seconds_left: float | None
