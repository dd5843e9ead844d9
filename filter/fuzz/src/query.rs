//! Queries.

use std::collections::BTreeMap;

use form_urlencoded::Serializer;
use gatelet_core::kubelet::Query;

/// A query has the pairs that another reader finds, and they survive being printed.
pub fn run(data: &[u8]) {
    let Ok(query) = Query::parse(data) else { return };
    let mut others: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (key, value) in form_urlencoded::parse(data) {
        others.entry(key.into_owned()).or_default().push(value.into_owned());
    }
    assert_eq!(owned(&query), others, "another reader finds other pairs");

    let printed = print(&query);
    let again = Query::parse(printed.as_bytes()).expect("what is printed is readable");
    assert_eq!(owned(&again), owned(&query), "printing loses something");
    assert_eq!(print(&again), printed, "printing is not what was parsed");
}

fn owned(query: &Query) -> BTreeMap<String, Vec<String>> {
    let own = |values: Vec<&str>| values.into_iter().map(str::to_owned).collect();
    query.by_key().into_iter().map(|(key, values)| (key.to_owned(), own(values))).collect()
}

/// The one canonical spelling, keys in order.
fn print(query: &Query) -> String {
    let mut printer = Serializer::new(String::new());
    for (key, values) in query.by_key() {
        for value in values {
            printer.append_pair(key, value);
        }
    }
    printer.finish()
}
