//! Generates the gRPC types of `proto/`, without `protoc`.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=proto");
    let descriptors = protox::compile(["echo.proto", "pay.proto", "health.proto"], ["proto"])?;
    tonic_prost_build::configure().include_file("protos.rs").emit_rerun_if_changed(false).compile_fds(descriptors)?;
    Ok(())
}
