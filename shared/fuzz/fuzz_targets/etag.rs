#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    shared::testing::fuzzing::etag(data);
    product_service::http::fuzzing::if_match(data);
});
