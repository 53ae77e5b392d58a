//! The native command line. On wasm targets only the library is built.

#[cfg(not(target_family = "wasm"))]
mod command;
#[cfg(not(target_family = "wasm"))]
mod import;

#[cfg(not(target_family = "wasm"))]
fn main() -> std::process::ExitCode {
    command::main()
}

#[cfg(target_family = "wasm")]
fn main() {}
