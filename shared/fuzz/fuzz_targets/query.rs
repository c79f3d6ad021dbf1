#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    product_service::http::fuzzing::query(data);
    order_service::fuzzing::query(data);
    basket_service::fuzzing::name(data);
});
