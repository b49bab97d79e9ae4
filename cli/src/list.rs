// SPDX-License-Identifier: MIT OR Apache-2.0

//! `list`: what is pending, and what the guest has promised.

use crate::{
    ending::Ending,
    endpoint::Endpoint,
    monitor::{Monitor, Stop},
    notes::Notes,
    plain::plain,
    schema::{QUERY, Request, Unplugs},
};
use anyhow::{Context as _, Result};
use papr_unplug_qmp::session::Answer;
use serde_json::json;
use std::io::Write;

/// Lists them.
pub fn run(endpoint: &Endpoint, as_json: bool, out: &mut dyn Write) -> Result<Ending> {
    let notes = Notes::default();
    let mut monitor = Monitor::greet(endpoint, &notes)?;
    let answer = match ask(&mut monitor)? {
        Ok(answer) => answer,
        Err(error) => {
            let why = if error.is_unknown_command() { format!("it has no {QUERY}") } else { plain(&error.to_string()) };
            notes.say(&format!("this VM's QEMU cannot tell what is pending, nor whether the guest answers: {why}"));
            return Ok(Ending::CannotTell);
        }
    };
    if as_json {
        writeln!(out, "{answer}")?;
    } else {
        let unplugs: Unplugs = serde_json::from_value(answer).context("the answer is not understood; try --json")?;
        write!(out, "{}", text(&unplugs))?;
    }
    Ok(Ending::Done)
}

/// Asks the VM. A stock QEMU does not know the question, and not every machine of another one knows an answer.
pub fn ask(monitor: &mut Monitor) -> Result<Answer, Stop> {
    monitor.execute(QUERY, json!({}))
}

fn text(unplugs: &Unplugs) -> String {
    let requests = unplugs.requests.as_deref().unwrap_or_default();
    let mut text = armed(unplugs);
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

fn armed(unplugs: &Unplugs) -> String {
    match unplugs.armed.as_deref() {
        None => "whether the guest answers is not told\n".to_owned(),
        Some([]) if unplugs.offered.as_deref() == Some(&[]) => {
            "this VM takes no promises from its guest: a refusal may come without a reason, or never\n".to_owned()
        }
        Some([]) => "the guest has not promised to answer: a refusal may come without a reason, or never\n".to_owned(),
        Some(classes) => {
            format!("the guest has promised to answer every request for: {}\n", plain(&classes.join(", ")))
        }
    }
}

fn row(request: &Request) -> [String; 4] {
    let named = |text: Option<&str>| plain(text.unwrap_or("?"));
    [
        request.request.map_or("?".to_owned(), |number| number.to_string()),
        named(request.device.as_deref().or(request.path.as_deref())),
        named(request.class.as_deref()),
        state(request),
    ]
}

/// Where a request stands, for people.
pub fn state(request: &Request) -> String {
    let begun = match (request.started, request.hint) {
        (_, Some(true)) => "the guest seems to refuse, its report is to come",
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
    fn requests_stand_in_columns() {
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
    fn guest_that_is_not_armed_promises_nothing() {
        assert_eq!(
            text_of(json!({ "armed": [], "requests": [] })),
            "the guest has not promised to answer: a refusal may come without a reason, or never\nno removal is pending\n"
        );
    }

    #[test]
    fn vm_that_offers_nothing_cannot_be_promised_anything() {
        assert!(text_of(json!({ "offered": [], "armed": [] })).starts_with("this VM takes no promises"));
    }

    #[test]
    fn answer_without_anything_known_is_not_made_up() {
        assert_eq!(
            text_of(json!({ "requests": [{}] })),
            "whether the guest answers is not told\nREQUEST  DEVICE  CLASS   STATE\n?        ?       ?       asked\n"
        );
    }
}
