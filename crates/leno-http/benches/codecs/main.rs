//! What heads, header blocks, whole requests and chunks cost: `make bench-micro`.

mod h1;
mod h2;
mod hpack;
mod message;
#[path = "../../../leno-core/benches/shared/micro.rs"]
mod micro;
#[path = "../../../leno-core/benches/shared/request.rs"]
mod request;

fn main() {
    micro::run();
}
