"""The measurements of scripts/bench: each row's contestants take turns (spoold, raw, Postfix, spoold, ...); the table shows
medians, ratios as median (least-most), and whether the budgets are met.

  accept-1, accept-20, accept-100   durable acceptance of 4 KB messages for one recipient, 1, 20, 100 kept sessions
  relay-kept, relay-each            through spoold to the next hop, 20 sessions, kept or a connection a message
  fanout-bulk, fanout-verp          one post to a list of 10,000, from the dot to the last copy at the next hop
  fanout-verp-100k, fanout-verp-1m  the same to 100,000 and 1,000,000
  fanout-footer, fanout-personal    one post to 10,000 with a footer; with values of each member in it
  fanout-rsa, fanout-ed25519        the latter with one signature a copy, beside what openssl speed allows
  cook-20mb                         a post of 20 MB through prefix and footer
  list-rules, list-bounces          a post under 10,000 rules and bans; 100,000 bounces, read and scored
  list-digest, list-year            a digest for 100,000; a year of a list of 10,000
  dot-10k, dot-100k                 final dot to 250 of a post to a list of 10,000 and 100,000
  rtt-verp, rtt-verp-chunking       VERP copies to 200 over a line of 50 ms round trip, one connection: round trips a copy; the next
                                    hop offers PIPELINING, and CHUNKING too
  idle                              memory of an idle daemon and of idle inbound connections
  edit-100k                         spoolctl edit-recipients on a message of 100,000, start of the process included
  bytes                             written for a VERP recipient over its whole life, 100 next hops
  million                           a post to 1,000,000: 250, neighbours, memory, delivery after a restart
  fairness                          a post to three, and other senders, while a post to 1,000,000 is expanded and delivered
  many-destinations                 1,000,000 recipients over 5,000 next hops: memory, restart to first delivery, rate
  hangup                            what becomes of 99 recipients when the hundredth kills the connection
  idle-10k                          memory of 10,000 idle inbound connections, plain and under TLS
  busy-1000, storm, handshakes      how late the loops and a session in progress are beside 1,000 busy sessions, a storm of
                                    connections, 1,000 TLS handshakes at once
  accept-tls-kept, accept-tls-each  durable acceptance under STARTTLS, 20 sessions, kept or a connection a message
  verification, filtering           processor for SPF, DKIM and DMARC of a message; for a filter (milter) that looks at it
  growth                            growth-accept, -expand, -fanout, -queue, -hops, -connections: cost for each at 1,000 to 1,000,000 recipients,
                                    10,000 to 1,000,000 waiting, 1 to 5,000 next hops, 10 to 10,000 connections

`raw` is the same work between smtp_load and smtp_sink without spoold: what the machine gives just then.
"""
import argparse
import contextlib
import os
import sys

import growth
import hangup
import harness
import lists
import reception
import rows
import size
from peers.postfix import available
from table import Report

ROWS = {**rows.ROWS, **lists.ROWS, **size.ROWS, **reception.ROWS, **hangup.ROWS, **growth.ROWS}
GROUPS = {"growth": list(growth.ROWS)}


def main():
    options = argparse.ArgumentParser(prog="scripts/bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--runs", type=int, default=3, help="of each contestant, and of each size (3)")
    options.add_argument("--peers", action="store_true", help="a Postfix and an Exim of their own beside it (as root; the system's are not touched)")
    options.add_argument("--threads", default="0", metavar="N[,M]", help="network threads of spoold; with two numbers it takes a turn with each (0: one per core)")
    options.add_argument("--json", metavar="FILE", help="write every run and every budget to FILE, a JSON object a line")
    options.add_argument("--plot", metavar="FOLDER", help="a picture of each workload, FOLDER/NAME.png (matplotlib)")
    options.add_argument("--no-build", action="store_true", help="measure the build there is")
    options.add_argument("names", nargs="*", metavar="NAME", help="default: all but growth")
    options = options.parse_args()
    names = [one for name in options.names for one in GROUPS.get(name, [name])] or [name for name in ROWS if name not in growth.ROWS]
    unknown = [n for n in names if n not in ROWS]
    if unknown:
        print(f"no such measurement: {unknown[0]}; there are {', '.join([*ROWS, *GROUPS])}", file=sys.stderr)
        return 2
    if harness.SANITIZED:
        print("this build has sanitizers; its figures mean nothing", file=sys.stderr)
        return 2
    if options.peers and not available():
        print("--peers needs root, and what scripts/install test installs", file=sys.stderr)
        return 2
    with contextlib.ExitStack() as files:
        json_file = files.enter_context(open(options.json, "w")) if options.json else None
        report = Report(options.runs, options.peers, [int(n) for n in options.threads.split(",")], json_file)
        print(f"medians of {options.runs}; {os.cpu_count()} cores, load before {os.getloadavg()[0]:.1f}")
        for name in names:
            ROWS[name].measure(name, report)
        report.close()
    if options.plot:
        import plot  # only now: it needs matplotlib
        for made in plot.plot(report.lines, options.plot):
            print(made)
    return 0


if __name__ == "__main__":
    sys.exit(main())
