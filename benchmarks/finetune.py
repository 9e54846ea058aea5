"""Compares recipes of fine-tuning, by validation accuracy on image sets: which the recipe `finetune` should be.

    python benchmarks/finetune.py run --data DIR,DIR --results results/studies [--only NAME,NAME] [options of transfer]
    python benchmarks/finetune.py report --results results/studies

Each recipe is a run of `effsearch transfer`, called finetune-NAME, which goes on where it was stopped, and under more
seeds with a larger `--seeds`.
"""

import argparse
import json
import subprocess
import tempfile
from collections import defaultdict
from dataclasses import asdict
from pathlib import Path
from statistics import mean

import tomli_w

from effsearch.training.recipe import CUTMIX, FINETUNE, MIXUP

# What differs from the recipe `finetune`.
RECIPES = {
    "rate-0.01": {"rate": 0.01},
    "rate-0.03": {"rate": 0.03},
    "rate-0.1": {"rate": 0.1},
    "backbone-0.1": {"rate": 0.1, "backbone_rate": 0.1},
    "backbone-0.3": {"rate": 0.1, "backbone_rate": 0.3},
    "batch-32": {"rate": 0.03, "batch": 32},
    "decay-0.0005": {"rate": 0.03, "weight_decay": 5e-4},
    "crop-0.25": {"rate": 0.03, "augmentation": {"scale_min": 0.25}},
    "mix": {"rate": 0.03, "mixup": MIXUP, "cutmix": CUTMIX},
    "colour": {"rate": 0.03, "augmentation": {"colour": 0.3}},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("what", choices=["run", "report"])
    parser.add_argument("--data")
    parser.add_argument("--results", type=Path, default=Path("results/studies"))
    parser.add_argument("--only", type=lambda text: text.split(","), default=list(RECIPES))
    asked, more = parser.parse_known_args()
    if asked.what == "run":
        for name in asked.only:
            train(name, asked.data, asked.results, more)
    report(asked.results)


def train(name: str, data: str, results: Path, more: list[str]) -> None:
    run, base, changes = f"finetune-{name}", asdict(FINETUNE), RECIPES[name]
    recipe = base | changes | {"augmentation": base["augmentation"] | changes.get("augmentation", {})}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"{name}.toml"
        file.write_text(tomli_w.dumps(recipe))
        command = ["efficientnet_lite0", "--data", data, "--run", run, "--recipe", str(file), "--epochs", "10", *more]
        if (results / run / "run.toml").exists():
            command = ["--resume", run, *more]
        subprocess.run(["effsearch", "transfer", *command, "--results", str(results)], check=False)


def report(results: Path) -> None:
    """Validation accuracies, as means over seeds; the sets weigh alike in the mean."""
    rows = defaultdict(dict)
    for name in RECIPES:
        done = (results / f"finetune-{name}" / "run.toml").exists()
        command = ["effsearch", "show", f"finetune-{name}", "--results", str(results), "--format", "json"]
        for row in json.loads(subprocess.run(command, capture_output=True, check=True).stdout) if done else []:
            rows[name][row["set"]] = row["validation"], row["seeds"], row["seconds"]
    sets = list(dict.fromkeys(images for found in rows.values() for images in found))
    print("| recipe | " + " | ".join(f"{images} (validation %, seeds)" for images in sets) + " | mean | seconds |")
    print("| --- |" + " ---: |" * (len(sets) + 2))
    for name, found in rows.items():
        if all(found.get(images, (None,))[0] is not None for images in sets):
            cells = [f"{100 * found[images][0]:.1f} ({found[images][1]})" for images in sets]
            average = 100 * mean(found[images][0] for images in sets)
            print(f"| {name} | {' | '.join(cells)} | {average:.1f} | {mean(found[i][2] for i in sets):.0f} |")


if __name__ == "__main__":
    main()
