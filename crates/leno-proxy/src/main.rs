//! `leno-proxy`: see the library of the same name.

use std::process::ExitCode;

fn main() -> ExitCode {
    leno_proxy::boot::main()
}
