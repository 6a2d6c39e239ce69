// SPDX-License-Identifier: MIT OR Apache-2.0

//! The HTTP interface.

mod accept;
mod access;
mod answer;
mod asked;
mod health;
mod login;
mod metrics;
mod openapi;
mod page;
mod patient;
mod server;
mod site;
mod tls;

pub use answer::failure;
pub use answer::json;
pub use answer::of_type;
pub use asked::Asked;
pub use login::Logins;
pub use openapi::list;
pub use openapi::operation;
pub use openapi::parameter;
pub use server::Server;
pub use site::Site;
