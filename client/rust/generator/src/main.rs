//! Generates what the client, and the scripted server of its tests, have of proto/: `generator PROTO_DIR CRATE_DIR`.

use std::{env, error::Error, fs, path::Path};

const PROTO: &str = "confstream/v1/config_service.proto";

fn main() -> Result<(), Box<dyn Error>> {
    let [proto, client] = &env::args().skip(1).collect::<Vec<_>>()[..] else {
        return Err("usage: generator PROTO_DIR CRATE_DIR".into());
    };
    // With the comments, which become the documentation.
    let descriptors = protox::Compiler::new([proto])?
        .include_source_info(true)
        .include_imports(true)
        .open_file(PROTO)?
        .file_descriptor_set();

    let messages = Path::new(client).join("src/proto");
    fs::create_dir_all(&messages)?;
    tonic_prost_build::configure()
        .build_server(false)
        .build_transport(false)
        .out_dir(messages)
        .compile_fds(descriptors.clone())?;

    let server = Path::new(client).join("tests/client/proto");
    fs::create_dir_all(&server)?;
    tonic_prost_build::configure()
        .build_client(false)
        .build_transport(false)
        .extern_path(".confstream.v1", "::confstream_client::proto")
        .out_dir(server)
        .compile_fds(descriptors)?;
    Ok(())
}
