//! The Cloudflare Workers host.
