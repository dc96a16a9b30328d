"""Clients behind a proxy: PROXY headers and XCLIENT, from haproxy and nginx, and from whoever must not be believed."""
import http.server
import pathlib
import re
import smtplib
import socket
import struct
import subprocess
import threading
import time
import unittest

import harness

HAPROXY, NGINX = "/usr/sbin/haproxy", "/usr/sbin/nginx"
MAIL_MODULE = "/usr/lib/nginx/modules/ngx_mail_module.so"
TRUSTED, STRANGER, NO_PROXY = "127.0.0.9", "127.0.0.7", "127.0.0.5"
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


def v1(source, port=40000):
    return f"PROXY TCP4 {source} 127.0.0.1 {port} 25\r\n".encode()


def v2(source=None, command=1, family=0x11, tlv=b""):
    body = b"" if source is None else socket.inet_aton(source) + socket.inet_aton("127.0.0.1") + struct.pack(">HH", 40000, 25)
    return SIGNATURE + bytes([0x20 | command, family]) + struct.pack(">H", len(body + tlv)) + body + tlv


class Client:
    def __init__(self, test, port, source="127.0.0.1"):
        self.s = socket.create_connection(("127.0.0.1", port), timeout=30 * harness.SLOW, source_address=(source, 0))
        test.addCleanup(self.s.close)

    def reply(self):
        got = b""
        while not re.search(rb"(?m)^\d{3} .*\r\n\Z", got):
            try:
                block = self.s.recv(4096)
            except ConnectionResetError:
                block = b""
            if not block:
                return (got + b"closed").decode()
            got += block
        return got.decode()

    def ask(self, octets):
        self.s.sendall(octets)
        return self.reply()

    def relays(self, hello="relay.example"):
        """What the session may do: 250, or the refusal of a stranger."""
        self.ask(f"EHLO {hello}\r\n".encode())
        self.ask(b"MAIL FROM:<a@north.example>\r\n")
        return self.ask(b"RCPT TO:<b@far.example>\r\n")[:3]


class Proxied(harness.Case):
    def house(self, **smtp):
        self.hop = self.peer()
        self.headers, self.xclient = harness.free_port(), harness.free_port()
        spoold = harness.Spoold(self.folder, self.hop.url, start=False)
        self.daemons.append(spoold)
        spoold.settings["listen"] += [{"address": f"127.0.0.1:{self.headers}", "proxy_protocol": True},
                                      {"address": f"127.0.0.1:{self.xclient}", "xclient": True}]
        harness.merge(spoold.settings, {"smtp": {"trusted_networks": [TRUSTED], "proxies": ["127.0.0.1", "unix"], **smtp}})
        spoold.start()
        return spoold

    def proxy(self, *words):
        process = subprocess.Popen([str(word) for word in words], stdin=subprocess.DEVNULL, stdout=(self.folder / "proxy.log").open("ab"),
                                   stderr=subprocess.STDOUT, preexec_fn=harness._die_with_parent)

        def end():
            process.terminate()
            process.wait(20)
        self.addCleanup(end)

        def answers():
            self.assertIsNone(process.poll(), (self.folder / "proxy.log").read_text())
            try:
                socket.create_connection(("127.0.0.1", self.front), timeout=1).close()
            except OSError:
                return False
            return True
        harness.wait_until(answers, 20, f"{words[0]} answers")

    def judged_through(self, spoold):
        """Who comes through the proxy has the rights of his own address, and his address is in the log."""
        for source, may in ((TRUSTED, True), (STRANGER, False)):
            with smtplib.SMTP("127.0.0.1", self.front, local_hostname="client.example", source_address=(source, 0), timeout=30 * harness.SLOW) as client:
                client.ehlo()
                client.mail("a@north.example")
                code, text = client.rcpt("b@far.example")
                self.assertEqual(code, 250 if may else 550, text)
                if may:
                    self.assertEqual(client.data(b"Subject: x\r\n\r\nHello\r\n")[0], 250)
        harness.wait_until(lambda: spoold.lines("delivered"), 20, "the delivery")
        accepted, refused = spoold.lines("accepted")[-1], [line for line in spoold.lines("refused") if "to=b@far.example" in line][-1]
        self.assertIn(f" client={TRUSTED}", accepted)
        self.assertIn(f" client={STRANGER}", refused)

    @unittest.skipUnless(pathlib.Path(HAPROXY).exists(), "haproxy is not installed")
    def test_haproxy_of_both_versions(self):
        spoold = self.house()
        for words in ("send-proxy", "send-proxy-v2", "send-proxy-v2 proxy-v2-options unique-id,authority check inter 100ms"):
            with self.subTest(words):
                self.front = harness.free_port()
                config = self.folder / f"haproxy-{self.front}.cfg"
                config.write_text("defaults\n  mode tcp\n  timeout connect 5s\n  timeout client 1m\n  timeout server 1m\n"
                                  f"listen mail\n  bind 127.0.0.1:{self.front}\n  server one 127.0.0.1:{self.headers} {words}\n")
                self.proxy(HAPROXY, "-f", config, "-db")
                self.judged_through(spoold)

    @unittest.skipUnless(pathlib.Path(NGINX).exists() and pathlib.Path(MAIL_MODULE).exists(), "nginx with its mail module is not installed")
    def test_nginx_by_xclient_and_by_a_proxy_header(self):
        spoold = self.house()
        for port, words in ((self.xclient, "xclient on;"), (self.headers, "xclient off; proxy_protocol on;")):
            class Where(http.server.BaseHTTPRequestHandler):
                """Which server is it for? nginx asks this for each client."""

                def do_GET(self):
                    self.send_response(200)
                    for name, value in (("Status", "OK"), ("Server", "127.0.0.1"), ("Port", self.server.behind)):
                        self.send_header(f"Auth-{name}", str(value))
                    self.end_headers()

                def log_message(self, *args):
                    pass
            where = http.server.HTTPServer(("127.0.0.1", 0), Where)
            where.behind = port
            threading.Thread(target=where.serve_forever, daemon=True).start()
            self.addCleanup(where.server_close)
            self.addCleanup(where.shutdown)
            with self.subTest(words):
                self.front = harness.free_port()
                home = self.folder / f"nginx-{self.front}"
                home.mkdir()
                (home / "conf").write_text(
                    f"load_module {MAIL_MODULE};\ndaemon off;\nmaster_process off;\npid {home}/pid;\nerror_log {home}/log;\nevents {{}}\n"
                    f"mail {{\n  auth_http 127.0.0.1:{where.server_port}/;\n  server_name front.example;\n  server {{\n"
                    f"    listen 127.0.0.1:{self.front};\n    protocol smtp;\n    smtp_auth none;\n    {words}\n  }}\n}}\n")
                self.proxy(NGINX, "-p", home, "-e", home / "log", "-c", home / "conf")
                self.judged_through(spoold)

    def test_a_header_gives_the_rights_of_the_client_and_no_others(self):
        self.house(trusted_networks=[TRUSTED, "127.0.0.1"])  # the proxy itself may relay, where it speaks for itself
        for header in (v1(TRUSTED), v2(TRUSTED), v2(TRUSTED, tlv=b"\x03\0\4abcd" * 100)):
            client = Client(self, self.headers)
            self.assertTrue(client.ask(header).startswith("220 "))
            self.assertEqual(client.relays(), "250")
        for header in (v1(STRANGER), v2(STRANGER), b"PROXY UNKNOWN\r\n", b"PROXY UNKNOWN 127.0.0.9 127.0.0.9 1 1\r\n", v2(TRUSTED, command=0),
                       v2(command=0, family=0), v2(family=0x31, tlv=b"\0" * 216), v2(family=0)):
            client = Client(self, self.headers)
            self.assertTrue(client.ask(header).startswith("220 "), header)
            self.assertEqual(client.relays(), "550", header)
        # A second header is a command that nobody knows.
        client = Client(self, self.headers)
        client.ask(v1(STRANGER))
        self.assertTrue(client.ask(v1(TRUSTED)).startswith("500 5.5.2 "))
        self.assertEqual(client.relays(), "550")

    def test_headers_that_are_slow_long_or_lie_and_the_wrong_side(self):
        spoold = self.house()
        slow = Client(self, self.headers)
        dribbled = Client(self, self.headers)
        for octet in v1(TRUSTED):
            dribbled.s.sendall(bytes([octet]))
            time.sleep(0.001)
        self.assertTrue(dribbled.reply().startswith("220 "))
        self.assertEqual(dribbled.relays(), "250")
        # What comes in one packet with the header is the client's, and none of it is lost.
        client = Client(self, self.headers)
        said = client.ask(v1(TRUSTED) + b"EHLO x\r\nMAIL FROM:<a@north.example>\r\nRCPT TO:<b@far.example>\r\nQUIT\r\n").encode()
        while block := client.s.recv(4096):
            said += block
        self.assertTrue(said.startswith(b"220 "))
        self.assertIn(b"250 2.1.5 ", said)
        said = {"EHLO x": b"EHLO x\r\n", "long": b"PROXY UNKNOWN " + b"x" * 200, "no ends": b"PROXY TCP4 127.0.0.9 127.0.0.1 1 25\n", "port": v1(TRUSTED, 70000),
                "v2 of 64 KB": SIGNATURE + b"\x21\x11\xff\xff" + b"x" * 5000, "v2 too short": SIGNATURE + b"\x21\x21\0\x0c" + b"x" * 12, "udp": v2(TRUSTED, family=0x12)}
        for what, octets in said.items():
            self.assertEqual(Client(self, self.headers).ask(octets), "closed", what)
        left = Client(self, self.headers)
        left.s.sendall(b"PROXY TC")
        left.s.close()
        # Not a proxy: whatever it sends, no word.
        for header in (b"", v1(TRUSTED), v2(TRUSTED)):
            self.assertEqual(Client(self, self.headers, NO_PROXY).ask(header), "closed")
        # A header where none is expected is a command that nobody knows, also from a proxy.
        for port in (spoold.port, self.xclient):
            client = Client(self, port)
            client.reply()
            self.assertTrue(client.ask(v1(TRUSTED)).startswith("500 5.5.2 "))
            self.assertEqual(client.relays(), "550")
        began = time.monotonic()
        self.assertEqual(slow.reply(), "closed")
        self.assertLess(time.monotonic() - began, 5 + 5 * harness.SLOW)
        why = [line.split('reply="')[1] for line in spoold.lines("refused") if "stage=PROXY" in line]
        harness.wait_until(lambda: any("its PROXY header did not come within 5 s" in line for line in spoold.lines("refused")), 10, "the slow one's line")
        self.assertGreaterEqual(len(why), len(said) + 1)
        self.assertTrue(any("is not one of [smtp] proxies" in line for line in spoold.lines("refused")))

    def test_xclient(self):
        self.house(trusted_networks=[TRUSTED, "127.0.0.1"])

        def behind(words, before=b"EHLO front.example\r\n"):
            client = Client(self, self.xclient)
            client.reply()
            self.offered = client.ask(before) if before else ""
            return client, client.ask(b"XCLIENT " + words + b"\r\n")
        client, said = behind(b"ADDR=127.0.0.9 NAME=client.example PORT=40000")
        self.assertIn("250-XCLIENT NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT\r\n", self.offered)
        self.assertTrue(said.startswith("220 mx.lists.example "), said)
        self.assertTrue(client.ask(b"MAIL FROM:<a@north.example>\r\n").startswith("503 "))  # the client has not said EHLO yet
        self.assertNotIn("XCLIENT", client.ask(b"EHLO client.example\r\n"))
        self.assertEqual(client.relays(), "250")
        self.assertTrue(client.ask(b"XCLIENT ADDR=127.0.0.9\r\n").startswith("502 "))
        for words in (b"ADDR=127.0.0.7", b"ADDR=[UNAVAILABLE] NAME=[UNAVAILABLE]", b"ADDR=IPV6:2001:db8::1", b"NAME=client.example"):
            client, said = behind(words, before=b"")
            self.assertTrue(said.startswith("220 "), words)
            self.assertEqual(client.relays(), "550", words)
        for words, code in ((b"", "501 5.5.4"), (b"ADDR=nobody", "501 5.5.4"), (b"WHO=me", "501 5.5.4"), (b"ADDR=127.0.0.9 LOGIN=anne", "550 5.7.0")):
            client, said = behind(words)
            self.assertTrue(said.startswith(code), said)
            self.assertTrue(client.ask(b"XCLIENT ADDR=127.0.0.7\r\n").startswith("220 "))  # nothing has changed
        client, said = behind(b"ADDR=127.0.0.7\r\nEHLO x")
        self.assertTrue(said.startswith("554 5.5.0 "), said)
        self.assertEqual(client.reply(), "closed")
        client = Client(self, self.xclient)
        client.reply()
        client.ask(b"EHLO x\r\n")
        client.ask(b"MAIL FROM:<a@north.example>\r\n")
        self.assertTrue(client.ask(b"XCLIENT ADDR=127.0.0.7\r\n").startswith("503 "))
        other = Client(self, self.xclient, NO_PROXY)
        other.reply()
        self.assertNotIn("XCLIENT", other.ask(b"EHLO x\r\n"))
        self.assertTrue(other.ask(b"XCLIENT ADDR=127.0.0.9\r\n").startswith("502 "))
        self.assertEqual(other.relays(), "550")

    def test_places_are_counted_by_the_clients_and_not_by_their_proxy(self):
        spoold = self.house(max_connections_per_host=2)
        waiting = [Client(self, self.xclient) for _ in range(5)]
        for client in waiting:
            self.assertTrue(client.reply().startswith("220 "))
        said = [client.ask(b"XCLIENT ADDR=127.0.0.7\r\n")[:9] for client in waiting]
        self.assertEqual(said, ["220 mx.li"] * 2 + ["421 4.7.0"] * 3)
        for client in waiting:
            client.s.close()
        harness.wait_until(lambda: spoold.ctl("stats")["open_in"] == 0, 10, "the end of all sessions")
        waiting = [Client(self, self.headers) for _ in range(5)]
        self.assertEqual([client.ask(v1(STRANGER))[:9] for client in waiting], ["220 mx.li"] * 2 + ["421 4.7.0"] * 3)
        self.assertTrue(Client(self, self.headers).ask(v1("127.0.0.6")).startswith("220 "))

    def test_a_stop_does_not_wait_for_a_header(self):
        spoold = self.house()
        client = Client(self, self.headers)
        client.s.sendall(b"PROXY TCP4 ")
        began = time.monotonic()
        self.assertEqual(spoold.stop(), 0)
        self.assertLess(time.monotonic() - began, 4 * harness.SLOW)


if __name__ == "__main__":
    harness.main()
