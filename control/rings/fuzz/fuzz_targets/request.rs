#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Ok(request) = ravelin_rings::issue::read_request(data) {
        let _ = request.subject.to_string();
    }
});
