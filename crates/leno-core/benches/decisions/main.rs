//! What a request's decisions and its reports cost: `make bench-micro`.

mod authz;
#[path = "../shared/micro.rs"]
mod micro;
mod reports;
#[path = "../shared/request.rs"]
mod request;
mod route;

fn main() {
    micro::run();
}
