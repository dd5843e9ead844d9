//! The command in a pipe.

use std::{
    io::{PipeWriter, pipe},
    os::unix::process::ExitStatusExt,
    process::{Command, Stdio},
};

/// The writing end of a pipe that nobody reads any more, as after `| head -1`.
fn unread() -> PipeWriter {
    let (reader, writer) = pipe().unwrap();
    drop(reader);
    writer
}

#[test]
fn a_reader_that_has_enough_ends_the_command_in_silence() {
    const SIGPIPE: i32 = 13;

    let project = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    for arguments in [
        &["posture", "envoy/kubelet/kubelet-owned.yaml", "--format", "sarif"][..],
        &["posture", "envoy/kubelet/kubelet-owned.yaml"],
        &["test", "rego/kubelet", "-v", "--run", "observe_test"],
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gatelet"));
        command.args(arguments).current_dir(project).stdout(unread()).stderr(Stdio::piped());
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.signal(), Some(SIGPIPE), "{arguments:?}: {said}");
        assert!(!said.contains("panicked"), "{arguments:?}: {said}");
    }
}
