"""Fits the predictor of ImageNet accuracies to Accel-NASBench and writes its coefficients: plain numbers.

    python scripts/fit_prior.py accel_nasbench.csv

Ridge regression on one-hot choices of the stages and on all their pairs. The strength is chosen, and the error and rank
correlation are told, by 5-fold cross-validation over distinct networks (seed 0), so that a network that was trained
twice is never in both parts.
"""

import argparse
import csv
import json
from collections import defaultdict
from pathlib import Path

import numpy as np
from scipy import stats

from effsearch.prior import FILE, choices, features

FOLDS = 5
STRENGTHS = (1, 3, 10, 30, 100, 300)
DIGITS = 6
SOURCE = (
    "Accel-NASBench (A. Ahmad et al., 2024), github.com/afzalxo/Accel-NASBench, Apache-2.0: short ImageNet trainings "
    "in EfficientNet-B0's skeleton"
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", type=Path)
    parser.add_argument("--out", type=Path, default=FILE)
    arguments = parser.parse_args()
    names, matrix, accuracy, weight, trainings = read(arguments.table)
    folds = np.random.default_rng(0).integers(0, FOLDS, len(accuracy))
    scores = {strength: validate(matrix, accuracy, weight, folds, strength) for strength in STRENGTHS}
    for strength, (rmse, tau, rho) in scores.items():
        print(f"strength {strength:4}: RMSE {100 * rmse:.3f} points, Kendall tau {tau:.4f}, Spearman {rho:.4f}")
    strength = min(scores, key=lambda s: scores[s][0])
    rmse, tau, rho = scores[strength]
    intercept, coefficients = ridge(matrix, accuracy, weight, strength)
    kept = {name: round(float(c), DIGITS) for name, c in zip(names, coefficients, strict=True) if round(c, DIGITS)}
    document = {
        "intercept": round(float(intercept), DIGITS),
        "coefficients": kept,
        "rmse": round(rmse, 5),
        "kendall_tau": round(tau, 4),
        "spearman": round(rho, 4),
        "trainings": trainings,
        "source": SOURCE,
    }
    arguments.out.write_text(json.dumps(document, separators=(",", ":")) + "\n", encoding="utf-8")
    print(f"{trainings} trainings of {len(accuracy)} networks; strength {strength}; {len(kept)} coefficients")
    print(f"wrote {arguments.out} ({arguments.out.stat().st_size:,} bytes)")


def read(table: Path) -> tuple[list[str], np.ndarray, np.ndarray, np.ndarray, int]:
    """Feature names, the matrix (networks, features), mean accuracies, numbers of trainings, and all trainings."""
    groups: dict[tuple[tuple[str, ...], ...], list[float]] = defaultdict(list)
    with table.open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            stages = tuple(
                choices(
                    int(row[f"stage{n}_expansion"]),
                    int(row[f"stage{n}_kernel"]),
                    int(row[f"stage{n}_layers"]),
                    float(row[f"stage{n}_se_ratio"]),
                )
                for n in range(1, 8)
            )
            groups[stages].append(float(row["accuracy"]))
    held = [list(features(list(stages))) for stages in groups]
    names = sorted({name for network in held for name in network})
    place = {name: index for index, name in enumerate(names)}
    matrix = np.zeros((len(held), len(names)))
    for index, network in enumerate(held):
        matrix[index, [place[name] for name in network]] = 1
    accuracy = np.array([np.mean(values) for values in groups.values()])
    weight = np.array([len(values) for values in groups.values()], dtype=float)
    return names, matrix, accuracy, weight, int(weight.sum())


def ridge(matrix: np.ndarray, accuracy: np.ndarray, weight: np.ndarray, strength: float) -> tuple[float, np.ndarray]:
    """Weighted least squares with a penalty on all but the intercept."""
    middle, level = np.average(matrix, axis=0, weights=weight), np.average(accuracy, weights=weight)
    centred = matrix - middle
    system = (centred.T * weight) @ centred + strength * np.eye(matrix.shape[1])
    coefficients = np.linalg.solve(system, (centred.T * weight) @ (accuracy - level))
    return float(level - middle @ coefficients), coefficients


def validate(
    matrix: np.ndarray, accuracy: np.ndarray, weight: np.ndarray, folds: np.ndarray, strength: float
) -> tuple[float, float, float]:
    """RMSE, Kendall's tau and Spearman's rho of networks that were left out, averaged over the folds."""
    found = []
    for fold in range(FOLDS):
        out = folds == fold
        intercept, coefficients = ridge(matrix[~out], accuracy[~out], weight[~out], strength)
        predicted = intercept + matrix[out] @ coefficients
        rmse = float(np.sqrt(np.mean((predicted - accuracy[out]) ** 2)))
        tau = float(stats.kendalltau(predicted, accuracy[out]).statistic)
        found.append((rmse, tau, float(stats.spearmanr(predicted, accuracy[out]).statistic)))
    rmse, tau, rho = np.mean(found, axis=0)
    return float(rmse), float(tau), float(rho)


if __name__ == "__main__":
    main()
