// SPDX-License-Identifier: MIT OR Apache-2.0

//! `mutexctl doctor`: why it does not work here, and what to do next.

use std::fs;
use std::path::Path;
use std::path::PathBuf;

use mutex_stats::Error;
use mutex_stats::File;
use mutex_stats::Proc;
use mutex_stats::Stats;

use crate::failure::Failure;
use crate::table;
use crate::table::Align::Left;
use crate::target::Target;

/// The oldest kernel that can take the module.
const OLDEST: (u32, u32) = (6, 1);

/// `CAP_NET_ADMIN`.
const NET_ADMIN: u32 = 12;

/// What `/proc/mutex/stats` says that a kernel lacks (`kernel_lacks_*`), and what that means.
const LACKS: [(&str, &str); 7] = [
    ("tcp_states", "TCP states and owners come from packets alone"),
    ("retransmissions", "retransmissions are not counted"),
    ("synack_retransmissions", "repeated SYN-ACKs are not counted"),
    ("drops", "drops are not counted"),
    (
        "retransmission_errors",
        "retransmissions that could not be sent are not counted (retransmissions_failed stays 0)",
    ),
    ("drop_sockets", "a drop on a socket's queue may not be booked to its connection"),
    (
        "socket_close",
        "sockets other than TCP's end when they are idle (timeout_fd), not when they are closed",
    ),
];

/// Modules with which packets can pass the host without passing MUTEX's hooks, and which those are.
const BYPASSES: [(&str, &str); 3] = [
    ("nf_flow_table", "packets that a flowtable forwards"),
    ("esp4_offload", "outer packets of ESP over IPv4 that GRO decrypts"),
    ("esp6_offload", "outer packets of ESP over IPv6 that GRO decrypts"),
];

/// What was looked at, how it is, and what to do if it is not as it should be.
struct Finding {
    what: &'static str,
    verdict: Verdict,
    says: String,
    next: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Ok,
    /// Something does not work for some, or not well.
    Warn,
    /// Nothing works.
    Fail,
}

impl Verdict {
    fn name(self) -> &'static str {
        match self {
            Verdict::Ok => "ok",
            Verdict::Warn => "warn",
            Verdict::Fail => "fail",
        }
    }
}

fn ok(what: &'static str, says: impl Into<String>) -> Finding {
    Finding { what, verdict: Verdict::Ok, says: says.into(), next: None }
}

fn bad(
    what: &'static str,
    verdict: Verdict,
    says: impl Into<String>,
    next: impl Into<String>,
) -> Finding {
    Finding { what, verdict, says: says.into(), next: Some(next.into()) }
}

/// A host, or a folder that looks like one.
struct Host {
    root: PathBuf,
    proc: Proc,
}

impl Host {
    fn read(&self, path: &str) -> Option<String> {
        let bytes = fs::read(self.root.join(path)).ok()?;
        Some(String::from_utf8_lossy(&bytes).trim().to_owned())
    }

    fn exists(&self, path: &str) -> bool {
        self.root.join(path).exists()
    }

    fn release(&self) -> String {
        self.read("proc/sys/kernel/osrelease").unwrap_or_default()
    }

    fn is_loaded(&self) -> bool {
        self.proc.folder().exists()
    }
}

pub fn run(proc: &Path, root: &Path) -> Result<(), Failure> {
    let host = Host { root: root.to_owned(), proc: Proc::new(proc) };
    let mut findings = vec![kernel(&host)];
    if !host.is_loaded() {
        findings.extend([architecture(), headers(&host)]);
    }
    findings.extend([signature(&host), module(&host)]);
    if host.is_loaded() {
        findings.extend([version(&host), reading(&host), writing(&host)]);
        findings.extend(health(&host));
        findings.push(not_counted(&host));
    }
    Target::Output.write(|output| {
        let columns = [("", Left), ("about", Left), ("", Left)];
        table::write(output, &columns, &findings, |finding| {
            vec![finding.verdict.name().into(), finding.what.into(), finding.says.clone()]
        })
        .map_err(|error| Failure::writing(Target::Output, &error))?;
        let next = findings.iter().filter_map(|finding| finding.next.as_ref());
        for (number, next) in next.enumerate() {
            let begin = if number == 0 { "\nNext: " } else { "Then: " };
            std::io::Write::write_fmt(output, format_args!("{begin}{next}\n"))
                .map_err(|error| Failure::writing(Target::Output, &error))?;
        }
        Ok(())
    })?;
    if findings.iter().any(|finding| finding.verdict == Verdict::Fail) {
        return Err(Failure::Status(1));
    }
    Ok(())
}

fn kernel(host: &Host) -> Finding {
    let release = host.release();
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|part| part.parse().ok());
    let version = (numbers.next().flatten(), numbers.next().flatten());
    match version {
        _ if host.is_loaded() => ok("kernel", format!("Linux {release} has taken the module")),
        (Some(major), Some(minor)) if (major, minor) >= OLDEST => {
            ok("kernel", format!("Linux {release}"))
        }
        _ if release.is_empty() => bad(
            "kernel",
            Verdict::Fail,
            "it does not tell its version",
            "run this where /proc is mounted",
        ),
        _ => {
            let (major, minor) = OLDEST;
            bad(
                "kernel",
                Verdict::Fail,
                format!("Linux {release}; the module needs {major}.{minor} or newer"),
                "boot a newer kernel: Debian has had one since version 12",
            )
        }
    }
}

/// Whether there is a module for this architecture.
fn architecture() -> Finding {
    match std::env::consts::ARCH {
        "x86_64" => ok("architecture", "amd64"),
        "aarch64" => ok("architecture", "arm64"),
        other => bad(
            "architecture",
            Verdict::Fail,
            format!("{other}; the module is for amd64 and arm64"),
            "use a host of one of those architectures",
        ),
    }
}

/// Whether the module can be built here.
fn headers(host: &Host) -> Finding {
    let release = host.release();
    if host.exists(&format!("lib/modules/{release}/build")) {
        return ok("headers", "the kernel's headers are installed: the module can be built");
    }
    bad(
        "headers",
        Verdict::Warn,
        "the kernel's headers are not installed: the module cannot be built here",
        format!("install the headers of Linux {release} (Debian: linux-headers-{release})"),
    )
}

/// Whether the kernel takes modules that nobody it knows has signed.
fn signature(host: &Host) -> Finding {
    let lockdown = host.read("sys/kernel/security/lockdown").unwrap_or_default();
    let locked = lockdown
        .split_whitespace()
        .find_map(|word| word.strip_prefix('['))
        .map(|word| word.trim_end_matches(']').to_owned());
    let enforced = host.read("sys/module/module/parameters/sig_enforce");
    let is_enforced = enforced.is_some_and(|value| value == "Y");
    let locked = locked.filter(|mode| mode != "none");
    let what = match (&locked, is_enforced) {
        (Some(mode), _) => {
            format!("the kernel is locked down ({mode}): it takes signed modules only")
        }
        (None, true) => "the kernel takes signed modules only".into(),
        (None, false) => return ok("signature", "the kernel takes modules without one"),
    };
    if host.is_loaded() {
        return ok("signature", format!("{what}, and has taken this one"));
    }
    bad(
        "signature",
        Verdict::Fail,
        what,
        "sign mutex.ko with a key that the machine's owner has enrolled (kmodsign, mokutil --import), \
         or turn Secure Boot off",
    )
}

fn module(host: &Host) -> Finding {
    let folder = host.proc.folder().display();
    if host.is_loaded() {
        return ok("module", format!("it is loaded: {folder} is there"));
    }
    let says = format!("it is not loaded: {folder} does not exist");
    if host.exists("sys/module/mutex") {
        return bad(
            "module",
            Verdict::Fail,
            format!("it is loaded, but {folder} does not exist"),
            "mount /proc, or name the folder with --proc",
        );
    }
    let release = host.release();
    let installed = ["updates/mutex.ko", "extra/mutex.ko", "updates/dkms/mutex.ko"]
        .into_iter()
        .find(|path| host.exists(&format!("lib/modules/{release}/{path}")));
    match installed {
        Some(_) => bad("module", Verdict::Fail, says, "sudo modprobe mutex"),
        None => bad(
            "module",
            Verdict::Fail,
            format!("{says}, and it is not installed for Linux {release}"),
            "in MUTEX's sources: `make`, then `sudo make load`, or `sudo make install` and `sudo \
             modprobe mutex`",
        ),
    }
}

/// Whether module and tool understand each other.
fn version(host: &Host) -> Finding {
    match host.proc.text(File::Stats).and_then(|text| Stats::parse(&text)) {
        Ok(_) => ok("version", concat!("mutexctl ", env!("CARGO_PKG_VERSION"), " reads its files")),
        Err(error) => bad(
            "version",
            Verdict::Fail,
            format!("{}: {error}", host.proc.path(File::Stats).display()),
            "install mutexctl and the module of one version of MUTEX",
        ),
    }
}

fn reading(host: &Host) -> Finding {
    match host.proc.snapshot() {
        Ok(reader) if mutex_stats::is_filtered(reader.header()) => bad(
            "reading",
            Verdict::Warn,
            "this is a network namespace of its own: only its connections can be seen",
            "run mutexctl outside of the container to see the whole host",
        ),
        Ok(_) => ok("reading", "everything can be read"),
        Err(Error::Permission { .. }) => bad(
            "reading",
            Verdict::Warn,
            "only the module's own numbers can be read: the host's are root's",
            "sudo mutexctl",
        ),
        Err(error) => bad(
            "reading",
            Verdict::Fail,
            format!("{}: {error}", host.proc.path(File::Snapshot).display()),
            "install mutexctl and the module of one version of MUTEX",
        ),
    }
}

fn writing(host: &Host) -> Finding {
    let status = host.read("proc/self/status").unwrap_or_default();
    let capabilities = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let bits = capabilities.and_then(|bits| u64::from_str_radix(bits.trim(), 16).ok());
    if bits.is_some_and(|bits| bits & (1 << NET_ADMIN) != 0) {
        return ok("writing", "settings and filters can be written (CAP_NET_ADMIN)");
    }
    bad(
        "writing",
        Verdict::Warn,
        "settings and filters cannot be written: that takes CAP_NET_ADMIN",
        "sudo mutexctl",
    )
}

/// What of the module's own numbers calls for somebody.
fn health(host: &Host) -> Vec<Finding> {
    let Ok(stats) = host.proc.stats() else { return Vec::new() };
    let get = |key: &str| stats.get(key).unwrap_or(0);
    let mut findings = Vec::new();
    if get("under_pressure") != 0 || get("untracked_table_full_packets") != 0 {
        findings.push(bad(
            "table",
            Verdict::Warn,
            format!(
                "{} of {} records are in use, and {} packets found none",
                get("table_used"),
                get("table_size"),
                get("untracked_table_full_packets")
            ),
            format!(
                "load the module with a larger table: max_connections={}",
                get("table_size") * 4
            ),
        ));
    } else {
        findings.push(ok(
            "table",
            format!("{} of {} records are in use", get("table_used"), get("table_size")),
        ));
    }
    if get("events_lost") != 0 {
        findings.push(bad(
            "events",
            Verdict::Warn,
            format!("{} were lost: a reader was too slow", get("events_lost")),
            "see who in /proc/mutex/monitors, or `sudo mutexctl config set \
             events_buffer=65536` for new ones",
        ));
    }
    if get("alerts_suppressed") != 0 {
        findings.push(bad(
            "alerts",
            Verdict::Warn,
            format!(
                "{} were not raised: there were more in a minute than alert_limit",
                get("alerts_suppressed")
            ),
            "look at the thresholds (`mutexctl config`), or let a minute have more with \
             `sudo mutexctl config set alert_limit=1000`",
        ));
    }
    let lacks: Vec<_> =
        LACKS.iter().filter(|(key, _)| get(&format!("kernel_lacks_{key}")) != 0).collect();
    if lacks.is_empty() {
        findings.push(ok("measures", "this kernel tells everything that MUTEX counts"));
    }
    for (_, without) in lacks {
        findings.push(Finding {
            what: "measures",
            verdict: Verdict::Warn,
            says: format!("this kernel cannot tell everything: {without}"),
            next: None,
        });
    }
    findings
}

/// Traffic that may pass this host without being counted.
fn not_counted(host: &Host) -> Finding {
    let modules = BYPASSES.iter().filter(|(name, _)| host.exists(&format!("sys/module/{name}")));
    let mut found: Vec<_> = modules.map(|(_, packets)| (*packets).to_owned()).collect();
    // One line a socket, below a line of titles.
    let sockets = host.read("proc/net/packet").map_or(0, |text| text.lines().skip(1).count());
    if sockets != 0 {
        found.push(format!("packets of {sockets} AF_PACKET sockets (DHCP clients, captures)"));
    }
    if found.is_empty() {
        return ok("not counted", "nothing that is known to bypass netfilter is in use");
    }
    ok("not counted", format!("{}: see docs/limits.md", found.join("; ")))
}
