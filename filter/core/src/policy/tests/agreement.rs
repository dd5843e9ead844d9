//! What regorus' register VM allows by the shipped policy, its interpreter allows: whatever request
//! is asked about, and whatever data of the documented shape there is.

use serde_json::Value as Json;

use super::*;
use crate::{
    corpus::Corpus,
    headers::Headers,
    kubelet::{Input, Node, Request},
};

/// How often the policy is asked, half of it about data that was changed, too.
const QUESTIONS: usize = 2_000;

fn repository() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn shipped_source(folder: &str, entrypoint: &str, data: &Json) -> Source {
    let mut modules = BTreeMap::new();
    collect(&repository().join("rego").join(folder), &mut modules);
    Source { modules, data: data.as_object().unwrap().clone(), entrypoint: entrypoint.to_owned() }
}

fn collect(folder: &Path, found: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if fs::metadata(&path).unwrap().is_dir() {
            collect(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rego") {
            found.insert(path.display().to_string(), fs::read_to_string(&path).unwrap());
        }
    }
}

/// What the register VM says; if it allows, the interpreter has to, by the same rule.
fn confirmed(policy: &Policy, input: Value, about: &dyn std::fmt::Debug) -> Outcome {
    let read = |value: Result<Value, Outcome>| match value {
        Ok(value) => Outcome::read(&value),
        Err(failure) => failure,
    };
    let outcome = read(policy.run(input.clone()));
    if matches!(outcome, Outcome::Allowed(_)) {
        assert_eq!(outcome, read(policy.interpreter.run(input)), "{about:?}");
    }
    outcome
}

#[test]
fn shipped_is_what_is_in_the_repository_byte_for_byte() {
    let kubelet = shipped_source("kubelet", "data.kubelet.authz.decision", &json!({}));
    assert!(shipped::is(&kubelet));
    let odd = json!({"kubelet": {"logs": {"namespaces": "default"}}});
    assert!(!shipped::is(&shipped_source("kubelet", "data.kubelet.authz.decision", &odd)));
    assert!(compile(&kubelet).unwrap().is_shipped);
    let other = Source { entrypoint: "data.kubelet.authz.allow".to_owned(), ..kubelet.clone() };
    assert!(!shipped::is(&other));
    for name in kubelet.policy_modules().map(|(name, _)| name.clone()).collect::<Vec<_>>() {
        let mut longer = kubelet.clone();
        longer.modules.get_mut(&name).unwrap().push('\n');
        let mut fewer = kubelet.clone();
        fewer.modules.remove(&name);
        let mut more = kubelet.clone();
        more.modules.insert("more.rego".to_owned(), "package more".to_owned());
        let mut twice = fewer.clone();
        let other = kubelet.policy_modules().find(|(other, _)| **other != name).unwrap().1;
        twice.modules.insert(name.clone(), other.clone());
        for (what, source) in
            [("longer", longer), ("fewer", fewer), ("more", more), ("twice", twice)]
        {
            assert!(!shipped::is(&source), "{name}: {what}");
        }
    }
}

#[test]
fn the_interpreter_confirms_the_corpus() {
    let mut allowed = 0;
    for entry in fs::read_dir(repository().join("tests/cases")).unwrap() {
        let corpus = Corpus::parse(&fs::read_to_string(entry.unwrap().path()).unwrap()).unwrap();
        let data = Json::Object(corpus.data.clone());
        let source = shipped_source("kubelet", "data.kubelet.authz.decision", &data);
        let policy = compile(&source).unwrap();
        for case in &corpus.cases {
            let lines = case.lines();
            let Ok(request) = Request::parse(Headers::new(&lines), case.ends()) else { continue };
            let peer = corpus.peer(case).unwrap();
            let node = Node { name: Some("worker-1".to_owned()) };
            let input = value::to_value(&Input::new(&request, &peer, false, &node)).unwrap();
            let outcome = confirmed(&policy, input, &case.note);
            allowed += usize::from(matches!(outcome, Outcome::Allowed(_)));
        }
    }
    assert!(allowed > 20, "{allowed}");
}

#[test]
fn the_interpreter_confirms_whatever_kubelets_are_asked() {
    agree(
        "kubelet",
        "data.kubelet.authz.decision",
        &json!({"kubelet": {
            "peers": [
                {"common_name": "a", "organization": "o", "presets": ["observe", "logs", "operate"]},
                {"common_name": "a", "organization": null, "presets": ["logs"], "certificate_sha256": "AA:".repeat(31) + "AA"},
                {"common_name": "b", "organization": "o", "presets": ["observe", "closed"]},
            ],
            "denied_certificates": ["b".repeat(64)],
            "logs": {"namespaces": ["default", "*"]},
            "scrape": {"endpoints": ["metrics", "healthz"]},
            "operate": [{
                "namespaces": ["default"], "pods": ["web-0"], "pod_prefixes": ["web-"],
                "containers": ["app", "*"], "attach": {"stdin": true, "tty": false}, "port_forward": true,
                "exec": [{"command": ["id"]}, {"command": ["cat"], "stdin": true, "tty": true}],
            }],
        }}),
        &[
            ("exec", json!({
                "namespace": "default", "pod": "web-0", "container": "app",
                "exec": {"command": ["id"], "stdin": false, "stdout": true, "stderr": true, "tty": false,
                         "env": {"KUBERNETES_EXEC_AUDIT_ID": "1"}},
            })),
            ("exec", json!({
                "namespace": "default", "pod": "web-0", "container": "app",
                "exec": {"command": ["cat"], "stdin": true, "stdout": true, "stderr": true, "tty": false,
                         "env": {}},
            })),
            ("attach", json!({
                "namespace": "default", "pod": "web-0", "container": "app",
                "attach": {"stdin": false, "stdout": true, "stderr": true, "tty": false},
            })),
            ("portForward", json!({
                "namespace": "default", "pod": "web-0", "port_forward": {"ports": [], "ports_in_stream": true},
            })),
            ("containerLogs", json!({"namespace": "default", "pod": "web-0", "container": "app"})),
            ("metrics", json!({"metrics": {"source": "kubelet"}})),
            ("pods", json!({})),
            ("stats", json!({"peer": {"authenticated": false, "bearer_token": true}})),
            ("healthz", json!({"peer": {"authenticated": false, "bearer_token": true}})),
        ].map(|(endpoint, more)| {
            let mut input = json!({
                "schema": "gatelet/v1", "method": "GET", "endpoint": endpoint,
                "peer": {"authenticated": true, "common_name": "a", "organizations": ["o"],
                         "certificate_sha256": "a".repeat(64)},
            });
            input.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            input
        }),
    );
}

/// Asks about requests and data, in each of which a few values were replaced or taken away.
fn agree(folder: &str, entrypoint: &str, data: &Json, inputs: &[Json]) {
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let original = compile(&shipped_source(folder, entrypoint, data)).unwrap();
    let (mut allowed, mut denied) = (0, 0);
    let mut changed = None;
    for question in 0..QUESTIONS {
        if question % 40 == 20 {
            // Data that overlaps a rule, or is no object, is refused.
            let data = Some(dice.change(data, Kind::Data)).filter(Json::is_object);
            let policy = |data: &Json| compile(&shipped_source(folder, entrypoint, data)).ok();
            changed = data.and_then(|data| policy(&data).map(|policy| (data, policy)));
            // What doesn't fit is put to both all the time.
            changed = changed.filter(|(_, policy)| policy.is_shipped);
        } else if question % 40 == 0 {
            changed = None;
        }
        let policy = changed.as_ref().map_or(&original, |(_, policy)| policy);
        let endpoint = dice.below(inputs.len());
        let input = dice.change(&inputs[endpoint], Kind::Input);
        let about = (changed.as_ref().map(|(data, _)| data.to_string()), input.to_string());
        match confirmed(policy, Value::from(input), &about) {
            Outcome::Allowed(_) => allowed += 1,
            _ => denied += 1,
        }
    }
    // Both are put to the test.
    assert!(allowed > QUESTIONS / 20 && denied > QUESTIONS / 20, "{allowed} {denied}");
}

/// Marsaglia's xorshift: the same questions in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, most: usize) -> usize {
        usize::try_from(self.roll() % u64::try_from(most).unwrap()).unwrap()
    }

    /// Up to three changes.
    fn change(&mut self, value: &Json, kind: Kind) -> Json {
        let mut value = value.clone();
        for _ in 0..self.below(4) {
            self.change_within(&mut value, kind);
        }
        value
    }

    fn change_within(&mut self, value: &mut Json, kind: Kind) {
        let is_end = self.below(8) == 0;
        match value {
            Json::Object(fields) if !fields.is_empty() && !is_end => {
                let key = fields.keys().nth(self.below(fields.len())).unwrap().clone();
                match (self.below(20), kind) {
                    (0, Kind::Data) => drop(fields.remove(&key)),
                    (1, Kind::Data) => drop(fields.insert("more".to_owned(), json!("x"))),
                    _ => self.change_within(fields.get_mut(&key).unwrap(), kind),
                }
            }
            Json::Array(items) if !items.is_empty() && !is_end => {
                let index = self.below(items.len());
                match self.below(8) {
                    0 => drop(items.remove(index)),
                    1 => items.push(items[index].clone()),
                    _ => self.change_within(&mut items[index], kind),
                }
            }
            other => {
                *other = match kind {
                    Kind::Data => self.anything(),
                    Kind::Input => self.alike(other),
                }
            }
        }
    }

    /// A value of whatever type.
    fn anything(&mut self) -> Json {
        let values = json!([
            null, true, false, 0, 1, -1, 1.5, [], {}, [null], [[]], ["id"], ["o"], ["*"], ["a", 1], [{}],
            {"stdin": true}, {"a": []}, {"0": "o"},
            {"common_name": "a", "organization": "o", "presets": ["logs"]},
        ]);
        let values = values.as_array().unwrap();
        match self.below(values.len() + 20).checked_sub(20) {
            Some(index) => values[index].clone(),
            None => self.text(),
        }
    }

    /// A value of the same type: an input document is typed.
    fn alike(&mut self, value: &Json) -> Json {
        match value {
            Json::Bool(_) => json!(self.below(2) == 0),
            Json::Number(_) => json!(self.below(3)),
            Json::String(_) | Json::Null if self.below(8) == 0 => Json::Null,
            Json::String(_) | Json::Null => self.text(),
            Json::Array(_) => [json!([]), json!(["id"]), json!(["o", "p"])][self.below(3)].clone(),
            Json::Object(fields) if fields.len() < 2 => json!({"LD_PRELOAD": "/tmp/x.so"}),
            Json::Object(fields) => Json::Object(fields.clone()),
        }
    }

    fn text(&mut self) -> Json {
        let digests = ["a", "b"].map(|digit| digit.repeat(64));
        let texts = [
            "",
            "a",
            "b",
            "o",
            "*",
            "default",
            "web-",
            "web-0",
            "app",
            "GET",
            "POST",
            "exec",
            "logs",
            "closed",
            "id",
            "api",
            "spiffe://a/web",
            "spiffe://",
            &digests[0],
            &digests[1],
        ];
        json!(texts[self.below(texts.len())])
    }
}

/// What is changed.
#[derive(Clone, Copy)]
enum Kind {
    /// Somebody wrote it: anything may be missing, or of another type.
    Data,
    /// It is made from types, and has them.
    Input,
}
