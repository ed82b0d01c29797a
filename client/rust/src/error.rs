use std::{fmt, time::Duration};

use tonic::Status;

/// What can go wrong.
#[derive(Clone)]
#[non_exhaustive]
pub enum Error {
    /// The text is no address.
    InvalidAddress(String),
    /// [`Watch::wait`](crate::Watch::wait): the server had settled nothing in time, and there is no copy on disk.
    DeadlineExceeded {
        /// How long it waited.
        waited: Duration,
        /// What kept it waiting, for people to read.
        why: String,
    },
    /// The watch ended by itself, with what the server answered; `INTERNAL`: see [`Watch::ended`](crate::Watch::ended).
    Ended(Status),
    /// The watch was closed.
    Closed,
    /// [`Watch::report`](crate::Watch::report): the report did not reach the server. It is tried again with the next
    /// message of the stream.
    NotReported(Status),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InvalidAddress(address) => write!(
                f,
                "the server address {address:?} is neither host:port, such as 127.0.0.1:50051 or [::1]:50051, nor \
                 unix:PATH"
            ),
            Self::DeadlineExceeded { waited, why } => {
                write!(f, "nothing was settled within {waited:?}: {why}")
            }
            Self::Ended(status) => {
                write!(f, "the watch ended: {:?}: {}", status.code(), status.message())
            }
            Self::Closed => f.write_str("the watch was closed"),
            Self::NotReported(status) => {
                write!(f, "the report failed: {:?}: {}", status.code(), status.message())
            }
        }
    }
}

// As a `main` that returns it prints it: for people.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Error {}
