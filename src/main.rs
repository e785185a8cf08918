//! The binary: parse, run, exit status.

use std::process::ExitCode;

use clap::Parser as _;
use urlshort::cli::Cli;
use urlshort::commands::report;

#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match Cli::parse().run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            report::failed(&failure); // the one module that prints
            failure.exit_code()
        }
    }
}
