//! `completions`: what a shell needs to complete this command line.

use clap::Args;
use clap::Command;
use clap_complete::Shell;

use crate::commands::report;

/// Print a completion script for a shell
#[derive(Args, Clone, Copy, Debug)]
#[command(after_help = "Examples:\n  \
    urlshort completions bash > ~/.local/share/bash-completion/completions/urlshort\n  \
    urlshort completions zsh > \"${fpath[1]}/_urlshort\"\n  \
    urlshort completions fish > ~/.config/fish/completions/urlshort.fish")]
pub struct CompletionsArgs {
    /// Which shell
    shell: Shell,
}

/// Prints the script for `command`.
pub fn run(args: CompletionsArgs, mut command: Command) {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "urlshort", &mut script);
    report::text(&String::from_utf8_lossy(&script));
}
