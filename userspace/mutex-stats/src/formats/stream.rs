// SPDX-License-Identifier: MIT OR Apache-2.0

//! The formats that are one stream of bytes, for an output of any type (`dyn Write`).

use std::io::Write;

use crate::Metrics;
use crate::Visitor;
use crate::formats::Binary;
use crate::formats::Exposition;
use crate::formats::Json;
use crate::formats::JsonLines;
use crate::formats::Section;

/// A format that is one stream of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamFormat {
    /// [`Binary`].
    Binary,
    /// [`Json`] with all sections.
    Json,
    /// [`JsonLines`].
    JsonLines,
    /// [`Metrics`].
    Metrics(Exposition),
}

impl StreamFormat {
    /// A visitor that writes this format to `output`, which should be buffered. Unlike the generic types,
    /// its code is compiled once, with this crate.
    pub fn visitor<'a>(self, output: &'a mut dyn Write) -> Box<dyn Visitor + 'a> {
        match self {
            StreamFormat::Binary => Box::new(Binary::new(output)),
            StreamFormat::Json => Box::new(Json::new(output, &Section::ALL)),
            StreamFormat::JsonLines => Box::new(JsonLines::new(output)),
            StreamFormat::Metrics(exposition) => Box::new(Metrics::new(output, exposition)),
        }
    }
}
