#!/usr/bin/env python3
"""Writes PacketVectors.swift: packets of RFC 2865 section 7 as printed there, checked here, and others made with hashlib and hmac alone,
so that what the RADIUS target computes is compared with something that shares no line with it.

  make-vectors.py > PacketVectors.swift
"""

import hashlib
import hmac
import struct

SECRET = b"xyzzy5461"


def md5(*parts):
    return hashlib.md5(b"".join(parts)).digest()


def attribute(number, value):
    return bytes([number, len(value) + 2]) + value


def vsa(vendor, number, value):
    return attribute(26, struct.pack(">I", vendor) + bytes([number, len(value) + 2]) + value)


def split(number, value):
    return b"".join(attribute(number, value[i:i + 253]) for i in range(0, len(value), 253))


def header(code, identifier, body):
    return bytes([code, identifier]) + struct.pack(">H", 20 + len(body))


MA = attribute(80, bytes(16))


def with_message_authenticator(packet, secret):
    """The Message-Authenticator, wherever it stands, filled in over the authenticator that the packet carries now."""
    place = packet.index(MA)
    return packet[:place + 2] + hmac.new(secret, packet, "md5").digest() + packet[place + 18:]


def access_request(identifier, vector, body, secret=SECRET):
    packet = header(1, identifier, body) + vector + body
    return with_message_authenticator(packet, secret) if MA in packet else packet


def reply(code, identifier, request_vector, body, secret=SECRET):
    packet = header(code, identifier, body) + request_vector + body
    if MA in packet:
        packet = with_message_authenticator(packet, secret)
    return packet[:4] + md5(packet, secret) + packet[20:]


def signed_request(code, identifier, body, secret=SECRET):
    return reply(code, identifier, bytes(16), body, secret)


def hide(password, vector, secret=SECRET):
    padded = password + bytes(-len(password) % 16)
    out, last = b"", vector
    for i in range(0, len(padded), 16):
        last = bytes(a ^ b for a, b in zip(padded[i:i + 16], md5(secret, last)))
        out += last
    return out


def mppe(key, salt, vector, secret=SECRET):
    plain = bytes([len(key)]) + key
    plain += bytes(-len(plain) % 16)
    out, last = b"", vector + salt
    for i in range(0, len(plain), 16):
        last = bytes(a ^ b for a, b in zip(plain[i:i + 16], md5(secret, last)))
        out += last
    return salt + out


def u32(n):
    return struct.pack(">I", n)


VECTOR = bytes(range(0x20, 0x30))
rows = []


def row(name, value, comment=""):
    rows.append((name, value, comment))


# RFC 2865 section 7, as printed
RFC = {
    "rfc2865_7_1_request": "01 00 00 38 0f 40 3f 94 73 97 80 57 bd 83 d5 cb 98 f4 22 7a 01 06 6e 65 6d 6f 02 12 0d be 70 8d 93 d4 13 ce"
                           "31 96 e4 3f 78 2a 0a ee 04 06 c0 a8 01 10 05 06 00 00 00 03",
    "rfc2865_7_1_accept": "02 00 00 26 86 fe 22 0e 76 24 ba 2a 10 05 f6 bf 9b 55 e0 b2 06 06 00 00 00 01 0f 06 00 00 00 00 0e 06 c0 a8 01 03",
    "rfc2865_7_2_request": "01 01 00 47 2a ee 86 f0 8d 0d 55 96 9c a5 97 8e 0d 33 67 a2 01 08 66 6c 6f 70 73 79 03 13 16 e9 75 57 c3 16"
                           "18 58 95 f2 93 ff 63 44 07 72 75 04 06 c0 a8 01 10 05 06 00 00 00 14 06 06 00 00 00 02 07 06 00 00 00 01",
    "rfc2865_7_2_accept": "02 01 00 38 15 ef bc 7d ab 26 cf a3 dc 34 d9 c0 3c 86 01 a4 06 06 00 00 00 02 07 06 00 00 00 01 08 06 ff ff"
                          "ff fe 0a 06 00 00 00 02 0d 06 00 00 00 01 0c 06 00 00 05 dc",
    "rfc2865_7_3_request": "01 02 00 39 f3 a4 7a 1f 6a 6d 76 71 0b 94 7a b9 30 41 a0 39 01 07 6d 6f 70 73 79 02 12 33 65 75 73 77 82 89"
                           "b5 70 88 5e 15 08 48 25 c5 04 06 c0 a8 01 10 05 06 00 00 00 07",
    "rfc2865_7_3_challenge": "0b 02 00 4e 36 f3 c8 76 4a e8 c7 11 57 40 3c 0c 71 ff 9c 45 12 30 43 68 61 6c 6c 65 6e 67 65 20 33 32 37 36"
                             "39 34 33 30 2e 20 20 45 6e 74 65 72 20 72 65 73 70 6f 6e 73 65 20 61 74 20 70 72 6f 6d 70 74 2e 18 0a 33 32 37 36 39 34 33 30",
    "rfc2865_7_3_second": "01 03 00 43 b1 22 55 6d 42 8a 13 d0 d6 25 38 07 c4 57 ec f0 01 07 6d 6f 70 73 79 02 12 69 2c 1f 20 5f c0 81 b9"
                          "19 b9 51 95 f5 61 a5 81 04 06 c0 a8 01 10 05 06 00 00 00 07 18 0a 33 32 37 36 39 34 33 30",
    "rfc2865_7_3_reject": "03 03 00 14 a4 2f 4f ca 45 91 6c 4e 09 c8 34 0f 9e 74 6a a0",
}
for name, text in RFC.items():
    row(name, bytes.fromhex(text))
R = {name: value for name, value, _ in rows}
for request, answer in [("7_1_request", "7_1_accept"), ("7_2_request", "7_2_accept"), ("7_3_request", "7_3_challenge"), ("7_3_second", "7_3_reject")]:
    q, a = R["rfc2865_" + request], R["rfc2865_" + answer]
    assert a[4:20] == md5(a[:4], q[4:20], a[20:], SECRET), answer
assert hide(b"arctangent", R["rfc2865_7_1_request"][4:20]) == R["rfc2865_7_1_request"][28:44]
assert hide(b"challenge1", R["rfc2865_7_3_second"][4:20])  # the RFC does not print the second password in full

row("accessRequest", access_request(7, VECTOR, MA + attribute(1, b"alice") + attribute(2, hide(b"open sesame, said the second one", VECTOR)) + attribute(6, u32(2))
                                    + attribute(61, u32(5)) + attribute(32, b"gateway")), "User-Password of 32 octets")
eap = bytes([2, 1, 600 >> 8, 600 & 255, 13]) + bytes(i & 255 for i in range(595))
row("eapRequest", access_request(8, VECTOR, MA + attribute(1, b"alice") + split(79, eap) + attribute(24, b"state-1")), "an EAP message of 600 octets in three attributes")
row("eapChallenge", reply(11, 8, VECTOR, MA + split(79, eap) + attribute(24, b"state-2")))
recv, send = bytes(range(32)), bytes(range(100, 132))
row("acceptWithKeys", reply(2, 9, VECTOR, MA + attribute(1, b"alice") + attribute(79, bytes([3, 9, 0, 4])) + vsa(311, 17, mppe(recv, b"\x80\x01", VECTOR))
                            + vsa(311, 16, mppe(send, b"\x80\x02", VECTOR)) + attribute(25, b"class")), "keys 00...1f and 64...83")
row("acceptWithShortKeys", reply(2, 9, VECTOR, MA + vsa(311, 16, mppe(bytes([9] * 16), b"\xff\xfe", VECTOR)) + vsa(311, 17, mppe(bytes([7] * 16), b"\x80\x00", VECTOR))),
    "16 octets each, Send first")
row("accountingRequest", signed_request(4, 3, attribute(40, u32(1)) + attribute(44, b"session")))
row("accountingResponse", reply(5, 3, R_ACCT := rows[-1][1][4:20], b""))
zeros = header(5, 3, MA) + bytes(16) + MA
zeros = with_message_authenticator(zeros, SECRET)
row("accountingResponseOverZeros", zeros[:4] + md5(zeros[:4], R_ACCT, zeros[20:], SECRET) + zeros[20:], "as FreeRADIUS 3.2.1 signs")
row("accountingResponseOverRequest", reply(5, 3, R_ACCT, MA))
row("disconnectRequest", signed_request(40, 5, MA + attribute(44, b"session") + attribute(33, b"proxy")))
row("coaRequestUnsigned", signed_request(43, 6, attribute(44, b"session") + attribute(27, u32(60))))
R_DISCONNECT = [v for n, v, _ in rows if n == "disconnectRequest"][0][4:20]
row("disconnectNAK", reply(42, 5, R_DISCONNECT, attribute(101, u32(503)) + attribute(33, b"proxy")))
row("disconnectACKOverRequest", reply(41, 5, R_DISCONNECT, MA), "as RFC 5176 section 2.3 has it")
zeros = with_message_authenticator(header(41, 5, MA) + bytes(16) + MA, SECRET)
row("disconnectACKOverZeros", zeros[:4] + md5(zeros[:4], R_DISCONNECT, zeros[20:], SECRET) + zeros[20:], "as FreeRADIUS 3.2.1 signs")

print("// Made by make-vectors.py beside this file, with Python's hashlib and hmac; the packets of RFC 2865 section 7 as printed there.")
print("import Testing\n\n/// Packets as octets; secret `xyzzy5461`, request authenticator 20...2f.\nenum PacketVectors {")
for name, value, comment in rows:
    if comment:
        print(f"    /// {comment}")
    print(f"    static let {name} = octets(\n        \"\"\"")
    text = value.hex()
    for i in range(0, len(text), 120):
        print("        " + text[i:i + 120])
    print("        \"\"\")")
print("}")
