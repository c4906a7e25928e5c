//! The thin binary: everything happens in the library.

use std::process::ExitCode;

/// Ten thousand runs that begin in one second take and give back a great deal of small memory; the system's allocator
/// returns it to the kernel each time and asks for it again.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    gulou::cli::main()
}
