"""Training steps and encoding, against PyTorch on the same weights and pictures."""

from . import processes
from .comparison import Row, alternate, assert_same_loss, fastest, progress, values

GIBIBYTE = 2**30
WARMUP = 2  # a process's second step still touches memory for the first time


class TrainingComparison:
    """One configuration: a peer script with several variants, and the arguments of `peco benchmark`."""

    def __init__(self, context, what, script, benchmark, variants, variant_option, problem, arguments, threads, ranks=1):
        self.context, self.what, self.script, self.benchmark = context, what, script, benchmark
        self.variants, self.option, self.problem = variants, variant_option, problem
        self.arguments, self.threads, self.ranks = arguments, threads, ranks

    def problem_file(self, sizes):
        """Writes the problem unless it is there."""
        path = self.context.directory / self.problem
        if not path.exists():
            progress(f"writing {self.problem}")
            processes.run(
                [self.context.python, processes.PEERS / self.script, "--problem", path, "--write", *sizes],
                len(processes.cores()))
        return path

    def common(self, steps):
        return ["--problem", self.context.directory / self.problem, "--threads", self.threads, "--warmup", WARMUP,
                "--steps", steps]

    def peer(self, variant, setting, steps):
        return processes.peer(
            self.context.python, self.script,
            [self.option, variant, *self.arguments.get("peer", []), *self.common(steps)],
            self.threads, self.context.settings[setting], self.ranks)

    def peco(self, steps, *more):
        return processes.peco(
            self.context.peco,
            [self.benchmark, *self.arguments["peco"], *self.common(steps), *more], self.threads, self.ranks)

    def run(self, steps, more={}):
        """The fastest peer and peco in turns: results by side, and what the peer was.

        more: further sides by name.
        """
        progress(self.what)
        first = self.variants[0]
        setting, settings = fastest(
            {name: name for name in self.context.settings}, lambda name: self.peer(first, name, 2))
        variant, rates = fastest(
            {name: name for name in self.variants[1:]}, lambda name: self.peer(name, setting, 2))
        if settings[setting] > rates[variant]:
            variant = first
        results = alternate(self.context.rounds, {
            "PyTorch": lambda: self.peer(variant, setting, steps), "peco": lambda: self.peco(steps)} | more)
        assert_same_loss(self.what, results["PyTorch"], results["peco"])
        trial = {f"{first}, {name}": rate for name, rate in settings.items()}
        trial |= {f"{name}, {setting}": rate for name, rate in rates.items()}
        self.context.record(self.what, results, trial)
        return results, f"{variant}, {setting}" if len(self.context.settings) > 1 else variant

    def speed(self, results, peer, goal=None, must=None, side="peco", what=None):
        return Row(
            what or self.what, "pictures/s", values(results["PyTorch"], "images_per_second"),
            values(results[side], "images_per_second"), goal, must, peer=peer)

    def memory(self, results, goal=None, must=None, side="peco", what="… its peak memory"):
        def gibibytes(runs):
            return [value / GIBIBYTE for value in values(runs, "peak_memory_bytes")]

        return Row(what, "GiB", gibibytes(results["PyTorch"]), gibibytes(results[side]), goal, must, lower=True)


def pretraining(context, batch, threads, ranks=1):
    what = f"ViT-B/16 MIM step, {ranks} × {threads} thread{'s' * (threads > 1)}, batch {batch}" + " each" * (ranks > 1)
    comparison = TrainingComparison(
        context, what, "pretrain.py", "pretrain", ["plain", "plain-explicit", "huggingface"], "--model",
        f"vit-b{batch}.safetensors", {"peco": ["--size", "base", "--batch", batch]}, threads, ranks)
    comparison.problem_file(["--size", "base", "--batch", batch])
    return comparison


def vit(context):
    rows = []
    for batch, threads in [(16, 2), (8, 1)]:
        comparison = pretraining(context, batch, threads)
        steps = context.steps(4)
        parts = "peco in micro-batches of 4"
        results, peer = comparison.run(steps, {parts: lambda: comparison.peco(steps, "--micro-batch", 4)})
        rows += [
            comparison.speed(results, peer, 1.5, 1.2), comparison.memory(results, 0.4, 0.5),
            comparison.speed(results, peer, side=parts, what=f"… {parts}, PyTorch all at once"),
            comparison.memory(results, side=parts)]
    return rows


def ranks(context):
    comparison = pretraining(context, 8, 1, ranks=2)
    alone = pretraining(context, 16, 2)
    steps = context.steps(4)
    results, peer = comparison.run(steps, {"peco, one rank": lambda: alone.peco(steps)})
    split = Row(
        "peco: 2 ranks × 1 thread against 1 rank × 2 threads, batch 16 in all", "pictures/s",
        values(results["peco, one rank"], "images_per_second"), values(results["peco"], "images_per_second"), 1.0, 0.95,
        peer="peco, one rank")
    return [comparison.speed(results, peer, 1.6, 1.25), comparison.memory(results, 0.4, 0.5), split]


def tokenizer(context):
    rows = []
    for width, batch, steps, goals in [(64, 4, 3, [(2.5, 1.8), (1.5, 1.3)]), (128, 2, 2, [(), ()])]:
        for encodes, goal in zip([False, True], goals):
            flag = ["--encode"] if encodes else []
            what = f"tokenizer {'encoding' if encodes else 'training step'}, width {width}, batch {batch}"
            comparison = TrainingComparison(
                context, what, "tokenizer.py", "tokenizer", ["channels-last", "default"], "--layout",
                f"vqvae{width}-b{batch}.safetensors",
                {"peer": ["--width", width, *flag], "peco": ["--width", width, "--batch", batch, *flag]}, 2)
            comparison.problem_file(["--width", width, "--batch", batch])
            results, peer = comparison.run(context.steps(8 if encodes else steps))
            rows.append(comparison.speed(results, peer, *goal))
            if not encodes:
                rows.append(comparison.memory(results))
    return rows
