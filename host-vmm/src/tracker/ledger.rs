// SPDX-License-Identifier: MIT OR Apache-2.0

//! Ledger of requests: the open ones, and the last outcomes.

use super::Tracker;
use crate::{
    event::{Device, Outcome, RequestId},
    wire::{drc::DrcIndex, offer::Classes, token::Token},
};
use alloc::{collections::VecDeque, vec::Vec};
use hashbrown::HashSet;

/// Request without an outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Request {
    /// Id of the request.
    pub id: RequestId,
    /// Device to be removed.
    pub device: Device,
    /// Token of its hot plug event; [`Token::NONE`] for none.
    pub token: Token,
    /// True if the guest has promised to answer the request (PUE-V-026).
    pub promised: bool,
    /// True if the guest has reported that it began to handle the request.
    pub started: bool,
    /// True if the guest has not been asked yet, see [`Tracker::withhold`].
    pub withheld: bool,
    /// True if the request came from a VMM without this crate, see [`Tracker::import`]. The guest may know it by a
    /// token that this VMM does not know.
    pub imported: bool,
    /// Connector of the hint that the guest sent, while the request is promised (PUE-V-041).
    pub hint: Option<DrcIndex>,
}

/// Open requests, oldest first, and the last outcomes.
#[derive(Clone, Debug)]
pub(crate) struct Ledger {
    open: Vec<Request>,
    outcomes: VecDeque<Outcome>,
    last: Numbers,
    /// Ids that requests of the last loaded state had, with those that they have now, where these differ.
    renumbered: Vec<(RequestId, RequestId)>,
}

/// Numbers that were given last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Numbers {
    /// Id of the last request; 0 for none.
    pub(crate) id: RequestId,
    /// Number of tokens that were passed, in the order 1 to 65535 and from 1 again.
    pub(crate) tokens: u64,
}

impl Request {
    /// Returns whether the request is for the device with this first connector.
    pub(crate) fn is_of(&self, first: DrcIndex) -> bool {
        self.device.connectors.first() == first
    }

    fn is_in(&self, classes: Classes) -> bool {
        classes.contains(Classes::of(self.device.resource))
    }
}

impl Numbers {
    /// Number of tokens.
    const TOKENS: u64 = u16::MAX as u64;

    /// Returns the numbers of a machine that has given none.
    pub(crate) const NONE: Self = Self { id: RequestId(0), tokens: 0 };

    /// Returns whether a token was given out before.
    pub(crate) fn has_given(&self, token: Token) -> bool {
        token.is_some() && u64::from(token.0) <= self.tokens
    }

    /// Returns the numbers with an id that is at least `id`.
    pub(crate) fn max(self, id: RequestId) -> Self {
        Self { id: self.id.max(id), ..self }
    }

    /// Returns the numbers after at least as many tokens as the others.
    pub(crate) fn with_tokens_of(self, other: Self) -> Self {
        Self { tokens: self.tokens.max(other.tokens), ..self }
    }

    fn next_token(&mut self) -> Token {
        let place = self.tokens.checked_rem(Self::TOKENS).unwrap_or_default();
        self.tokens = self.tokens.saturating_add(1);
        Token(u16::try_from(place).unwrap_or_default().saturating_add(1))
    }
}

impl Ledger {
    pub(crate) fn new() -> Self {
        Self {
            open: Vec::with_capacity(64),
            outcomes: VecDeque::with_capacity(Tracker::KEPT_OUTCOMES),
            last: Numbers::NONE,
            renumbered: Vec::new(),
        }
    }

    pub(crate) fn requests(&self) -> &[Request] {
        &self.open
    }

    pub(crate) fn outcomes(&self) -> impl ExactSizeIterator<Item = &Outcome> {
        self.outcomes.iter()
    }

    /// Returns the numbers that were given last.
    pub(crate) fn last(&self) -> Numbers {
        self.last
    }

    /// Returns an id that was never used before.
    pub(crate) fn next_id(&mut self) -> RequestId {
        self.last.id = self.last.id.next();
        self.last.id
    }

    /// Returns a token that no open request has, and that was not used for as long as possible (PUE-V-023, PUE-V-024).
    pub(crate) fn next_token(&mut self) -> Token {
        let mut token = self.last.next_token();
        // Rare: every token was given once, and the request of the next one is still open.
        if self.open.iter().any(|request| request.token == token) {
            let used: HashSet<Token> = self.open.iter().map(|request| request.token).collect();
            // Ends, because fewer requests are open than tokens exist.
            while used.contains(&token) {
                token = self.last.next_token();
            }
        }
        token
    }

    pub(crate) fn open(&mut self, request: Request) {
        self.open.push(request);
    }

    /// Keeps an outcome, and drops the oldest one if there are too many.
    pub(crate) fn keep(&mut self, outcome: Outcome) {
        if self.outcomes.len() >= Tracker::KEPT_OUTCOMES {
            self.outcomes.pop_front();
        }
        self.outcomes.push_back(outcome);
    }

    /// Returns the request that a report about the device with this first connector is about (PUE-V-031 to PUE-V-034).
    pub(crate) fn about(&self, device: Option<DrcIndex>, token: Token) -> Option<Request> {
        let named = self.open.iter().find(|request| token.is_some() && request.token == token);
        let is_unknown = token.is_some() && !self.last.has_given(token);
        let next = || {
            self.open.iter().find(|request| {
                let is_next = if token.is_some() {
                    is_unknown && request.imported
                } else {
                    !request.promised && !request.withheld
                };
                is_next && device.is_some_and(|first| request.is_of(first))
            })
        };
        named.or_else(next).copied()
    }

    /// Returns the oldest request for the device that the guest was asked for.
    pub(crate) fn oldest_asked(&mut self, first: DrcIndex) -> Option<&mut Request> {
        self.open.iter_mut().find(|request| request.is_of(first) && !request.withheld)
    }

    pub(crate) fn get_mut(&mut self, id: RequestId) -> Option<&mut Request> {
        self.open.iter_mut().find(|request| request.id == id)
    }

    /// Returns the requests for the device that the guest has to be asked for when another device takes it along: those
    /// that are withheld, or else the newest if none is promised (PUE-V-056).
    pub(crate) fn unasked(&self, first: DrcIndex) -> Vec<RequestId> {
        let of_device = || self.open.iter().filter(|request| request.is_of(first));
        let withheld: Vec<RequestId> =
            of_device().filter(|request| request.withheld).map(|request| request.id).collect();
        if !withheld.is_empty() || of_device().any(|request| request.promised) {
            return withheld;
        }
        of_device().next_back().map(|request| request.id).into_iter().collect()
    }

    /// Marks the requests for the device as not withheld any more.
    pub(crate) fn ask_withheld(&mut self, first: DrcIndex) {
        self.open.iter_mut().filter(|request| request.is_of(first)).for_each(|request| request.withheld = false);
    }

    /// Takes the oldest request that meets the condition out.
    pub(crate) fn take(&mut self, is_meant: impl Fn(&Request) -> bool) -> Option<Request> {
        let at = self.open.iter().position(is_meant)?;
        Some(self.open.remove(at))
    }

    /// Takes the oldest request for the device out that is older than `id` and was neither promised nor withheld
    /// (PUE-V-037).
    pub(crate) fn take_passed_over(&mut self, first: DrcIndex, id: RequestId) -> Option<Request> {
        let answered = self.open.iter().position(|request| request.id == id)?;
        let is_passed_over = |request: &Request| request.is_of(first) && !request.promised && !request.withheld;
        let at = self.open.iter().take(answered).position(is_passed_over)?;
        Some(self.open.remove(at))
    }

    /// Ends the promises of these classes (PUE-V-016).
    pub(crate) fn withdraw_promises(&mut self, classes: Classes) {
        for request in self.open.iter_mut().filter(|request| request.is_in(classes)) {
            request.promised = false;
        }
    }

    /// Returns a ledger with these requests, some of them with new ids, and without outcomes.
    pub(crate) fn with(open: Vec<Request>, last: Numbers, renumbered: Vec<(RequestId, RequestId)>) -> Self {
        Self { open, last, renumbered, ..Self::new() }
    }

    /// Returns the id that a request of the last loaded state has now.
    pub(crate) fn renumbered(&self, saved: RequestId) -> RequestId {
        self.renumbered.iter().find(|(old, _)| *old == saved).map_or(saved, |(_, new)| *new)
    }
}
