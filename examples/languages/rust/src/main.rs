fn main() {
    println!("hello from Rust, {}", itoa::Buffer::new().format(1234567));
}
