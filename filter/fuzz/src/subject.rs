//! Subjects of certificates.

use gatelet_core::peer::Subject;

/// A subject keeps its text, and what is read from it survives being printed as OpenSSL prints.
pub fn run(data: &[u8]) {
    let Ok(subject) = Subject::parse(data) else { return };
    assert_eq!(subject.as_str().as_bytes(), data, "the text is another one");
    let printed = print(&subject);
    let again = Subject::parse(printed.as_bytes()).expect("what is printed is readable");
    assert_eq!(again.common_name(), subject.common_name(), "{printed}");
    assert_eq!(again.organizations(), subject.organizations(), "{printed}");
    assert_eq!(print(&again), printed, "printing is not what was parsed");
}

/// The attributes that Kubernetes reads, in RFC 2253's spelling.
fn print(subject: &Subject) -> String {
    let common_name = subject.common_name().map(|name| format!("CN={}", escaped(name)));
    let organizations = subject.organizations().iter().map(|name| format!("O={}", escaped(name)));
    common_name.into_iter().chain(organizations).collect::<Vec<_>>().join(",")
}

fn escaped(name: &str) -> String {
    let mut text = String::new();
    for (at, char) in name.char_indices() {
        let is_edge = at == 0 || at + char.len_utf8() == name.len();
        match char {
            ',' | '+' | '"' | '\\' | '<' | '>' | ';' => text.extend(['\\', char]),
            '#' if at == 0 => text.push_str("\\#"),
            ' ' if is_edge => text.push_str("\\ "),
            control if control.is_ascii_control() => {
                text.push_str(&format!("\\{:02X}", u32::from(control)));
            }
            plain => text.push(plain),
        }
    }
    text
}
