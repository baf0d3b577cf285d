"""The benchmark of judge.rs with pandas, scipy and statsmodels: 1.2 million score records to intervals and tests.

It does less than the rule: no score interval by root finding over all levels, no scoping, no rows-to-settle. What it
does is what an analyst would write: average the trials, pair the arms, weight back to production, an interval and a
one-sided test for the aggregate and every slice of every arm, Holm over the arms.

    pip install pandas scipy statsmodels
    python crates/itera-core/benches/judge.py
"""

import time

import numpy as np
import pandas as pd
from scipy import optimize, stats
from statsmodels.stats.multitest import multipletests

ROWS, ARMS, TRIALS = 100_000, ["baseline", "arm-1", "arm-2", "arm-3"], 3
SLICES = np.array(["en", "de", "fr", "es", "it"])
MIX = {"en": 0.4, "de": 0.2, "fr": 0.2, "es": 0.1, "it": 0.1}
MARGIN, FLOOR, ALPHA = 0.03, -0.02, 0.05


def records():
    rng = np.random.default_rng(7)
    ease = rng.random(ROWS)
    arm = np.tile(np.repeat(np.arange(4), TRIALS), ROWS)
    row = np.repeat(np.arange(ROWS), 4 * TRIALS)
    p = np.minimum(0.45 + 0.5 * ease[row] + 0.02 * arm, 1.0)
    return pd.DataFrame(
        {
            "row_id": np.array([f"row-{r:06d}" for r in range(ROWS)])[row],
            "arm": np.array(ARMS)[arm],
            "slice": SLICES[row % 5],
            "trial": np.tile(np.arange(TRIALS), ROWS * 4),
            "score": (rng.random(len(row)) < p).astype(float),
        }
    )


def tango_t(n, b, c, d):
    lin = -(b + c) + (2 * n - b + c) * d
    q = (np.sqrt(max(lin * lin + 8 * n * c * d * (1 - d), 0.0)) - lin) / (4 * n)
    return (b - c - n * d) / np.sqrt(max(n * (2 * q + d * (1 - d)), 1e-300))


def interval(d, weights, strata):
    n = len(d)
    est = float((weights * d).sum())
    mass = float((weights * d.abs()).sum())
    groups = d.groupby(strata, observed=True)
    share = weights.groupby(strata, observed=True).sum()
    v = float((share**2 * groups.var(ddof=1) / groups.size()).sum())
    phi = (n * (n * v + est**2) + 1) / (n * mass + 1)
    ns, nu = n / phi, n - len(share)
    b, c = ns * (mass + est) / 2, ns * (mass - est) / 2
    out = {"effect": est, "nu": nu}
    for name, level in (("ci", 0.025), ("bound", ALPHA)):
        t = stats.t.ppf(1 - level, nu)
        low = optimize.brentq(lambda x: tango_t(ns, b, c, x) - t, -1 + 1e-9, est)
        high = -optimize.brentq(lambda x: tango_t(ns, c, b, x) - t, -1 + 1e-9, -est)
        out[name] = (low, high)
    out["p"] = lambda m: stats.t.sf(tango_t(ns, b, c, m), nu)
    return out


def judge(frame):
    if frame.duplicated(["row_id", "arm", "trial"]).any():
        raise ValueError("duplicate trials")
    means = frame.groupby(["row_id", "arm"], observed=True)["score"].mean().unstack("arm")
    if means.isna().any().any():
        raise ValueError("missing pairs")
    slices = frame.drop_duplicates("row_id").set_index("row_id")["slice"].reindex(means.index)
    sizes = slices.value_counts()
    weights = slices.map(lambda s: MIX[s] / sizes[s]).astype(float)
    p_arms, report = [], {}
    for arm in ARMS[1:]:
        d = means[arm] - means["baseline"]
        whole = interval(d, weights, slices)
        parts = {}
        for name in SLICES:
            inside = slices == name
            parts[name] = interval(d[inside], pd.Series(1 / inside.sum(), d[inside].index), slices[inside])
        p_arms.append(min(1.0, max(whole["p"](MARGIN) / 0.8, *(s["p"](FLOOR) for s in parts.values()))))
        report[arm] = (whole, parts)
    return report, multipletests(p_arms, alpha=ALPHA, method="holm")[1]


if __name__ == "__main__":
    data = records()
    times = []
    for _ in range(3):
        start = time.perf_counter()
        report, adjusted = judge(data)
        times.append(time.perf_counter() - start)
    for arm, p in zip(ARMS[1:], adjusted):
        print(f"{arm}: {100 * report[arm][0]['effect']:+.2f}pp, adjusted p = {p:.4f}")
    print(f"1.2M records to verdict: {min(times):.2f} s (best of {len(times)})")
