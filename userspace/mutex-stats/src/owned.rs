// SPDX-License-Identifier: MIT OR Apache-2.0

//! Connections and fds with what is known of their owners.

use std::fmt;

use crate::Connection;
use crate::Fd;
use crate::Fields;
use crate::Holder;
use crate::Value;
use crate::records::command_text;

/// What is known of the owner of a connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Owner {
    /// The socket's inode, 0 until it is accepted.
    pub inode: u64,
    /// The process that was first seen to use it, 0 if none was.
    pub pid: u32,
    /// Of that process, zero-terminated.
    pub command: [u8; 16],
    /// Who holds its socket right now, if somebody has looked.
    pub holders: Vec<Holder>,
}

/// A connection with its owner: the fields of the connection, then `inode`, `pid`, `command` and
/// `holders`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnedConnection {
    /// The connection.
    pub connection: Connection,
    /// Its owner, `None` if it is not known.
    pub owner: Option<Owner>,
}

/// An fd with those who hold its socket: the fields of the fd, then `holders`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeldFd {
    /// The fd.
    pub fd: Fd,
    /// Who holds its socket right now, if somebody has looked.
    pub holders: Vec<Holder>,
}

/// Shows holders as `pid/number` with commas between them.
struct List<'a>(&'a [Holder]);

impl fmt::Display for List<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, holder) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            write!(f, "{holder}")?;
        }
        Ok(())
    }
}

fn holders<E>(
    holders: &[Holder],
    each: &mut impl FnMut(&'static str, Value<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let list = List(holders);
    each("holders", if holders.is_empty() { Value::Unknown } else { Value::Text(&list) })
}

impl Fields for OwnedConnection {
    fn fields<E>(
        &self,
        mut each: impl FnMut(&'static str, Value<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.connection.fields(&mut each)?;
        let owner = self.owner.as_ref();
        let command = owner.and_then(|owner| command_text(&owner.command));
        each("inode", Value::Integer(owner.map_or(0, |owner| owner.inode)))?;
        each("pid", Value::Integer(owner.map_or(0, |owner| owner.pid).into()))?;
        each("command", command.as_ref().map_or(Value::Unknown, |text| Value::Text(text)))?;
        holders(owner.map_or(&[], |owner| &owner.holders), &mut each)
    }
}

impl Fields for HeldFd {
    fn fields<E>(
        &self,
        mut each: impl FnMut(&'static str, Value<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.fd.fields(&mut each)?;
        holders(&self.holders, &mut each)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Cell;
    use crate::Column;

    #[test]
    fn owners_come_last() {
        let holder = |pid| Holder { pid, number: 3 };
        let holders = vec![holder(9), holder(10)];
        let command = *b"curl\0\0\0\0\0\0\0\0\0\0\0\0";
        let owner = Some(Owner { inode: 77, pid: 9, command, holders: holders.clone() });
        let one = OwnedConnection { owner, ..OwnedConnection::default() };
        let cell = |record: &OwnedConnection, name| {
            Column::named(name).expect("there is such a column").cell(record)
        };
        assert_eq!(cell(&one, "inode"), Cell::Integer(77));
        assert_eq!(cell(&one, "command"), Cell::Text("curl".into()));
        assert_eq!(cell(&one, "holders"), Cell::Text("9/3,10/3".into()));
        assert_eq!(cell(&OwnedConnection::default(), "pid"), Cell::Integer(0));
        assert_eq!(cell(&OwnedConnection::default(), "holders"), Cell::Unknown);
        let held = HeldFd { holders, ..HeldFd::default() };
        let column = Column::named("holders").expect("there is such a column");
        assert_eq!(column.cell(&held), Cell::Text("9/3,10/3".into()));
    }
}
