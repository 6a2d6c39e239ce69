// SPDX-License-Identifier: GPL-2.0-only

//! Attribute macros of our own `kernel` crate.

extern crate proc_macro;

use proc_macro::Delimiter;
use proc_macro::Group;
use proc_macro::TokenStream;
use proc_macro::TokenTree;

/// Accepts `#[pin]` on fields, as the attribute of the same name in Rust-for-Linux does.
///
/// There a pinned field must not move, because a kernel lock is inside it. Here the lock has
/// memory of its own (see `kernel::sync::Mutex`), so the mark has no effect and is removed.
#[proc_macro_attribute]
pub fn pin_data(_arguments: TokenStream, item: TokenStream) -> TokenStream {
    without_pin_marks(item)
}

fn without_pin_marks(stream: TokenStream) -> TokenStream {
    let mut tokens = stream.into_iter().peekable();
    let mut kept = Vec::new();
    while let Some(token) = tokens.next() {
        let marks_pin = is_hash(&token) && tokens.peek().is_some_and(is_pin);
        match token {
            _ if marks_pin => {
                tokens.next();
            }
            TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => {
                let inner = without_pin_marks(group.stream());
                kept.push(TokenTree::Group(Group::new(Delimiter::Brace, inner)));
            }
            other => kept.push(other),
        }
    }
    kept.into_iter().collect()
}

fn is_hash(token: &TokenTree) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == '#')
}

fn is_pin(token: &TokenTree) -> bool {
    matches!(token, TokenTree::Group(group)
        if group.delimiter() == Delimiter::Bracket && group.stream().to_string() == "pin")
}
