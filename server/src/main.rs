fn main() {
    print!("{}", banter_server::openapi());
}
