#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    shared::testing::fuzzing::token(data);
});
