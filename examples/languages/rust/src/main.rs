fn main() {
    let mut digits = itoa::Buffer::new();
    println!("hello from Rust, {}", digits.format(1_234_567));
}
