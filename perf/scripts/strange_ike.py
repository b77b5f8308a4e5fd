"""Sends IKE_SA_INIT requests that no honest peer sends, from a socket of its own, and prints as JSON what came back.

usage: strange_ike.py LOCAL REMOTE
"""

import json
import os
import socket
import struct
import sys

# Seconds to wait for an answer: where none may come, all of it passes.
PATIENCE = 3.0
X25519 = 31
SA, KE, NONCE, NOTIFY = 33, 34, 40, 41
NOTIFICATIONS = {1: "UNSUPPORTED_CRITICAL_PAYLOAD", 5: "INVALID_MAJOR_VERSION", 7: "INVALID_SYNTAX", 14: "NO_PROPOSAL_CHOSEN"}


def transform(last, kind, number, bits=None):
    """RFC 7296 3.3.2."""
    attributes = b"" if bits is None else struct.pack("!HH", 0x8000 | 14, bits)
    return struct.pack("!BBHBBH", 0 if last else 3, 0, 8 + len(attributes), kind, 0, number) + attributes


def proposal():
    """One proposal of what the default algorithms of both sides have in common."""
    parts = [(1, 20, 256), (1, 20, 128), (2, 5, None), (2, 6, None), (2, 7, None), (4, X25519, None)]
    transforms = [transform(at == len(parts) - 1, *part) for at, part in enumerate(parts)]
    body = b"".join(transforms)
    return struct.pack("!BBHBBBB", 0, 0, 8 + len(body), 1, 1, 0, len(parts)) + body


def message(share):
    """IKE_SA_INIT with this share."""
    bodies = [(SA, proposal()), (KE, struct.pack("!HH", X25519, 0) + share), (NONCE, os.urandom(32))]
    chain = b""
    for at, (_, body) in enumerate(bodies):
        following = bodies[at + 1][0] if at + 1 < len(bodies) else 0
        chain += struct.pack("!BBH", following, 0, 4 + len(body)) + body
    header = os.urandom(8) + bytes(8) + struct.pack("!BBBBII", SA, 0x20, 34, 0x08, 0, 28 + len(chain))
    return header + chain


def name(answer):
    """What an answer to it says first."""
    if answer is None:
        return None
    if answer[16] != NOTIFY:
        return "accepted" if answer[16] == SA else f"payload {answer[16]}"
    number = struct.unpack("!H", answer[28 + 6 : 28 + 8])[0]
    return NOTIFICATIONS.get(number, f"notification {number}")


def ask(end, datagram):
    """Sends it, and gives the answer to it if one comes."""
    end.send(datagram)
    try:
        while True:
            answer = end.recv(4096)
            if answer[:8] == datagram[:8]:
                return answer
    except TimeoutError:
        return None


def changed(datagram, at, value):
    """The same with one octet changed."""
    return datagram[:at] + bytes([value]) + datagram[at + 1 :]


def main():
    local, remote = sys.argv[1:]
    end = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    end.bind((local, 500))
    end.connect((remote, 500))
    end.settimeout(PATIENCE)
    # Points of small order besides zero (RFC 7748 6.1): the secret would be zero whatever the other side does.
    order = [1, 2**255 - 20, 2**255 - 19, 2**255 - 18]
    cases = {"a share of zeros": message(bytes(32))}
    cases |= {f"a share of small order {at}": message(point.to_bytes(32, "little")) for at, point in enumerate(order)}
    honest = message(os.urandom(32))
    cases["a length that says too much"] = changed(honest, 27, (honest[27] + 1) & 0xFF)
    cases["a length that says too little"] = changed(honest, 27, (honest[27] - 1) & 0xFF)
    cases["another major version"] = changed(honest, 17, 0x30)
    cases["an honest one"] = honest
    print(json.dumps({case: name(ask(end, datagram)) for case, datagram in cases.items()}))


main()
