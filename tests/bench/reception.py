"""Rows of reception: what connections cost, how late loops and sessions in progress are while many others come, acceptance under TLS
beside Postfix, what it costs to verify who sent a message."""
import base64
import contextlib
import multiprocessing
import resource
import socket
import ssl
import struct
import subprocess
import time

import harness
from bench import Bench, Cost, exactly_once, load, memory, processor
from peers.milter import Milter
from peers.name_server import NameServer
from peers.tls_peer import Authority
from table import SPOOLD, Budget, Row

MANY = {"smtp": {"max_connections": 12000, "max_connections_per_host": 12000}}


def nowhere():
    return f"smtp://127.0.0.1:{harness.free_port()}"


def secured(bench, settings=None):
    """A spoold with STARTTLS and a certificate of P-256."""
    pem = str(Authority(bench.folder).certificate("localhost"))
    spoold = harness.Spoold(bench.folder, nowhere(), harness.merge({"tls": [{"certificate": pem, "key": pem}], "server": {"threads": Bench.threads},
                                                                   "delivery": {"retry": ["1h"]}}, settings or {}), start=False)
    bench.callback(spoold.kill)
    spoold.settings["listen"] = [{"address": spoold.address, "tls": "starttls"}]
    spoold.start()
    return spoold


def ask(s, command):
    s.sendall(command)
    s.recv(4096)


def lag(spoold):
    """The latest turn of a loop that receives, in the last minute."""
    return max(loop["lag_ms"] for loop in spoold.ctl("stats")["loops"] if loop["name"].startswith("receive"))


def watch(port, end, answer):
    """A session in progress: asks something every 5 ms, and answers with its waits in ms, the longest last."""
    waits = []
    with socket.create_connection(("127.0.0.1", port)) as s:
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        s.recv(4096)
        ask(s, b"EHLO bench.example\r\n")
        while not end.is_set():
            began = time.perf_counter()
            ask(s, b"RSET\r\n")
            waits.append((time.perf_counter() - began) * 1000)
            time.sleep(0.005)
    answer.put(sorted(waits))


@contextlib.contextmanager
def watched(port):
    """Figures of a session in progress beside what happens within."""
    figures, fork = {}, multiprocessing.get_context("fork")
    end, answer = fork.Event(), fork.Queue()
    process = fork.Process(target=watch, args=(port, end, answer), daemon=True)
    process.start()
    time.sleep(0.2)
    try:
        yield figures
    finally:
        end.set()
        waits = answer.get(timeout=60)
        process.join()
        figures.update({"p99 wait ms": waits[len(waits) * 99 // 100], "longest wait ms": waits[-1]})


def idle(connections=10000):
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    figures = {}
    for name, tls in (("KB a connection", False), ("KB under TLS", True)):
        with Bench() as bench:
            spoold = secured(bench, MANY)
            pid, opened = spoold.process.pid, []
            alone = memory(pid)
            for _ in range(connections):
                s = socket.create_connection(("127.0.0.1", spoold.port))
                s.recv(200)
                ask(s, b"EHLO bench.example\r\n")
                if tls:
                    ask(s, b"STARTTLS\r\n")
                    s = context.wrap_socket(s)
                    ask(s, b"EHLO bench.example\r\n")
                opened.append(s)
            time.sleep(1)
            figures[name] = (memory(pid) - alone) * 1024 / connections
            for one in opened:
                one.close()
    return figures


def busy(sessions=1000, messages=50000):
    with Bench() as bench:
        spoold = bench.spoold(nowhere(), MANY)
        with watched(spoold.port) as waits:
            report = load("--to", spoold.address, "--sessions", sessions, "--messages", messages, "--pipelining")
        return {"loop lag ms": lag(spoold), "messages/s": report["messages_per_second"], "p99 ms": report["p99_ms"]} | waits


def come_and_go(port, end, greeted, answer):
    count, linger = 0, struct.pack("ii", 1, 0)  # a reset: no port waits for its time
    while not end.is_set():
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)) as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            if greeted:
                s.recv(200)
            count += 1
    answer.put(count)


def storm(seconds=5):
    """Two processes connect and leave as fast as they can: one at once, one when it is greeted."""
    with Bench() as bench:
        spoold, fork = bench.spoold(nowhere(), MANY), multiprocessing.get_context("fork")
        end, answer = fork.Event(), fork.Queue()
        with watched(spoold.port) as waits:
            crowd = [fork.Process(target=come_and_go, args=(spoold.port, end, greeted, answer), daemon=True) for greeted in (False, True)]
            for one in crowd:
                one.start()
            time.sleep(seconds)
            end.set()
            count = sum(answer.get(timeout=60) for _ in crowd)
            for one in crowd:
                one.join()
        harness.wait_until(lambda: spoold.ctl("stats")["open_in"] == 0, 10, "nobody is there any more")
        return {"loop lag ms": lag(spoold), "connections/s": count / seconds} | waits


def handshakes(sessions=1000):
    """All begin at once; each connection sends two messages, the second one over a connection of its own."""
    with Bench() as bench:
        spoold = secured(bench, MANY)
        with watched(spoold.port) as waits:
            report = load("--to", spoold.address, "--sessions", sessions, "--messages", 2 * sessions, "--starttls", "--connection-per-message")
        return {"loop lag ms": lag(spoold), "handshakes/s": report["connections"] / report["seconds"]} | waits


def accept_under_tls(each, messages, few):
    """Durable acceptance by 20 sessions; Postfix with everything on hold. Then all of it arrives."""
    options = ["--sessions", 20, "--pipelining", "--starttls", *(["--connection-per-message"] if each else [])]

    def figures(bench, to, pid, count):
        load("--to", to, "--messages", 20, *options, "--run", "warm")
        cost = Cost(bench.folder, pid)
        report = load("--to", to, "--messages", count, *options)
        return {"messages/s": report["messages_per_second"], "p50 ms": report["p50_ms"], "p99 ms": report["p99_ms"], "CPU us": cost.end(count)["CPU us"]}

    def spoold():
        with Bench() as bench:
            daemon = secured(bench)
            hop = daemon.settings["relay"]["smarthost"].removeprefix("smtp://")
            made = figures(bench, daemon.address, daemon.process.pid, messages)
            sink = bench.sink(listen=hop)
            daemon.ctl("retry", "--all", ok=(0, 1))
            sink.wait(messages + 20, 120)
            exactly_once(sink, messages + 20)
            return made

    def postfix():
        with Bench() as bench:
            pem = Authority(bench.folder).certificate("localhost")
            sink = bench.sink()
            theirs = bench.postfix(sink.port, smtpd_tls_security_level="may", smtpd_tls_cert_file=pem, smtpd_tls_key_file=pem, smtpd_client_restrictions="check_client_access static:HOLD",
                                   smtpd_tls_session_cache_database="")
            made = figures(bench, f"127.0.0.1:{theirs.port}", theirs.pid, few)
            theirs.super("-H", "ALL")
            theirs.run("flush")
            sink.wait(few + 20, 300)
            exactly_once(sink, few + 20)
            return made

    return Row(f"durable acceptance of 4 KB under TLS, 20 sessions, {'a connection a message' if each else 'kept'}", {SPOOLD: spoold, "Postfix held": postfix},
               [Budget("messages/s", "Postfix held"), Budget("CPU us", "Postfix held")])


def processor_of_a_message(spoold, mail, messages):
    """In us, of one session whose client waits for each reply; 20 messages more go before it, unmeasured. `mail`: with its final dot."""
    with socket.create_connection(("127.0.0.1", spoold.port)) as s:
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        s.recv(4096)
        ask(s, b"EHLO mx.good.example\r\n")

        def send(count):
            for _ in range(count):
                s.sendall(b"MAIL FROM:<a@good.example>\r\nRCPT TO:<b@here.example>\r\nDATA\r\n")
                got = b""
                while got.count(b"\n") < 3:
                    got += s.recv(4096)
                s.sendall(mail)
                if not s.recv(4096).startswith(b"250 "):
                    raise SystemExit("a message was refused")
        send(20)
        before = processor(spoold.process.pid)
        send(messages)
        return (processor(spoold.process.pid) - before) / messages * 1e6


def mail_of_4_kb():
    return (b"From: a@good.example\r\nTo: b@here.example\r\nSubject: x\r\nDate: Sun, 22 Nov 2026 10:31:07 +0000\r\nMessage-ID: <1@good.example>\r\n\r\n"
            + (b"x" * 76 + b"\r\n") * 49)


def verification(messages=500):
    """Processor of spoold for a message of 4 KB by one session; SPF of ip4, one RSA signature of 2,048 bits, DMARC."""
    import dkim  # only here: python3-dkim

    key = subprocess.run(["openssl", "genrsa", "-traditional", "2048"], capture_output=True, check=True).stdout
    public = base64.b64encode(subprocess.run(["openssl", "rsa", "-pubout", "-outform", "DER"], input=key, capture_output=True, check=True).stdout).decode()
    mail = mail_of_4_kb()
    mail = dkim.sign(mail, b"s", b"good.example", key) + mail + b".\r\n"
    made = {}
    for name, on in (("CPU us unverified", False), ("CPU us verified", True)):
        with Bench() as bench:
            dns = NameServer({"good.example": {"TXT": ["v=spf1 ip4:127.0.0.1 -all"]}, "_dmarc.good.example": {"TXT": ["v=DMARC1; p=reject"]},
                              "s._domainkey.good.example": {"TXT": [f"v=DKIM1; k=rsa; p={public}"]}})
            bench.callback(dns.stop)
            check = "mark" if on else "off"
            spoold = bench.spoold(nowhere(), {"smtp": {"trusted_networks": [], "spf": check, "dmarc": check}, "domain": [{"name": "here.example"}],
                                              "resolver": {"forward": [dns.address], "trust_anchor": "none"}})
            made[name] = processor_of_a_message(spoold, mail, messages)
            wanted = 'auth="spf=pass dkim=pass dmarc=pass"' if on else "event=accepted"
            if sum(wanted in line for line in spoold.lines("accepted")) != messages + 20:
                raise SystemExit(f"not every message was accepted with {wanted}")
    return made | {"verification us": made["CPU us verified"] - made["CPU us unverified"]}


def filtering(messages=500):
    """Processor of spoold for a message of 4 KB by one session, with and without a filter that looks at every step and changes nothing."""
    made = {}
    for name, on in (("CPU us unfiltered", False), ("CPU us filtered", True)):
        with Bench() as bench:
            settings = {"domain": [{"name": "here.example"}]}
            if on:
                filter = Milter()
                bench.callback(filter.stop)
                settings["milter"] = [{"address": filter.address}]
            spoold = bench.spoold(nowhere(), settings)
            made[name] = processor_of_a_message(spoold, mail_of_4_kb() + b".\r\n", messages)
            if on and sum(letter == "E" for _, letter, _ in filter.log) != messages + 20:
                raise SystemExit("the filter did not see every message")
    return made | {"filter us": made["CPU us filtered"] - made["CPU us unfiltered"]}


ROWS = {
    "idle-10k": Row("10,000 idle connections", {SPOOLD: idle}, [Budget("KB a connection", most=16), Budget("KB under TLS", most=64)]),
    "busy-1000": Row("1,000 busy sessions, and one in progress beside them", {SPOOLD: busy}, [Budget("loop lag ms", most=100), Budget("longest wait ms")]),
    "storm": Row("a storm of connections that come and go, and a session in progress", {SPOOLD: storm}, [Budget("loop lag ms", most=100), Budget("longest wait ms")]),
    "handshakes": Row("1,000 TLS handshakes at once, and a session in progress", {SPOOLD: handshakes}, [Budget("loop lag ms", most=100), Budget("longest wait ms")]),
    "accept-tls-kept": accept_under_tls(False, 10000, 2000), "accept-tls-each": accept_under_tls(True, 3000, 1000),
    "filtering": Row("a message and a filter (milter)", {SPOOLD: filtering}, [Budget("filter us")]),
    "verification": Row("SPF, DKIM and DMARC of a message", {SPOOLD: verification}, [Budget("verification us")]),
}
