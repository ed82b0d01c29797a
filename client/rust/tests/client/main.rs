//! The client against a scripted server.

mod disk_copy;
mod examples;
mod support;
mod watch;
