"""Python's cryptography as a maker and reader of files. Prints SHA-256 of public key and certificates."""

import datetime
import hashlib
import sys

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization as s
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import pkcs7, pkcs12

PASS = b"secret"


def new_key(kind):
    if kind in ("rsa-3072", "rsa-4096"):
        return s.load_pem_private_key(open("long.pem", "rb").read(), None)
    if kind.startswith("rsa-"):
        return rsa.generate_private_key(65537, int(kind[4:]))
    curves = {"p256": ec.SECP256R1, "p384": ec.SECP384R1, "p521": ec.SECP521R1}
    return ec.generate_private_key(curves[kind]()) if kind in curves else ed25519.Ed25519PrivateKey.generate()


def certificate(key, kind):
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "python " + kind)])
    now = datetime.datetime.now(datetime.timezone.utc)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(now)
    builder = builder.not_valid_after(now + datetime.timedelta(days=30))
    return builder.sign(key, None if kind == "ed25519" else hashes.SHA256())


def make(kind):
    key = new_key(kind)
    cert = certificate(key, kind)
    best, none = s.BestAvailableEncryption(PASS), s.NoEncryption()
    legacy = (
        s.PrivateFormat.PKCS12.encryption_builder()
        .key_cert_algorithm(pkcs12.PBES.PBESv1SHA1And3KeyTripleDESCBC)
        .hmac_hash(hashes.SHA1())
        .build(PASS)
    )
    files = {
        "py-key.pem": key.private_bytes(s.Encoding.PEM, s.PrivateFormat.PKCS8, none),
        "py-key.der": key.private_bytes(s.Encoding.DER, s.PrivateFormat.PKCS8, none),
        "py-key-encrypted.pem": key.private_bytes(s.Encoding.PEM, s.PrivateFormat.PKCS8, best),
        "py-key-encrypted.der": key.private_bytes(s.Encoding.DER, s.PrivateFormat.PKCS8, best),
        "py-both.p12": pkcs12.serialize_key_and_certificates(b"from python", key, cert, None, best),
        "py-both-legacy.p12": pkcs12.serialize_key_and_certificates(b"from python", key, cert, None, legacy),
        "py-cert.pem": cert.public_bytes(s.Encoding.PEM),
        "py-cert.der": cert.public_bytes(s.Encoding.DER),
        "py-certs.p7b": pkcs7.serialize_certificates([cert], s.Encoding.PEM),
        "py-certs.p7c": pkcs7.serialize_certificates([cert], s.Encoding.DER),
    }
    if kind != "ed25519":
        files["py-key-traditional.pem"] = key.private_bytes(s.Encoding.PEM, s.PrivateFormat.TraditionalOpenSSL, none)
        files["py-key-traditional.der"] = key.private_bytes(s.Encoding.DER, s.PrivateFormat.TraditionalOpenSSL, none)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "site")])
    names = x509.SubjectAlternativeName([x509.DNSName("site.example")])
    request = x509.CertificateSigningRequestBuilder().subject_name(name).add_extension(names, False)
    request = request.sign(key, None if kind == "ed25519" else hashes.SHA256())
    files["request.pem"] = request.public_bytes(s.Encoding.PEM)
    files["request.der"] = request.public_bytes(s.Encoding.DER)
    for name, octets in files.items():
        with open(name, "wb") as file:
            file.write(octets)
    tell(key.public_key(), [cert])


def tell(public, certs):
    if public is not None:
        spki = public.public_bytes(s.Encoding.DER, s.PublicFormat.SubjectPublicKeyInfo)
        print("key", hashlib.sha256(spki).hexdigest())
    for cert in certs:
        print("cert", cert.fingerprint(hashes.SHA256()).hex())


def read(name, form):
    octets = open(name, "rb").read()
    if form == "pem":
        tell(None, x509.load_pem_x509_certificates(octets))
    elif form == "der":
        tell(None, [x509.load_der_x509_certificate(octets)])
    elif form == "pkcs7":
        tell(None, pkcs7.load_pem_pkcs7_certificates(octets))
    elif form == "pkcs7-der":
        tell(None, pkcs7.load_der_pkcs7_certificates(octets))
    elif form == "pkcs12":
        key, cert, others = pkcs12.load_key_and_certificates(octets, PASS)
        tell(key.public_key(), [cert] + others)
    elif form == "key-der":
        tell(s.load_der_private_key(octets, None).public_key(), [])
    elif form == "key":
        tell(s.load_pem_private_key(octets, None).public_key(), [])
    elif form == "key-encrypted":
        tell(s.load_pem_private_key(octets, PASS).public_key(), [])
    elif form == "key-encrypted-der":
        tell(s.load_der_private_key(octets, PASS).public_key(), [])


make(sys.argv[2]) if sys.argv[1] == "make" else read(*sys.argv[2:])
