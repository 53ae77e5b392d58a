//! The Spin host.
