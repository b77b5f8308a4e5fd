#!/usr/bin/python3
"""Makes the captures beside this file: two strongSwan daemons in namespaces of their own negotiate, tcpdump writes down what they
send, and their logs (ike = 4, chd = 4) give the keys they derived. Needs root, strongswan-charon, strongswan-swanctl,
libcharon-extra-plugins, openssl and tcpdump. Run by hand; the tests read only its output."""

import os, pathlib, re, shutil, signal, struct, subprocess, sys, tempfile, time

HERE = pathlib.Path(__file__).parent
CASES = {
    # name: (IKE proposal, ESP proposal, authentication, fragment size or None)
    "psk_gcm256_x25519": ("aes256gcm16-prfsha384-x25519", "aes256gcm16-x25519-noesn", "psk", None),
    "psk_cbc128_modp2048": ("aes128-sha256-modp2048", "aes128-sha256-modp2048-noesn", "psk", None),
    "rsa_cbc256_modp3072": ("aes256-sha512-prfsha512-modp3072", "aes256-sha512-modp3072-noesn", "rsa", 600),
    "ecdsa_chacha_ecp256": ("chacha20poly1305-prfsha256-ecp256", "chacha20poly1305-ecp256-noesn", "p256", None),
    "ecdsa384_gcm128_ecp384": ("aes128gcm16-prfsha256-ecp384", "aes128gcm16-ecp384-noesn", "p384", 576),
    "ed25519_gcm192_ecp521": ("aes192gcm16-prfsha512-ecp521", "aes128-sha384-ecp521-noesn", "ed25519", None),
    "rsapss_gcm256_x25519": ("aes256gcm16-prfsha256-x25519", "aes256-sha256-x25519-noesn", "rsapss", None),
    "psk_cbc192_modp4096": ("aes192-sha384-modp4096", "aes256-sha256-modp4096-noesn", "psk", None),
}
SECRET = "a shared secret for this capture alone"
SIDES = {"a": ("192.0.2.1", "192.0.2.2"), "b": ("192.0.2.2", "192.0.2.1")}


def run(*command, **options):
    return subprocess.run(command, check=True, capture_output=True, text=True, **options).stdout


def certificates(work, kind):
    """A CA and a certificate for each side, of one kind of key."""
    algorithm = {
        "rsa": ["rsa:2048"], "rsapss": ["rsa:2048"], "p256": ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"],
        "p384": ["ec", "-pkeyopt", "ec_paramgen_curve:P-384"], "ed25519": ["ed25519"],
    }[kind]
    run("openssl", "req", "-x509", "-nodes", "-newkey", *algorithm, "-keyout", work / "ca.key", "-out", work / "ca.pem",
        "-days", "3650", "-subj", "/CN=ca", "-addext", "basicConstraints=critical,CA:TRUE")
    for side in SIDES:
        run("openssl", "req", "-nodes", "-newkey", *algorithm, "-keyout", work / f"{side}.key", "-out", work / f"{side}.csr",
            "-subj", f"/CN={side}.example")
        extensions = work / f"{side}.ext"
        extensions.write_text(f"subjectAltName=DNS:{side}.example\n")
        run("openssl", "x509", "-req", "-in", work / f"{side}.csr", "-CA", work / "ca.pem", "-CAkey", work / "ca.key",
            "-CAcreateserial", "-days", "3650", "-extfile", extensions, "-out", work / f"{side}.pem")


def configure(work, side, ike, esp, auth, fragment):
    local, remote = SIDES[side]
    peer = "b" if side == "a" else "a"
    home = work / side
    for folder in ("swanctl/x509", "swanctl/x509ca", "swanctl/private"):
        (home / folder).mkdir(parents=True)
    (home / "strongswan.conf").write_text(f"""
charon {{
  load = random nonce openssl curve25519 hmac kdf gcm chapoly aes sha2 sha1 mgf1 x509 pubkey pkcs1 pkcs8 pem constraints revocation kernel-libipsec kernel-netlink socket-default vici
  signature_authentication = yes
  fragment_size = {fragment or 1280}
  install_routes = no
  plugins {{ vici {{ socket = unix://{home}/vici }} }}
  filelog {{ log {{ path = {home}/log
    default = 1
    ike = 4
    chd = 4
    flush_line = yes }} }}
}}
swanctl {{ load = pem pkcs1 pkcs8 x509 pubkey openssl random }}
""")
    if auth == "psk":
        who, secrets = "auth = psk", f'secrets {{ ike-1 {{ secret = "{SECRET}" }} }}'
        certs = ""
    else:
        who, secrets, certs = f"auth = {'ike:rsa/pss-sha256' if auth == 'rsapss' else 'pubkey'}", "", f"certs = {side}.pem"
        shutil.copy(work / "ca.pem", home / "swanctl/x509ca/ca.pem")
        shutil.copy(work / f"{side}.pem", home / f"swanctl/x509/{side}.pem")
        shutil.copy(work / f"{side}.key", home / f"swanctl/private/{side}.key")
    (home / "swanctl/swanctl.conf").write_text(f"""
connections {{ c {{
  version = 2
  local_addrs = {local}
  remote_addrs = {remote}
  proposals = {ike}
  fragmentation = {"force" if fragment else "yes"}
  local {{ {who}
    id = {side}.example
    {certs} }}
  remote {{ {who}
    id = {peer}.example }}
  children {{ t {{
    local_ts = 10.{ord(side)}.0.0/16
    remote_ts = 10.{ord(peer)}.0.0/16
    esp_proposals = {esp} }} }}
}} }}
{secrets}
""")


def start(work, side):
    home = work / side
    script = f"mount -t tmpfs none /run && STRONGSWAN_CONF={home}/strongswan.conf exec /usr/lib/ipsec/charon"
    daemon = subprocess.Popen(["ip", "netns", "exec", f"rv-cap-{side}", "unshare", "-m", "sh", "-c", script],
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait(lambda: (home / "vici").exists(), "charon's socket")
    swanctl(work, side, "--load-all", "--file", str(home / "swanctl/swanctl.conf"))
    return daemon


def swanctl(work, side, *arguments):
    home = work / side
    env = dict(os.environ, SWANCTL_DIR=str(home / "swanctl"), STRONGSWAN_CONF=str(home / "strongswan.conf"))
    done = subprocess.run(["swanctl", *arguments, "--uri", f"unix://{home}/vici"], env=env, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"swanctl {arguments}: {done.stdout}{done.stderr}" + "".join((work / other / 'log').read_text()[-2500:] for other in SIDES))


def wait(condition, what):
    for _ in range(300):
        if condition():
            return
        time.sleep(0.1)
    sys.exit(f"waited in vain for {what}")


def datagrams(pcap):
    """IKE messages of a capture in order: sender's side and octets."""
    data, at = pcap.read_bytes(), 24
    while at < len(data):
        length = struct.unpack_from("<I", data, at + 8)[0]
        frame, at = data[at + 16:at + 16 + length], at + 16 + length
        ip = frame[14:]
        if frame[12:14] != b"\x08\x00" or ip[9] != 17:
            continue
        udp = ip[(ip[0] & 15) * 4:]
        source, target, size = struct.unpack(">HHH", udp[:6])
        body = udp[8:size]
        if 4500 in (source, target):
            if body[:4] != b"\0\0\0\0" or len(body) < 32:
                continue
            body = body[4:]
        yield ("a" if ip[12:16] == bytes([192, 0, 2, 1]) else "b"), source, target, body


WANTED = re.compile(r"(shared Diffie Hellman secret|DH secret|SKEYSEED|Sk_d secret|Sk_ai secret|Sk_ar secret|Sk_ei secret|Sk_er secret"
                    r"|Sk_pi secret|Sk_pr secret|encryption initiator key|encryption responder key|integrity initiator key"
                    r"|integrity responder key) => (\d+) bytes")


def secrets(log):
    """The keys in the order in which the daemon derived them."""
    lines = log.read_text(errors="replace").splitlines()
    for index, line in enumerate(lines):
        found = WANTED.search(line)
        if not found:
            continue
        octets, at = "", index + 1
        while len(octets) < 2 * int(found[2]):
            octets += re.search(r"\d+: ((?:[0-9A-F]{2} )+)", lines[at])[1].replace(" ", "").lower()
            at += 1
        yield found[1].replace(" secret", "").replace(" ", "_").lower(), octets


def capture(name, ike, esp, auth, fragment):
    with tempfile.TemporaryDirectory() as folder:
        work, daemons = pathlib.Path(folder), []
        if auth != "psk":
            certificates(work, auth)
        try:
            for side in SIDES:
                run("ip", "netns", "add", f"rv-cap-{side}")
            run("ip", "link", "add", "v", "netns", "rv-cap-a", "type", "veth", "peer", "name", "v", "netns", "rv-cap-b")
            for side, (local, _) in SIDES.items():
                run("ip", "-n", f"rv-cap-{side}", "link", "set", "lo", "up")
                run("ip", "-n", f"rv-cap-{side}", "addr", "add", f"{local}/24", "dev", "v")
                run("ip", "-n", f"rv-cap-{side}", "link", "set", "v", "up")
                run("ip", "-n", f"rv-cap-{side}", "addr", "add", f"10.{ord(side)}.0.1/16", "dev", "lo")
            pcap = work / "pcap"
            daemons.append(subprocess.Popen(["ip", "netns", "exec", "rv-cap-a", "tcpdump", "-i", "v", "-s0", "-U", "-Z", "root",
                                             "-w", pcap, "udp"], stderr=subprocess.DEVNULL))
            wait(pcap.exists, "tcpdump")
            time.sleep(1)
            for side in SIDES:
                configure(work, side, ike, esp, auth, fragment)
                daemons.append(start(work, side))
            swanctl(work, "a", "--initiate", "--child", "t")
            swanctl(work, "a", "--rekey", "--child", "t")
            wait(lambda: (work / "a/log").read_text(errors="replace").count("CHILD_SA t{2} established") >= 1, "a child's rekey")
            time.sleep(1)
            swanctl(work, "a", "--rekey", "--ike", "c")
            wait(lambda: "IKE_SA c[2] rekeyed between" in (work / "a/log").read_text(errors="replace"), "a rekey")
            time.sleep(1)
            swanctl(work, "a", "--terminate", "--ike", "c")
            time.sleep(1)
        finally:
            for daemon in reversed(daemons):
                daemon.send_signal(signal.SIGTERM)
                daemon.wait(timeout=20)
            for side in SIDES:
                subprocess.run(["ip", "netns", "del", f"rv-cap-{side}"], capture_output=True)
        lines = [f"# strongSwan 5.9.8 with itself: {ike}, {esp}, {auth}. Made by capture.py.",
                 f"ike {ike}", f"esp {esp}", f"auth {auth}"]
        if auth == "psk":
            lines.append(f"psk {SECRET.encode().hex()}")
        else:
            for side in SIDES:
                spki = run("openssl", "x509", "-in", work / f"{side}.pem", "-noout", "-pubkey")
                der = subprocess.run(["openssl", "pkey", "-pubin", "-outform", "DER"], input=spki.encode(),
                                     check=True, capture_output=True).stdout
                lines.append(f"spki_{side} {der.hex()}")
        lines += [f"datagram {side} {source} {target} {body.hex()}" for side, source, target, body in datagrams(pcap)]
        lines += [f"{key} {octets}" for key, octets in secrets(work / "a/log")]
        (HERE / f"{name}.txt").write_text("\n".join(lines) + "\n")
        if os.environ.get("KEEP_LOG"):
            shutil.copy(work / "a/log", HERE / f"{name}.log")


for name, case in CASES.items():
    if len(sys.argv) < 2 or name in sys.argv[1:]:
        capture(name, *case)
        print(name)
