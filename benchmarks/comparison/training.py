"""Training steps and encoding, against PyTorch on the same weights and images."""

from . import processes
from .comparison import Row, alternate, assert_same_loss, fastest, progress, values
from .failure import Failure

GIBIBYTE = 2**30
TUNED = "PyTorch, tuned"
OWN = "peco, float32"
KEEP = ["--activation-checkpointing", "none"]  # attention's weights, as PyTorch does
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

    def peers(self):
        """The peer's ways to do it, as lists of its options by name."""
        ways = {name: [self.option, name] for name in self.variants}
        if self.context.precision == "float32":
            return ways
        first, *others = ways
        autocast = ["--precision", "autocast"]
        result = {f"{name}, autocast": ways[name] + autocast for name in ways}
        result[f"{first}, bfloat16 model"] = [*ways[first], "--precision", "bfloat16"]
        result[f"{first}, autocast, compiled"] = [*ways[first], *autocast, "--compile"]
        if self.ranks > 1:
            result[f"{first}, autocast, gradients in bfloat16"] = [*ways[first], *autocast, "--compress"]
        return result

    def common(self, steps):
        return ["--problem", self.context.directory / self.problem, "--threads", self.threads, "--warmup", WARMUP,
                "--steps", steps]

    def peer(self, variant, setting, steps):
        return processes.peer(
            self.context.python, self.script,
            [*self.peers()[variant], *self.arguments.get("peer", []), *self.common(steps)],
            self.threads, self.context.settings[setting], self.ranks)

    def peco(self, steps, *more):
        return processes.peco(
            self.context.peco,
            [self.benchmark, *self.arguments["peco"], *self.common(steps), "--precision", self.context.precision, *more],
            self.threads, self.ranks)

    def run(self, steps, more={}):
        """PyTorch, PyTorch tuned further and peco in turns: results by side, and what the two peers were.

        more: further sides by name.
        """
        progress(self.what)
        counts, tuned, *others = self.context.settings
        variant, trial = self.context.way, {}
        if variant is None:
            variant, rates = fastest({name: name for name in self.peers()}, lambda name: self.peer(name, counts, 2))
            trial = {f"{name}, {counts}": rate for name, rate in rates.items()}
            for setting in others:
                trial[f"{variant}, {setting}"] = self.peer(variant, setting, 2)["images_per_second"]
        elif variant not in self.peers():
            raise Failure(f"{self.what}: no way of PyTorch's is named '{variant}'; there are {'; '.join(self.peers())}")
        results = alternate(self.context.rounds, {
            "PyTorch": lambda: self.peer(variant, counts, steps), TUNED: lambda: self.peer(variant, tuned, steps),
            "peco": lambda: self.peco(steps)} | more)
        assert_same_loss(self.what, results["PyTorch"], results["peco"], self.context.precision)
        self.context.record(self.what, results, trial)
        return results, (f"{variant}, {counts}", f"{variant}, {tuned}")

    def speed(self, results, peers, goal=None, must=None):
        """The ratio that counts, and that to the tuned peer."""
        ours = values(results["peco"], "images_per_second")
        return [
            Row(self.what, "images/s", values(results["PyTorch"], "images_per_second"), ours, goal, must, peer=peers[0]),
            Row("… the same", "images/s", values(results[TUNED], "images_per_second"), ours, peer=peers[1])]

    def gain(self, results, goal, must):
        """The ratio to our own float32."""
        return Row(
            "… against peco in float32", "images/s", values(results[OWN], "images_per_second"),
            values(results["peco"], "images_per_second"), goal, must, peer=OWN)

    def memory(self, results, goal=None, must=None):
        def gibibytes(runs):
            return [value / GIBIBYTE for value in values(runs, "peak_memory_bytes")]

        return Row(
            "… its peak memory", "GiB", gibibytes(results["PyTorch"]), gibibytes(results["peco"]), goal, must, lower=True)


NAMES = {"base": "ViT-B/16", "small": "ViT-S/16", "tiny": "ViT-Ti/16"}


def pretraining(context, batch, threads, ranks=1, *more, size="base"):
    what = f"{NAMES[size]} MIM step, {ranks} × {threads} thread{'s' * (threads > 1)}, batch {batch}" + " each" * (ranks > 1)
    comparison = TrainingComparison(
        context, what, "pretrain.py", "pretrain", ["plain", "plain-explicit", "huggingface"], "--model",
        f"vit-{size}-b{batch}.safetensors",
        {"peer": ["--size", size], "peco": ["--size", size, "--batch", batch, *more]}, threads, ranks)
    comparison.problem_file(["--size", size, "--batch", batch])
    return comparison


def vit(context):
    # In two pieces whose gradients add up: the same step, a little slower, in a third less memory.
    narrow = context.precision == "bfloat16"
    must, most = (1.25, 0.55) if narrow else (1.2, 0.5)
    comparison = pretraining(context, 16, 2, 1, "--micro-batch", 8)
    steps = context.steps(4)
    own = {OWN: lambda: comparison.peco(steps, "--precision", "float32")} if narrow else {}
    results, peers = comparison.run(steps, own)
    rows = [*comparison.speed(results, peers, 1.5, must), comparison.memory(results, 0.4, most)]
    return rows + ([comparison.gain(results, 1.9, 1.65)] if narrow else [])


def thread(context):
    comparison = pretraining(context, 8, 1, 1, *KEEP)
    results, peers = comparison.run(context.steps(4))
    must = 1.25 if context.precision == "bfloat16" else 1.2
    return [*comparison.speed(results, peers, 1.5, must), comparison.memory(results)]


def sizes(context):
    """The smaller transformers, of which less is products."""
    goals = (1.5, 1.25) if context.precision == "bfloat16" else ()
    rows = []
    for size, steps in [("small", 6), ("tiny", 10)]:
        comparison = pretraining(context, 16, 2, 1, size=size)
        results, peers = comparison.run(context.steps(steps))
        rows += [*comparison.speed(results, peers, *goals), comparison.memory(results)]
    return rows


def finetune(context):
    comparison = TrainingComparison(
        context, "ViT-B/16 fine-tuning step, 1 × 2 threads, batch 16", "finetune.py", "finetune", ["plain", "plain-explicit"],
        "--model", "finetune-b16.safetensors", {"peco": ["--size", "base", "--batch", 16, "--micro-batch", 8]}, 2)
    comparison.problem_file(["--size", "base", "--batch", 16])
    results, peers = comparison.run(context.steps(4))
    goals = (1.5, 1.25) if context.precision == "bfloat16" else ()
    return [*comparison.speed(results, peers, *goals), comparison.memory(results)]


def ranks(context):
    comparison = pretraining(context, 8, 1, 2, *KEEP)
    alone = pretraining(context, 16, 2, 1, *KEEP)
    steps = context.steps(4)
    results, peers = comparison.run(steps, {"peco, one rank": lambda: alone.peco(steps)})
    split = Row(
        "peco: 2 ranks × 1 thread against 1 rank × 2 threads, batch 16 in all", "images/s",
        values(results["peco, one rank"], "images_per_second"), values(results["peco"], "images_per_second"), 1.0, 0.95,
        peer="peco, one rank")
    must = 1.3 if context.precision == "bfloat16" else 1.25
    return [*comparison.speed(results, peers, 1.6, must), comparison.memory(results), split]


def tokenizer(context):
    goals = {"float32": [(2.5, 1.8), (1.5, 1.3)], "bfloat16": [(2.2, 1.7), (1.7, 1.35)]}[context.precision]
    return tokenizers(context, 64, 4, 3, goals)


def wide_tokenizer(context):
    return tokenizers(context, 128, 2, 2, {"float32": [(), ()], "bfloat16": [(2.2, 1.7), ()]}[context.precision])


def tokenizers(context, width, batch, steps, goals):
    rows = []
    for encodes, goal in zip([False, True], goals):
        flag = ["--encode"] if encodes else []
        what = f"tokenizer {'encoding' if encodes else 'training step'}, width {width}, batch {batch}"
        comparison = TrainingComparison(
            context, what, "tokenizer.py", "tokenizer", ["channels-last", "default"], "--layout",
            f"vqvae{width}-b{batch}.safetensors",
            {"peer": ["--width", width, *flag], "peco": ["--width", width, "--batch", batch, *flag]}, 2)
        comparison.problem_file(["--width", width, "--batch", batch])
        results, peers = comparison.run(context.steps(8 if encodes else steps))
        rows += comparison.speed(results, peers, *goal)
        if not encodes:
            rows.append(comparison.memory(results))
    return rows
