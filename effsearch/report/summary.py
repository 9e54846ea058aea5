"""What is printed about a run besides its table."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from effsearch.cost import CONVENTION
from effsearch.errors import QuantityError, RunError
from effsearch.prior import load
from effsearch.report.ranking_table import marks, noise_line, ranking_grid, read
from effsearch.report.text_table import NOTATION_FROM, Grid, console
from effsearch.reward import NAMES, Measure, Reward, format_cost
from effsearch.runs.folder import Run
from effsearch.runs.ranking import Row
from effsearch.text import counted, format_count, format_latency


def print_ranking(run: Run, rows: Sequence[Row], chosen: Sequence[Row]) -> None:
    """The chosen rows of a ranking with what the numbers mean, how noisy they are, and the best within the target."""
    out = console()
    manifest = run.manifest()
    settings = manifest.get("settings", {})
    grid = ranking_grid(chosen, notation=out.width >= NOTATION_FROM, measure=measure_of(settings))
    out.print(grid.rich(f"{run.name}: {counts_line(rows, how(manifest))}"))
    if out.width < NOTATION_FROM:
        out.print(f"notations: effsearch describe {run.name}:RANK, or a window of {NOTATION_FROM} columns", style="dim")
    for line in captions(manifest):
        out.print(line, style="dim")
    if is_trained(manifest):
        out.print(noise_line(rows))
    best = best_within_target(rows)
    if best is not None:
        out.print(f"{within(settings)}: {brief(best)}", style="bold")
        out.print(best.notation, soft_wrap=True)


def within(settings: Mapping[str, Any]) -> str:
    """What the best of a search is the best of."""
    try:
        score = reward_of(settings)
    except (KeyError, QuantityError):
        return "best"
    what = NAMES[score.measure]
    return f"best with {what} <= {score.aim.removesuffix(' ' + what)}"


def measure_of(settings: Mapping[str, Any]) -> Measure:
    """What the target of a run is of."""
    found = settings.get("measure")
    return found if found in NAMES else "flops"


def reward_of(settings: Mapping[str, Any]) -> Reward:
    """The reward of a run; raises KeyError or QuantityError where its settings do not say."""
    return Reward(settings["target"], settings["reward"], settings["exponent"], settings.get("measure", "flops"))


def brief(row: Row) -> str:
    """A finished network in one line."""
    return f"rank {row.rank}, {100 * (row.accuracy or 0.0):.1f} %, {costs(row)}"


def costs(row: Row) -> str:
    """What a network costs, with units."""
    latency = "" if row.latency is None else f", {format_latency(row.latency)}"
    return f"{format_count(row.flops)} FLOPs, {format_count(row.params)} parameters{latency}"


def best_within_target(rows: Sequence[Row]) -> Row | None:
    """The first of a ranking that costs no more than the target."""
    return next((row for row in rows if row.rank is not None and row.target_ratio <= 1), None)


def captions(manifest: dict[str, Any]) -> list[str]:
    """What the columns of a ranking are, from run.toml; raises RunError if that says nothing of it."""
    try:
        settings, data = manifest["settings"], manifest["data"]
        if on_table(manifest):
            return _table_captions(settings, data)
        proxy = settings["proxy"]
        reward = reward_of(settings)
        goal = f"reward: {reward.formula}, T = {reward.aim}"
        where = f"{CONVENTION}, at {_side(manifest)} and {settings['classes']} classes"
        if settings.get("evaluator") == "prior":
            return [_prior_caption(), goal, where, *_latency_captions(settings), marks(reward.measure)]
        kind = " (synthetic images)" if data["synthetic"] else ""
        return [
            f"acc: validation top-1 on {data['name']}{kind}, {len(data['classes'])} classes, after the "
            f"{proxy['name']} proxy ({proxy['resolution']} px, channels x {proxy['width']:g}, "
            f"{counted(proxy['epochs'], 'epoch')} of {counted(data['train'], 'image')}), mean over n seeds, "
            + ("+-: half of its 95 % interval in points" if manifest["run"]["kind"] != "nas" else "sd in points"),
            goal,
            where,
            *_latency_captions(settings),
            marks(reward.measure),
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise RunError(f"run.toml lacks {error}") from None


def _prior_caption() -> str:
    prior = load()
    return (
        f"acc: ImageNet top-1 after a short training, PREDICTED from {prior.trainings:,} trainings in B0's skeleton "
        f"(networks left out: RMSE {100 * prior.rmse:.2f} points, Kendall tau {prior.kendall_tau:.2f})"
    )


def _latency_captions(settings: Mapping[str, Any]) -> list[str]:
    """How latency was measured, and the limits that hold besides the target."""
    lines = []
    if "latency" in settings:
        how = settings["latency"]
        where = f"{counted(how['threads'], 'thread')}, float32" if how["device"] == "cpu" else "bf16 if the GPU has it"
        lines.append(
            f"ms: latency of a batch of {how['batch']} on {how['name']}, {where}: median, no training beside it"
        )
    limits = {measure: settings[f"max_{measure}"] for measure in NAMES if f"max_{measure}" in settings}
    found = [f"at most {format_cost(limit, measure)}" for measure, limit in limits.items()]
    return lines + ([f"limits: {', '.join(found)}"] if found else [])


def is_trained(manifest: dict[str, Any]) -> bool:
    """Whether a run trains its networks, rather than look them up or predict them."""
    return not on_table(manifest) and manifest.get("settings", {}).get("evaluator") != "prior"


def how(manifest: dict[str, Any]) -> str:
    """What the architectures of a run are that have an accuracy."""
    return "trained" if is_trained(manifest) or on_table(manifest) else "predicted"


def on_table(manifest: dict[str, Any]) -> bool:
    """Whether a run looks its networks up in a benchmark table."""
    return "table" in manifest.get("settings", {})


def _table_captions(settings: dict[str, Any], data: dict[str, Any]) -> list[str]:
    reward = reward_of(settings)
    rows, combinations = data["rows"], data["combinations"]
    acc = f"acc: of table {data['name']}, {rows:,} rows"
    if data["predicted"]:
        quality = data["predicted"][0]
        acc += (
            f" of {combinations:,} combinations; (predicted): no row, by a Gaussian process, off by "
            f"{100 * quality['error']:.2f} points for rows left out, Kendall tau {quality['tau']:.3f}"
        )
    elif settings["pool"]:
        acc += f", which alone are searched, of {combinations:,} combinations"
    noise = []
    if "accuracy_std" in data:
        points = 100 * data["accuracy_std"]
        noise = [f"noise: sd {points:.2f} points between trainings of one network (accuracy_std, median)"]
    return [
        acc,
        *noise,
        f"reward: {reward.formula}, T = {reward.aim}; FLOPs and params are the table's",
        f"* on the Pareto front of accuracy and {NAMES[reward.measure]}",
    ]


def _side(manifest: dict[str, Any]) -> str:
    if manifest["run"]["kind"] != "nas":
        return f"each network's own px ({manifest['settings']['resolution']} px the baseline's)"
    return f"{manifest['settings']['resolution']} px"


def counts_line(rows: Sequence[Row], complete: str = "trained") -> str:
    """How many architectures are in which state; `complete` is what those with an accuracy are."""
    states = Counter(row.state for row in rows)
    words = {"complete": complete, "failed": "failed", "running": "running", "queued": "queued"}
    found = [f"{states[state]} {word}" for state, word in words.items() if states[state]]
    return f"{', '.join(found) or 'no'} architecture{'' if len(rows) == 1 else 's'}"


def runs_grid(found: Sequence[Run]) -> Grid:
    """A line a run: what it searched and how far it came."""
    headings = ("run", "command", "data", "target", "trained", "failed", "best reward", "acc %", "created (UTC)")
    return Grid(headings, "lllrrrrrl", [_run_cells(run) for run in found])


def _aim(settings: Mapping[str, Any]) -> str:
    try:
        return reward_of(settings).aim
    except (KeyError, TypeError, QuantityError):
        return ""


def _run_cells(run: Run) -> tuple[str, ...]:
    try:
        manifest = run.manifest()
        settings, about = manifest.get("settings", {}), manifest.get("run", {})
        rows = read(run) if run.ranking.is_file() else []
    except RunError as error:
        return (run.name, f"cannot be read: {error}", *[""] * 7)
    best = rows[0] if rows and rows[0].rank == 1 else None
    states = Counter(row.state for row in rows)
    return (
        run.name,
        str(about.get("kind", "")),
        str(manifest.get("data", {}).get("name", "")),
        _aim(settings),
        str(states["complete"]),
        str(states["failed"]),
        "" if best is None or best.reward is None else f"{best.reward:.4f}",
        "" if best is None or best.accuracy is None else f"{100 * best.accuracy:.1f}",
        str(about.get("created", "")).replace("T", " ").removesuffix("+00:00"),
    )
