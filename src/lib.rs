//! Tollgate: an AI gateway for the edge platform you already have.
//!
//! The core is pure and knows no clock, network or store; [`serve`] is the one place where the order of
//! effects stands, and [`host`] says what it asks of the machine. ARCHITECTURE.md is the map.

pub mod chat;
pub mod dialect;
pub mod error;
pub mod wire;
