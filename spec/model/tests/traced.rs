// SPDX-License-Identifier: MIT OR Apache-2.0

//! Traces of requirements: every MUST of the specification is cited by a test, a vector or a property of the model.
//!
//! `target/clauses.md` is the table of requirements and what cites them.

use serde::Deserialize;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
    path::Path,
};
use walkdir::{DirEntry, WalkDir};

/// The beginning of every clause's name.
const PREFIX: &str = "PUE-";
/// The length of a clause's name.
const LENGTH: usize = "PUE-G-000".len();

/// The requirements, in the order of their documents.
#[derive(Debug, Deserialize)]
struct ClauseFile {
    clause: Vec<Clause>,
}

#[derive(Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
struct Clause {
    id: String,
    level: String,
    /// The reason why there is no evidence yet.
    pending: Option<String>,
}

/// The files that cite a clause: as evidence (tests, vectors, properties), or anywhere.
#[derive(Debug, Default)]
struct Citations {
    evidence: BTreeMap<String, BTreeSet<String>>,
    anywhere: BTreeMap<String, BTreeSet<String>>,
}

#[test]
fn every_requirement_is_cited_by_a_test_or_says_why_not() {
    let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap();
    let spec = checkout.join("spec");
    let read = |name: &str| fs::read_to_string(spec.join(name)).unwrap();
    let clauses: ClauseFile = toml::from_str(&read("clauses.toml")).unwrap();
    let sentences = sentences(&(read("guest-conformance.md") + &read("vmm-conformance.md")));
    let citations = citations(checkout);
    let table = checkout.join("target/clauses.md");
    fs::create_dir_all(table.parent().unwrap()).unwrap();
    fs::write(&table, self::table(&clauses, &sentences, &citations)).unwrap();
    let problems = problems(&clauses, &sentences, &citations);
    assert!(problems.is_empty(), "the requirements are not traced, see {}:\n{}", table.display(), problems.join("\n"));
}

#[test]
fn every_test_of_conformance_cites_a_clause() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().join("tests/tests/conformance");
    let mut without = Vec::new();
    for file in WalkDir::new(tests).into_iter().map(Result::unwrap).filter(|entry| entry.file_type().is_file()) {
        let mut cites = false;
        for line in fs::read_to_string(file.path()).unwrap().lines().map(str::trim_start) {
            match line {
                comment if comment.starts_with("///") => cites |= comment.contains(PREFIX),
                attribute if attribute.starts_with("#[") => {
                    if attribute == "#[test]" && !cites {
                        without.push(file.path().display().to_string());
                    }
                }
                _ => cites = false,
            }
        }
    }
    assert!(without.is_empty(), "tests that cite no clause belong to tests/tests/module or harness: {without:?}");
}

/// Returns the name of each clause in the documents, with its paragraph in one line.
fn sentences(documents: &str) -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = Vec::new();
    for line in documents.lines() {
        if let Some(rest) = line.strip_prefix("- **").filter(|rest| rest.starts_with(PREFIX)) {
            let (id, sentence) = rest.split_once("** ").unwrap_or((rest, ""));
            found.push((id.to_owned(), sentence.to_owned()));
        } else if let (Some((_, sentence)), Some(more)) = (found.last_mut(), line.strip_prefix("  ")) {
            *sentence = format!("{sentence} {more}");
        }
    }
    found
}

fn problems(clauses: &ClauseFile, sentences: &[(String, String)], citations: &Citations) -> Vec<String> {
    let mut problems = Vec::new();
    let listed = clauses.clause.iter().map(|clause| clause.id.as_str());
    if !listed.eq(sentences.iter().map(|(id, _)| id.as_str())) {
        problems.push("spec/clauses.toml and the two documents differ in their clauses or in the order".to_owned());
    }
    for ((id, sentence), clause) in sentences.iter().zip(&clauses.clause) {
        let evidence = citations.evidence.contains_key(&clause.id);
        match (&clause.pending, evidence) {
            _ if !sentence.contains(&clause.level) => problems.push(format!("{id}: its level is not {}", clause.level)),
            (None, false) if clause.level == "MUST" => problems
                .push(format!("{id}: a MUST without evidence; cite it in a test, or say in clauses.toml why it waits")),
            (Some(_), true) => problems.push(format!("{id}: has evidence; take `pending` out of clauses.toml")),
            _ => {}
        }
    }
    let known: BTreeSet<&str> = clauses.clause.iter().map(|clause| clause.id.as_str()).collect();
    for (id, places) in citations.anywhere.iter().filter(|(id, _)| !known.contains(id.as_str())) {
        let places: Vec<&str> = places.iter().map(String::as_str).collect();
        problems.push(format!("{id}: no such clause; cited in {}", places.join(", ")));
    }
    problems
}

fn table(clauses: &ClauseFile, sentences: &[(String, String)], citations: &Citations) -> String {
    let mut text = "# Requirements and their evidence\n\n| clause | says | evidence |\n|---|---|---|\n".to_owned();
    let (mut shown, mut pending) = (0, 0);
    for (clause, (_, sentence)) in clauses.clause.iter().zip(sentences) {
        let evidence = match (citations.evidence.get(&clause.id), &clause.pending) {
            (Some(places), _) => {
                shown += 1;
                places.iter().map(|place| format!("`{place}`")).collect::<Vec<_>>().join("<br>")
            }
            (None, Some(reason)) => {
                pending += 1;
                format!("*pending: {reason}*")
            }
            (None, None) => String::new(),
        };
        let _ = writeln!(text, "| {} | {sentence} | {evidence} |", clause.id);
    }
    let _ = writeln!(text, "\n{shown} of {} clauses have evidence, {pending} are pending.", clauses.clause.len());
    text
}

/// Reads every source and vector of the checkout.
fn citations(checkout: &Path) -> Citations {
    let mut citations = Citations::default();
    let is_ours = |entry: &DirEntry| {
        let name = entry.file_name().to_string_lossy();
        entry.depth() == 0 || !(name.starts_with('.') || name == "target" || name == "traced.rs")
    };
    for entry in WalkDir::new(checkout).sort_by_file_name().into_iter().filter_entry(is_ours) {
        let entry = entry.unwrap();
        let place = entry.path().strip_prefix(checkout).unwrap().to_string_lossy().into_owned();
        if ![".rs", ".c", ".json"].iter().any(|ending| place.ends_with(ending)) || !entry.file_type().is_file() {
            continue;
        }
        let text = fs::read_to_string(entry.path()).unwrap();
        let tests = tests_of(&place, &text);
        for id in cited(&text) {
            citations.anywhere.entry(id.clone()).or_default().insert(place.clone());
            if tests.contains(id.as_str()) {
                citations.evidence.entry(id).or_default().insert(place.clone());
            }
        }
    }
    citations
}

/// Returns the part of a file that is evidence: all of a test, a vector or the model's properties, and of other sources
/// what follows the first test module.
fn tests_of<'a>(place: &str, text: &'a str) -> &'a str {
    let whole = place.split('/').any(|part| ["tests", "tests.rs", "vectors", "examples"].contains(&part))
        || place == "spec/model/src/property.rs";
    let begins = if whole { Some(0) } else { ["#[cfg(test)]", "#[kunit_tests("].iter().find_map(|m| text.find(m)) };
    begins.map_or("", |at| &text[at..])
}

/// Returns the clauses that a text names.
fn cited(text: &str) -> BTreeSet<String> {
    let candidates = text.match_indices(PREFIX).filter_map(|(at, _)| text.get(at..at + LENGTH));
    let is_clause = |id: &&str| {
        let (side, number) = id[PREFIX.len()..].split_at(2);
        matches!(side, "G-" | "V-") && number.bytes().all(|byte| byte.is_ascii_digit())
    };
    candidates.filter(is_clause).map(str::to_owned).collect()
}

fn clause(id: &str, pending: Option<&str>) -> Clause {
    Clause { id: id.to_owned(), level: "MUST".to_owned(), pending: pending.map(str::to_owned) }
}

fn cites(ids: &[&str]) -> Citations {
    let places: BTreeMap<_, _> =
        ids.iter().map(|id| ((*id).to_owned(), BTreeSet::from(["tests/a.rs".to_owned()]))).collect();
    Citations { evidence: places.clone(), anywhere: places }
}

fn found(clauses: Vec<Clause>, citations: &Citations) -> Vec<String> {
    let sentences: Vec<_> =
        clauses.iter().map(|clause| (clause.id.clone(), "A guest MUST answer.".to_owned())).collect();
    problems(&ClauseFile { clause: clauses }, &sentences, citations)
}

#[test]
fn must_without_evidence_is_a_problem() {
    let problems = found(vec![clause("PUE-G-001", None)], &Citations::default());
    assert!(problems[0].starts_with("PUE-G-001: a MUST without evidence"), "{problems:?}");
}

#[test]
fn must_that_is_cited_or_pending_is_none() {
    let clauses = vec![clause("PUE-G-001", None), clause("PUE-V-001", Some("waits for a VMM"))];
    assert_eq!(found(clauses, &cites(&["PUE-G-001"])), [""; 0]);
}

#[test]
fn pending_that_is_cited_is_a_problem() {
    let problems = found(vec![clause("PUE-G-001", Some("later"))], &cites(&["PUE-G-001"]));
    assert!(problems[0].starts_with("PUE-G-001: has evidence"), "{problems:?}");
}

#[test]
fn citation_of_no_clause_is_a_problem_that_names_the_place() {
    let problems = found(vec![clause("PUE-G-001", None)], &cites(&["PUE-G-001", "PUE-G-999"]));
    assert_eq!(problems, ["PUE-G-999: no such clause; cited in tests/a.rs"]);
}

#[test]
fn document_that_differs_from_the_list_is_a_problem() {
    let sentences = [("PUE-G-002".to_owned(), "A guest MUST answer.".to_owned())];
    let clauses = ClauseFile { clause: vec![clause("PUE-G-001", None)] };
    assert!(problems(&clauses, &sentences, &cites(&["PUE-G-001"]))[0].contains("differ"));
}

#[test]
fn sentences_are_read_over_line_ends() {
    let text = "intro\n- **PUE-G-001** A guest MUST\n  answer.\n\n## More\n- **PUE-G-002** It MAY.\n";
    let expected = [("PUE-G-001", "A guest MUST answer."), ("PUE-G-002", "It MAY.")];
    assert_eq!(sentences(text), expected.map(|(id, sentence)| (id.to_owned(), sentence.to_owned())));
}

#[test]
fn only_the_tests_of_a_source_are_evidence() {
    let text = "// PUE-G-001\n#[cfg(test)]\nmod tests { /* PUE-G-002 */ }";
    assert_eq!(cited(tests_of("guest-module/logic/watch.rs", text)), BTreeSet::from(["PUE-G-002".to_owned()]));
    assert_eq!(cited(tests_of("tests/tests/refusal.rs", text)).len(), 2);
    assert!(cited("PUE-X-001 PUE-G-1 PUE-").is_empty());
}
