"""What a measurement is, and how it is shown: contestants in turns, medians, ratios with their spread, budgets.

A Row has contestants (name -> function that makes one run and returns its figures). `spoold` comes first. A Budget compares
spoold's figure with that of another contestant, run by run, or with a limit of its own; it is judged by the median.
"""
import dataclasses
import json
import statistics
import time
import typing

from bench import Bench

SPOOLD = "spoold"


@dataclasses.dataclass
class Budget:
    key: str
    than: str | None = None  # a ratio to this contestant's figure
    least: float | None = None
    most: float | None = None

    def says(self):
        limit = self.least if self.most is None else self.most
        limit = "" if limit is None else f" {'≤' if self.least is None else '≥'} {limit:{',.0f' if limit == int(limit) else '.3g'}}"
        return f"{self.key}{' / ' + self.than if self.than else ''}{limit}"

    def values(self, ours, theirs):
        return [o[self.key] / t[self.key] for o, t in zip(ours, theirs)] if self.than else [o[self.key] for o in ours]

    def met(self, value):
        return (self.least is None or value >= self.least) and (self.most is None or value <= self.most)


@dataclasses.dataclass
class Row:
    title: str
    contestants: dict[str, typing.Callable]
    budgets: list[Budget] = dataclasses.field(default_factory=list)
    peers: tuple = ("Postfix", "Postfix held", "Exim")  # contestants only of --peers

    def measure(self, name, report):
        """All contestants in turn, as often as the report says."""
        figures = {}
        for n in range(report.runs):
            for who, threads, run in report.turns(self):
                Bench.threads = threads
                one = run()
                figures.setdefault(who, []).append(one)
                report.note(row=name, title=self.title, who=who, run=n + 1, threads=threads, time=round(time.time(), 1), figures=one)
        report.show(name, self, figures)


def shown(value):
    return "-" if value is None else f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}" if abs(value) < 10 else f"{value:.1f}"


def spread(values):
    """Median (least-most)."""
    return f"{shown(statistics.median(values))}" + (f" ({shown(min(values))}-{shown(max(values))})" if len(values) > 1 else "")


def columns(heads, lines):
    """Lines of equal columns, the first to the left."""
    widths = [max(len(line[n]) for line in [heads, *lines]) for n in range(len(heads))]
    return [("  " + "  ".join(cell.ljust(w) if n == 0 else cell.rjust(w) for n, (cell, w) in enumerate(zip(line, widths)))).rstrip() for line in [heads, *lines]]


class Report:
    """Prints rows, counts budgets, writes a JSON line a run."""

    def __init__(self, runs, with_peers, threads, json_file):
        self.runs, self.with_peers, self.threads, self.json_file = runs, with_peers, threads, json_file
        self.met = self.missed = 0
        self.lines = []  # what the JSON lines hold

    def note(self, **line):
        self.lines.append(line)
        if self.json_file:
            self.json_file.write(json.dumps(line) + "\n")
            self.json_file.flush()

    def judge(self, name, who, budget, values, met):
        """Counts and notes a budget; its verdict."""
        verdict = "ok" if met else "MISSED"
        self.met, self.missed = self.met + met, self.missed + (not met)
        self.note(row=name, who=who, budget=budget, value=statistics.median(values), least=min(values), most=max(values), verdict=verdict)
        return verdict

    def turns(self, row):
        """(name, threads, function) of each contestant, in the order of a turn."""
        for name, run in row.contestants.items():
            if name in row.peers and not self.with_peers:
                continue
            for threads in self.threads if name == SPOOLD else self.threads[:1]:
                yield (name if len(self.threads) == 1 or name != SPOOLD else f"{name} {threads}t"), threads, run

    def show(self, name, row, figures):
        print(f"\n{name}: {row.title}")
        keys = list(dict.fromkeys(key for runs in figures.values() for key in runs[0]))
        medians = [[who, *(shown(statistics.median(run[key] for run in runs) if key in runs[0] else None) for key in keys)] for who, runs in figures.items()]
        print("\n".join(columns(["", *keys], medians)))
        ours = [who for who in figures if who.split()[0] == SPOOLD]
        lines = []
        for budget in row.budgets:
            for who in ours:
                if budget.than and budget.than not in figures:
                    continue
                values = budget.values(figures[who], figures.get(budget.than))
                verdict = ""
                if budget.least is not None or budget.most is not None:
                    met = budget.met(statistics.median(values))
                    verdict = self.judge(name, who, budget.says(), values, met)
                lines.append([f"{who if len(ours) > 1 else ''} {budget.says()}".strip(), spread(values), verdict])
        if lines:
            print("\n".join(columns(["budget", "median (least-most)", ""], lines)), flush=True)
        if len(ours) == 2:
            key = row.budgets[0].key if row.budgets else keys[0]
            print(f"  {key}: {ours[1]} / {ours[0]} " + spread([b[key] / a[key] for a, b in zip(figures[ours[0]], figures[ours[1]])]))

    def close(self):
        print(f"\nbudgets: {self.met} ok, {self.missed} MISSED")
