"""Two sides that take turns, and the ratio of their results pair by pair."""

import statistics
import sys

from .failure import Failure

LOSS_TOLERANCE = {"float32": 1e-4, "bfloat16": 1e-2}


class Row:
    """A ratio, a value a round, beside what the project asks of it."""

    def __init__(self, name, unit, theirs, ours, goal=None, must=None, lower=False, faster=None, peer=""):
        """`lower`: small ratios are good. `faster`: how values become a ratio; ours over theirs unless given."""
        self.name, self.unit, self.theirs, self.ours, self.peer = name, unit, theirs, ours, peer
        self.goal, self.must, self.lower = goal, must, lower
        self.ratios = [(faster or (lambda a, b: b / a))(a, b) for a, b in zip(theirs, ours)]

    @property
    def ratio(self):
        return statistics.median(self.ratios)

    @property
    def verdict(self):
        if self.must is None:
            return ""
        reaches = (lambda bound: self.ratio <= bound) if self.lower else (lambda bound: self.ratio >= bound)
        return "goal reached" if reaches(self.goal) else "must met" if reaches(self.must) else "NOT MET"

    @property
    def asked(self):
        sign = "≤" if self.lower else "≥"
        return f"{sign} {self.goal} ({sign} {self.must})" if self.must is not None else ""

    def as_json(self):
        return {
            "name": self.name, "unit": self.unit, "peer": self.peer, "pytorch": self.theirs, "peco": self.ours,
            "ratios": self.ratios, "ratio": self.ratio, "goal": self.goal, "must": self.must, "verdict": self.verdict,
        }


def number(value):
    """Three significant digits, without powers of ten."""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def table(rows):
    """A Markdown table."""
    lines = [
        "| what | unit | PyTorch | peco | ratio by round | median | spread | goal (must) | |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        name = f"{row.name}; peer: {row.peer}" if row.peer else row.name
        rounds = " ".join(f"{ratio:.2f}" for ratio in row.ratios)
        spread = f"{min(row.ratios):.2f}–{max(row.ratios):.2f}"
        lines.append(
            f"| {name} | {row.unit} | {number(statistics.median(row.theirs))} | {number(statistics.median(row.ours))} "
            f"| {rounds} | {row.ratio:.2f} | {spread} | {row.asked} | {row.verdict} |")
    return "\n".join(lines)


def progress(text):
    print("compare: " + text, file=sys.stderr, flush=True)


def alternate(rounds, sides, rates=True):
    """Runs every side once a round, the order turned around from round to round.

    sides: functions by name. Returns a list of results for each. rates: whether to tell images a second.
    """
    results = {name: [] for name in sides}
    for index in range(rounds):
        for name in sorted(sides, reverse=index % 2 == 1):
            results[name].append(sides[name]())
        progress(f"  round {index + 1} of {rounds}" + (": " + told(results) if rates else ""))
    return results


def told(results):
    last = {name: values(runs, "images_per_second")[-1] for name, runs in results.items()}
    return ", ".join(f"{name} {number(rate)}" for name, rate in last.items()) + " images/s"


def fastest(candidates, trial):
    """The name of the fastest candidate, and all their rates."""
    rates = {}
    for name, candidate in candidates.items():
        try:
            rates[name] = trial(candidate)["images_per_second"]
        except Failure as failure:
            # A compiler may be missing, or a number format not be supported; another way remains.
            progress(f"  {name} does not run: {str(failure).strip().splitlines()[-1]}")
    if not rates:
        raise Failure("none of the peers runs")
    best = max(rates, key=rates.get)
    progress("  trial: " + ", ".join(f"{name} {number(rate)}" for name, rate in rates.items()) + " images/s")
    return best, rates


def assert_same_loss(what, theirs, ours, precision):
    """Fails unless both sides found the same first loss, as far as the number format lets them."""
    tolerance = LOSS_TOLERANCE[precision]
    for run in ours:
        if not isinstance(run.get("loss"), (int, float)):
            raise Failure(f"{what}: `peco benchmark` printed no loss, though it was given a problem file")
        for other in theirs:
            difference = abs(run["loss"] - other["loss"]) / abs(other["loss"])
            if not difference < tolerance:
                raise Failure(
                    f"{what}: first losses differ: PyTorch {other['loss']:.7f}, peco {run['loss']:.7f}, relative difference "
                    f"{difference:.1e}, allowed {tolerance:.0e}; the two do not compute the same")
    progress(f"  first loss: PyTorch {theirs[0]['loss']:.7f}, peco {ours[0]['loss']:.7f}")


def values(runs, key):
    """A number of every run."""
    try:
        return [run[key] for run in runs]
    except KeyError:
        raise Failure(f"a run printed no '{key}', but: {', '.join(runs[0])}")
