"""Sends the frames of a pcap file again, as they are: replay.py FILE INTERFACE PACKETS_PER_SECOND. Prints how many it sent."""

import socket
import sys
import time

from scapy.utils import RawPcapReader


def send(out, frame):
    """Sends one frame; a full queue is waited for, so that what is counted as sent was sent."""
    while True:
        try:
            return out.send(frame)
        except OSError as error:
            if error.errno != 105:  # ENOBUFS
                raise
            time.sleep(0.001)


def main():
    path, interface, rate = sys.argv[1], sys.argv[2], float(sys.argv[3])
    out = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    out.bind((interface, 0))
    begin = time.monotonic()
    sent = 0
    for frame, _ in RawPcapReader(path):
        ahead = begin + sent / rate - time.monotonic()
        if ahead > 0.002:
            time.sleep(ahead)
        send(out, frame)
        sent += 1
    print(sent)


main()
