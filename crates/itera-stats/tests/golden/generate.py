"""Reference values for the estimators, from scipy, statsmodels and krippendorff.

Run:  python generate.py > computed.json
Needs: scipy 1.17.1, statsmodels 0.15.0, krippendorff 0.9 (the versions behind the committed file, November 2026).

Nothing here shares code with the crate. The score statistic is computed by maximising the restricted likelihood
numerically instead of by its closed form, and its limits by scipy's root finder.
"""

import json
import math

import krippendorff
import numpy as np
from scipy import optimize, stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.inter_rater import cohens_kappa
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

cases = []


def case(method, inputs, expected, tol, source):
    cases.append({"method": method, "inputs": inputs, "expected": expected, "tolerance": tol, "source": source})


def score_statistic(n, b, c, delta):
    """Tango's T: the restricted MLE of the losing cell found numerically."""
    low, high = max(0.0, -delta), (1.0 - delta) / 2.0

    def minus_loglik(q):
        out = -(n - b - c) * math.log(max(1.0 - 2.0 * q - delta, 1e-300))
        if b > 0:
            out -= b * math.log(max(q + delta, 1e-300))
        if c > 0:
            out -= c * math.log(max(q, 1e-300))
        return out

    q = optimize.minimize_scalar(minus_loglik, bounds=(low, high), method="bounded", options={"xatol": 1e-13}).x
    return (b - c - n * delta) / math.sqrt(n * (2 * q + delta * (1 - delta)))


def score_lower(n, b, c, critical):
    est = (b - c) / n
    return optimize.brentq(lambda d: score_statistic(n, b, c, d) - critical, -1 + 1e-9, est, xtol=1e-12)


def es_tango(d, strata=None, shares=None, clusters=None, level=0.95, alpha=0.05, margin=-0.02):
    d = np.asarray(d, float)
    n = len(d)
    strata = np.zeros(n, int) if strata is None else np.asarray(strata)
    names = np.unique(strata)
    shares = np.ones(len(names)) if shares is None else np.asarray(shares, float)
    shares = shares / shares.sum()

    def estimate(mask):
        live = [(shares[k], d[mask & (strata == s)]) for k, s in enumerate(names)]
        live = [(w, x) for w, x in live if len(x)]
        return sum(w * x.mean() for w, x in live) / sum(w for w, _ in live)

    everything = np.ones(n, bool)
    est = estimate(everything)
    mass = sum(w * np.abs(d[strata == s]).mean() for w, s in zip(shares, names))
    v = sum(w**2 * d[strata == s].var(ddof=1) / (strata == s).sum() for w, s in zip(shares, names))
    nu = n - len(names)
    if clusters is not None:
        clusters = np.asarray(clusters)
        ids = np.unique(clusters)
        g = len(ids)
        left = np.array([estimate(clusters != i) for i in ids])
        v = max(v, (g - 1) / g * ((left - est) ** 2).sum())
        nu = g - 1
    phi = (n * (n * v + est**2) + 1) / (n * mass + 1)
    if strata.max() == 0 and clusters is None and set(np.unique(d)) <= {-1.0, 0.0, 1.0}:
        phi = 1.0
    ns = n / phi
    b, c = ns * (mass + est) / 2, ns * (mass - est) / 2
    one, two = stats.t.ppf(1 - alpha, nu), stats.t.ppf(0.5 + level / 2, nu)
    return {
        "estimate": est,
        "lower": score_lower(ns, b, c, one),
        "upper": -score_lower(ns, c, b, one),
        "ci": [score_lower(ns, b, c, two), -score_lower(ns, c, b, two)],
        "n_star": ns,
        "nu": nu,
        "p_above": {"margin": margin, "p": stats.t.sf(score_statistic(ns, b, c, margin), nu)},
    }


for n, b, c, delta in [(60, 9, 3, 0.0), (60, 9, 3, -0.1), (200, 31, 12, 0.05), (24, 1, 1, -0.2), (1000, 40, 55, -0.03)]:
    z = stats.norm.ppf(0.975)
    case(
        "tango",
        {"n": n, "b": b, "c": c, "delta": delta},
        {"statistic": score_statistic(n, b, c, delta), "ci95": [score_lower(n, b, c, z), -score_lower(n, c, b, z)]},
        2e-6,
        "restricted likelihood maximised numerically with scipy",
    )

rng = np.random.default_rng(20261123)
binary = rng.choice([-1, 0, 1], size=80, p=[0.07, 0.75, 0.18]).astype(float).tolist()
thirds = (rng.integers(-3, 4, size=90) * (rng.random(90) < 0.35) / 3).round(12).tolist()
graded = np.clip(rng.normal(0.03, 0.15, size=120), -1, 1).round(4).tolist()
strata90 = [0] * 50 + [1] * 25 + [2] * 15
strata120 = (np.arange(120) % 3).tolist()
clusters90 = (np.arange(90) // 4).tolist()
clusters120 = (np.arange(120) % 11).tolist()
for name, kw in {
    "binary": dict(d=binary),
    "thirds": dict(d=thirds),
    "graded": dict(d=graded),
    "thirds, strata off the production mix": dict(d=thirds, strata=strata90, shares=[0.3, 0.5, 0.2]),
    "graded, equal strata weighted back": dict(d=graded, strata=strata120, shares=[0.5, 0.3, 0.2]),
    "thirds, clusters": dict(d=thirds, clusters=clusters90),
    "graded, clusters across strata": dict(d=graded, strata=strata120, shares=[0.5, 0.3, 0.2], clusters=clusters120),
}.items():
    out = es_tango(**kw)
    case(f"es_tango: {name}", {k: v for k, v in kw.items()}, out, 5e-6, "numpy; statistic as above")

for x, n in [(0, 20), (7, 20), (133, 180), (45, 45)]:
    case("wilson", {"x": x, "n": n}, {"ci95": list(proportion_confint(x, n, method="wilson"))}, 1e-9, "statsmodels")
    case("clopper_pearson", {"x": x, "n": n}, {"ci95": list(proportion_confint(x, n, method="beta"))}, 1e-9, "statsmodels")

for b, c in [(10, 3), (0, 6), (17, 17), (41, 20)]:
    two = mcnemar([[0, b], [c, 0]], exact=True).pvalue
    one = stats.binomtest(b, b + c, 0.5, alternative="greater").pvalue
    case("mcnemar_exact", {"b": b, "c": c}, {"greater": one, "two_sided": two}, 1e-10, "statsmodels, scipy binomtest")

small = [0.3333333333333333, 0, -0.3333333333333333, 1, 0.6666666666666666, 0, 0.3333333333333333, -1, 1, 0.3333333333333333]
exact = stats.permutation_test(
    (np.array(small),), lambda x, axis: x.mean(axis=axis), permutation_type="samples", n_resamples=np.inf, alternative="greater"
)
both = stats.permutation_test(
    (np.array(small),), lambda x, axis: np.abs(x.mean(axis=axis)), permutation_type="samples", n_resamples=np.inf, alternative="greater"
)
case("sign_flip", {"d": small}, {"greater": exact.pvalue, "two_sided": both.pvalue}, 1e-9, "scipy permutation_test, exact")

for p in ([0.001, 0.01, 0.04, 0.2], [0.5, 0.011, 0.011, 0.9, 0.03], [0.04]):
    case("holm", {"p": p}, {"adjusted": multipletests(p, method="holm")[1].tolist()}, 1e-12, "statsmodels")

for table in ([[40, 9], [6, 45]], [[20, 5, 1], [3, 30, 4], [0, 6, 31]]):
    k = cohens_kappa(np.array(table))
    case("cohen_kappa", {"table": table}, {"kappa": k.kappa, "se": k.std_kappa, "ci95": [k.kappa_low, k.kappa_upp]}, 1e-9, "statsmodels")

ratings = np.array(
    [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, np.nan, np.nan, np.nan],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, np.nan, 3],
        [np.nan, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, np.nan],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, np.nan],
    ]
)
units = [[v for v in col if not math.isnan(v)] for col in ratings.T]
for scale in ("nominal", "ordinal", "interval"):
    a = krippendorff.alpha(ratings, level_of_measurement=scale)
    case("krippendorff_alpha", {"units": units, "scale": scale}, {"alpha": a}, 1e-9, "krippendorff (Castro); Krippendorff 2011's example")

for p, nu in [(0.95, 7), (0.975, 29), (0.9, 1), (0.999, 3.5), (0.995, 250), (0.96, 99997)]:
    case("student_quantile", {"p": p, "nu": nu}, {"t": stats.t.ppf(p, nu)}, 1e-8, "scipy")
for t, nu in [(1.2, 5), (-0.7, 12), (4.5, 59), (8.0, 400), (1.7, 99997)]:
    case("student_upper_tail", {"t": t, "nu": nu}, {"p": stats.t.sf(t, nu)}, 1e-10, "scipy")
for h, k, rho in [(0.5, 0.5, 0.6), (0.52, 0.1, 0.9), (-1.0, 0.3, -0.4), (1.64, 1.2, 0.95)]:
    p = stats.multivariate_normal([0, 0], [[1, rho], [rho, 1]]).cdf([h, k])
    case("bivariate_normal_cdf", {"h": h, "k": k, "rho": rho}, {"p": float(p)}, 1e-6, "scipy")


def exact_power(n, psi, delta, margin, alpha):
    """Power of Tango's statistic on a binary one-trial table, by enumerating the trinomial."""
    pb, pc = (psi + delta) / 2, (psi - delta) / 2
    t = stats.t.ppf(1 - alpha, n - 1)
    total = 0.0
    for m in range(n + 1):
        pm = stats.binom.pmf(m, n, psi)
        if pm < 1e-12:
            continue
        b = np.arange(m + 1)
        pb_given = stats.binom.pmf(b, m, pb / psi)
        for bi, p in zip(b, pb_given):
            if p * pm > 1e-13:
                lin = -(m) + (2 * n - bi + (m - bi)) * margin
                cst = -(m - bi) * margin * (1 - margin)
                q = (math.sqrt(max(lin * lin - 8 * n * cst, 0)) - lin) / (4 * n)
                var = n * (2 * q + margin * (1 - margin))
                stat = (2 * bi - m - n * margin) / math.sqrt(var) if var > 0 else 0.0
                total += p * pm * (stat > t)
    return total


for n, psi, delta, margin in [(495, 0.2, 0.05, 0.0), (100, 0.3, 0.15, 0.05)]:
    case("exact_power", {"n": n, "psi": psi, "delta": delta, "margin": margin, "alpha": 0.05}, {"power": exact_power(n, psi, delta, margin, 0.05)}, 1e-6, "trinomial enumeration")


def clean(x):
    if isinstance(x, (np.floating, np.integer)):
        return x.item()
    if isinstance(x, np.ndarray):
        return x.tolist()
    raise TypeError(type(x))


print(json.dumps({"generated": "2026-11-23", "by": "generate.py; scipy 1.17.1, statsmodels 0.15.0", "cases": cases}, indent=1, default=clean))
