// SPDX-License-Identifier: MIT OR Apache-2.0

//! What the host and this process use.

use std::fs;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

use super::CollectError;
use super::Collector;
use super::Metric;
use super::window::Window;
use super::window::as_float;
use super::window::share;
use crate::Clock;
use crate::SystemClock;
use crate::formats::Kind;
use crate::formats::Number;

/// Tells how many tasks a runtime has.
type Tasks = Box<dyn Fn() -> u64 + Send + Sync>;

/// Processors, memory, disks and pressure of the host, and what this process has of them.
pub struct Resource {
    name: String,
    clock: Arc<dyn Clock>,
    proc: PathBuf,
    disks: Vec<PathBuf>,
    tasks: Option<Tasks>,
    used: Mutex<Option<Window<Used>>>,
}

/// Times, in ticks.
#[derive(Clone, Copy, Debug, Default)]
struct Used {
    busy: u64,
    all: u64,
    own: u64,
}

impl Resource {
    /// A collector of this name, with the disk that `/` is on.
    pub fn new(name: impl Into<String>) -> Self {
        Resource::with(name, "/proc", Arc::new(SystemClock))
    }

    /// A collector of this name that finds the kernel's files in another folder than `/proc`, and goes
    /// by this clock.
    pub fn with(name: impl Into<String>, proc: impl Into<PathBuf>, clock: Arc<dyn Clock>) -> Self {
        let (disks, used) = (vec![PathBuf::from("/")], Mutex::new(None));
        Resource { name: name.into(), clock, proc: proc.into(), disks, tasks: None, used }
    }

    /// With the disks that these paths are on.
    #[must_use]
    pub fn with_disks(self, disks: impl IntoIterator<Item = PathBuf>) -> Self {
        Resource { disks: disks.into_iter().collect(), ..self }
    }

    /// With the number of tasks that a runtime has, by who knows it.
    #[must_use]
    pub fn with_tasks(self, tasks: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        Resource { tasks: Some(Box::new(tasks)), ..self }
    }

    fn text(&self, file: &str) -> Result<String, String> {
        let path = self.proc.join(file);
        fs::read_to_string(&path)
            .map_err(|error| format!("cannot read {}: {error}", path.display()))
    }

    /// Shares of the processors' time of late that were used at all, and by this process: of one
    /// processor, as programs show it.
    fn shares(&self, used: Used, processors: u64) -> [f64; 2] {
        let now = self.clock.monotonic();
        let mut window = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let (_, before) = window.get_or_insert_with(|| Window::new(now, used)).look(now, used);
        let all = used.all.saturating_sub(before.all);
        let own = used.own.saturating_sub(before.own);
        [share(used.busy.saturating_sub(before.busy), all), share(own * processors, all)]
    }
}

impl Collector for Resource {
    fn name(&self) -> &str {
        &self.name
    }

    fn metric_names(&self) -> Vec<&str> {
        vec![
            "mutex_resource_cpu_seconds",
            "mutex_resource_cpu_ratio",
            "mutex_resource_cpus",
            "mutex_resource_load",
            "mutex_resource_memory_bytes",
            "mutex_resource_memory_used_ratio",
            "mutex_resource_pressure_ratio",
            "mutex_resource_pressure_waiting_seconds",
            "mutex_resource_disk_bytes",
            "mutex_resource_disk_used_ratio",
            "mutex_resource_disk_up",
            "mutex_resource_process_cpu_seconds",
            "mutex_resource_process_cpu_ratio",
            "mutex_resource_process_memory_bytes",
            "mutex_resource_process_threads",
            "mutex_resource_process_open_fds",
            "mutex_resource_process_page_faults",
            "mutex_resource_process_tasks",
        ]
    }

    fn collect(&self) -> Result<Vec<Metric>, CollectError> {
        let host = Times::parse(&self.text("stat")?)?;
        let own = Process::parse(&self.text("self/stat")?)?;
        let used = Used { busy: host.busy(), all: host.all(), own: own.user + own.system };
        let [busy, own_share] = self.shares(used, host.processors);
        let ticks = rustix::param::clock_ticks_per_second();
        let seconds = |time: u64| Number::Float(as_float(time) / as_float(ticks.max(1)));
        let mut cpu =
            Metric::new("mutex_resource_cpu_seconds", Kind::Counter, "What processors did.");
        for (mode, time) in Times::MODES.iter().zip(host.modes) {
            cpu = cpu.sample(&[("mode", mode)], seconds(time));
        }
        let mut metrics = vec![
            cpu,
            Metric::gauge(
                "mutex_resource_cpu_ratio",
                "Processor time that was used, of all in the last ten seconds.",
                Number::Float(busy),
            ),
            Metric::gauge("mutex_resource_cpus", "Processors.", Number::Integer(host.processors)),
            load(&self.text("loadavg")?)?,
        ];
        metrics.extend(memory(&self.text("meminfo")?)?);
        metrics.extend(self.pressure()?);
        metrics.extend(self.disks());
        metrics.extend([
            Metric::new(
                "mutex_resource_process_cpu_seconds",
                Kind::Counter,
                "Processor time of this process.",
            )
            .sample(&[("mode", "user")], seconds(own.user))
            .sample(&[("mode", "system")], seconds(own.system)),
            Metric::gauge(
                "mutex_resource_process_cpu_ratio",
                "Processor time of this process, of one processor's in the last ten seconds.",
                Number::Float(own_share),
            ),
            Metric::new(
                "mutex_resource_process_memory_bytes",
                Kind::Gauge,
                "Memory of this process.",
            )
            .sample(&[("kind", "virtual")], Number::Integer(own.virtual_bytes))
            .sample(
                &[("kind", "resident")],
                Number::Integer(own.resident_pages * rustix::param::page_size() as u64),
            ),
            Metric::gauge(
                "mutex_resource_process_threads",
                "Threads of this process.",
                Number::Integer(own.threads),
            ),
            Metric::gauge(
                "mutex_resource_process_open_fds",
                "File descriptors of this process.",
                Number::Integer(open_fds(&self.proc.join("self/fd"))?),
            ),
            Metric::new(
                "mutex_resource_process_page_faults",
                Kind::Counter,
                "Pages that this process waited for; major ones came from a disk.",
            )
            .sample(&[("kind", "minor")], Number::Integer(own.minor_faults))
            .sample(&[("kind", "major")], Number::Integer(own.major_faults)),
        ]);
        let tasks = Metric::new(
            "mutex_resource_process_tasks",
            Kind::Gauge,
            "Tasks of this process's runtime.",
        );
        metrics.push(match &self.tasks {
            Some(count) => tasks.sample(&[], Number::Integer(count())),
            None => tasks,
        });
        Ok(metrics)
    }
}

impl Resource {
    /// How long somebody had to wait for a resource; nothing where the kernel does not tell.
    fn pressure(&self) -> Result<[Metric; 2], String> {
        let mut ratio = Metric::new(
            "mutex_resource_pressure_ratio",
            Kind::Gauge,
            "Time in which some, or all, tasks waited for it, of the last ten seconds.",
        );
        let mut waiting = Metric::new(
            "mutex_resource_pressure_waiting_seconds",
            Kind::Counter,
            "Time in which some, or all, tasks waited for it.",
        );
        for resource in ["cpu", "memory", "io"] {
            let path = self.proc.join("pressure").join(resource);
            let text = match fs::read_to_string(&path) {
                Ok(text) => text,
                // A kernel without it, or one that was told to have it off.
                Err(error) if is_absent(&error) => continue,
                Err(error) => return Err(format!("cannot read {}: {error}", path.display())),
            };
            for line in text.lines() {
                let wrong = || format!("{} is not as expected: {line:.80}", path.display());
                let mut words = line.split(' ');
                let tasks = words.next().filter(|tasks| matches!(*tasks, "some" | "full"));
                let tasks = tasks.ok_or_else(wrong)?;
                let fields: Vec<_> = words.filter_map(|word| word.split_once('=')).collect();
                let field = |name| fields.iter().find(|(key, _)| *key == name).map(|(_, v)| *v);
                let percent: f64 =
                    field("avg10").and_then(|value| value.parse().ok()).ok_or_else(wrong)?;
                let micros: u64 =
                    field("total").and_then(|value| value.parse().ok()).ok_or_else(wrong)?;
                let labels = [("resource", resource), ("tasks", tasks)];
                ratio = ratio.sample(&labels, Number::Float(percent / 100.0));
                waiting = waiting.sample(&labels, Number::Nanoseconds(micros.saturating_mul(1000)));
            }
        }
        Ok([ratio, waiting])
    }

    fn disks(&self) -> [Metric; 3] {
        let mut bytes = Metric::new("mutex_resource_disk_bytes", Kind::Gauge, "Room on a disk.");
        let mut used = Metric::new(
            "mutex_resource_disk_used_ratio",
            Kind::Gauge,
            "What is taken, of what can be taken by who is not root.",
        );
        let mut up =
            Metric::new("mutex_resource_disk_up", Kind::Gauge, "Whether there is such a disk.");
        for path in &self.disks {
            let name = path.to_string_lossy();
            let disk = rustix::fs::statvfs(path);
            up = up.sample(&[("path", &name)], Number::Integer(disk.is_ok().into()));
            let Ok(disk) = disk else { continue };
            let of = |blocks: u64| blocks.saturating_mul(disk.f_frsize);
            for (kind, blocks) in
                [("size", disk.f_blocks), ("free", disk.f_bfree), ("available", disk.f_bavail)]
            {
                let labels = [("path", &*name), ("kind", kind)];
                bytes = bytes.sample(&labels, Number::Integer(of(blocks)));
            }
            let taken = disk.f_blocks.saturating_sub(disk.f_bfree);
            let ratio = share(taken, taken.saturating_add(disk.f_bavail));
            used = used.sample(&[("path", &name)], Number::Float(ratio));
        }
        [bytes, used, up]
    }
}

fn is_absent(error: &io::Error) -> bool {
    let off = rustix::io::Errno::OPNOTSUPP.raw_os_error();
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(off)
}

/// Processor times of all, in ticks.
struct Times {
    modes: [u64; Times::MODES.len()],
    processors: u64,
}

impl Times {
    /// As the kernel's line has them. What guests used is in `user` already.
    const MODES: [&str; 8] =
        ["user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal"];

    fn parse(text: &str) -> Result<Self, String> {
        let wrong = || String::from("the text of stat is not as expected");
        let mut modes = [0; Self::MODES.len()];
        let all = text.lines().find_map(|line| line.strip_prefix("cpu ")).ok_or_else(wrong)?;
        let mut words = all.split_ascii_whitespace();
        for time in &mut modes {
            *time = words.next().and_then(|word| word.parse().ok()).ok_or_else(wrong)?;
        }
        let is_one = |line: &&str| {
            line.strip_prefix("cpu")
                .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
        };
        Ok(Times { modes, processors: text.lines().filter(is_one).count() as u64 })
    }

    fn all(&self) -> u64 {
        self.modes.iter().fold(0, |sum, time| sum.saturating_add(*time))
    }

    fn busy(&self) -> u64 {
        let [_, _, _, idle, waiting, ..] = self.modes;
        self.all() - idle - waiting
    }
}

/// What the kernel says of a process.
struct Process {
    minor_faults: u64,
    major_faults: u64,
    user: u64,
    system: u64,
    threads: u64,
    virtual_bytes: u64,
    resident_pages: u64,
}

impl Process {
    fn parse(text: &str) -> Result<Self, String> {
        // A process can call itself anything, brackets and spaces included.
        let (_, rest) = text.rsplit_once(')').ok_or("the text of self/stat has no command")?;
        let words: Vec<_> = rest.split_ascii_whitespace().collect();
        // Counted from the state, which is the third field.
        let field = |number: usize| {
            let word = words.get(number - 3).and_then(|word| word.parse().ok());
            word.ok_or_else(|| format!("field {number} of self/stat is not as expected"))
        };
        Ok(Process {
            minor_faults: field(10)?,
            major_faults: field(12)?,
            user: field(14)?,
            system: field(15)?,
            threads: field(20)?,
            virtual_bytes: field(23)?,
            resident_pages: field(24)?,
        })
    }
}

fn load(text: &str) -> Result<Metric, String> {
    let mut words = text.split_ascii_whitespace();
    let mut metric = Metric::new(
        "mutex_resource_load",
        Kind::Gauge,
        "Tasks that ran or wanted to, on average of so many minutes.",
    );
    for minutes in ["1", "5", "15"] {
        let value = words.next().and_then(|word| word.parse().ok());
        let value = value.ok_or("the text of loadavg is not as expected")?;
        metric = metric.sample(&[("minutes", minutes)], Number::Float(value));
    }
    Ok(metric)
}

fn memory(text: &str) -> Result<[Metric; 2], String> {
    let get = |key: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
        let kilobytes = line.and_then(|rest| rest.split_ascii_whitespace().next()?.parse().ok());
        kilobytes.map(|kilobytes: u64| kilobytes.saturating_mul(1024))
    };
    let needed = |key: &str| get(key).ok_or_else(|| format!("meminfo does not say {key}"));
    let (total, available) = (needed("MemTotal")?, needed("MemAvailable")?);
    let mut bytes = Metric::new("mutex_resource_memory_bytes", Kind::Gauge, "Memory of the host.")
        .sample(&[("kind", "total")], Number::Integer(total))
        .sample(&[("kind", "available")], Number::Integer(available));
    for (key, kind) in [
        ("MemFree", "free"),
        ("Buffers", "buffers"),
        ("Cached", "cached"),
        ("SwapTotal", "swap_total"),
        ("SwapFree", "swap_free"),
    ] {
        if let Some(value) = get(key) {
            bytes = bytes.sample(&[("kind", kind)], Number::Integer(value));
        }
    }
    let used = Metric::gauge(
        "mutex_resource_memory_used_ratio",
        "Memory that is not available, of all.",
        Number::Float(share(total.saturating_sub(available), total)),
    );
    Ok([bytes, used])
}

fn open_fds(folder: &Path) -> Result<u64, String> {
    let entries = fs::read_dir(folder)
        .map_err(|error| format!("cannot read {}: {error}", folder.display()))?;
    // The one that reads the folder is in it.
    Ok((entries.count() as u64).saturating_sub(1))
}
