//! The filter beside what Go said once, so that no Go is needed.

use std::path::Path;

use gatelet_differential::{
    cases,
    reading::{self, Reading},
};

#[test]
fn what_is_handed_on_has_the_kubelet_s_reading() {
    let cases = cases::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("cases.jsonl")).unwrap();
    assert!(!cases.is_empty(), "no cases found");
    for case in cases {
        let reading = reading::of(&case.request()).unwrap();
        let is_handed_on = matches!(reading, Reading::HandedOn { .. });
        assert_eq!(is_handed_on, case.handed_on, "{}: {reading:?}", case.note);
        let differences = reading.differences(&case.kubelet);
        assert!(differences.is_empty(), "{}: {}", case.note, differences.join("\n"));
    }
}
