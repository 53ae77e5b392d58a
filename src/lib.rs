//! Tollgate: an AI gateway for the edge platform you already have.
//!
//! The core is pure and knows no clock, network or store; [`serve`] is the one place where the order of
//! effects stands, and [`host`] says what it asks of the machine. ARCHITECTURE.md is the map.

pub mod auth;
pub mod bill;
pub mod catalog;
pub mod chat;
pub mod config;
pub mod count;
pub mod dialect;
pub mod echo;
pub mod embed;
pub mod error;
pub mod host;
pub mod limit;
pub mod media;
pub mod mistake;
pub mod named;
pub mod nearest;
pub mod pause;
pub mod platform;
pub mod price;
pub mod quirks;
pub mod receipt;
pub mod record;
pub mod relay;
pub mod report;
pub mod rerank;
pub mod route;
pub mod schema;
pub mod seal;
pub mod serve;
pub mod splice;
pub mod told;
pub mod usage;
pub mod wire;
