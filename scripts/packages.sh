# SPDX-License-Identifier: MIT OR Apache-2.0
# shellcheck shell=bash disable=SC2154 # lib.sh has the variables.
#
# Debian 13's packages, whatever the host is; sourced after lib.sh by the scripts that need them.

# apt_sources: Debian 13 with backports, from the mirrors that this machine's own apt uses.
apt_sources() {
    local uri release component main='' security=''
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
    local suite keyring options=''
    for keyring in /usr/share/keyrings/debian-archive-keyring.{gpg,pgp}; do
        [[ ! -e $keyring ]] || options="[signed-by=$keyring] "
    done
    for suite in trixie trixie-updates trixie-backports; do
        echo "deb $options$main $suite main"
    done
    if [[ -n $security ]]; then
        echo "deb $options$security trixie-security main"
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

# private_apt COMMAND...: this machine's apt, with sources and state of its own.
private_apt() {
    APT_CONFIG=$cache/apt/apt.conf "$@"
}

# Reads the package lists of Debian 13 into the cache.
read_package_lists() {
    mkdir -p "$cache"/apt/{lists,archives}/partial
    apt_sources >"$cache/apt/sources.list"
    {
        apt_options
        cat <<END
Dir::Etc::sourcelist "$cache/apt/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
Dir::State "$cache/apt";
Dir::State::lists "$cache/apt/lists";
Dir::State::status "/dev/null";
Dir::Cache "$cache/apt";
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
APT::Default-Release "trixie-backports";
APT::Sandbox::User "$(id -un)";
END
    } >"$cache/apt/apt.conf"
    quietly "reading Debian 13's package lists" private_apt apt-get update
}

# fresh_package_lists: mirrors drop what is old, so lists of another day may name what is gone.
fresh_package_lists() {
    [[ -s $cache/apt/apt.conf && -z $(find "$cache/apt/apt.conf" -mmin +720) ]] || read_package_lists
}

# version_of PACKAGE: the newest version there is, or nothing.
version_of() {
    fresh_package_lists
    private_apt apt-cache madison "$1" | awk -F ' *\\| *' 'NR == 1 { print $2 }'
}

# download FOLDER PACKAGE...: unpacks Debian packages there, without installing anything.
download() {
    local folder=$1
    shift
    mkdir -p "$folder/debs"
    quietly "downloading $*" private_apt env -C "$folder/debs" apt-get download "$@"
    local deb
    for deb in "$folder"/debs/*.deb; do
        dpkg-deb -x "$deb" "$folder"
    done
    rm -rf "$folder/debs"
}
