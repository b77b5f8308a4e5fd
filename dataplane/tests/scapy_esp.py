"""The other end of `esp/scapy.rs`: scapy's IPsec layer, asked by line on stdin, answering by line on stdout.

A request is `VERB CRYPT CRYPT_KEY AUTH AUTH_KEY MODE SOURCE DESTINATION ESN UDP SPI NUMBER PACKET`. VERB is `seal` or
`open`; keys and packet are in hex; `-` stands for nothing; ESN and UDP are 0 or 1; NUMBER has 64 bits. The answer is a
packet in hex, or `error` and a reason.
"""

import logging
import signal
import sys

logging.getLogger("scapy").setLevel(logging.ERROR)

from scapy.layers.inet import IP, UDP  # noqa: E402
from scapy.layers.inet6 import IPv6  # noqa: E402
from scapy.layers.ipsec import ESP, SecurityAssociation  # noqa: E402


def octets(text):
    return None if text == "-" else bytes.fromhex(text)


def ip(packet):
    return IP(packet) if packet[0] >> 4 == 4 else IPv6(packet)


def association(crypt, crypt_key, auth, auth_key, mode, source, destination, esn, udp, spi, number):
    family = IPv6 if ":" in source else IP
    return SecurityAssociation(
        ESP,
        spi=int(spi),
        crypt_algo=crypt,
        crypt_key=octets(crypt_key),
        auth_algo=None if auth == "-" else auth,
        auth_key=octets(auth_key),
        tunnel_header=family(src=source, dst=destination) if mode == "tunnel" else None,
        nat_t_header=UDP(sport=4500, dport=4500) if udp == "1" else None,
        esn_en=esn == "1",
        esn=number >> 32,
    )


def answer(line):
    verb, *parameters, number, packet = line.split()
    number, packet = int(number), ip(octets(packet))
    sa = association(*parameters, number)
    if verb == "seal":
        return bytes(sa.encrypt(packet, seq_num=number & 0xFFFFFFFF))
    if packet[ESP].seq != number & 0xFFFFFFFF:
        raise ValueError(f"sequence number {packet[ESP].seq}")
    return bytes(sa.decrypt(packet))


signal.alarm(300)  # whoever asks may have gone
for request in sys.stdin:
    try:
        reply = answer(request).hex()
    except Exception as error:  # noqa: BLE001: every reason goes to the test
        reply = f"error {type(error).__name__}: {error}"
    print(reply, flush=True)
