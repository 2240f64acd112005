#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| yadokari_fuzz::words::check(bytes));
