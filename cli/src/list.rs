// SPDX-License-Identifier: MIT OR Apache-2.0

//! `list`: pending removals, and the guest's promises.

use crate::{
    endpoint::Endpoint,
    escape::{escaped, escaped_json},
    exit_status::ExitStatus,
    monitor::{Monitor, Stop},
    notes::Notes,
    outcome::Outcome,
    schema::{QUERY, Request, UnplugStatus},
};
use anyhow::{Context as _, Result};
use papr_unplug_qmp::session::Answer;
use serde_json::json;
use std::io::Write;

/// Prints the list.
pub fn run(endpoint: &Endpoint, as_json: bool, with_outcomes: bool, out: &mut dyn Write) -> Result<ExitStatus> {
    let notes = Notes::default();
    let mut monitor = Monitor::greet(endpoint, &notes, None)?;
    let answer = match ask(&mut monitor)? {
        Ok(answer) => answer,
        Err(error) => {
            let why =
                if error.is_unknown_command() { format!("it has no {QUERY}") } else { escaped(&error.to_string()) };
            notes.say(&format!("this VM's QEMU does not list pending removals or promises: {why}"));
            return Ok(ExitStatus::CannotTell);
        }
    };
    if as_json {
        writeln!(out, "{}", escaped_json(&answer.to_string()))?;
    } else {
        let status: UnplugStatus = serde_json::from_value(answer).context("cannot parse the answer; try --json")?;
        write!(out, "{}", text(&status))?;
        if with_outcomes {
            write!(out, "{}", outcomes(&status))?;
        }
    }
    Ok(ExitStatus::Done)
}

/// Asks the VM. Stock QEMU does not have the command, and with the patches only pseries machines answer it.
pub fn ask(monitor: &mut Monitor) -> Result<Answer, Stop> {
    monitor.execute(QUERY, json!({}))
}

fn text(status: &UnplugStatus) -> String {
    let requests = status.requests.as_deref().unwrap_or_default();
    let mut text = armed(status);
    if requests.is_empty() {
        return text + "no removal is pending\n";
    }
    let rows: Vec<[String; 4]> = requests.iter().map(row).collect();
    for [number, device, class, state] in
        [["REQUEST", "DEVICE", "CLASS", "STATE"].map(str::to_owned)].iter().chain(&rows)
    {
        let width = rows.iter().map(|row| row[1].chars().count()).max().unwrap_or(0).max(6);
        text += &format!("{number:<7}  {device:<width$}  {class:<6}  {state}\n");
    }
    text
}

fn outcomes(status: &UnplugStatus) -> String {
    match status.outcomes.as_deref() {
        None => "this VM does not list outcomes\n".to_owned(),
        Some([]) => "no removal has ended\n".to_owned(),
        Some(entries) => entries.iter().map(|entry| format!("{}\n", Outcome::listed(entry).entry())).collect(),
    }
}

fn armed(status: &UnplugStatus) -> String {
    match status.armed.as_deref() {
        None => "this VM does not say whether the guest answers\n".to_owned(),
        Some([]) if status.offered.as_deref() == Some(&[]) => {
            "this VM accepts no promises from its guest: a refusal may arrive without a reason, or never\n".to_owned()
        }
        Some([]) => {
            "the guest has not promised to answer: a refusal may arrive without a reason, or never\n".to_owned()
        }
        Some(classes) => {
            format!("the guest has promised to answer every request for: {}\n", escaped(&classes.join(", ")))
        }
    }
}

fn row(request: &Request) -> [String; 4] {
    let named = |text: Option<&str>| escaped(text.unwrap_or("?"));
    [
        request.request.map_or("?".to_owned(), |number| number.to_string()),
        named(request.device.as_deref().or(request.path.as_deref())),
        named(request.class.as_deref()),
        state(request),
    ]
}

/// Describes the state of a request.
pub fn state(request: &Request) -> String {
    if request.withheld == Some(true) {
        return "withheld: the guest is not asked until function 0 is".to_owned();
    }
    let begun = match (request.started, request.hint) {
        (_, Some(true)) => "the guest seems to refuse, its report is still to come",
        (Some(true), _) => "the guest has begun",
        (Some(false), _) => "the guest has not begun",
        (None, _) => "asked",
    };
    let promised = match request.promised {
        Some(true) => ", an answer is promised",
        Some(false) => ", no answer is promised",
        None => "",
    };
    begun.to_owned() + promised
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn text_of(answer: Value) -> String {
        text(&serde_json::from_value(answer).unwrap())
    }

    #[test]
    fn requests_are_aligned_in_columns() {
        let answer = json!({
            "offered": ["cpu", "memory"], "armed": ["cpu", "memory"], "last-request": 8,
            "requests": [
                { "request": 7, "device": "a-dimm", "path": "/p", "class": "memory", "token": 7, "promised": true,
                  "started": true, "hint": false },
                { "request": 8, "path": "/machine/peripheral-anon/device[0]", "class": "cpu", "promised": false,
                  "started": false, "hint": false },
            ],
        });
        assert_eq!(
            text_of(answer),
            "the guest has promised to answer every request for: cpu, memory\n\
             REQUEST  DEVICE                              CLASS   STATE\n\
             7        a-dimm                              memory  the guest has begun, an answer is promised\n\
             8        /machine/peripheral-anon/device[0]  cpu     the guest has not begun, no answer is promised\n"
        );
    }

    #[test]
    fn outcomes_are_one_line_each() {
        let status = UnplugStatus::of(json!({ "outcomes": [
            { "request": 1, "device": "dimm1", "outcome": "refused", "reason": "last-cpu" },
            { "request": 2, "outcome": "withdrawn" },
        ] }));
        assert_eq!(outcomes(&status), "request 1 dimm1 refused: last-cpu\nrequest 2 withdrawn\n");
    }

    #[test]
    fn withheld_request_is_not_one_that_the_guest_has_not_begun() {
        let request = Request { withheld: Some(true), started: Some(false), ..Request::default() };
        assert_eq!(state(&request), "withheld: the guest is not asked until function 0 is");
    }

    #[test]
    fn guest_that_is_not_armed_is_shown_without_promises() {
        assert_eq!(
            text_of(json!({ "armed": [], "requests": [] })),
            "the guest has not promised to answer: a refusal may arrive without a reason, or never\nno removal is pending\n"
        );
    }

    #[test]
    fn vm_that_offers_nothing_is_shown_as_accepting_no_promises() {
        assert!(text_of(json!({ "offered": [], "armed": [] })).starts_with("this VM accepts no promises"));
    }

    #[test]
    fn answer_without_known_members_shows_question_marks() {
        assert_eq!(
            text_of(json!({ "requests": [{}] })),
            "this VM does not say whether the guest answers\nREQUEST  DEVICE  CLASS   STATE\n?        ?       ?       asked\n"
        );
    }
}
