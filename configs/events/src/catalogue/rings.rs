//! Key rings and certificates, and the audit of keys.

use super::entries;

entries! {
    RINGS;
    "Key rings", "Rings, certificates and their ends; what has the target `ravelin::audit` is never suppressed.";
    KEY_USED: Info "RVL-KEY-USED" [ring label scheme caller grant] "a key was used";
        cause "A caller that the ring lets in got a signature.";
        remedy "Nothing is to be done.";
    KEY_REFUSED: Warning "RVL-KEY-REFUSED" [ring label scheme caller reason] "a key was refused";
        cause "The caller is not on the ring's list, or the key cannot be used; `reason` says which.";
        remedy "Let the caller in by `ravelin ring access` if that is meant.";
    KEY_EXPORTED: Warning "RVL-KEY-EXPORTED" [place uid encrypted form] "a private key was exported";
        cause "Somebody ran `ravelin cert export` with the key.";
        remedy "If nobody should have, revoke the certificate and make a new key.";
    RING_UNREADABLE: Warning "RVL-RING-UNREADABLE" [ring error] "a key ring cannot be read";
        cause "Its files are missing, damaged, open to others, or its passphrase is not there.";
        remedy "Do as the error says; `ravelin ring show` tells when it is right.";
    RING_BROKEN: Warning "RVL-RING-BROKEN" [ring label error] "a connected certificate is left out";
        cause "The ring that it is connected from has lost it or cannot be read.";
        remedy "Connect it anew (`ravelin ring connect`), or bring the other ring back.";
    RING_PASSPHRASE: Warning "RVL-RING-PASSPHRASE" [ring until days_left] "the passphrase of a ring ends; then its keys are not used";
        cause "A term was set for the passphrase.";
        remedy "Give it a new one: `ravelin ring passwd`.";
    ANCHOR_REFUSED: Warning "RVL-ANCHOR-REFUSED" [ring problem] "a certificate cannot be a trust anchor, and is left out";
        cause "The certificate in the ring is damaged, or of a kind that cannot anchor a chain.";
        remedy "Replace it by the authority's own certificate (`ravelin cert import`).";
    CERT_EXPIRES: Warning "RVL-CERT-EXPIRES" [certificate subject not_after days] "a certificate ends soon; renew it";
        cause "It ends within 30, 7 or 1 days.";
        remedy "Renew it: `ravelin cert renew`, or an order for renewal (docs/certificates.md).";
    CERT_EXPIRED: Warning "RVL-CERT-EXPIRED" [certificate subject not_after] "a certificate has ended; renew it";
        cause "Its validity is over: peers refuse it.";
        remedy "Renew it: `ravelin cert renew`.";
    CERT_ORDERS: Warning "RVL-CERT-ORDERS" [error] "the standing orders for certificates cannot be read";
        cause "The file of orders in the rings' directory is damaged or cannot be read. Nothing is renewed meanwhile.";
        remedy "Mend or remove the file that the error names.";
    CERT_RENEWED: Info "RVL-CERT-RENEWED" [certificate not_after] "a certificate was renewed";
        cause "A standing order was due.";
        remedy "Nothing is to be done.";
    CERT_NOT_RENEWED: Warning "RVL-CERT-NOT-RENEWED" [certificate error] "a certificate was not renewed";
        cause "The authority refused or could not be reached; `error` has its words.";
        remedy "Do as the error says. It is tried again every hour.";
    REVOCATION_SOURCE: Warning "RVL-REVOCATION-SOURCE" [url problem] "a source of revocation gave no good answer";
        cause "A revocation list or a responder does not answer, or its answer is not believed.";
        remedy "See that the address can be reached from this gateway.";
}
