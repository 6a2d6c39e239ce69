// SPDX-License-Identifier: MIT OR Apache-2.0

//! `mutexctl events`.

use std::io;
use std::io::Write;
use std::path::Path;

use mutex_stats::Connection;
use mutex_stats::Event;
use mutex_stats::Events;
use mutex_stats::File;
use mutex_stats::Filter;
use mutex_stats::Filtered;
use mutex_stats::Happening;
use mutex_stats::Proc;
use mutex_stats::Protocol;
use mutex_stats::alert_message;
use mutex_stats::formats::event_as_json;

use super::connections::endpoint;
use crate::cli::EventFormat;
use crate::cli::EventsArgs;
use crate::failure::Failure;
use crate::failure::say;
use crate::human;
use crate::source::kernel_failure;
use crate::target::Target;

pub fn run(proc: &Path, args: &EventsArgs) -> Result<(), Failure> {
    let proc = Proc::new(proc);
    let failed = |error| kernel_failure(error, &proc, File::Events);
    let terms: Vec<_> = args.terms.iter().chain(&args.filter).map(String::as_str).collect();
    let filter = Filter::parse(&terms.join(" "), Filtered::Events).map_err(Failure::usage)?;
    let mut events = Events::open(&proc, &filter).map_err(failed)?;
    let target = Target::new(args.output.output.as_deref());
    let (mut shown, mut lost) = (0, 0);
    target.write_on(|output| {
        while args.count.is_none_or(|count| shown < count) {
            let Some(event) = events.next_event(None).map_err(failed)? else { break };
            if event.lost > lost {
                say(format_args!("{} events were lost before the next one", event.lost - lost));
                lost = event.lost;
            }
            match args.format {
                EventFormat::Jsonl => event_as_json(&mut *output, &event),
                EventFormat::Table => line(output, &event),
            }
            // Whoever watches wants it now.
            .and_then(|()| output.flush())
            .map_err(|error| Failure::writing(&target, &error))?;
            shown += 1;
        }
        Ok(())
    })
}

/// One line for people: when, what, and about whom.
fn line(output: &mut impl Write, event: &Event) -> io::Result<()> {
    let time = human::moment_ms(event.time_ns);
    let kind = event.happening.name();
    write!(output, "{time} {kind:6} ")?;
    match &event.happening {
        Happening::Start(c) => writeln!(output, "{}", ends(c)),
        Happening::End(c) => writeln!(
            output,
            "{}  sent {} received {} bytes",
            ends(c),
            c.sent.bytes,
            c.received.bytes
        ),
        Happening::Alert(alert) => writeln!(output, "{}", alert_message(alert)),
        Happening::Packet(packet) => {
            let c = Connection {
                id: packet.connection,
                family: packet.family,
                protocol: packet.protocol,
                local_address: packet.local_address,
                local_port: packet.local_port,
                remote_address: packet.remote_address,
                remote_port: packet.remote_port,
                ..Connection::default()
            };
            let direction = ["sent", "received", "forwarded", "forwarded back"];
            let direction = direction.get(usize::from(packet.direction)).unwrap_or(&"unknown");
            let (packets, bytes) = (packet.packets, packet.bytes);
            writeln!(output, "{}  {direction} {packets} packets, {bytes} bytes", ends(&c))
        }
        Happening::Unknown(number) => writeln!(output, "of kind {number}"),
    }
}

/// A connection by its ends: `5 tcp 192.0.2.1:80 192.0.2.2:1024`.
fn ends(c: &Connection) -> String {
    let local = endpoint(c, c.local_address, c.local_port);
    let remote = endpoint(c, c.remote_address, c.remote_port);
    format!("{} {} {local} {remote}", c.id, Protocol(c.protocol))
}
