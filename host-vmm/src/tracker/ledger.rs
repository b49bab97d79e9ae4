// SPDX-License-Identifier: MIT OR Apache-2.0

//! The open requests, and which of them a report is about.

use crate::{
    event::{Device, RequestId},
    wire::{drc::DrcIndex, offer::Classes, token::Token},
};
use hashbrown::HashSet;

/// A request that has no outcome yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// Its name.
    pub id: RequestId,
    /// What is to be removed.
    pub device: Device,
    /// The token that went with its hot plug event; [`Token::NONE`] if none did.
    pub token: Token,
    /// Whether the guest has promised to answer it (PUE-V-026).
    pub promised: bool,
    /// Whether the guest has said that it has begun with it.
    pub started: bool,
    /// The connector at which the guest did what a guest that refuses does, while it was armed (PUE-V-041).
    pub hint: Option<DrcIndex>,
}

/// The open requests, oldest first. There are never more than a fixed number of them (PUE-V-052).
#[derive(Clone, Debug)]
pub(crate) struct Ledger {
    open: Vec<Request>,
    bound: usize,
    last_id: RequestId,
    last_token: Token,
}

impl Request {
    fn is_of(&self, first: DrcIndex) -> bool {
        self.device.connectors.first() == first
    }

    fn is_in(&self, classes: Classes) -> bool {
        classes.contains(Classes::of(self.device.resource))
    }
}

impl Ledger {
    /// A ledger that takes so many requests, but no more than there are tokens to tell them apart.
    pub(crate) fn new(bound: usize) -> Self {
        let bound = bound.min(usize::from(u16::MAX));
        Self { open: Vec::with_capacity(bound.min(64)), bound, last_id: RequestId(0), last_token: Token::NONE }
    }

    pub(crate) fn is_full(&self) -> bool {
        self.open.len() >= self.bound
    }

    pub(crate) fn bound(&self) -> usize {
        self.bound
    }

    pub(crate) fn requests(&self) -> &[Request] {
        &self.open
    }

    /// A name that was never used before.
    pub(crate) fn name(&mut self) -> RequestId {
        self.last_id = self.last_id.next();
        self.last_id
    }

    /// A token that no open request has, and that was not used for as long as possible (PUE-V-023, PUE-V-024).
    pub(crate) fn token(&mut self) -> Token {
        let after = |token: Token| Token(token.0.checked_add(1).unwrap_or(1));
        let mut token = after(self.last_token);
        // Rarely: every token was given once, and the request of the next one is open still.
        if self.open.iter().any(|request| request.token == token) {
            let used: HashSet<Token> = self.open.iter().map(|request| request.token).collect();
            // Fewer requests are open than there are tokens, so this ends.
            while used.contains(&token) {
                token = after(token);
            }
        }
        self.last_token = token;
        token
    }

    pub(crate) fn open(&mut self, request: Request) {
        self.open.push(request);
    }

    /// PUE-V-032 to PUE-V-034: which request a report from the device with this first connector is about.
    pub(crate) fn about(&self, device: Option<DrcIndex>, token: Token) -> Option<Request> {
        let named = self.open.iter().find(|request| token.is_some() && request.token == token);
        let next = || {
            self.open.iter().find(|request| {
                let is_next = if token.is_some() { !request.token.is_some() } else { !request.promised };
                is_next && device.is_some_and(|first| request.is_of(first))
            })
        };
        named.or_else(next).copied()
    }

    /// The oldest request for the device.
    pub(crate) fn oldest(&mut self, first: DrcIndex) -> Option<&mut Request> {
        self.open.iter_mut().find(|request| request.is_of(first))
    }

    pub(crate) fn get_mut(&mut self, id: RequestId) -> Option<&mut Request> {
        self.open.iter_mut().find(|request| request.id == id)
    }

    /// Closes one request.
    pub(crate) fn close(&mut self, id: RequestId) {
        self.open.retain(|request| request.id != id);
    }

    /// Closes the requests for the device that are older than `id` and not promised (PUE-V-037).
    pub(crate) fn close_passed_over(&mut self, first: DrcIndex, id: RequestId) -> impl Iterator<Item = Request> {
        self.open.extract_if(.., move |request| request.is_of(first) && request.id < id && !request.promised)
    }

    /// Closes all requests for the device.
    pub(crate) fn close_all_of(&mut self, first: DrcIndex) -> impl Iterator<Item = Request> {
        self.open.extract_if(.., move |request| request.is_of(first))
    }

    /// Ends the promises of these classes, and closes those of their requests that have a hint (PUE-V-016).
    pub(crate) fn withdraw(&mut self, classes: Classes) -> impl Iterator<Item = Request> {
        for request in self.open.iter_mut().filter(|request| request.is_in(classes)) {
            request.promised = false;
        }
        self.open.extract_if(.., move |request| request.is_in(classes) && request.hint.is_some())
    }

    /// Closes every request.
    pub(crate) fn close_all(&mut self) -> Vec<Request> {
        std::mem::take(&mut self.open)
    }

    /// The name and the token that were given last.
    pub(crate) fn last(&self) -> (RequestId, Token) {
        (self.last_id, self.last_token)
    }

    /// A ledger with the same bound and these contents.
    pub(crate) fn with(&self, open: Vec<Request>, last: (RequestId, Token)) -> Self {
        Self { open, bound: self.bound, last_id: last.0, last_token: last.1 }
    }
}
