#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    shared::testing::fuzzing::event(data);
    order_service::fuzzing::checkout(data);
    basket_service::fuzzing::answer(data);
});
