//! The thin binary: everything happens in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    gulou::cli::main()
}
