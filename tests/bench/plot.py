"""Pictures of what scripts/bench measured, from its JSON lines: a PNG a workload. Needs Debian's python3-matplotlib.

    python3 tests/bench/plot.py FILE.jsonl FOLDER
"""
import json
import pathlib
import statistics
import sys

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot, ticker  # noqa: E402 (the backend is chosen first)

# Figures worth a panel, and the words of their axis.
AXES = {
    "messages/s": "messages a second", "recipients/s": "recipients a second", "round trips": "round trips a copy", "250 ms": "final dot to 250 (ms)",
    "p50 ms": "latency, median (ms)", "p99 ms": "latency, 99 % (ms)", "post to 3 ms": "post to three, slowest (ms)", "p99 ms quiet": "p99 without the large post (ms)",
    "p99 ms busy": "p99 beside the large post (ms)", "edit ms": "edit (ms)", "KB a connection": "memory of a connection (KB)", "MB idle": "memory, idle (MB)",
    "CPU us": "processor for each (µs)", "wall us": "time for each (µs)", "own MB": "most anonymous memory (MB)", "written B": "written for each (bytes)",
    "disk B": "disk for each (bytes)", "delivered of 99": "delivered of the 99 good ones", "connections": "connections",
}
COLOURS = {"spoold": "#1f77b4", "spoold 1t": "#6baed6", "spoold 2t": "#1f77b4", "raw": "#999999", "commit": "#bbbbbb", "Postfix": "#d62728", "Postfix held": "#e7969c", "Exim": "#ff7f0e"}


def values(lines, who, key):
    return [line["figures"][key] for line in lines if line["who"] == who and key in line["figures"]]


def plain(axis):
    axis.set_major_formatter(ticker.FuncFormatter(lambda v, _: f"{v:,.0f}" if v >= 10 else f"{v:.3g}"))


def bars(panel, lines, key):
    """Medians, from least to most."""
    whos = [who for who in dict.fromkeys(line["who"] for line in lines) if values(lines, who, key)]
    for n, who in enumerate(whos):
        all_of_them = values(lines, who, key)
        middle = statistics.median(all_of_them)
        panel.bar(n, middle, color=COLOURS.get(who, "#2ca02c"), width=0.7, yerr=[[middle - min(all_of_them)], [max(all_of_them) - middle]], capsize=5)
        panel.text(n, max(all_of_them) * 1.05, f"{middle:,.0f}" if middle >= 100 else f"{middle:.3g}", ha="center", va="bottom", fontsize=8)
    panel.set_xticks(range(len(whos)), whos)
    panel.set_xlim(-0.7, max(len(whos), 3) - 0.3)
    medians = [statistics.median(values(lines, who, key)) for who in whos]
    if min(medians) > 0 and max(medians) / min(medians) > 20:
        panel.set_yscale("log")
        panel.set_ylim(min(medians) / 3, max(medians) * 4)
    else:
        panel.set_ylim(0, max(medians) * 1.25 or 1)


def curves(panel, lines, key):
    """A line a contestant over the sizes."""
    for who in dict.fromkeys(line["who"] for line in lines):
        sizes = sorted({line["size"] for line in lines if line["who"] == who and key in line["figures"]})
        runs = [values([line for line in lines if line["size"] == size], who, key) for size in sizes]
        if sizes:
            panel.plot(sizes, [statistics.median(run) for run in runs], marker="o", label=who, color=COLOURS.get(who))
            panel.fill_between(sizes, [min(run) for run in runs], [max(run) for run in runs], alpha=0.2, color=COLOURS.get(who))
    panel.set_xscale("log")
    panel.set_yscale("log")
    panel.set_xlabel(lines[0]["unit"])
    plain(panel.xaxis)
    panel.yaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
    panel.yaxis.set_minor_formatter(ticker.NullFormatter())
    low, high = panel.get_ylim()
    panel.set_ylim(min(low, (low * high) ** 0.5 / 4), max(high, (low * high) ** 0.5 * 4))  # a flat line shall look flat
    panel.legend(fontsize=8)


def draw(name, lines, folder):
    growing = "size" in lines[0]
    keys = [key for key in AXES if any(key in line["figures"] for line in lines)][:4]
    figure, panels = pyplot.subplots(1, len(keys), figsize=(4.2 * len(keys), 4), squeeze=False)
    for panel, key in zip(panels[0], keys):
        (curves if growing else bars)(panel, lines, key)
        panel.set_ylabel(AXES[key])
        plain(panel.yaxis)
        panel.grid(axis="both" if growing else "y", which="major", alpha=0.3)
        panel.set_axisbelow(True)
    runs = max(line["run"] for line in lines)
    figure.suptitle(f"{name}: {lines[0]['title']}\nmedian of {runs} run{'s' if runs > 1 else ''}, {'band' if growing else 'whisker'} from least to most", fontsize=9)
    figure.tight_layout()
    figure.savefig(folder / f"{name}.png", dpi=100)
    pyplot.close(figure)


def plot(lines, folder):
    """Draws the runs among the lines; the files it made."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    rows = {}
    for line in lines:
        if AXES.keys() & line.get("figures", {}).keys():
            rows.setdefault(line["row"], []).append(line)
    for name, runs in rows.items():
        draw(name, runs, folder)
    return [folder / f"{name}.png" for name in rows]


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    with open(sys.argv[1]) as measured:
        for made in plot([json.loads(line) for line in measured], sys.argv[2]):
            print(made)
