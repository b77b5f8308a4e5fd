"""The other host of a transport-mode connection, by scapy: transport_peer.py INTERFACE KEYS CONNECTION OUTBOUND_SPI INBOUND_SPI.

KEYS is our peer's keys file. Opens what the peer seals, answers its pings under the other SA, both with AES-GCM and extended
sequence numbers, and prints a line for each: `answered NUMBER`, or `wrong REASON`, which ends it.
"""

import logging
import socket
import sys
import tomllib

logging.getLogger("scapy").setLevel(logging.ERROR)

from scapy.layers.inet import ICMP, IP  # noqa: E402
from scapy.layers.ipsec import ESP, SecurityAssociation  # noqa: E402
from scapy.layers.l2 import Ether  # noqa: E402


def association(half, spi):
    key = bytes.fromhex(half["key"]) + bytes.fromhex(half["salt"])
    return SecurityAssociation(ESP, spi=spi, crypt_algo="AES-GCM", crypt_key=key, esn_en=True, esn=0)


def answer(frame, receive, send, number):
    """The frame that answers, or None when it is no ping."""
    sealed = frame[IP]
    opened = receive.decrypt(sealed)
    if (opened.src, opened.dst) != (sealed.src, sealed.dst) or opened.proto != 1:
        raise ValueError(f"not transport mode: {opened.summary()}")
    ping = opened[ICMP]
    if ping.type != 8:
        return None
    reply = IP(src=opened.dst, dst=opened.src) / ICMP(type=0, id=ping.id, seq=ping.seq) / bytes(ping.payload)
    return Ether(src=frame.dst, dst=frame.src) / send.encrypt(IP(bytes(reply)), seq_num=number)


def main():
    interface, keys, connection, outbound, inbound = sys.argv[1:]
    with open(keys, "rb") as file:
        halves = tomllib.load(file)[connection]
    # What is outbound at the peer is inbound here.
    receive, send = association(halves["outbound"], int(outbound, 0)), association(halves["inbound"], int(inbound, 0))
    wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800))
    wire.bind((interface, 0))
    print("listening", flush=True)
    number = 0
    while True:
        octets, (_, _, kind, *_) = wire.recvfrom(65535)
        frame = Ether(octets)
        if kind == 4 or IP not in frame or frame[IP].proto != 50:  # 4: sent by this host
            continue
        try:
            reply = answer(frame, receive, send, number + 1)
        except Exception as error:  # noqa: BLE001: every reason goes to the test
            print(f"wrong {type(error).__name__}: {error}", flush=True)
            sys.exit(1)
        if reply is not None:
            number += 1
            wire.send(bytes(reply))
            print("answered", number, flush=True)


main()
