"""The controller of MnasNet: a policy over the decisions, trained by policy gradient on the reward."""

import itertools
from collections.abc import Iterator, Sequence

import numpy as np
from optuna.study import Study
from optuna.trial import FrozenTrial

from effsearch.engine.gaussian_process import Array, Encoding
from effsearch.engine.space_sampler import ENUMERABLE, SamplerContext, SpaceSampler, goodness
from effsearch.space import Values


class Policy:
    """Probabilities of the choices of each decision, given those of the decisions before it; uniform at first.

    The logits are linear in the earlier choices, in place of the recurrent network of 1807.11626, section 3.
    """

    def __init__(self, encoding: Encoding) -> None:
        size, owner = encoding.starts[-1], encoding.owner
        self.encoding, self.steps = encoding, 0
        self.bias: Array = np.zeros(size)
        self.weights: Array = np.zeros((size, size))
        self.moments = [np.zeros(size), np.zeros(size), np.zeros((size, size)), np.zeros((size, size))]
        self.earlier = owner[:, None] < owner
        self.spans = list(itertools.pairwise(encoding.starts))

    def log_probabilities(self, codes: Array) -> Array:
        """Of all choices (N, C), for networks whose earlier choices are given (N, C)."""
        logits = self.bias + codes @ self.weights
        found = np.empty_like(logits)
        for start, end in self.spans:
            part = logits[:, start:end] - logits[:, start:end].max(1, keepdims=True)
            found[:, start:end] = part - np.log(np.exp(part).sum(1, keepdims=True))
        return found

    def draw(self, count: int, rng: np.random.Generator, temperature: float) -> list[list[int]]:
        """The indices of the choices of `count` networks; the higher the temperature, the more uniform."""
        codes, chosen = np.zeros((count, self.encoding.starts[-1])), []
        for start, end in self.spans:
            logits = (self.bias[start:end] + codes @ self.weights[:, start:end]) / temperature
            choice = (logits + rng.gumbel(size=logits.shape)).argmax(1)
            codes[np.arange(count), start + choice] = 1
            chosen.append(choice)
        return np.stack(chosen, 1).tolist()  # type: ignore[no-any-return]

    def ascend(self, bias: Array, weights: Array, rate: float) -> None:
        """A step of Adam (1412.6980) by the gradients of bias and weights."""
        self.steps += 1
        for index, (values, gradient) in enumerate(((self.bias, bias), (self.weights, weights))):
            first, second = self.moments[2 * index], self.moments[2 * index + 1]
            first += 0.1 * (gradient - first)
            second += 0.01 * (gradient**2 - second)
            values += rate * (first / (1 - 0.9**self.steps)) / (np.sqrt(second / (1 - 0.99**self.steps)) + 1e-8)


class ReinforceSampler(SpaceSampler):
    """Proximal policy optimisation (1707.06347) of a policy over the decisions, as MnasNet searches (1807.11626).

    After every `batch` finished trials the policy takes `epochs` clipped steps of size `rate` on their advantage over
    a running mean, plus `entropy` times its entropy. Draws get more uniform while they are known or infeasible.
    """

    batch, epochs, rate, entropy, clip = 8, 4, 0.12, 0.02, 0.2

    def __init__(self, context: SamplerContext, seed: int | None = None) -> None:
        super().__init__(context, seed)
        self.encoding = Encoding(self.space.decisions)

    def candidates(self, study: Study, trial: FrozenTrial, trials: Sequence[FrozenTrial]) -> Iterator[Values]:
        if not self.space.decisions:
            return
        policy, rng = self._policy(study, self.memory.finished(trials)), np.random.default_rng(self.rng.getrandbits(64))
        if (rows := self._rows()) is not None:
            yield from self._ranked(policy, *rows, rng)
            return
        for attempt in range(64):
            for choices in policy.draw(16, rng, temperature=1 + 0.25 * attempt):
                yield self._values(choices)

    def _ranked(self, policy: Policy, values: list[Values], codes: Array, rng: np.random.Generator) -> Iterator[Values]:
        steps, logs = self.memory.notes.get("logs", (-1, codes))
        if steps != policy.steps:
            logs = (policy.log_probabilities(codes) * codes).sum(1)
            self.memory.notes["logs"] = policy.steps, logs
        # The order of log probabilities with Gumbel noise is that of draws without replacement (1903.06059).
        order = np.argsort(-(logs + rng.gumbel(size=len(codes))))
        return (values[index] for index in order.tolist())

    def _rows(self) -> tuple[list[Values], Array] | None:
        """All networks of a space in which few combinations of choices are one: drawn choices hardly ever are."""
        if "rows" not in self.memory.notes:
            drawn = Policy(self.encoding).draw(16, np.random.default_rng(0), temperature=1)
            sparse = self.space.size <= ENUMERABLE and not any(self.space.decode_all(list(map(self._values, drawn))))
            values = list(self.space.walk()) if sparse else []
            self.memory.notes["rows"] = (values, self.encoding.encode(values)) if sparse else None
        return self.memory.notes["rows"]  # type: ignore[no-any-return]

    def _values(self, choices: Sequence[int]) -> Values:
        return {d.name: d.choices[index] for d, index in zip(self.space.decisions, choices, strict=True)}

    def _policy(self, study: Study, done: Sequence[FrozenTrial]) -> Policy:
        """The policy after all finished trials, batch by batch; what earlier batches gave is in the memory."""
        policy: Policy
        learnt, policy, baseline = self.memory.notes.get("reinforce", (0, Policy(self.encoding), None))
        while learnt + self.batch <= len(done):
            group = done[learnt : learnt + self.batch]
            rewards = np.array([goodness(study, other) for other in group])
            before = np.array([goodness(study, other) for other in done[: learnt + self.batch]])
            baseline = rewards.mean() if baseline is None else 0.7 * baseline + 0.3 * rewards.mean()
            advantages = np.clip((rewards - baseline) / max(float(before.std()), 1e-12), -2, 2)
            self._update(policy, self.encoding.encode([other.params for other in group]), advantages)
            learnt += self.batch
        self.memory.notes["reinforce"] = learnt, policy, baseline
        return policy

    def _update(self, policy: Policy, codes: Array, advantages: Array) -> None:
        old = (policy.log_probabilities(codes) * codes).sum(1)
        for _ in range(self.epochs):
            logs = policy.log_probabilities(codes)
            ratio = np.exp((logs * codes).sum(1) - old)
            clipped = np.where(advantages > 0, ratio > 1 + self.clip, ratio < 1 - self.clip)
            weight = np.where(clipped, 0.0, ratio * advantages)
            probabilities = np.exp(logs)
            # The gradient of the entropy of each decision by its logits.
            entropy = -(probabilities * logs) @ self.encoding.blocks
            entropy_gradient = -probabilities * (logs + entropy)
            gradient = weight[:, None] * (codes - probabilities) + self.entropy * entropy_gradient
            policy.ascend(gradient.mean(0), codes.T @ gradient / len(codes) * policy.earlier, self.rate)
