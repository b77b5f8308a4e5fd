"""Reads the ESP of a capture by the keys that were negotiated: read_esp.py PCAP KEYS MARK. KEYS has one JSON object a line;
MARK, in hex, is what payloads hold. Prints one JSON object: how many packets there were, and of what kind each was."""

import collections
import json
import logging
import sys

logging.getLogger("scapy").setLevel(logging.ERROR)

from scapy.layers.inet import IP, UDP  # noqa: E402
from scapy.layers.inet6 import IPv6  # noqa: E402
from scapy.layers.ipsec import ESP, SecurityAssociation  # noqa: E402
from scapy.utils import rdpcap  # noqa: E402


def octets(text):
    return bytes.fromhex(text) if text else None


def association(keys, outer):
    return SecurityAssociation(
        ESP,
        spi=keys["spi"],
        crypt_algo=keys["cipher"],
        crypt_key=octets(keys["key"]),
        auth_algo=keys["integrity"],
        auth_key=octets(keys["integrity_key"]),
        tunnel_header=type(outer)(src=outer.src, dst=outer.dst) if keys["mode"] == "tunnel" else None,
        nat_t_header=UDP(sport=4500, dport=4500) if keys["udp"] else None,
        esn_en=keys["extended"],
    )


def outer_of(frame):
    return next((frame[family] for family in (IP, IPv6) if family in frame), None)


def main():
    path, file, mark = sys.argv[1], sys.argv[2], bytes.fromhex(sys.argv[3])
    with open(file, encoding="ascii") as lines:
        known = {keys["spi"]: keys for keys in map(json.loads, lines)}
    counts = collections.Counter()
    for frame in rdpcap(path):
        outer = outer_of(frame)
        if outer is None or ESP not in outer:
            continue
        counts["all"] += 1
        counts["udp" if UDP in outer else "plain"] += 1
        keys = known.get(outer[ESP].spi)
        if keys is None:
            counts["unknown"] += 1
            continue
        # A changed length of extended numbers, a wrong mode or key is an exception here.
        inner = association(keys, outer).decrypt(type(outer)(bytes(outer)))
        counts[keys["mode"]] += 1
        counts["extended"] += keys["extended"]
        counts[keys["cipher"]] += 1
        counts["marked"] += mark in bytes(inner)
        counts["clear"] += mark in bytes(outer)
        counts["between_gateways"] += (inner.src, inner.dst) == (outer.src, outer.dst)
    print(json.dumps(counts))


main()
