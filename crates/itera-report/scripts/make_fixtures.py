#!/usr/bin/env python3
"""Writes the invented data files under ../tests/fixtures. Seeded; no figure in them was measured.

    python3 scripts/make_fixtures.py
"""

import copy
import json
import pathlib
import random

OUT = pathlib.Path(__file__).resolve().parent.parent / "tests" / "fixtures"
NOTE = "FIXTURE: invented figures, for tests of the charts only."


def effect(delta, half, n, floor=None):
    low, high = delta - half, delta + half
    se = half / 1.96
    return {"delta": round(delta, 4), "ci_low": round(low, 4), "ci_high": round(high, 4),
            "lower_bound": round(delta - 1.645 * se, 4), "upper_bound": round(delta + 1.645 * se, 4),
            "p_value": 0.01, "n": n, "n_star": round(n * 0.8, 1), "mde": round(2.49 * se, 4), "noise_se": round(se, 4),
            "discordance": {"wins": round(max(delta, 0) + 0.05, 4), "losses": round(max(-delta, 0) + 0.05, 4)}}


def classifier():
    arms = [("prompt-v1", "Prompt v1 (deployed)", 0.812, 1.24), ("prompt-v2", "Prompt v2: sign rule first", 0.896, 1.31),
            ("prompt-v3", "Prompt v3: few-shot", 0.823, 2.87)]
    n = 480
    slices = [("segment=enterprise", "enterprise", 190, 0.4), ("segment=smb", "smb", 290, 0.6)]
    per = {"prompt-v1": (0.79, 0.827), "prompt-v2": (0.874, 0.911), "prompt-v3": (0.878, 0.786)}
    data = {
        "schema_version": 1,
        "experiment": {"id": "2026-11-02-transaction-prompt", "topic": "transaction-prompt",
                       "name": "Transaction classifier: which prompt? (fixture)",
                       "question": "Compare prompt-v1, v2, v3 on the B2B transaction classifier. " + NOTE,
                       "metric": "exact category and sign", "threshold_pct": 5.0,
                       "threshold_rule": "ship if at least +5 pp with no slice losing more than 2 pp",
                       "test_set_n": n, "trials_per_arm": 3},
        "arms": [], "slices": [
            {"id": i, "name": s, "column": "segment", "test_n": k, "production_share": p, "test_share": round(k / n, 4)}
            for i, s, k, p in slices],
        "failure_modes": {"registered_at_phase_2": "2026-11-02", "categories": [
            {"id": "wrong_code", "name": "Wrong code", "severity_weight": 1.0},
            {"id": "wrong_sign", "name": "Wrong sign", "severity_weight": 3.0},
            {"id": "transfer_as_revenue", "name": "Transfer booked as revenue", "severity_weight": 5.0}],
            "test_set_counts": {"prompt-v1": {"wrong_code": 150, "wrong_sign": 71, "transfer_as_revenue": 50},
                                "prompt-v2": {"wrong_code": 106, "wrong_sign": 22, "transfer_as_revenue": 22},
                                "prompt-v3": {"wrong_code": 120, "wrong_sign": 63, "transfer_as_revenue": 72}},
            "answers_per_arm": n * 3},
        "severity": {"field": "amount", "registered_at_phase_2": "2026-11-02", "cap": 50000.0,
                     "test_set_weighted_accuracy": {"prompt-v1": 0.781, "prompt-v2": 0.887, "prompt-v3": 0.758},
                     "effect_sizes": {"prompt-v2": effect(0.106, 0.045, n), "prompt-v3": effect(-0.023, 0.05, n)}},
        "variance_trials": {"prompt-v1": [0.806, 0.815, 0.810], "prompt-v2": [0.893, 0.901, 0.889], "prompt-v3": [0.828, 0.818, 0.831]},
        "test_set_trials": {"prompt-v1": [0.8083, 0.8146, 0.8131], "prompt-v2": [0.8917, 0.9, 0.8963], "prompt-v3": [0.8188, 0.8292, 0.821]},
        "test_set_aggregate": {a: m for a, _, m, _ in arms},
        "test_set_per_slice": {a: dict(zip([s[0] for s in slices], v)) for a, v in per.items()},
        "effect_sizes": {
            "prompt-v2": {"aggregate": effect(0.084, 0.031, n), "per_slice": {
                "segment=enterprise": effect(0.084, 0.052, 190), "segment=smb": effect(0.084, 0.040, 290)}},
            "prompt-v3": {"aggregate": effect(0.011, 0.034, n), "per_slice": {
                "segment=enterprise": effect(0.088, 0.054, 190), "segment=smb": effect(-0.041, 0.041, 290)}}},
        "ship_rule": {"objective": "superiority", "min_effect_pp": 5.0, "loss_floor_pp": 2.0, "alpha": 0.05,
                      "evidence": {"effect": "proven_margin", "floor": "proven"}},
        "frame_hash": "f" * 64, "ledger_head": "e" * 64, "seed": "12345678901234567890",
        "splits": {"train": 720, "dev": 1200, "test": n},
        "iterations": [
            {"sprint": 1, "iteration": 1, "arm": "prompt-v2", "version": 2, "builds_on": 1, "hypothesis": "Stating the sign rule before the codes stops sign errors.",
             "change": "Moved the sign rule to the top.", "effect": 0.031, "se": 0.009, "rows": 1200, "outcome": "supported",
             "gate": {"class": "mechanism", "kept": True, "reason": "A rule of the ledger, not of rows."}},
            {"sprint": 1, "iteration": 2, "arm": "prompt-v3", "version": 2, "builds_on": 1, "hypothesis": "Three vendor examples cover the long tail.",
             "change": "Listed three vendors by name.", "effect": 0.021, "se": 0.009, "rows": 1200, "outcome": "supported",
             "gate": {"class": "hardcode", "kept": False, "reason": "Quotes vendors of dev rows.", "quoted_dev_rows": 3}},
            {"sprint": 1, "iteration": 3, "arm": "prompt-v2", "version": 3, "builds_on": 2, "hypothesis": "A shorter list of codes is read better.",
             "change": "Cut rarely used codes.", "effect": -0.004, "se": 0.008, "rows": 1200, "outcome": "neutral",
             "gate": {"class": "mechanism", "kept": True, "reason": "Harmless."}},
            {"sprint": 2, "iteration": 1, "arm": "prompt-v2", "version": 4, "builds_on": 3, "hypothesis": "Asking for the counterpart first separates transfers.",
             "change": "Ask for the counterpart account.", "effect": 0.026, "se": 0.008, "rows": 1200, "outcome": "supported",
             "gate": {"class": "mechanism", "kept": True, "reason": "Any bookkeeper would ask."}}],
        "gates": [{"sprint": 1, "decision": "continue", "signal_left": True, "reason": "Transfers are still confused.", "killed": []},
                  {"sprint": 2, "decision": "lock", "signal_left": False, "reason": "What is left is noise.", "killed": []}],
        "trajectory": [],
        "operating_characteristics": [
            {"truth_pp": t, "ship": s, "scope": c, "kill": k, "underpowered": round(1 - s - c - k, 4)} for t, s, c, k in
            [(0, 0.0, 0.0, 0.92), (4.9, 0.03, 0.01, 0.05), (5, 0.03, 0.02, 0.05), (7.5, 0.41, 0.08, 0.0), (10, 0.87, 0.05, 0.0), (15, 0.99, 0.01, 0.0)]],
        "disclosures": [{"id": "consent", "text": NOTE}],
        "digests": {"scores_csv": "a" * 64, "ledger_jsonl": "b" * 64},
        "verdict": {"winner": "prompt-v2", "killed": [], "rationale": "prompt-v2 is proven above +5 pp in the aggregate and above the floor in every slice. " + NOTE,
                    "outcome": "ship", "per_arm": [
                        {"arm": "prompt-v2", "outcome": "ship", "slices": [], "clause": "ship", "sentence": "Ships: +8.4 pp, lower bound +5.8 pp."},
                        {"arm": "prompt-v3", "outcome": "scope", "slices": ["segment=enterprise"], "clause": "scope", "sentence": "Ships for enterprise only."}]},
    }
    data["operating_characteristics"].append({"truth_pp": 10, "scenario": "one slice loses 8 pp", "ship": 0.01, "scope": 0.82, "kill": 0.0, "underpowered": 0.17})
    for i, (a, name, mean, cost) in enumerate(arms):
        half = 1.96 * (mean * (1 - mean) / n) ** 0.5
        data["arms"].append({
            "id": a, "name": name, "cost_per_1k_usd": cost, "version": [1, 4, 1][i], "reference": f"prompts/{a}.md:1",
            "role": "baseline" if i == 0 else "candidate",
            "test_score": {"mean": mean, "ci_low": round(mean - half, 4), "ci_high": round(mean + half, 4)},
            "cost": {"steady_mean_usd": cost / 1000, "first_call_mean_usd": cost / 400, "per_1k_ci_low_usd": round(cost * 0.96, 3), "per_1k_ci_high_usd": round(cost * 1.05, 3)},
            "latency": {"mean_ms": 840.0 + 90 * i, "p50_ms": 760.0 + 90 * i, "p95_ms": 1730.0 + 200 * i},
            "tokens": {"input_mean": 812.0 + 300 * i, "output_mean": 24.0}})
    t = data["trajectory"]
    def point(p, s, it, arm, v, mean):
        t.append({"pass": p, "sprint": s, "iteration": it, "arm": arm, "version": v, "mean": mean, "ci_low": round(mean - 0.019, 4), "ci_high": round(mean + 0.019, 4), "n": 1200})
    point(1, 0, 0, "prompt-v1", 1, 0.8103), point(1, 0, 0, "prompt-v2", 1, 0.8412), point(1, 0, 0, "prompt-v3", 1, 0.8257)
    point(2, 1, 1, "prompt-v1", 1, 0.8103), point(2, 1, 1, "prompt-v2", 2, 0.8722)
    point(3, 1, 2, "prompt-v1", 1, 0.8103), point(3, 1, 2, "prompt-v3", 2, 0.8467)
    point(4, 1, 3, "prompt-v1", 1, 0.8103), point(4, 1, 3, "prompt-v2", 3, 0.8682)
    point(5, 2, 1, "prompt-v1", 1, 0.8103), point(5, 2, 1, "prompt-v2", 4, 0.8942)
    return data


ORIGINAL = ["experiment", "arms", "slices", "failure_modes", "severity", "variance_trials", "test_set_aggregate", "test_set_per_slice", "effect_sizes", "verdict"]


def original():
    data = {k: v for k, v in classifier().items() if k in ORIGINAL}
    data["experiment"] = {k: v for k, v in data["experiment"].items() if k not in ("id", "topic")}
    data["arms"] = [{k: a[k] for k in ("id", "name", "cost_per_1k_usd")} for a in data["arms"]]
    data["slices"] = [{k: s[k] for k in ("id", "name")} for s in data["slices"]]
    del data["failure_modes"]["answers_per_arm"]
    data["failure_modes"]["test_set_counts"] = {a: {m: c // 3 for m, c in v.items()} for a, v in data["failure_modes"]["test_set_counts"].items()}
    for k in ("cap", "effect_sizes"):
        del data["severity"][k]
    short = lambda e: {k: e[k] for k in ("delta", "ci_low", "ci_high")}
    data["effect_sizes"] = {a: {"aggregate": short(e["aggregate"]), "per_slice": {s: short(x) for s, x in e["per_slice"].items()}}
                            for a, e in data["effect_sizes"].items()}
    data["verdict"] = {"winner": "prompt-v2", "killed": ["prompt-v3"], "rationale": "v2 clears the threshold; v3 does not. " + NOTE}
    return data


def twelve_slices():
    rng = random.Random(12)
    data = classifier()
    names = ["enterprise", "smb", "Türkiye ve Doğu Avrupa", "日本・関東地方", "한국 중소기업", "华东地区的中小企业客户", "עסקים קטנים", "الشركات الصغيرة",
             "a rather long slice name that cannot possibly fit into the column", "Ελλάδα", "Казахстан", "🚀 new <tenants> & \"others\""]
    data["experiment"]["name"] = "Twelve slices, long and foreign names (fixture)"
    data["slices"] = [{"id": f"region={v}", "name": v, "column": "region", "test_n": 14 + 9 * i} for i, v in enumerate(names)]
    data["arms"][0]["name"] = "Deployed: retrieval-augmented classifier with a very long name, version 2026-10-01, temperature 0"
    data["arms"][1]["name"] = "ルーター付き二段階分類器（新しい版）"
    data["arms"][2]["name"] = "نموذج صغير مع موجه"
    data["arms"][0]["cost_per_1k_usd"], data["arms"][1]["cost_per_1k_usd"], data["arms"][2]["cost_per_1k_usd"] = 0.04, 0.62, 31.0
    for a in data["arms"]:
        del a["cost"]
    for arm, mean in (("prompt-v2", 0.084), ("prompt-v3", 0.011)):
        data["effect_sizes"][arm]["per_slice"] = {
            s["id"]: effect(max(-0.3, min(0.3, rng.gauss(mean, 0.05))), 0.9 / s["test_n"] ** 0.5 * 0.55, s["test_n"]) for s in data["slices"]}
    data["test_set_per_slice"] = {}
    data["verdict"]["per_arm"][1] = {"arm": "prompt-v3", "outcome": "underpowered", "slices": [], "clause": "underpowered", "sentence": NOTE, "rows_needed": 1900}
    return data


def one_arm():
    data = original()
    data["experiment"]["name"] = "A baseline alone (fixture)"
    keep = "prompt-v1"
    data["arms"] = data["arms"][:1]
    for key in ("variance_trials", "test_set_aggregate", "test_set_per_slice"):
        data[key] = {keep: data[key][keep]}
    data["failure_modes"]["test_set_counts"] = {keep: data["failure_modes"]["test_set_counts"][keep]}
    data["severity"]["test_set_weighted_accuracy"] = {keep: 0.781}
    data["effect_sizes"] = {}
    data["verdict"] = {"winner": None, "killed": [], "rationale": NOTE}
    return data


def zero_costs():
    data = classifier()
    data["experiment"]["name"] = "Local programs without a price (fixture)"
    for a in data["arms"]:
        a["cost_per_1k_usd"] = 0.0
        del a["cost"]
    data["test_set_aggregate"]["prompt-v2"] = 1.0
    data["arms"][1]["test_score"] = {"mean": 1.0, "ci_low": 0.992, "ci_high": 1.0}
    data["test_set_trials"]["prompt-v2"] = [1.0, 1.0, 1.0]
    data["test_set_aggregate"]["prompt-v3"] = 0.0
    data["arms"][2]["test_score"] = {"mean": 0.0, "ci_low": 0.0, "ci_high": 0.008}
    data["test_set_trials"]["prompt-v3"] = [0.0, 0.0, 0.0]
    data["test_set_per_slice"] = {}
    data["failure_modes"]["test_set_counts"] = {a: {} for a in data["failure_modes"]["test_set_counts"]}
    n = 480
    data["effect_sizes"] = {"prompt-v2": {"aggregate": effect(0.188, 0.035, n), "per_slice": {"segment=smb": effect(0.173, 0.044, 290)}},
                            "prompt-v3": {"aggregate": effect(-0.812, 0.035, n), "per_slice": {"segment=enterprise": effect(-0.79, 0.06, 190)}}}
    return data


def mixed_costs():
    """A free arm among priced ones, near-equal scores, non-inferiority."""
    data = classifier()
    data["experiment"]["name"] = "Is the small model enough? (fixture)"
    for a, name, cost, mean in zip(data["arms"], ["Large model", "Small model", "Keyword rules"], [14.2, 0.9, 0.0], [0.871, 0.868, 0.869]):
        a["name"], a["cost_per_1k_usd"] = name, cost
        a["test_score"] = {"mean": mean, "ci_low": mean - 0.029, "ci_high": mean + 0.029}
        del a["cost"]
        data["test_set_aggregate"][a["id"]] = mean
        data["test_set_trials"][a["id"]] = [mean - 0.004, mean + 0.001, mean + 0.003]
    data["ship_rule"] = {"objective": "non_inferiority", "min_effect_pp": 2.0, "loss_floor_pp": 4.0, "alpha": 0.05}
    data["experiment"]["threshold_pct"] = -2.0
    data["effect_sizes"] = {"prompt-v2": {"aggregate": effect(-0.003, 0.012, 480), "per_slice": {
        "segment=enterprise": effect(0.004, 0.02, 190), "segment=smb": effect(-0.008, 0.016, 290)}},
        "prompt-v3": {"aggregate": effect(-0.002, 0.03, 480), "per_slice": {
            "segment=enterprise": {"delta": -0.045, "ci_low": None, "ci_high": None}, "segment=smb": effect(0.026, 0.04, 290)}}}
    return data


def crowded():
    """Four arms of nearly equal cost and score, nine iterations, three gates."""
    rng = random.Random(3)
    data = classifier()
    data["experiment"]["name"] = "Four arms that hardly differ (fixture)"
    data["arms"].append({**data["arms"][2], "id": "prompt-v4", "name": "Prompt v4: chain of thought, long answer", "version": 4})
    for a, mean, cost in zip(data["arms"], [0.85, 0.853, 0.848, 0.851], [1.20, 1.22, 1.25, 1.21]):
        a["cost_per_1k_usd"] = cost
        a.pop("cost", None)
        a["test_score"] = {"mean": mean, "ci_low": mean - 0.03, "ci_high": mean + 0.03}
        data["test_set_aggregate"][a["id"]] = mean
        data["test_set_trials"][a["id"]] = [round(mean + d, 4) for d in (-0.003, 0.001, 0.002)]
    data["effect_sizes"] = {a: {"aggregate": effect(d, 0.02, 480), "per_slice": {}} for a, d in
                            (("prompt-v2", 0.003), ("prompt-v3", -0.002), ("prompt-v4", 0.001))}
    data["test_set_per_slice"] = {}
    means, versions = {"prompt-v2": 0.80, "prompt-v3": 0.81, "prompt-v4": 0.805}, dict.fromkeys(("prompt-v2", "prompt-v3", "prompt-v4"), 1)
    point = lambda p, s, i, arm, v, m: {"pass": p, "sprint": s, "iteration": i, "arm": arm, "version": v, "mean": round(m, 4),
                                        "ci_low": round(m - 0.02, 4), "ci_high": round(m + 0.02, 4), "n": 1200}
    data["trajectory"] = [point(1, 0, 0, a, 1, m) for a, m in means.items()] + [point(1, 0, 0, "prompt-v1", 1, 0.8)]
    data["iterations"], data["gates"] = [], []
    for sprint in (1, 2, 3):
        for i, arm in enumerate(means, 1):
            versions[arm] += 1
            means[arm] += rng.gauss(0.008, 0.01)
            data["trajectory"] += [point(3 * sprint + i - 2, sprint, i, arm, versions[arm], means[arm]),
                                   point(3 * sprint + i - 2, sprint, i, "prompt-v1", 1, 0.8)]
            data["iterations"].append({"sprint": sprint, "iteration": i, "arm": arm, "version": versions[arm], "hypothesis": NOTE, "change": NOTE,
                                       "gate": {"class": "mechanism", "kept": rng.random() > 0.3, "reason": NOTE}})
        data["gates"].append({"sprint": sprint, "decision": "lock" if sprint == 3 else "continue", "signal_left": sprint < 3, "reason": NOTE, "killed": []})
    data["verdict"] = {"winner": None, "killed": [], "rationale": NOTE, "outcome": "underpowered", "per_arm": [
        {"arm": a, "outcome": "underpowered", "slices": [], "clause": "underpowered", "sentence": NOTE, "rows_needed": 5200} for a in means]}
    return data


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    for make in (classifier, original, twelve_slices, one_arm, zero_costs, mixed_costs, crowded):
        path = OUT / f"{make.__name__}.json"
        path.write_text(json.dumps(copy.deepcopy(make()), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
