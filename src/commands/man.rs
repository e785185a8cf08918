//! `man`: the manual pages.

use std::path::PathBuf;

use clap::Args;
use clap::Command;
use clap_mangen::Man;

use crate::commands::Failure;
use crate::commands::report;

/// Print the manual page, or write one for every command
#[derive(Args, Clone, Debug)]
#[command(after_help = "Examples:\n  urlshort man | man -l -\n  \
    urlshort man --out /usr/local/share/man/man1")]
pub struct ManArgs {
    /// Write urlshort.1, urlshort-serve.1 … into this folder
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
}

/// Prints the page of `command`, or writes the pages of it and all that it holds.
///
/// # Errors
/// Where the folder cannot be written.
pub fn run(args: &ManArgs, mut command: Command) -> Result<(), Failure> {
    command = command.disable_help_subcommand(true);
    command.build();
    let Some(folder) = &args.out else {
        let page = page(command).map_err(|error| Failure::Bug(error.to_string()))?;
        report::text(&String::from_utf8_lossy(&page));
        return Ok(());
    };
    let failed = |error: std::io::Error| {
        let folder = folder.display();
        Failure::Failed(format!(
            "--out: {folder} cannot be written: {error}; name a folder that you may write to"
        ))
    };
    std::fs::create_dir_all(folder).map_err(failed)?;
    clap_mangen::generate_to(command, folder).map_err(failed)
}

fn page(command: Command) -> std::io::Result<Vec<u8>> {
    let mut page = Vec::new();
    Man::new(command).render(&mut page)?;
    Ok(page)
}
