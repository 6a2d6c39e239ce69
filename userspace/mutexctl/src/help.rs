// SPDX-License-Identifier: MIT OR Apache-2.0

//! What the help says after the options: examples, words, units, exit statuses.

pub const MAIN: &str = "\
Examples:
  sudo mutexctl stats                            the host at a glance
  sudo mutexctl connections                      who talks to whom, and how much
  sudo mutexctl export -o now.json               everything, for programs
  sudo mutexctl export --format binary -o now.bin
  mutexctl convert now.bin --to csv -o now       the same later, as tables in now/
  sudo mutexctl audit                            do the books balance?
  sudo mutexctl aggregate --by command           which programs move how much
  sudo mutexctl events protocol=tcp              connections as they come and go
  mutexctl doctor                                why does it not work here?

Units: packets as on the wire (each segment of a GSO or GRO super-packet is one); buffers are the
kernel's, super-packets as one; bytes are IP bytes, all headers included; payload is what the
transport carried, retransmissions included; times are nanoseconds since 1970. Integers are exact.

New files (--output) are for their owner, mode 0600, since they name connections; those of stats and man
are for everybody, as the umask says. A file that is replaced keeps its mode.

Exit status: 0 done; 1 failed, or the books do not balance; 2 wrong usage.
Data goes to standard output, one sentence about what went wrong to standard error.";

pub const STATS: &str = "\
Reads DIR/stats, which everybody may read.

Examples:
  mutexctl stats
  sudo mutexctl stats --format json | jq .received_bytes
  sudo mutexctl stats --format raw | grep untracked
  sudo mutexctl stats --format prometheus -o /var/lib/prometheus/node-exporter/mutex.prom
  mutexctl stats --from recording/ --at 2026-01-31T12:00:00Z

Traffic is counted in packets, buffers, bytes and payload (see `mutexctl --help`) for each of:
  sent, received                          this host's sockets
  forwarded_sent, forwarded_received      through this host, as the initiator sees it
  closed_...                              the part of connections that are no longer listed
  untracked_...                           what belongs to no connection, by reason
Packets that the kernel dropped are listed by its reasons, those that have occurred: losses, and
discards, which no receiver misses (duplicates, what a closing socket left unread). Percentiles of
latency are within 6 %; rate_... and peak_... are bytes a second.
A size or time beside an exact number is for reading only: it is rounded.
The host's numbers take CAP_NET_ADMIN in the first network namespace. Without it the kernel shows the
module's own (uptime, size of the tables) and, in another namespace, how many records it uses.

Formats:
  table   for people
  json    one object: schema_version, then the kernel's keys
  raw     the kernel's text as it is
  prometheus, openmetrics
          metrics of the host, in seconds and bytes; no connection is a label

Exit status: 0 done; 1 failed; 2 wrong usage.";

pub const CONNECTIONS: &str = "\
Examples:
  sudo mutexctl connections
  sudo mutexctl connections --sort sent_bytes --top 10    most bytes sent first
  sudo mutexctl connections --filter 'command=nginx losses>=1'
  sudo mutexctl connections --fields id,pid,holders,remote_address,received_bytes
  sudo mutexctl connections --sort rate_in --top 20 --watch=1
  sudo mutexctl connections --format json | jq '.connections[] | select(.remote_port == 443)'
  mutexctl connections --from now.bin --format csv

The table is ordered by id, which is the order of opening, and never cuts anything off. `-` is what
is unknown. Ports of ICMP echo are its identifiers. p50 and p99 are percentiles of latency, within
6 %; retrans are packets that TCP sent again, losses those that the kernel dropped and a receiver
misses; in/s and out/s are bytes a second, rounded. JSON and CSV are exact, say more, and are those
of `mutexctl export`.
JSON, JSON Lines and CSV of all fields are written as they are read, at any number of connections.
Everything else needs memory: about 800 bytes a connection that is shown or, where a filter or an order
asks for owners, that there is.

Filters: terms that must all hold, such as 'protocol=tcp remote=10.0.0.0/8 port=80,443 uid!=0
losses>=1'; numbers can be ranges, 1000-2000. Keys are protocol, family, address, local, remote,
port, local_port, remote_port, state, flags, pid, command, uid, cgroup, netns, inode, interface,
connection, fd, sent_bytes, received_bytes, latency_average_ns, retransmitted_packets, drops, losses,
rate_in and rate_out.
--sort and --fields take the columns of CSV, and inode, pid, command and holders: every pid/fd that
has the socket. Quantities come largest first, names smallest first; -FIELD and +FIELD say which.

Units: IP bytes, headers included (see `mutexctl --help`).
Exit status: 0 done; 1 failed; 2 wrong usage.";

pub const FDS: &str = "\
An fd here is a socket, by its inode: `dup`, `fork` and passing it on do not change what it is.
pid and command are those of the process that was first seen to use it or, where none was, of one
that holds it now.

Examples:
  sudo mutexctl fds
  sudo mutexctl fds --sort active_connections --top 10
  sudo mutexctl fds --filter 'protocol=udp command=dns*' --fields inode,pid,command,holders
  sudo mutexctl fds --format json | jq '.fds[] | select(.command == \"nginx\") | .sent.bytes'
  mutexctl fds --from now.bin --format csv

The table is ordered by id, which is the order of appearance, and never cuts anything off. `-` is
what is unknown. p50 and p99 are percentiles of latency, within 6 %; retrans are packets that TCP
sent again, losses those that the kernel dropped and a receiver misses; in/s and out/s are bytes a
second, rounded. All are of the socket's connections together. JSON and CSV are exact, say more, and
are those of `mutexctl export`.

Filters: terms that must all hold, such as 'protocol=tcp remote=10.0.0.0/8 port=80,443 uid!=0
losses>=1'; numbers can be ranges, 1000-2000. Keys are protocol, family, pid, command, uid, cgroup,
netns, inode, fd, sent_bytes, received_bytes, latency_average_ns, retransmitted_packets, drops,
losses, rate_in and rate_out.
--sort and --fields take the columns of CSV, and holders: every pid/fd that has the socket.
Quantities come largest first, names smallest first; -FIELD and +FIELD say which.

Units: IP bytes, headers included (see `mutexctl --help`).
Exit status: 0 done; 1 failed; 2 wrong usage.";

pub const ALERTS: &str = "\
Examples:
  sudo mutexctl alerts
  sudo mutexctl alerts --format json | jq '.alerts[] | select(.severity == \"critical\")'
  sudo mutexctl alerts --follow --filter severity=error
  sudo mutexctl alerts clear
  mutexctl alerts --from now.bin --format csv

Alerts are numbered without gaps from 1 on: numbers that are missing were overwritten or cleared.
A subject is a connection, with its local and remote end, an fd, or the whole host (global). Times
are UTC. JSON and CSV are exact, and are those of `mutexctl export`.

--follow shows the alerts that there are and then each as it comes, one a line, until it is ended; it
misses none. clear hides those that there are from everybody.

Filters: terms that must all hold, such as 'protocol=tcp remote=10.0.0.0/8 port=80,443 uid!=0
losses>=1'; numbers can be ranges, 1000-2000. Keys are severity, protocol, family, address,
local, remote, port, local_port, remote_port, pid, command, netns, connection and fd.
--sort and --fields take the columns of CSV. Quantities come largest first, names smallest first;
-FIELD and +FIELD say which.

Units of value and threshold, which the table rounds: latency in nanoseconds; rates of errors,
retransmissions and losses, and the table's fill, of 10000; bandwidth in bytes a second.
Exit status: 0 done; 1 failed; 2 wrong usage.";

pub const EVENTS: &str = "\
FILTER are terms that must all hold. Keys besides those of `mutexctl connections`: kind (start, end,
alert, packet), direction (sent, received, forwarded), severity, and sample=N for every Nth packet.
Packets come only to who names kind=packet.

Examples:
  sudo mutexctl events
  sudo mutexctl events kind=end protocol=tcp 'sent_bytes>=1000000'
  sudo mutexctl events kind=packet remote=192.0.2.0/24 sample=100 --count 1000
  sudo mutexctl events kind=start,end --format jsonl | jq -c '{event, id, remote_address}'

An end has the final counters of its connection; it comes when these cannot change any more, which is
after `timeout_closed`. Events that were lost because nobody took them in time are told, exactly, on
standard error, and in `lost`.

Units: IP bytes, headers included; times are UTC, in JSON nanoseconds since 1970.
Exit status: 0 done; 1 failed; 2 wrong usage.";

pub const METER: &str = "\
FILTER are terms that must all hold. Keys are protocol, family, address, local, remote, port,
local_port, remote_port, netns, connection, uid, cgroup and fd; with sample=N only every Nth packet is
counted before a connection ends.

Examples:
  sudo mutexctl meter
  sudo mutexctl meter protocol=udp --interval 5s --top 10
  sudo mutexctl meter remote=192.0.2.0/24 --metadata site=east --format jsonl -o meters.jsonl
  sudo mutexctl meter port=53 --format jsonl | jq -c 'select(.logged == \"ended\")'
  sudo mutexctl meter protocol=udp --count 1 --interval 1min --format csv -o minute.csv

A connection has a meter from its first packet on that passes while this command runs. Its id is
source->destination/protocol, where the source is this host's end or, of what is forwarded, the
initiator's; both ends of what stays on this host are connections of their own.
  started    the meter is new
  running    an interval is over; out/s and in/s are of that interval
  ended      the connection is over: final figures. They come when nothing can be added any more, which
             is after `timeout_closed`, and are the kernel's own if all of the connection was seen
  stopped    metering is over (--count, Ctrl-C, or the module is unloaded): final figures
table and json list all meters and those that have ended since, each interval; jsonl and csv are logs,
each line as it comes. Totals are of the lines above them.

Events that were lost because they were not taken in time are told, exactly, on standard error, in JSON
Lines, and as `lost` with each meter that may lack them. A shell over SSH has packets of its own: name
a filter that leaves them out.

Units: IP bytes on the wire, headers included; bytes a second; times are nanoseconds since 1970.
Exit status: 0 done; 1 failed; 2 wrong usage.";

pub const AGGREGATE: &str = "\
Keys: pid, command (or comm), uid, cgroup, netns, port, local_port, remote_port, remote, protocol; one
or several with commas. port is the smaller of the two, which is the service's but for rare cases.
`-` is what a connection does not have, or what is not known of it.

Examples:
  sudo mutexctl aggregate --by command
  sudo mutexctl aggregate --by uid,protocol --format json | jq '.groups[] | select(.of == \"total\")'
  sudo mutexctl aggregate --by remote --filter remote_port=443 --top 10
  mutexctl aggregate --by pid,command --from now.bin --format csv

The groups with the most bytes come first. `closed` is what connections moved that are no longer
listed, `untracked REASON` what belongs to no connection, `other` the groups that --top leaves out;
`total` is the sum of all lines, and that of the whole host where nothing is filtered. Rates are
those of the last second, of all connections of a group together.

Units: packets as on the wire; IP bytes, headers included (see `mutexctl --help`).
Exit status: 0 done; 1 failed; 2 wrong usage.";

pub const DIFF: &str = "\
Each of BEFORE and AFTER is an image or a recording; without AFTER it is the kernel's numbers of this
moment. Both have to be of one host and one load of the module.

Examples:
  sudo mutexctl export --format binary -o before.bin; sleep 10
  sudo mutexctl diff before.bin                           what happened since
  mutexctl diff before.bin after.bin --top 10
  mutexctl diff recording/ recording/ --at 2026-01-31T12:00:00Z --to 2026-01-31T13:00:00Z
  mutexctl diff before.bin after.bin --format json | jq '.changes[] | select(.of == \"total\")'

Connections that have moved something come first, the one with the most bytes first; `new` ones were
opened in between. `closed` is what connections moved that are no longer listed, `untracked` what
belongs to no connection; `total` is the sum, exactly what the host moved. What was forwarded has
lines of its own.

Units: packets as on the wire; IP bytes, headers included; bytes a second (see `mutexctl --help`).
Exit status: 0 done; 1 failed, or they cannot be compared; 2 wrong usage.";

pub const CONFIG: &str = "\
Examples:
  sudo mutexctl config get                                all of them, with what they are for
  sudo mutexctl config get timeout_closed                 its value alone
  sudo mutexctl config set timeout_closed=60 alert_connection_latency=50000000
  sudo mutexctl config get --format json | jq '.settings[] | select(.value != .default)'

What is set changes together or, if one of it is refused, not at all; it lasts until the module is
unloaded. Writing takes CAP_NET_ADMIN.

Exit status: 0 done; 1 failed; 2 wrong usage.";

pub const EXPORT: &str = "\
Formats:
  json    one object, schema_version first, a line a record
  jsonl   an object a line, each with its `record`: image, status, connection, fd, ...
  csv     tables: status.csv, totals.csv, connections.csv, fds.csv, latency.csv, drops.csv,
          alerts.csv
  prometheus, openmetrics
          metrics of the host; no connection is a label
  binary  the kernel's image, checked; `mutexctl convert` makes the others from it
  parquet tables for data frames and SQL: totals.parquet, connections.parquet, fds.parquet,
          alerts.parquet, with the columns of CSV

Examples:
  sudo mutexctl export -o now.json
  sudo mutexctl export --format csv -o now/
  sudo mutexctl export --format binary | ssh collector 'cat > host.bin'
  sudo mutexctl export --format jsonl | jq -c 'select(.record == \"connection\") | .remote_address'
  mutexctl export --from now.bin | jq '.connections | length'
  mutexctl export --from now.bin --format parquet -o now/
  duckdb -c \"SELECT sum(sent_bytes) FROM 'now/connections.parquet'\"

Text in CSV that begins like a formula (= + - @, but no number) has a ' before it on a terminal and in
files, so that a spreadsheet does not run it, and is as it is in pipes: --csv-escape says otherwise.
Control and invisible characters in names are escaped as \\u{202e} in all formats but binary.

A file or directory gets its name when it is whole: a failed export leaves what was there. Standard
output is written as the kernel gives it, so check the exit status. Totals are the same in all
formats. The memory it takes does not grow with the number of connections.

Histograms of latency are listed by octave: octave n covers 2^n to 2^(n+1) microseconds in eight
steps of equal width, the first one what is shorter, too, and the last one what is longer, too.

Units: packets as on the wire; IP bytes, headers included; nanoseconds (see `mutexctl --help`).
Exit status: 0 done; 1 failed; 2 wrong usage.";

pub const CONVERT: &str = "\
Examples:
  mutexctl convert now.bin --to json | jq .totals_after
  mutexctl convert now.bin --to csv -o now/
  ssh host sudo mutexctl export --format binary | mutexctl convert - --to json -o host.json

FILE is checked: every byte of it is under a checksum. A truncated or corrupted one is refused, and
nothing is written; from a pipe to a pipe, what came before the damage is. Formats and units are
those of `mutexctl export`.

Exit status: 0 done; 1 failed; 2 wrong usage.";

pub const RECORD: &str = "\
Examples:
  sudo mutexctl record -o /var/lib/mutex                  an image every 10 seconds
  sudo mutexctl record -o /var/lib/mutex --interval 1min --keep-size 2G --keep-for 7d
  sudo mutexctl record -o here --interval 1s --count 60
  mutexctl replay /var/lib/mutex
  mutexctl connections --from /var/lib/mutex --at 2026-01-31T12:00:00Z

DIR holds files that only grow; each image is on the disk before the next is taken. A file that is cut
off, by whatever, can be read up to the cut. Each start and each load of the module begins a file of its
own. When the module is unloaded, recording waits and goes on when it is back. DIR is for one recording
at a time: a second one is refused. What --keep-size and --keep-for leave out goes by whole files, the
oldest first. Every command that has --from reads DIR.

An image takes 360 bytes a connection, 312 a socket, 80 an octave of a histogram.
Exit status: 0 done; 1 failed; 2 wrong usage.";

pub const REPLAY: &str = "\
Examples:
  mutexctl replay /var/lib/mutex
  mutexctl replay /var/lib/mutex --since 2026-01-31T12:00:00Z --until 2026-01-31T13:00:00Z
  mutexctl replay /var/lib/mutex --format csv -o traffic.csv
  mutexctl aggregate --by command --from /var/lib/mutex --at 2026-01-31T12:00:00Z

A line an image: its time, the connections that it lists, what was opened and ended since the one
before, the host's bytes so far and a second, and its retransmissions, drops, alerts and losses so
far. `-` is where the module was loaded anew in between. What is damaged is left out, and said on
standard error.

Units: IP bytes, headers included; times are UTC.
Exit status: 0 done; 1 failed; 2 wrong usage.";

pub const HISTORY: &str = "\
Examples:
  sudo mutexctl history                              the last hour that there is
  sudo mutexctl history --since 7d --step 6h         the last week, four rows a day
  sudo mutexctl history --by command --since 1d --step 1d
  sudo mutexctl history --series sent_bytes,drops --since 2026-01-31 --until 2026-02-01
  sudo mutexctl history --findings --since 30d       what was unusual
  sudo mutexctl history --format csv --step 1min -o traffic.csv

Reads the database that the daemon writes, also while it does. What is too old to be kept so finely
comes in rows of a longer time; a row's numbers are exactly the sum of what it is made of. Times are
when a row began.

Numbers, each for the time of the row:
  sent_bytes, drops, ...          how far a counter of `mutexctl stats` went; also connections_opened,
                                  connections_closed, alerts, untracked_packets, untracked_bytes
  sent_bytes_per_second, ...      the same a second, of the time that was watched
  connections_active, fds_active, table_used, memory_bytes
                                  the last value; with _min, _max or _mean behind it those
  latency_p50_ns, latency_p95_ns, latency_p99_ns, latency_samples
                                  of all samples of the row, within 6 %
  duration_ns, samples            how long was watched, and how often was looked
With --by the counters that groups have; `other` is all that is in no group of its own, so that the
groups of a time are exactly the host.

Units: IP bytes, headers included; times are UTC.
Exit status: 0 done; 1 failed; 2 wrong usage.";

pub const DIAG: &str = "\
Examples:
  sudo mutexctl diag health                          is all well?
  sudo mutexctl diag events --severity warning       the last 50 that are at least as bad
  sudo mutexctl diag events --component history --since 1d
  sudo mutexctl diag events --follow                 those that there are, and each as it comes
  sudo mutexctl diag events --kind alert --format jsonl | jq -c '{peer, message}'
  sudo mutexctl diag counts                          how many of which severity and kind
  mutexctl diag health --http 127.0.0.1:8787 --token-file token

The daemon mutexd keeps the last events: the kernel module's alerts, what it found in the history, its
own faults, and what other programs hand over. It is asked over its diagnostics socket, where root and its
own user may ask, or over its HTTP interface, where members of http.group may ask as well: --socket or --http
says which. Without either it is /run/mutexd/diagnostics.sock or, if that is not there,
/run/mutexd/http.sock.

An event has a number without gaps, a time, a severity, the component that it is from (a part of mutexd,
kernel, or program), a kind, perhaps a peer, a message, and in JSON metadata.

--follow waits for a daemon that is started again, whose numbers begin with 1.

Exit status: 0 done; 1 failed; 2 wrong usage; of health 3 if it is degraded, 4 if it is unhealthy.";

pub const PAGE: &str = "\
Examples:
  sudo mutexctl page
  mutexctl page --no-browser                         print the link only

Asks the daemon mutexd, over its local socket, for a link to its live page, prints the link, and opens it in
the program that BROWSER names, or with xdg-open on a desktop, but not as root. Root, the daemon's own user
and members of http.group may ask.

The link can be followed once, for five minutes. The browser that follows it gets a cookie, with which it may
look for 12 hours, or until the daemon ends; it can change nothing. For a browser on another machine, log in
with `ssh -L 8787:127.0.0.1:8787 HOST` and ask there: the link leads through the tunnel.

Exit status: 0 done; 1 failed; 2 wrong usage.";

pub const AUDIT: &str = "\
For each of four directions and four counters
    before <= connections + closed + untracked <= after
has to hold without any tolerance, where `before` and `after` are the host's own totals, counted
apart from the connections, read before and after these were copied. What passes meanwhile is the
difference between the two; at rest all are equal. Besides, no connection may be listed twice, no
socket may have moved less than its listed connections, and alerts have to be in their order.

Examples:
  sudo mutexctl audit
  sudo mutexctl audit --quiet && echo balanced
  mutexctl audit now.bin

An image from inside another network namespace holds a part of the host, and cannot be balanced.
Memory: about 10 bytes a connection and up to 170 a socket.

Units: packets as on the wire; IP bytes, headers included (see `mutexctl --help`).
Exit status: 0 only if everything holds; 1 if not, or if it could not be checked; 2 wrong usage.";

pub const CHECK: &str = "\
Prints one line, with numbers for graphs after `|`, and ends as monitoring systems expect it.

Examples:
  mutexctl check                                          is the table of connections full?
  mutexctl check --warning 'table_fill>=70' --critical 'table_fill>=90'
  sudo mutexctl check --audit --alerts-within 5min
  mutexctl check --critical 'untracked_table_full_packets>=1' --warning 'retransmission_percent>=2'

Thresholds: KEY>=NUMBER or KEY<=NUMBER; the keys are those of `mutexctl stats --format raw`, and
table_fill, fd_table_fill, retransmission_percent, loss_percent and drop_percent (in percent, since
the module was loaded), losses and untracked_packets. Without any: table_fill>=80 is a warning,
table_fill>=95 critical.
--audit: books that do not balance are critical. --alerts-within: alerts that young which are
warnings are a warning, worse ones critical. With --from, age is counted from the image's time.

Exit status: 0 OK; 1 WARNING; 2 CRITICAL; 3 UNKNOWN: it could not be checked. Wrong usage is 3, too.
The worst of all that is checked counts: CRITICAL, then UNKNOWN, then WARNING.";

pub const DOCTOR: &str = "\
Looks at the kernel, its configuration, signatures and lockdown, the module, versions, permissions, and
at the module's own numbers, and says what to do next.

Examples:
  mutexctl doctor
  sudo mutexctl doctor

Exit status: 0 it works, if perhaps not for everybody; 1 it does not; 2 wrong usage.";

pub const COMPLETIONS: &str = "\
Examples:
  mutexctl completions bash >/usr/share/bash-completion/completions/mutexctl
  mutexctl completions zsh >/usr/share/zsh/vendor-completions/_mutexctl
  mutexctl completions fish >/usr/share/fish/vendor_completions.d/mutexctl.fish

Exit status: 0 done; 1 failed; 2 wrong usage.";

pub const MAN: &str = "\
Examples:
  mutexctl man | man -l -
  sudo mutexctl man -o /usr/share/man/man1

Exit status: 0 done; 1 failed; 2 wrong usage.";

pub const TOP: &str = "\
Examples:
  sudo mutexctl top
  sudo mutexctl top --view processes --sort out/s
  sudo mutexctl top --filter 'protocol=tcp port=443' --bits
  mutexctl top --from now.bin
  mutexctl top --from recording/ --at 2026-01-31T12:00:00Z     then [ and ] go on and back

Keys: 1 to 5 and Tab choose what to look at, Left and Right the order, r reverses it, / writes a
filter, Enter shows details with the latency's histogram, c shows what is closed too, b changes
between bits and bytes, p pauses, ? shows all keys, q quits.

The totals below are exact: listed are the connections of the rows, other are those that are not
listed, closed are connections that are no longer kept, untracked is what belongs to none. Their
sum is the total, and `total = host` says that it is what the host counted. Rates are those of the last
whole second; processes and remotes have their connections' latency in the mean.

It needs a terminal. When the module goes, it says so and waits until it is there again.

Units: IP bytes, headers included (see `mutexctl --help`).
Exit status: 0 done; 1 failed; 2 wrong usage; 128 and more: ended by a signal.";

pub const REPORT: &str = "\
Examples:
  sudo mutexctl report -o report.html
  mutexctl report --from now.bin -o report.html --top 50
  mutexctl report --from recording/ --since 2026-01-31T12:00:00Z -o report.html

One HTML file that needs nothing else: no scripts, no fonts, no pictures from elsewhere. It can be
read on a telephone, in the dark, and printed. On it are totals, who moved most (processes, remotes,
connections; with what all others moved, so that it adds up), the distribution of latency,
retransmissions, losses and alerts, and of a recording rates, retransmissions and losses over time.
Names of processes are in it: give it to whom you would show those.

It needs memory: about 400 bytes a connection, and 80 for each octave of its latency.

Units: IP bytes, headers included (see `mutexctl --help`).
Exit status: 0 done; 1 failed; 2 wrong usage.";
