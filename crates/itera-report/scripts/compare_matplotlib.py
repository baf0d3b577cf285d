#!/usr/bin/env python3
"""Draws the three main charts of a data.json with matplotlib and sets them beside ours.

    pip install matplotlib pillow
    cargo run -p itera-report --example render_charts -- data.json OUT
    python3 compare_matplotlib.py data.json OUT      # writes OUT/compare-<chart>.png

It is meant for the eye: the same figures must stand at the same values on both sides. Nothing of
the engine depends on it.
"""

import json
import pathlib
import sys

try:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    from PIL import Image
except ImportError as missing:
    sys.exit(f"skipped: {missing.name} is not installed")

COLORS = ["#6b7683", "#0072b2", "#009e73", "#b85c94"]


def threshold(data):
    rule = data.get("ship_rule")
    if not rule:
        return data["experiment"].get("threshold_pct")
    sign = -1 if rule["objective"] == "non_inferiority" else 1
    return sign * rule["min_effect_pp"]


def floor(data):
    pp = (data.get("ship_rule") or {}).get("loss_floor_pp")
    return None if pp is None else -abs(pp)


def score(data, arm):
    found = arm.get("test_score") or {"mean": data["test_set_aggregate"].get(arm["id"])}
    mean = found["mean"]
    low, high = found.get("ci_low"), found.get("ci_high")
    return mean, (0, 0) if low is None else (mean - low, high - mean)


def arm_bar(data, ax):
    arms = data["arms"]
    trials = data.get("test_set_trials") or data.get("variance_trials", {})
    for i, arm in enumerate(arms):
        mean, (down, up) = score(data, arm)
        ax.errorbar(100 * mean, -i, xerr=[[100 * down], [100 * up]], fmt="o", color=COLORS[i % 4], capsize=4)
        values = [100 * t for t in trials.get(arm["id"], [])]
        ax.plot(values, [-i - 0.25] * len(values), "o", mfc="none", color=COLORS[i % 4], ms=4)
    if threshold(data) is not None and len(arms) > 1:
        ax.axvline(100 * score(data, arms[0])[0] + threshold(data), ls="--", color="#333d49")
    ax.set_yticks([-i for i in range(len(arms))], [a["name"] for a in arms])
    ax.set_xlabel("mean test score, %")


def forest_plot(data, ax):
    y, ticks = 0, []
    for i, arm in enumerate(data["arms"][1:], 1):
        effects = data["effect_sizes"].get(arm["id"])
        if not effects:
            continue
        rows = [(f"{arm['name']}: all rows", effects["aggregate"], "D")]
        rows += [(s["name"], effects["per_slice"][s["id"]], "o") for s in data["slices"] if s["id"] in effects.get("per_slice", {})]
        for label, effect, mark in rows:
            delta, low, high = effect["delta"], effect.get("ci_low"), effect.get("ci_high")
            below = mark == "o" and floor(data) is not None and 100 * delta < floor(data)
            error = None if low is None else [[100 * (delta - low)], [100 * (high - delta)]]
            ax.errorbar(100 * delta, y, xerr=error, fmt=mark, color="#c4321c" if below else COLORS[i % 4])
            ticks.append((y, label))
            y -= 1
        y -= 0.5
    ax.axvline(0, color="black", lw=1)
    for value, color in ((threshold(data), "#333d49"), (floor(data), "#c4321c")):
        if value is not None:
            ax.axvline(value, ls="--", color=color)
    ax.set_yticks([t[0] for t in ticks], [t[1] for t in ticks])
    ax.set_xlabel("difference to the baseline, pp")


def cost_vs_accuracy(data, ax):
    arms = [a for a in data["arms"] if a.get("cost_per_1k_usd") is not None]
    costs = [a["cost_per_1k_usd"] for a in arms]
    for i, arm in enumerate(data["arms"]):
        if arm not in arms:
            continue
        mean, (down, up) = score(data, arm)
        ax.errorbar(arm["cost_per_1k_usd"], 100 * mean, yerr=[[100 * down], [100 * up]], fmt="o", color=COLORS[i % 4], capsize=4)
        ax.annotate(arm["name"], (arm["cost_per_1k_usd"], 100 * mean), xytext=(8, 6), textcoords="offset points")
    positive = [c for c in costs if c > 0]
    if positive and max(positive) / min(positive) > 10:
        ax.set_xscale("symlog" if 0 in costs else "log")
    ax.set_xlabel("dollars per 1,000 rows")
    ax.set_ylabel("mean test score, %")


def main(path, folder):
    data = json.loads(pathlib.Path(path).read_text(encoding="utf-8"))
    folder = pathlib.Path(folder)
    for name, draw in (("arm-bar", arm_bar), ("forest-plot", forest_plot), ("cost-vs-accuracy", cost_vs_accuracy)):
        ours = folder / f"{name}.png"
        if not ours.exists():
            continue
        left = Image.open(ours).convert("RGB")
        figure, ax = plt.subplots(figsize=(left.width / 200, left.height / 200), dpi=200, layout="constrained")
        draw(data, ax)
        ax.set_title(f"matplotlib: {name}")
        theirs = folder / f"matplotlib-{name}.png"
        figure.savefig(theirs)
        plt.close(figure)
        right = Image.open(theirs).convert("RGB")
        both = Image.new("RGB", (left.width + right.width, max(left.height, right.height)), "white")
        both.paste(left, (0, 0))
        both.paste(right, (left.width, 0))
        both.save(folder / f"compare-{name}.png")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(sys.argv[1], sys.argv[2])
