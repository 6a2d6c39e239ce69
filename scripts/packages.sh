# SPDX-License-Identifier: MIT OR Apache-2.0
# shellcheck shell=bash disable=SC2154 # lib.sh has the variables.
#
# Debian's packages, whatever the host is; sourced after lib.sh by the scripts that need them. Each
# distribution and architecture has package lists of its own, read when something of it is asked for.

# apt_sources DISTRIBUTION: its suites, from the mirrors that this machine's own apt uses.
apt_sources() {
    local distribution=$1 uri release component main='' security=''
    # shellcheck disable=SC2016 # apt expands it.
    while IFS='|' read -r uri release component; do
        [[ $component == main ]] || continue
        case $release in
            *-security | */updates) security=${security:-$uri} ;;
            bookworm | trixie | forky | sid | stable | testing | unstable) main=${main:-$uri} ;;
        esac
    done < <(apt-get indextargets --no-release-info \
        --format '$(REPO_URI)|$(RELEASE)|$(COMPONENT)' 'Created-By: Packages' | sort -u)
    main=${MUTEX_DEBIAN_MIRROR:-$main}
    [[ -n $main ]] ||
        die "no Debian package source in this machine's apt configuration: set MUTEX_DEBIAN_MIRROR to the URI of a Debian mirror."
    local suite keyring options='' suites=("$distribution" "$distribution-updates")
    for keyring in /usr/share/keyrings/debian-archive-keyring.{gpg,pgp}; do
        [[ ! -e $keyring ]] || options="[signed-by=$keyring] "
    done
    [[ $distribution != trixie ]] || suites+=(trixie-backports)
    for suite in "${suites[@]}"; do
        echo "deb $options$main $suite main"
    done
    if [[ -n $security ]]; then
        echo "deb $options$security $distribution-security main"
    fi
}

# apt_options: this machine's way to its mirrors (proxies and the like); a mirror may be a frozen
# copy, whose date has passed: its signatures are checked all the same.
apt_options() {
    apt-config dump | grep -E '^Acquire::(http|https|ftp|Retries|Max-FutureTime)' || true
    echo 'Acquire::Check-Valid-Until "false";'
    echo 'Acquire::Languages "none";'
    echo 'Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";'
    echo 'Acquire::Retries "3";'
}

# use_packages DISTRIBUTION ARCHITECTURE: the functions below are about these packages.
use_packages() {
    distribution=$1
    architecture=$2
    lists=$cache/packages-$distribution-$architecture
    # Mirrors drop what is old, so lists of another day may name what is gone.
    if ! fresh_package_lists; then
        lock "package lists of $distribution for $architecture"
        fresh_package_lists || read_package_lists
        unlock
    fi
}
fresh_package_lists() { [[ -s $lists/apt.conf && -z $(find "$lists/apt.conf" -mmin +720) ]]; }

# private_apt COMMAND...: this machine's apt, with sources and state of its own.
private_apt() {
    APT_CONFIG=$lists/apt.conf "$@"
}

# Reads the package lists anew.
read_package_lists() {
    mkdir -p "$lists"/{lists,archives}/partial
    apt_sources "$distribution" >"$lists/sources.list"
    {
        apt_options
        cat <<END
APT::Architecture "$architecture";
APT::Architectures { "$architecture"; };
Dir::Etc::sourcelist "$lists/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
Dir::State "$lists";
Dir::State::lists "$lists/lists";
Dir::State::status "/dev/null";
Dir::Cache "$lists";
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
APT::Sandbox::User "$(id -un)";
END
    } >"$lists/apt.conf.part"
    quietly "reading Debian's package lists: $distribution, $architecture" env APT_CONFIG="$lists/apt.conf.part" apt-get update
    # It is there when the lists are complete.
    mv "$lists/apt.conf.part" "$lists/apt.conf"
}

# version_of PACKAGE [SUITE]...: the newest version there is, in one of these suites if any is named, or nothing.
version_of() {
    private_apt apt-cache madison "$1" | awk -F ' *\\| *' -v suites="${*:2}" '
        { split($3, place, "[ /]+"); for (i in place) if (suites == "" || index(" " suites " ", " " place[i] " ")) { print $2; exit } }'
}

# depends_of PACKAGE=VERSION: the packages that it names in its Depends, a line each.
depends_of() {
    private_apt apt-cache show "$1" | sed -n 's/^Depends: //p' | tr ',|' '\n\n' | awk '{ print $1 }'
}

# download FOLDER PACKAGE...: puts the files of Debian packages there.
download() {
    local folder=$1 names=("${@:2:4}")
    shift
    mkdir -p "$folder"
    quietly "downloading ${names[*]%%=*}$( (($# < 5)) || echo " and $(($# - 4)) more")" private_apt env -C "$folder" apt-get download "$@"
}

# unpack FILE FOLDER [TAR_OPTION]...: a package's content, without installing anything.
unpack() {
    mkdir -p "$2"
    dpkg-deb --fsys-tarfile "$1" | tar -x -C "$2" --exclude='./usr/share/doc' --exclude='./usr/share/man' \
        --exclude='./usr/share/bug' "${@:3}"
}
