//! Generates the protobuf types and gRPC stubs, without `protoc`.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = std::path::Path::new(&std::env::var("CARGO_MANIFEST_DIR")?).join("../../proto");
    let files = [
        "leno/v1/resources.proto",
        "envoy/service/discovery/v3/discovery.proto",
        "envoy/config/core/v3/base.proto",
        "google/rpc/status.proto",
        "istio/ca.proto",
    ];
    println!("cargo::rerun-if-changed={}", root.display());
    let descriptors = protox::compile(files, [&root])?;
    tonic_prost_build::configure()
        // Our own `Any` holds `Bytes`: a resource encoded once is shared by every stream that carries it.
        .compile_well_known_types(true)
        .bytes(".")
        .codec_path("crate::codec::SmallBuffers")
        // Ordered maps: a resource's version is a hash of its bytes.
        .btree_map(".")
        .emit_rerun_if_changed(false)
        .include_file("protos.rs")
        .compile_fds(descriptors)?;
    Ok(())
}
