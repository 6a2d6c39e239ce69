# SPDX-License-Identifier: MIT OR Apache-2.0
# shellcheck shell=bash
#
# What all the scripts share; sourced, never run. Everything that takes long to make is kept in
# one cache folder, each thing under a name that ends in a hash of what it is made from.

set -euo pipefail

[[ $(uname -s)-$(uname -m) == Linux-x86_64 ]] || { echo "MUTEX's scripts need Linux on x86-64." >&2; exit 1; }

project=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/mutex
# shellcheck disable=SC2034 # For the scripts that source this.
scripts=$project/scripts
program=${0##*/}
PATH=$PATH:/usr/sbin:/sbin
# The whole chain of scripts shows one clock.
export MUTEX_STARTED=${MUTEX_STARTED:-$EPOCHSECONDS}
# The make that called us is about our own Makefile, not about what we build.
unset MAKEFLAGS MFLAGS MAKELEVEL
# Anything unused for this many days is removed from the cache when its successor is made.
keep_days=1

say() { printf '[%4d s] %s: %s\n' $((EPOCHSECONDS - MUTEX_STARTED)) "$program" "$*" >&2; }
die() { say "$*"; exit 1; }

# Prints the comment at the top of the calling script.
usage() { awk 'NR > 2 && !/^#/ { exit } NR > 2 { sub(/^# ?/, ""); print }' "$0"; }

# wrong_usage SENTENCE: as the convention is, exit status 2.
wrong_usage() { say "$* (see 'scripts/$program --help')"; exit 2; }

as_root() {
    if [[ $EUID -eq 0 ]]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo -- "$@"
    else
        die "this step needs root: run as root or install sudo."
    fi
}

# hash_of TEXT...: a short name for all of it.
hash_of() { printf '%s\0' "$@" | sha256sum | cut -c1-12; }

# lock NAME: one at a time, until unlock, which is for the latest of them, or the end of this process.
locks=()
lock() {
    local lock_fd
    mkdir -p "$cache/lock"
    exec {lock_fd}>"$cache/lock/$1"
    if ! flock -n "$lock_fd"; then
        say "waiting for another run that is preparing the $1"
        flock -w 3600 "$lock_fd" || die "another run has held $cache/lock/$1 for an hour: stop it, then try again."
    fi
    locks+=("$lock_fd")
}
unlock() {
    local lock_fd=${locks[-1]}
    exec {lock_fd}>&-
    unset 'locks[-1]'
}

# need_space GIGABYTES: says so before a disk fills up half-way.
need_space() {
    mkdir -p "$cache"
    local free
    free=$(df --output=avail -k "$cache" | tail -n 1)
    ((free / 1048576 >= $1)) ||
        die "$cache needs $1 GB of free disk space and has $((free / 1048576)): free some, or set XDG_CACHE_HOME to a larger disk."
}

# cached NAME KEY COMMAND [ARG...]: sets $made to the folder $cache/NAME-KEY; if that does not
# exist yet, "COMMAND ARG... FOLDER" makes it, under another name until it is complete.
cached() {
    local name=$1 key=$2
    shift 2
    made=$cache/$name-$key
    if [[ ! -d $made ]]; then
        lock "$name"
        if [[ ! -d $made ]]; then
            # Keys have twelve digits, so that 'root-run' does not match 'root-run-arm64'.
            remove "$cache/$name"-????????????.part
            mkdir -p "$made.part"
            "$@" "$made.part"
            mv "$made.part" "$made"
            touch "$made/.used"
            prune "$name"
        fi
        unlock
    fi
    touch "$made/.used"
}

# prune NAME: drops versions that nothing has used for a while (another worktree may use them).
prune() {
    local used
    for used in "$cache/$1"-????????????/.used; do
        if [[ -n $(find "$used" -mtime +"$keep_days" 2>/dev/null) ]]; then
            remove "${used%/.used}"
        fi
    done
    # Of runs that were killed and never repeated. Not by its modification time, which an archive that is
    # unpacked there sets to its own.
    local part
    while read -r part; do
        remove "$part"
    done < <(find "$cache" -maxdepth 1 -name '*.part' -ctime +"$keep_days")
}

# remove PATH...: also what root owns, but never across a mount.
remove() {
    local path
    for path; do
        if [[ -e $path ]]; then
            as_root rm -rf --one-file-system -- "$path"
        fi
    done
}

# quietly WHAT COMMAND...: runs it with its output in a log, saying every 15 seconds that it goes
# on; shows the end of the log if it fails. Ends with this script, however that ends.
quietly() {
    local what=$1 log status=0 began=$EPOCHSECONDS said=$EPOCHSECONDS job guard
    shift
    mkdir -p "$cache/log"
    log=$cache/log/${program%.*}-$(hash_of "$what").log
    # shellcheck disable=SC2034 # For callers.
    quiet_log=$log
    say "$what"
    "$@" >"$log" 2>&1 </dev/null &
    job=$!
    # The guard reads nothing but our end if we are killed, and then ends the job.
    exec {guard}> >(read -r _ || end_job "$job")
    # shellcheck disable=SC2064 # The job of now.
    trap "end_job $job; exit 130" INT TERM HUP
    while running "$job"; do
        sleep 0.2
        if ((EPOCHSECONDS - said >= 15)); then
            said=$EPOCHSECONDS
            say "... still at it: $(tail -n 1 "$log" | tr -d '\r' | cut -c1-90)"
        fi
    done
    wait "$job" || status=$?
    trap - INT TERM HUP
    echo "done" >&"$guard"
    exec {guard}>&-
    if ((status != 0)); then
        tail -n 40 "$log" >&2
        die "failed after $((EPOCHSECONDS - began)) s: $what. The whole output is in $log."
    fi
}

# running PID: whether a child of ours is still at work (and not merely waited for).
running() {
    local stat
    stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
    stat=${stat##*) }
    [[ $stat != [ZX]* ]]
}

# end_job PID: stops a background job and everything below it.
end_job() {
    local child children
    children=$(ps -o pid= --ppid "$1" 2>/dev/null || true)
    kill "$1" 2>/dev/null || [[ $EUID -eq 0 ]] || sudo -n kill "$1" 2>/dev/null || true
    for child in $children; do
        end_job "$child"
    done
}

# need PROGRAM...: dies with the way out if a program that we call is missing.
need() {
    local program_needed
    for program_needed; do
        command -v "$program_needed" >/dev/null ||
            die "the program $program_needed is missing: run scripts/host-setup first."
    done
}

# The kernels that scripts/kernel knows: those of tests/kernels/list, and what it makes from the source of one.
default_kernel=6.12
built_kernels=(7.3-rust uml uml-debug debug rt-debug race)

# kernel_field NAME FIELD: a field of that kernel's line in tests/kernels/list: release, suite, flavour, architecture
# or tests; nothing if it is not listed.
kernel_field() {
    awk -v name="$1" -v field="$2" '/^# name / { for (i = 2; i <= NF; i++) column[$i] = i - 1 }
        $1 == name { print $column[field] }' "$project/tests/kernels/list"
}

# kernel_named NAME: its full name; dies of a name that scripts/kernel does not know. 'stock' is the default kernel.
kernel_named() {
    local name=$1 listed
    [[ $name != stock ]] || name=$default_kernel
    listed=${name#newest-}
    if [[ " ${built_kernels[*]} " != *" $name "* && -z $(kernel_field "$listed" release) ]]; then
        wrong_usage "there is no kernel '$name', only stock, $(kernel_names | paste -sd ' '), ${built_kernels[*]} and newest-NAME"
    fi
    echo "$name"
}

# kernel_names: those of tests/kernels/list.
kernel_names() { awk '/^[^#]/ { print $1 }' "$project/tests/kernels/list"; }

# architecture_of KERNEL: amd64 or arm64.
architecture_of() {
    local architecture
    architecture=$(kernel_field "${1#newest-}" architecture)
    echo "${architecture:-amd64}"
}

# stage_module FOLDER [OBJECT]: the module's sources in FOLDER, where kernels before 6.13 build it, with the Rust
# object of scripts/rust-object for a bundled build. What is unchanged stays, so that make does little.
stage_module() {
    local folder=$1 object=${2-}
    mkdir -p "$folder"
    tar -C "$project" -c Kbuild module | tar -C "$folder" -x
    [[ -z $object ]] || cmp -s "$object" "$folder/module/rust.o_prebuilt" || cp "$object" "$folder/module/rust.o_prebuilt"
}
