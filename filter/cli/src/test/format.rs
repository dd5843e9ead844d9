//! Results as text, in the manner of `opa test`, as its JSON, and as JUnit.

use std::{
    collections::BTreeMap,
    io::{self, Write},
};

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};
use regorus::Value;
use serde_json::json;

use super::{Ran, Results, coverage::Coverage};
use crate::style::{BAD, GOOD, paint};

/// Failures, with `verbose` the rest too, and the sums.
pub(super) fn text(results: &Results, verbose: bool) -> anyhow::Result<()> {
    let Results { ran, coverage } = results;
    let mut out = anstream::stdout().lock();
    for test in ran.iter().filter(|test| verbose || !test.passed()) {
        let verdict = if test.passed() { paint(GOOD, "PASS") } else { paint(BAD, "FAIL") };
        writeln!(out, "{}: {verdict} ({:.3?})", test.full_name(), test.duration)?;
        if test.passed() {
            continue;
        }
        writeln!(out, "  {}", place(test))?;
        for failure in &test.failures {
            writeln!(out, "  {}", failure.replace('\n', "\n  "))?;
        }
        if let Some((statement, input)) = &test.asked {
            writeln!(out, "  at {statement}")?;
            if *input != Value::Undefined {
                writeln!(out, "  input: {input}")?;
            }
        }
    }
    if let Some(coverage) = coverage {
        text_of_coverage(&mut out, coverage)?;
    }
    let (passed, all) = (ran.iter().filter(|test| test.passed()).count(), ran.len());
    let compared = ran.iter().filter(|test| test.compared > 0).count();
    writeln!(out, "{}", paint(GOOD, format!("PASS: {passed}/{all}")))?;
    if passed < all {
        writeln!(out, "{}", paint(BAD, format!("FAIL: {}/{all}", all - passed)))?;
    }
    writeln!(out, "{compared}/{all} put to the register VM, too")?;
    Ok(())
}

fn place(test: &Ran) -> String {
    match test.line {
        Some(line) => format!("{}:{line}", test.file),
        None => test.file.clone(),
    }
}

fn text_of_coverage(out: &mut impl Write, coverage: &Coverage) -> io::Result<()> {
    for (name, percent, missing) in coverage.by_file() {
        let style = if missing.is_empty() { GOOD } else { BAD };
        let percent = paint(style, format!("{percent:5.1} %"));
        let missing =
            if missing.is_empty() { missing } else { format!("  not covered: {missing}") };
        writeln!(out, "{percent}  {name}{missing}")?;
    }
    writeln!(out, "{:5.1} %  in all", coverage.percent())
}

/// OPA's JSON: of the tests, or of the coverage if that is asked for.
pub(super) fn json(results: &Results) -> anyhow::Result<()> {
    let value = match &results.coverage {
        Some(coverage) => {
            let mut report = coverage.json()?;
            let failed: Vec<_> = results.ran.iter().filter(|test| !test.passed()).collect();
            if let (false, Some(report)) = (failed.is_empty(), report.as_object_mut()) {
                report.insert("failed".into(), failed.into_iter().map(json_of).collect());
            }
            report
        }
        None => results.ran.iter().map(json_of).collect(),
    };
    writeln!(io::stdout(), "{value:#}")?;
    Ok(())
}

fn json_of(test: &Ran) -> serde_json::Value {
    let Ran { package, name, file, line, duration, failures, asked, compared } = test;
    let mut value = json!({
        "location": {"file": file, "row": line},
        "package": package,
        "name": name,
        "duration": u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX),
        "compared": compared,
    });
    if let (false, Some(fields)) = (failures.is_empty(), value.as_object_mut()) {
        fields.insert("fail".into(), true.into());
        fields.insert("failures".into(), failures.as_slice().into());
        if let Some((statement, input)) = asked {
            fields.insert("statement".into(), statement.as_str().into());
            fields.insert("input".into(), serde_json::to_value(input).unwrap_or_default());
        }
    }
    value
}

/// A suite for each package.
pub(super) fn junit(results: &Results) -> anyhow::Result<()> {
    let mut suites: BTreeMap<&str, TestSuite> = BTreeMap::new();
    for test in &results.ran {
        let mut status = TestCaseStatus::success();
        if !test.passed() {
            status = TestCaseStatus::non_success(NonSuccessKind::Failure);
            let mut description = place(test);
            if let Some((statement, input)) = &test.asked {
                description += &format!("\nat {statement}\ninput: {input}");
            }
            status.set_message(test.failures.join("\n")).set_description(description);
        }
        let mut case = TestCase::new(test.name.as_str(), status);
        case.set_classname(test.package.as_str()).set_time(test.duration);
        let suite =
            suites.entry(&test.package).or_insert_with(|| TestSuite::new(test.package.as_str()));
        suite.add_test_case(case);
    }
    let mut report = Report::new("gatelet test");
    report.add_test_suites(suites.into_values());
    report.serialize(io::stdout())?;
    Ok(())
}
