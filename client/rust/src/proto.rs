//! What the package `confstream.v1` is in Rust: generated from `config_service.proto` by `./generate`.

include!("proto/confstream.v1.rs");
