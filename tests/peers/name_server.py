"""A name server of a test, which answers as told: records, failures, silence, loops, answers that lie, 64 KB of TXT (by TCP).

    dns = NameServer({"good.example": {"TXT": ["v=spf1 -all"]}, "dead.example": "silent", "broken.example": "servfail"})
    dns.address, dns.asked("good.example"), dns.zone["other.example"] = ..., dns.stop()

A name without an entry does not exist (NXDOMAIN), one whose entry has other types has no data. Entries in words:
    silent    no answer              servfail  SERVFAIL         late:N   the answer NXDOMAIN, after N seconds
    liar      an answer for another name, with another id; never the right one
"""
import socket
import socketserver
import struct
import threading
import time

TYPES = {"A": 1, "CNAME": 5, "PTR": 12, "MX": 15, "TXT": 16, "AAAA": 28}


def wire(name):
    return b"".join(bytes([len(label)]) + label.encode("latin-1") for label in name.split(".") if label) + b"\0"


def rdata(kind, value):
    if kind == "TXT":
        octets = value.encode("latin-1")
        return b"".join(bytes([len(octets[i:i + 255])]) + octets[i:i + 255] for i in range(0, max(len(octets), 1), 255))
    if kind == "A":
        return socket.inet_aton(value)
    if kind == "AAAA":
        return socket.inet_pton(socket.AF_INET6, value)
    if kind == "MX":
        preference, host = value.split()
        return struct.pack(">H", int(preference)) + wire(host)
    return wire(value)


class NameServer:
    def __init__(self, zone):
        self.zone, self.questions, self.ended = dict(zone), [], threading.Event()
        while True:  # the same port by UDP and TCP
            self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self.udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
            self.udp.bind(("127.0.0.1", 0))
            self.port = self.udp.getsockname()[1]
            try:
                self.tcp = socketserver.ThreadingTCPServer(("127.0.0.1", self.port), self.tcp_handler(), bind_and_activate=True)
                break
            except OSError:
                self.udp.close()
        self.tcp.daemon_threads = True
        self.address = f"127.0.0.1:{self.port}"
        self.threads = [threading.Thread(target=self.serve, daemon=True), threading.Thread(target=self.tcp.serve_forever, args=(0.05,), daemon=True)]
        for thread in self.threads:
            thread.start()

    def stop(self):
        self.ended.set()
        self.udp.sendto(b"", self.udp.getsockname())
        self.tcp.shutdown()
        for thread in self.threads:
            thread.join()
        self.udp.close()
        self.tcp.server_close()

    def asked(self, name):
        """How often questions for that name came, whatever their type."""
        return sum(one == name for one, _ in self.questions)

    def tcp_handler(server):
        class Handler(socketserver.BaseRequestHandler):
            def handle(self):
                while True:
                    size = self.request.recv(2, socket.MSG_WAITALL)
                    if len(size) < 2:
                        return
                    reply = server.reply(self.request.recv(struct.unpack(">H", size)[0], socket.MSG_WAITALL), 65535)
                    if reply is not None:
                        self.request.sendall(struct.pack(">H", len(reply)) + reply)
        return Handler

    def serve(self):
        while not self.ended.is_set():
            query, client = self.udp.recvfrom(4096)
            if len(query) < 12:
                continue
            reply = self.reply(query, 1232, lambda late, octets: self.later(late, octets, client))
            if reply is not None:
                self.udp.sendto(reply, client)

    def later(self, late, octets, client):
        def send():
            if not self.ended.wait(late):
                self.udp.sendto(octets, client)
        threading.Thread(target=send, daemon=True).start()

    def reply(self, query, most, later=None):
        labels, at = [], 12
        while query[at]:
            labels.append(query[at + 1:at + 1 + query[at]].decode("latin-1").lower())
            at += 1 + query[at]
        question, kind = query[12:at + 5], struct.unpack(">H", query[at + 1:at + 3])[0]
        name = ".".join(labels)
        self.questions.append((name, kind))

        def message(code, records=(), truncated=False, ident=query[:2], asked=question):
            flags = 0x8180 | code | (0x0200 if truncated else 0)
            return ident + struct.pack(">HHHHH", flags, 1, len(records), 0, 0) + asked + b"".join(records)
        entry = self.zone.get(name)
        if entry == "silent":
            return None
        if entry == "servfail":
            return message(2)
        if entry == "liar":
            other = wire("other.example") + question[-4:]
            return message(0, [], ident=bytes([query[0] ^ 255, query[1]]), asked=other)
        if isinstance(entry, str) and entry.startswith("late:"):
            if later is not None:
                later(float(entry[5:]), message(3))
            return None
        if entry is None:
            return message(0 if any(other.endswith("." + name) for other in self.zone) else 3)
        records = []
        for one, values in entry.items():
            if TYPES[one] != kind and one != "CNAME":
                continue
            for value in values:
                octets = rdata(one, value)
                records.append(b"\xc0\x0c" + struct.pack(">HHIH", TYPES[one], 1, 60, len(octets)) + octets)
        whole = message(0, records)
        return whole if len(whole) <= most else message(0, truncated=True)
