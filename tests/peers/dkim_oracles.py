"""Three DKIM verifiers of others, from Debian: python3-dkim, Mail::DKIM (Perl) and libopendkim. None asks the DNS.

Each function takes the octets of a mail and the records, {"s._domainkey.example.com": "v=DKIM1; ..."}, and answers with
{selector: result}; "pass" is a signature that holds. Mail::DKIM of Debian 12 does not know Ed25519.
"""
import base64
import ctypes
import json
import re
import subprocess

import dkim

PERL = r"""
use strict; use warnings;
use JSON::PP; use MIME::Base64; use Net::DNS; use Mail::DKIM::Verifier;
package Zone;
sub new { my ($class, $records) = @_; return bless $records, $class }
sub send {
  my ($self, $name) = @_;
  my $packet = Net::DNS::Packet->new($name, "TXT");
  my @strings = unpack("(A255)*", $self->{$name} // "");
  $packet->push(answer => Net::DNS::RR->new(name => $name, type => "TXT", txtdata => \@strings)) if @strings;
  return $packet;
}
package main;
my $asked = decode_json(join "", <STDIN>);
Mail::DKIM::DNS::resolver(Zone->new($asked->{records}));
my $verifier = Mail::DKIM::Verifier->new;
$verifier->PRINT(decode_base64($asked->{mail}));
$verifier->CLOSE;
my %results = map { $_->selector => $_->result eq "pass" ? "pass" : $_->result_detail } $verifier->signatures;
print encode_json(\%results);
"""


def signatures(mail):
    """The selectors of its signatures, topmost first."""
    header = mail.split(b"\r\n\r\n")[0]
    return [re.search(rb"\bs=([^;\s]+)", field)[1].decode() for field in re.findall(rb"(?mi)^DKIM-Signature:[^\r\n]*(?:\r\n[ \t][^\r\n]*)*", header)]


def python(mail, records):
    def txt(name, timeout=5):
        return records.get(name.decode().rstrip("."), "").encode() or None
    results = {}
    for i, selector in enumerate(signatures(mail)):
        try:
            results[selector] = "pass" if dkim.DKIM(mail).verify(i, dnsfunc=txt) else "fail"
        except dkim.DKIMException as failed:
            results[selector] = str(failed)
    return results


def perl(mail, records):
    asked = json.dumps({"records": records, "mail": base64.b64encode(mail).decode()})
    done = subprocess.run(["/usr/bin/perl", "-e", PERL], input=asked.encode(), capture_output=True, check=True, timeout=60)
    return json.loads(done.stdout)


_LOOKUP = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.POINTER(ctypes.c_char), ctypes.c_size_t)


def opendkim(mail, records):
    lib = ctypes.CDLL("libopendkim.so.11")
    for name in ("dkim_init", "dkim_verify"):
        getattr(lib, name).restype = ctypes.c_void_p
    for name in ("dkim_sig_getselector", "dkim_sig_getdomain"):
        getattr(lib, name).restype = ctypes.c_char_p
        getattr(lib, name).argtypes = [ctypes.c_void_p]
    for name in ("dkim_sig_getflags", "dkim_sig_getbh"):
        getattr(lib, name).argtypes = [ctypes.c_void_p]

    def key(_, signature, out, size):
        name = lib.dkim_sig_getselector(signature) + b"._domainkey." + lib.dkim_sig_getdomain(signature)
        record = records.get(name.decode(), "").encode()
        ctypes.memmove(out, record + b"\0", min(len(record) + 1, size))
        return 0

    callback = _LOOKUP(key)
    handle = ctypes.c_void_p(lib.dkim_init(None, None))
    assert lib.dkim_set_key_lookup(handle, callback) == 0
    status = ctypes.c_int()
    message = ctypes.c_void_p(lib.dkim_verify(handle, b"test", None, ctypes.byref(status)))
    header, body = mail.split(b"\r\n\r\n", 1)
    for field in re.findall(rb"[^\r\n]+(?:\r\n[ \t][^\r\n]*)*", header):
        assert lib.dkim_header(message, field, ctypes.c_size_t(len(field))) == 0, field
    status = lib.dkim_eoh(message)
    if status == 0:
        lib.dkim_body(message, body, ctypes.c_size_t(len(body)))
        lib.dkim_eom(message, None)
    found, count = ctypes.POINTER(ctypes.c_void_p)(), ctypes.c_int()
    lib.dkim_getsiglist(message, ctypes.byref(found), ctypes.byref(count))
    results = {}
    for i in range(count.value):
        passed = lib.dkim_sig_getflags(found[i]) & 4 and lib.dkim_sig_getbh(found[i]) == 0
        results[lib.dkim_sig_getselector(found[i]).decode()] = "pass" if passed else "fail"
    lib.dkim_free(message)
    lib.dkim_close(handle)
    return results
