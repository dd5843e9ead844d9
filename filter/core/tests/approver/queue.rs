//! Lists, watches, and whose turn it is.

use std::{collections::VecDeque, time::Duration};

use chrono::TimeDelta;
use gatelet_core::csr::{Count, Effect, Failure, Response};
use serde_json::{Value, json};

use crate::{
    api::status,
    corpus::Corpus,
    rego::{readable, shipped},
};

#[test]
fn requests_on_many_pages_are_all_decided() {
    let corpus = Corpus::read();
    let mut api = corpus.api();
    // Malformed ones need no facts, and none of the time of this test.
    let mut spec = corpus.usual();
    spec["request"] = json!("");
    for number in 0..1_000 {
        spec["username"] = json!(format!("system:node:n{number}"));
        api.create(&format!("csr-{number}"), &spec);
    }
    api.run(&mut readable(&json!({"queue": {"page": 50}})), TimeDelta::seconds(2));
    assert_eq!(api.count(Count::Denied), 1_000);
    let lists = api.asked.iter().filter(|asked| asked.contains("limit=50")).count();
    assert_eq!(lists, 20);
}

#[test]
fn a_page_that_is_too_large_is_asked_for_in_smaller_ones() {
    let corpus = Corpus::read();
    let mut api = corpus.api();
    api.create("csr", &corpus.usual());
    for _ in 0..3 {
        api.fail("GET", "limit=", Err(Failure::TooLarge));
    }
    api.run(&mut readable(&json!({})), TimeDelta::seconds(10));
    let pages: Vec<_> = api.asked.iter().filter_map(|asked| asked.split("limit=").nth(1)).collect();
    assert_eq!(pages, ["500", "250", "125", "62"]);
    assert!(api.condition("csr").is_some());
}

#[test]
fn an_expired_list_or_watch_begins_again() {
    let corpus = Corpus::read();
    let gone = json!({"type": "ERROR", "object": {"kind": "Status", "code": 410}});
    let expired = [status(410, &Value::Null), status(200, &gone)];
    for answer in expired {
        let mut api = corpus.api();
        api.fail("GET", "watch=1", answer);
        let mut controller = readable(&json!({}));
        api.run(&mut controller, TimeDelta::milliseconds(200));
        api.create("csr", &corpus.usual());
        api.run(&mut controller, TimeDelta::seconds(2));
        assert!(api.condition("csr").is_some());
    }
    let mut api = corpus.api();
    api.create("csr", &corpus.usual());
    api.create("csr-2", &corpus.usual());
    let first = json!({
        "metadata": {"resourceVersion": "1", "continue": "1"}, "items": [api.objects["csr"]],
    });
    api.fail("GET", "limit=", status(200, &first));
    api.fail("GET", "continue=", status(410, &Value::Null));
    api.run(&mut readable(&json!({})), TimeDelta::seconds(3));
    assert!(api.condition("csr").is_some() && api.condition("csr-2").is_some());
}

#[test]
fn a_watched_request_is_decided_and_the_watch_goes_on_behind_it() {
    let corpus = Corpus::read();
    let mut api = corpus.api();
    let mut controller = readable(&json!({}));
    api.run(&mut controller, TimeDelta::seconds(1));
    api.create("csr", &corpus.usual());
    let seen = json!({"type": "ADDED", "object": api.objects["csr"]});
    let mark = json!({"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "77"}}});
    let body = format!("{seen}\n{mark}\n").into_bytes();
    api.fail("GET", "watch=1", Ok(Response { status: 200, body, ..Response::default() }));
    api.run(&mut controller, TimeDelta::seconds(2));
    assert!(api.condition("csr").is_some());
    assert!(api.asked.iter().any(|asked| asked.ends_with("resourceVersion=77")), "{:?}", api.asked);
}

#[test]
fn a_flood_of_one_node_does_not_delay_the_others() {
    let corpus = Corpus::read();
    let mut api = corpus.api();
    for number in 0..300 {
        api.create(&format!("a-{number:03}"), &corpus.usual());
    }
    let mut other = corpus.usual();
    other["username"] = json!("system:node:worker-2");
    api.create("z", &other);
    let mut controller = readable(&json!({"queue": {"concurrency": 1}}));
    api.run(&mut controller, TimeDelta::milliseconds(400));
    let reads = api.asked.iter().filter(|asked| asked.starts_with("GET") && !asked.contains('?'));
    let objects: Vec<_> =
        reads.filter_map(|asked| asked.split("certificatesigningrequests/").nth(1)).collect();
    let place = objects.iter().position(|name| *name == "z").unwrap();
    assert!(place <= 2, "{place}");
}

#[test]
fn a_request_that_was_left_is_reconsidered_without_noise() {
    let corpus = Corpus::read();
    let mut api = corpus.api();
    let node = api.nodes.remove("worker-1").unwrap();
    api.create("csr", &corpus.usual());
    let mut controller = shipped(&json!({}));
    api.run(&mut controller, TimeDelta::seconds(60));
    assert_eq!((api.records.len(), api.count(Count::Left), api.events.len()), (1, 1, 1));
    api.nodes.insert("worker-1".to_owned(), node);
    api.run(&mut controller, TimeDelta::seconds(60));
    assert_eq!(api.condition("csr").unwrap().0, "Approved");
}

#[test]
fn a_node_that_asks_too_often_is_left() {
    let corpus = Corpus::read();
    let mut api = corpus.api();
    for number in 0..15 {
        api.create(&format!("csr-{number:02}"), &corpus.usual());
    }
    let data = json!({"csr": {"limits": {"pending": 100}}});
    api.run(&mut shipped(&data), TimeDelta::seconds(5));
    assert_eq!((api.count(Count::Approved), api.count(Count::Left)), (10, 5));
}

#[test]
fn requests_beyond_the_room_wait() {
    let corpus = Corpus::read();
    let mut api = corpus.api();
    for number in 0..5 {
        api.create(&format!("csr-{number}"), &corpus.usual());
    }
    let mut controller = readable(&json!({"queue": {"tracked": 3}}));
    api.run(&mut controller, TimeDelta::seconds(5));
    assert_eq!((api.count(Count::Approved), api.count(Count::Overflow)), (3, 2));
    // What is decided makes room.
    api.run(&mut controller, TimeDelta::seconds(60));
    assert_eq!(api.count(Count::Approved), 5);
}

#[test]
fn one_that_cannot_be_read_is_skipped_and_counted() {
    let corpus = Corpus::read();
    let mut api = corpus.api();
    let mut bad = corpus.usual();
    bad["groups"] = json!(7);
    api.create("a\u{1b}[31m", &bad);
    api.create("csr", &corpus.usual());
    let mut controller = readable(&json!({}));
    api.run(&mut controller, TimeDelta::seconds(1));
    assert!(api.condition("csr").is_some());
    assert_eq!((api.count(Count::Malformed), api.warnings.len()), (1, 1), "{:?}", api.warnings);
    assert!(api.warnings[0].contains(r"a\u{1b}[31m"), "{:?}", api.warnings);

    api.create("later", &corpus.usual());
    let events = [api.objects["a\u{1b}[31m"].clone(), api.objects["later"].clone()]
        .map(|object| json!({"type": "ADDED", "object": object}).to_string());
    let body = events.concat().into_bytes();
    api.fail("GET", "watch=1", Ok(Response { status: 200, body, ..Response::default() }));
    api.run(&mut controller, TimeDelta::seconds(1));
    assert!(api.condition("later").is_some());
    assert_eq!((api.count(Count::Malformed), api.count(Count::Error)), (2, 0));
}

#[test]
fn null_is_nothing_as_go_writes_it() {
    let corpus = Corpus::read();
    let mut api = corpus.api();
    let mut spec = corpus.usual();
    for field in ["uid", "usages", "extra", "expirationSeconds"] {
        spec[field] = Value::Null;
    }
    api.create("one", &spec);
    spec["extra"] = json!({"x": null});
    api.create("two", &spec);
    api.objects.get_mut("one").unwrap()["status"] = json!({"conditions": null});
    api.nodes.get_mut("worker-1").unwrap()["metadata"]["labels"] = Value::Null;
    api.nodes.get_mut("worker-1").unwrap()["spec"] = Value::Null;
    let mut controller = readable(&json!({}));
    api.run(&mut controller, TimeDelta::seconds(1));
    assert_eq!(api.count(Count::Malformed), 0, "{:?}", api.warnings);
    assert_eq!(api.record("two")["input"]["extra"], json!({"x": []}));
    let none = json!({"metadata": {"resourceVersion": "1", "continue": null}, "items": null});
    api.fail("GET", "limit=", status(200, &none));
    api.run(&mut readable(&json!({})), TimeDelta::seconds(1));
    assert!(api.warnings.is_empty(), "{:?}", api.warnings);
}

#[test]
fn a_node_fills_its_own_room_and_no_others() {
    let corpus = Corpus::read();
    let mut api = corpus.api();
    let mut left = corpus.usual();
    left["groups"] = json!([]);
    for number in 0..150 {
        api.create(&format!("a-{number:03}"), &left);
    }
    let mut other = corpus.usual();
    other["username"] = json!("system:node:worker-2");
    api.create("z", &other);
    let mut controller = readable(&json!({"queue": {"tracked": 110}, "mode": "dry_run"}));
    api.run(&mut controller, TimeDelta::seconds(5));
    assert_eq!(api.count(Count::Overflow), 50);
    assert_eq!(api.record("z")["result"], "approve");
}

#[test]
fn a_new_request_takes_the_room_of_the_oldest_that_was_left() {
    let corpus = Corpus::read();
    let mut api = corpus.api();
    let node = api.nodes.remove("worker-1").unwrap();
    for number in 0..100 {
        api.create(&format!("a-{number:03}"), &corpus.usual());
        api.now += TimeDelta::seconds(1);
    }
    let data = json!({"csr": {"limits": {"pending": 1000, "approvals_per_hour": 1000}}});
    let mut controller = shipped(&data);
    api.run(&mut controller, TimeDelta::seconds(5));
    assert_eq!(api.count(Count::Left), 100);
    api.nodes.insert("worker-1".to_owned(), node);
    api.create("new", &corpus.usual());
    let seen = json!({"type": "ADDED", "object": api.objects["new"]});
    api.fail("GET", "watch=1", status(200, &seen));
    api.run(&mut controller, TimeDelta::seconds(2));
    assert!(api.condition("new").is_some());
    assert_eq!(api.count(Count::Overflow), 0);
}

#[test]
fn the_size_of_a_page_grows_again_and_an_error_does_not_shrink_it() {
    let corpus = Corpus::read();
    let mut api = corpus.api();
    let mut spec = corpus.usual();
    spec["request"] = json!("");
    for number in 0..20 {
        spec["username"] = json!(number.to_string());
        api.create(&format!("csr-{number:02}"), &spec);
    }
    for _ in 0..2 {
        api.fail("GET", "limit=", Err(Failure::TooLarge));
    }
    api.fail("GET", "limit=2", status(500, &Value::Null));
    api.run(&mut readable(&json!({"queue": {"page": 8}})), TimeDelta::seconds(2));
    let sizes: Vec<_> = api
        .asked
        .iter()
        .filter_map(|asked| asked.split("limit=").nth(1)?.split('&').next())
        .collect();
    assert_eq!(sizes, ["8", "4", "2", "2", "4", "8", "8"]);
}

#[test]
fn pages_that_are_too_large_cost_no_time() {
    let corpus = Corpus::read();
    let mut api = corpus.api();
    api.create("csr", &corpus.usual());
    for _ in 0..8 {
        api.fail("GET", "limit=", Err(Failure::Unanswered));
    }
    api.run(&mut readable(&json!({})), TimeDelta::milliseconds(200));
    assert!(api.condition("csr").is_some());
}

#[test]
fn a_watch_that_never_ends_delays_a_request_by_three_seconds() {
    let api = Corpus::read().api();
    let mut controller = readable(&json!({}));
    let mut effects: VecDeque<_> = controller.tick(api.now).into();
    let list = status(200, &json!({"metadata": {"resourceVersion": "1"}, "items": []}));
    let Some(Effect::Call(call)) = effects.pop_front() else { panic!("no list") };
    let effects = controller.answer(call.id, list, api.now);
    let [Effect::Call(watch)] = effects.as_slice() else { panic!("{effects:?}") };
    assert!(watch.path.contains("timeoutSeconds=2"), "{watch:?}");
    assert_eq!(watch.timeout, Duration::from_secs(3));
}

#[test]
fn requests_that_wait_since_yesterday_do_not_count_against_a_new_one() {
    let corpus = Corpus::read();
    let mut api = corpus.api();
    for number in 0..96 {
        api.create(&format!("old-{number:02}"), &corpus.usual());
        api.now += TimeDelta::minutes(15);
    }
    api.create("new", &corpus.usual());
    let mut controller = readable(&json!({"mode": "dry_run"}));
    api.run(&mut controller, TimeDelta::seconds(1));
    // Those of the last hour: at 60, 45, 30, and 15 minutes; the first is too old by then.
    assert_eq!(api.record("new")["input"]["existing"]["pending"], 3);
}
