"""Instructions for each VERP recipient and each accepted message in the parts without sockets, counted by callgrind on fixed input
(tests/bench/cost.cpp), beside the baseline of cost.json (release build by Debian 12's g++). Counts do not depend on how busy the
machine is. Ten seconds.

    scripts/bench cost               the table; a warning for each part that grew by more than 10 %
    scripts/bench cost --baseline    and make these counts the baseline
"""
import json
import pathlib
import re
import subprocess
import sys
import tempfile

import harness
from table import columns

BASELINE = pathlib.Path(__file__).with_name("cost.json")
GROWN = 1.10
PARTS = {
    "verp_sender": ("recipient", "VERP sender written"),
    "planner": ("recipient", "planner: from batch to outcome"),
    "client_dialog_chunking": ("recipient", "client dialog, CHUNKING"),
    "client_dialog_pipelining": ("recipient", "client dialog, PIPELINING"),
    "store_expand": ("recipient", "job: expansion of 5,000 members, its commit"),
    "store_settle": ("recipient", "jobs: claims and settles of 500, their commits"),
    "server_dialog": ("message", "server dialog, content of 4 KB"),
    "store_accept": ("message", "jobs: 20 accepts of 4 KB, their commit"),
    "wire_form": ("message", "dot-stuffing of 4 KB"),
}


def counted(part):
    """Instructions for each."""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(["valgrind", "--tool=callgrind", "--collect-atstart=no", "--toggle-collect=measured_*", f"--callgrind-out-file={folder}/out",
                               harness.BUILD / "cost", part, f"{folder}/store"], capture_output=True, text=True, timeout=600)
        total = re.search(r"Collected : (\d+)", done.stderr)
        if done.returncode != 0 or not total or int(total[1]) == 0:
            raise SystemExit(f"cost {part}: exit {done.returncode}\n{done.stderr[-2000:]}")
        return int(total[1]) / int(done.stdout)


def main():
    if sys.argv[1:] not in ([], ["--baseline"]):
        print(__doc__, file=sys.stderr)
        return 2
    if harness.SANITIZED:
        print("this build has sanitizers; its figures mean nothing", file=sys.stderr)
        return 2
    before = json.loads(BASELINE.read_text()) if BASELINE.exists() else {}
    now, lines, grown = {}, [], []
    for part, (each, words) in PARTS.items():
        now[part] = round(counted(part))
        change = now[part] / before[part] - 1 if part in before else None
        lines.append([part, words, each, f"{now[part]:,}", f"{before[part]:,}" if part in before else "-", "-" if change is None else f"{change:+.1%}"])
        if change is not None and change > GROWN - 1:
            grown.append(f"warning cost of {part}: {now[part]:,} instructions a {each}, {change:.0%} more than the baseline's {before[part]:,}")
    print("\n".join(columns(["", "what", "for each", "instructions", "baseline", ""], lines)))
    print("\n".join(grown))
    if sys.argv[1:]:
        BASELINE.write_text(json.dumps(now, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
