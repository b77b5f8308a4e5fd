#![no_main]

use ravelin_rings::revocation::Crl;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Ok(crl) = Crl::read(data) {
        let _ = (crl.len(), crl.number(), crl.next_update());
    }
});
