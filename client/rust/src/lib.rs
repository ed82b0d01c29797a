#![doc = include_str!("../README.md")]
#![deny(missing_docs)]
#![forbid(unsafe_code)]

mod assembler;
mod backoff;
mod changes;
mod client;
mod disk_copy;
mod error;
mod follower;
#[allow(missing_docs, clippy::all, rustdoc::all)]
pub mod proto;
mod shared;
mod snapshot;
#[cfg(feature = "values")]
mod values;
mod watch;

pub use changes::{Change, Changes};
pub use client::Client;
pub use error::Error;
pub use proto::WatchMode;
pub use shared::Outcome;
pub use snapshot::{File, Snapshot};
/// The gRPC library that this crate uses: its `Status` is in [`Error`], its `Endpoint` makes a [`Client`] with TLS.
pub use tonic;
pub use watch::{Watch, WatchBuilder};
