//! `ravelin`: the operator's command.

use std::process::ExitCode;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    ravelin_control::command::main().await
}
