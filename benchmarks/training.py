"""Measures how fast trainings are on this machine, ours beside what others give, as ratios within one run.

    python benchmarks/training.py --data FOLDER
    python benchmarks/training.py --parts modules,share --rounds 7
    python benchmarks/training.py --device cuda

peer     A training as it is usually written with torchvision, of the image folder --data and in two threads, against
         two workers of ours at once, of a thread each: B0 at 64 px, loading included.
modules  Our loop in one thread, by the layers' fast ways (ours), by torchvision's own ways through them (modules), and
         by those with the optimizer and the average by torch's defaults too (as it was); then validation.
share    Which share of the core's peak, that of a product of large matrices, a training of B0 reaches.
where    Where a step of B0 goes, by kind of operation.

The machine is noisy and its speed drifts, so what is compared takes turns: images a second are the best of the rounds,
ratios of peer and modules the median of those within a round. The cores should be idle otherwise: their load is
printed. On a GPU, where layers go torch's own ways, it is the images a second of each network with and without CUDA
graphs, and of several workers.
"""

import os

# Before torch is imported: a peer is started with two threads, and the profiler would tell of each start.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MKL_NUM_THREADS", "1")
os.environ.setdefault("KINETO_LOG_LEVEL", "6")

import argparse
import io
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from itertools import islice, pairwise
from pathlib import Path
from statistics import geometric_mean, median
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.profiler_util import FunctionEvent
from torch.optim.swa_utils import AveragedModel
from torch.profiler import ProfilerActivity, profile, record_function
from torch.utils.data import DataLoader, RandomSampler
from torchvision import transforms
from torchvision.datasets import ImageFolder
from torchvision.models import efficientnet_b0

from effsearch import space
from effsearch.architecture import Architecture
from effsearch.costs import cost
from effsearch.data import ImageSet, Split, info, load, prepare, subset
from effsearch.evaluation import PROXIES, QUICK, STANDARD, Proxy
from effsearch.evaluation.devices import cpu_name
from effsearch.evaluation.hardware import keep_freed_memory
from effsearch.executors.local import LocalExecutor, cores
from effsearch.families import EFFICIENTNET_B0, MNASNET_A1, RESNET50
from effsearch.network import Network, build
from effsearch.normalisation import IMAGENET
from effsearch.training import loop
from effsearch.training.average import Average
from effsearch.training.batches import Batches
from effsearch.training.recipe import Recipe

PARTS = ("peer", "modules", "share", "where")
FULL = replace(STANDARD, name="full", resolution=64, width=1.0)
"""B0 as the peer trains it: 64 px, batch 64, all channels."""
SETTINGS = (QUICK, STANDARD, FULL)
CLASSES = 10
WARM, LOADERS, AHEAD = 3, 2, 4
"""The peer's steps that are not timed, its loading processes, and batches that they are ahead by torch's defaults."""
RANDOM, FLOPS = 8, (200e6, 500e6)
"""How many random networks, and what each costs at 224 px and 1000 classes."""
GEMM = 1024
ON_GPU = 50
"""Times the steps, since those of a GPU are short."""

KINDS = {
    "convolution forward": "aten::conv2d",
    "convolution backward": "ConvolutionBackward0",
    "matrix products: pointwise, SE, classifier": "aten::linear AddmmBackward0 MmBackward0",
    "written-out depthwise kernels (SmallMap)": "SmallMap SmallMapBackward",
    "batch norm forward": "aten::batch_norm",
    "batch norm backward": "NativeBatchNormBackward0",
    "activation forward": "aten::silu",
    "activation backward": "SiluBackward0",
    "mul, add, sum: SE, shortcuts, pooling": "aten::mul aten::add aten::add_ aten::sum aten::div aten::mean "
    "aten::sigmoid MulBackward0 SumBackward1 DivBackward0 MeanBackward1 SigmoidBackward0",
    "optimizer": "Optimizer.step#SGD.step",
    "average": "average",
    "loading and augmentation": "loading augmentation",
}
"""What the profiler calls the operators of a kind; what they call in turn is of their kind."""
KIND_OF = {name: kind for kind, names in KINDS.items() for name in names.split()}
OTHER, OUTSIDE = "other operators", "between operators (Python)"


@contextmanager
def torchvision_ways() -> Iterator[None]:
    """Our layers are torchvision's modules, and go other ways only where the loop switches them over."""
    with patch.object(loop, "fast", nullcontext), patch.object(loop, "folded", nullcontext):
        yield


@contextmanager
def usual_loop() -> Iterator[None]:
    optimizer, average = patch.object(loop, "_optimizer", usual_optimizer), patch.object(loop, "Average", UsualAverage)
    with torchvision_ways(), optimizer, average:
        yield


fused_optimizer = loop._optimizer


def usual_optimizer(network: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    ours = fused_optimizer(network, recipe).param_groups
    groups = [{name: group[name] for name in ("params", "weight_decay")} for group in ours]
    return torch.optim.SGD(groups, lr=recipe.rate, momentum=recipe.momentum, nesterov=recipe.momentum > 0)


class UsualAverage:
    """torch's average of weights and buffers, with what the loop uses of ours."""

    def __init__(self, network: nn.Module, decay: float) -> None:
        self._source = network
        self._average = AveragedModel(network, multi_avg_fn=partial(lerp, decay), use_buffers=True)
        self.network = self._average.module

    def update(self) -> None:
        self._average.update_parameters(self._source)


@torch.no_grad()
def lerp(decay: float, averaged: list[Tensor], current: list[Tensor], updates: Tensor) -> None:
    if averaged[0].is_floating_point():
        torch._foreach_lerp_(averaged, current, 1 - min(decay, (1 + int(updates)) / (10 + int(updates))))
    else:
        torch._foreach_copy_(averaged, current)


Within = Callable[[], AbstractContextManager[Any]]
WAYS: dict[str, Within] = {"ours": nullcontext, "modules": torchvision_ways, "as it was": usual_loop}
no_graphs = partial(patch.object, loop, "Replayed", lambda step: step)
GPU_WAYS: dict[str, Within] = {"ours": nullcontext, "no graphs": no_graphs}


def main() -> None:
    arguments = parse()
    rounds, steps = arguments.rounds, arguments.steps
    if arguments.as_peer:
        print(peer_pace(arguments.data, steps))
        return
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)
    torch.set_num_threads(1)
    keep_freed_memory()  # For all that are compared: so are workers.
    name = cpu_name() if arguments.device == "cpu" else torch.cuda.get_device_name()
    print(f"{name}, cores: {cores()}, load {os.getloadavg()[0]:.2f} before the start, torch {torch.__version__}")
    print(f"rounds: {rounds}, of {steps} steps a turn; " + "; ".join(map(describe, SETTINGS)))
    if arguments.device == "cuda":
        on_gpu(rounds, ON_GPU * steps)
        return
    if "peer" in arguments.parts:
        peer(arguments.data, rounds, steps)
    for part, measure in (("modules", modules), ("share", share), ("where", where)):
        if part in arguments.parts:
            measure(rounds, steps)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", default=",".join(PARTS), help="some of %(default)s")
    parser.add_argument("--data", type=Path, help="an image folder, for peer: train/CLASS/FILE or CLASS/FILE")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each of those that are compared")
    parser.add_argument("--steps", type=int, default=12, help="timed steps of a turn, twice as many for the peer")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--as-peer", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    arguments.parts = arguments.parts.split(",")
    if unknown := set(arguments.parts) - set(PARTS):
        parser.error(f"--parts must be some of {', '.join(PARTS)}, got {min(unknown)!r}")
    if "peer" in arguments.parts and arguments.data is None and arguments.device == "cpu":
        parser.error("peer needs --data FOLDER; without one, name the other --parts")
    return arguments


def describe(proxy: Proxy) -> str:
    return f"{proxy.name}: {proxy.resolution} px, width {proxy.width:g}, batch {proxy.recipe.batch}"


def pace(
    network: nn.Module, images: ImageSet, proxy: Proxy, steps: int, on: str = "cpu", profiler: profile | None = None
) -> float:
    """Images a second of so many steps after the first: loading included, but not building and validating.

    On a GPU those after the first 51, in which its graph is captured.
    """
    skipped = 1 if on == "cpu" else 1 + loop.CHECK_EVERY
    rows, times = np.arange((skipped + steps) * proxy.recipe.batch) % len(images.train), {}

    def on_step(step: int, last: int) -> None:
        if profiler and step == 1:
            profiler.start()
        times[step] = time.perf_counter()
        if profiler and step == last:
            profiler.stop()

    images, side, device = replace(images, train=images.train.take(rows)), proxy.resolution, torch.device(on)
    loop.train(network, images, proxy.recipe, resolution=side, epochs=1, seed=0, device=device, on_step=on_step)
    return steps * proxy.recipe.batch / (max(times.values()) - times[skipped])


def turn(architecture: Architecture, proxy: Proxy, way: str, steps: int, on: str = "cpu") -> float:
    """The same on random images, of a network that is new each time: trained on and on, one might diverge."""
    ways = WAYS if on == "cpu" else GPU_WAYS
    network, images = shrunk(architecture, proxy, on == "cpu" and way != "ours"), noise(proxy.resolution)
    with ways[way]():
        return pace(network, images, proxy, steps, on)


def shrunk(architecture: Architecture, proxy: Proxy, in_place: bool = False) -> Network:
    """The network that a preset trains; torchvision has its activations in place."""
    torch.manual_seed(0)
    network = build(proxy.shrink(architecture), CLASSES, dropout=0.0, drop_path=0.0, zero_init=proxy.recipe.zero_init)
    for module in network.modules():
        if in_place and isinstance(module, nn.SiLU | nn.Hardswish):
            module.inplace = True
    return network


def noise(side: int, count: int = 256) -> ImageSet:
    pixels = np.random.default_rng(0).integers(0, 256, (count, side, side, 3), np.uint8)
    split = Split(pixels, np.arange(count), np.arange(count) % CLASSES)
    return ImageSet("noise", tuple(map(str, range(CLASSES))), side, "", True, split, split.take(np.arange(CLASSES)))


def in_turns(turns: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, float]:
    """The best of each, all of them once a round."""
    found = all_turns(turns, rounds)
    return {name: max(each[name] for each in found) for name in turns}


def all_turns(turns: Mapping[str, Callable[[], float]], rounds: int) -> list[dict[str, float]]:
    """What each gave in every round, one after the other."""
    return [{name: once() for name, once in turns.items()} for _ in range(rounds)]


def at_once(executor: LocalExecutor, function: Callable[..., float], *args: Any) -> list[float]:
    """What each worker gives. A first call starts their processes, so that they begin the next together."""
    futures = [executor.submit(function, *args) for _ in range(executor.workers)]
    return [future.result() for future in futures]


def peer(folder: Path, rounds: int, steps: int) -> None:
    print(f"\npeer: images a second of B0, full; {2 * steps * FULL.recipe.batch:,} images for each in a round")
    with tempfile.TemporaryDirectory() as cache:
        start, ratios = time.perf_counter(), []
        packed = prepare(folder, FULL.resolution, cache=Path(cache))
        seconds, count = time.perf_counter() - start, sum(info(packed).counts.values())
        print(f"not in the ratio: ours packs all {count:,} images of {folder} once, in {seconds:.1f} s")
        executor = LocalExecutor([None, None])
        try:
            at_once(executor, worker_pace, packed, 1)
            for number in range(1, rounds + 1):
                theirs, paces = peer_process(folder, 2 * steps), at_once(executor, worker_pace, packed, steps)
                ratios.append(sum(paces) / theirs)
                each = " + ".join(f"{one:.1f}" for one in paces)
                ours = f"ours {sum(paces):.1f} (two workers of a thread each, {each})"
                print(f"round {number}: peer {theirs:.1f} (two threads), {ours}, ratio {ratios[-1]:.2f}")
        finally:
            executor.stop()
    print(f"ours/peer {median(ratios):.2f}, the median of {rounds} rounds")


def worker_pace(packed: Path, steps: int) -> float:
    images = load(packed)
    images = replace(images, validation=subset(images.validation, FULL.recipe.batch, 0))
    network = build(EFFICIENTNET_B0, len(images.classes))
    return [pace(network, images, FULL, count) for count in (WARM, steps)][-1]


def peer_process(folder: Path, steps: int) -> float:
    environment = {**os.environ, "OMP_NUM_THREADS": "2", "MKL_NUM_THREADS": "2"}
    command = [sys.executable, __file__, "--as-peer", "--data", str(folder), "--steps", str(steps)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"the peer ended with status {done.returncode}: {done.stderr}")
    return float(done.stdout)


def peer_pace(folder: Path, steps: int) -> float:
    torch.set_num_threads(2)
    side, batch, train = FULL.resolution, FULL.recipe.batch, folder / "train"
    mean, deviation = ([value / 255 for value in values] for values in IMAGENET)
    changes = [transforms.Resize(side), transforms.CenterCrop(side), transforms.RandomHorizontalFlip()]
    changes += [transforms.ToTensor(), transforms.Normalize(mean, deviation)]
    images = ImageFolder(train if train.is_dir() else folder, transforms.Compose(changes))
    # No epoch ends in what is timed, and images are loaded to its last step, as in the midst of a training.
    order = RandomSampler(images, replacement=True, num_samples=(WARM + steps + AHEAD) * batch)
    loader = DataLoader(images, batch, sampler=order, num_workers=LOADERS)
    network, criterion = efficientnet_b0(num_classes=len(images.classes)).train(), nn.CrossEntropyLoss()
    optimizer, times = torch.optim.SGD(network.parameters(), 0.1, momentum=0.9), []
    for x, labels in islice(loader, WARM + steps):
        optimizer.zero_grad()
        criterion(network(x), labels).backward()
        optimizer.step()
        times.append(time.perf_counter())
    return steps * batch / (times[-1] - times[WARM - 1])


def modules(rounds: int, steps: int) -> None:
    print("\nmodules: training, images a second in one thread, 10 classes, random images")
    print(f"{'network':14} {'preset':9}" + "".join(f"{text:>15}" for text in (*WAYS, "ours/modules", "ours/as it was")))
    for proxy in PROXIES.values():
        ratios = []
        for name, architecture in networks().items():
            each = all_turns({way: partial(turn, architecture, proxy, way, steps) for way in WAYS}, rounds)
            best = {way: max(one[way] for one in each) for way in WAYS}
            gains = [median(one["ours"] / one[way] for one in each) for way in ("modules", "as it was")]
            numbers = [f"{one:15.1f}" for one in best.values()] + [f"{gain:15.2f}" for gain in gains]
            print(f"{name:14} {proxy.name:9}{''.join(numbers)}")
            ratios += [gains] if name.startswith("random") else []
        means = "".join(f"{geometric_mean(column):15.2f}" for column in zip(*ratios, strict=True))
        print(f"{'random':14} {proxy.name:9}{f'geometric mean of {RANDOM}':>45}{means}")
    unfolded = partial(patch.object, loop, "folded", nullcontext)
    ways: dict[str, Within] = {"ours": nullcontext, "ours without folding": unfolded, "modules": torchvision_ways}
    best = in_turns({way: partial(validation_pace, within) for way, within in ways.items()}, rounds)
    paces = ", ".join(f"{way} {one:.1f} (ratio {best['ours'] / one:.2f})" for way, one in best.items())
    print(f"validation of B0, quick, batch 256, images a second, with the ratio of ours to each: {paces}")


def networks() -> dict[str, Architecture]:
    """Known ones, and the first random ones of mixed (generator seed 0) whose FLOPs are in range."""
    mixed, rng = space.load("mixed").at(224), random.Random(0)
    drawn: dict[str, Architecture] = {}
    while len(drawn) < RANDOM:
        architecture = mixed.decode(mixed.sample(rng))
        if FLOPS[0] <= (flops := cost(architecture).flops) <= FLOPS[1]:
            drawn[f"random{len(drawn) + 1} {flops / 1e6:.0f}M"] = architecture
    return {"B0": EFFICIENTNET_B0, "MnasNet-A1": MNASNET_A1, "ResNet-50": RESNET50, **drawn}


def validation_pace(within: Within) -> float:
    network, images = shrunk(EFFICIENTNET_B0, QUICK), noise(QUICK.resolution, 2048).train
    cpu = torch.device("cpu")
    with within():
        loop.validate(network, Batches(images.take(np.arange(256)), cpu), QUICK.resolution)
        start = time.perf_counter()
        loop.validate(network, Batches(images, cpu), QUICK.resolution)
        return len(images) / (time.perf_counter() - start)


def share(rounds: int, steps: int) -> None:
    ways = ("ours", "modules")
    found = {}
    for proxy in SETTINGS:
        turns = {way: partial(turn, EFFICIENTNET_B0, proxy, way, steps) for way in ways}
        found[proxy.name] = in_turns({"peak": gemm, **turns}, rounds)
    peak = max(best["peak"] for best in found.values())
    print(f"\nshare: of {peak / 1e9:.1f} GFLOP/s, the best product of {GEMM}x{GEMM} float32 matrices in one thread")
    print(f"{'B0':9}{'MFLOPs/image':>14}" + "".join(f"{way + ', images/s':>20}{'of the peak':>13}" for way in ways))
    for proxy in SETTINGS:
        # A backward pass is two forward ones, and a multiply-add two operations.
        flops = 3 * 2 * cost(proxy.shrink(EFFICIENTNET_B0), proxy.resolution, CLASSES).flops
        paces = [found[proxy.name][way] for way in ways]
        cells = "".join(f"{one:20.1f}{100 * flops * one / peak:11.1f} %" for one in paces)
        print(f"{proxy.name:9}{flops / 1e6:14.1f}{cells}")


def gemm() -> float:
    """FLOPs a second of the fastest of some products."""
    one, two, out = torch.randn(3, GEMM, GEMM)
    times = [time.perf_counter()]
    for _ in range(10):
        torch.mm(one, two, out=out)
        times.append(time.perf_counter())
    return 2 * GEMM**3 / min(end - start for start, end in pairwise(times))


def where(rounds: int, steps: int) -> None:
    print("\nwhere: ms of a training step of B0, ours, in one thread, with the profiler, which slows small operators")
    found = [profiled(proxy, steps) for proxy in SETTINGS]
    print(f"{'':44}" + "".join(f"{proxy.name:>20}" for proxy in SETTINGS))
    for kind in found[0]:
        shares = [(spent[kind], 100 * spent[kind] / sum(spent.values())) for spent in found]
        print(f"{kind:44}" + "".join(f"{ms:10.2f}{percent:8.1f} %" for ms, percent in shares))
    print(f"{'in all':44}" + "".join(f"{sum(spent.values()):10.2f}{100:8.1f} %" for spent in found))
    turns = {proxy.name: partial(turn, EFFICIENTNET_B0, proxy, "ours", steps) for proxy in SETTINGS}
    best = in_turns(turns, rounds)
    steps_ms = [1000 * proxy.recipe.batch / best[proxy.name] for proxy in SETTINGS]
    print(f"{'a step without the profiler, the best':44}" + "".join(f"{ms:10.2f}{'':10}" for ms in steps_ms))


def profiled(proxy: Proxy, steps: int) -> dict[str, float]:
    """Milliseconds a step by kind, of the steps after the first."""
    profiler, network = profile(activities=[ProfilerActivity.CPU], acc_events=True), shrunk(EFFICIENTNET_B0, proxy)
    with named("loading", Split, "images"), named("augmentation", loop, "augment"), named("average", Average, "update"):
        whole = 1000 * proxy.recipe.batch / pace(network, noise(proxy.resolution), proxy, steps, profiler=profiler)
    spent = dict.fromkeys((*KINDS, OTHER), 0.0)
    for event in profiler.events():
        spent[kind_of(event)] += event.self_cpu_time_total / 1000 / steps
    return {**spent, OUTSIDE: whole - sum(spent.values())}


def named(name: str, owner: object, function: str) -> AbstractContextManager[Any]:
    """Within it the profiler sees the calls of a function under this name."""
    plain = getattr(owner, function)

    def call(*args: Any) -> Any:
        with record_function(name):
            return plain(*args)

    return patch.object(owner, function, call)


def kind_of(event: FunctionEvent | None) -> str:
    """That of the outermost operator around it that has one."""
    kind = OTHER
    while event is not None:
        kind, event = KIND_OF.get(event.name, kind), event.cpu_parent
    return kind


def on_gpu(rounds: int, steps: int) -> None:
    print(f"\nmodules: training, images a second, best of {rounds} rounds of {steps} steps, and the median ratio")
    print(f"{'network':14} {'preset':9}" + "".join(f"{text:>15}" for text in (*GPU_WAYS, "ours/no graphs")))
    for proxy in SETTINGS:
        for name, architecture in networks().items():
            each = all_turns({way: partial(turn, architecture, proxy, way, steps, "cuda") for way in GPU_WAYS}, rounds)
            best = "".join(f"{max(one[way] for one in each):15.1f}" for way in GPU_WAYS)
            print(f"{name:14} {proxy.name:9}{best}{median(one['ours'] / one['no graphs'] for one in each):15.2f}")
    print("\nworkers of one GPU: images a second in all, B0, standard")
    for count in (1, 2, 4, 8):
        executor = LocalExecutor([0] * count)
        try:
            at_once(executor, gpu_pace, 1)
            best = max(sum(at_once(executor, gpu_pace, steps)) for _ in range(rounds))
        finally:
            executor.stop()
        print(f"{count} worker{'s' * (count > 1)}: {best:.1f}")


def gpu_pace(steps: int) -> float:
    return turn(EFFICIENTNET_B0, STANDARD, "ours", steps, "cuda")


if __name__ == "__main__":
    main()
