#!/bin/sh
# Installs bringup and hands over to it.
#
# In a checkout it builds the program with cargo; beside a released binary it checks the binary's SHA-256.
# POSIX sh. Everything is in functions and the last line calls main, so that a download that breaks off half-way
# (curl | sh) does nothing at all.
set -eu

usage() {
    cat <<'USAGE'
install.sh [OPTION] [ARGUMENTS FOR bringup...]

Installs bringup as /usr/local/bin/bringup and runs it with the arguments.

    sudo ./install.sh --answers assets/answers/quickstart.yaml

Options, before any argument for bringup:
  --no-run      only install
  --uninstall   remove the program, unless something that it did stands on this host
  --help        this text; `bringup --help` is the program's own
  --            what follows is for bringup

Environment:
  BRINGUP_INSTALL_DIR   where to install (default /usr/local/bin)
  BRINGUP_SOURCE        the checkout or unpacked release to install from (default: where this script lies; a script
                        that comes from a pipe lies nowhere, and takes nothing from the current directory)
  CARGO_TARGET_DIR      where cargo builds (default: target/ in the checkout)

The exit code is bringup's; 1 when the installation itself fails.
USAGE
}

say() { printf 'install.sh: %s\n' "$1" >&2; }

# die SENTENCE [WHAT TO DO...]
die() {
    say "$1"
    shift
    for line; do
        printf '            %s\n' "$line" >&2
    done
    exit 1
}

# --- where we are -----------------------------------------------------------

# Sets HERE, the directory to install from, and PIPED when the script itself comes from stdin. Whoever pipes it into
# a shell may stand in any directory, such as one where others put programs: nothing there is taken for ours.
find_ourselves() {
    PIPED=
    HERE=
    if [ "${0##*/}" = install.sh ] && [ -f "$0" ]; then
        HERE=$(dirname "$(readlink -f "$0")")
    else
        PIPED=yes
    fi
    [ -n "${BRINGUP_SOURCE:-}" ] || return 0
    case $BRINGUP_SOURCE in
        /*) HERE=$(readlink -f "$BRINGUP_SOURCE") || HERE=$BRINGUP_SOURCE ;;
        *) die "BRINGUP_SOURCE is \"$BRINGUP_SOURCE\", which is not an absolute path" ;;
    esac
}

is_checkout() { [ -f "$HERE/Cargo.toml" ] && grep -q '^name = "bringup"' "$HERE/Cargo.toml"; }
is_release() { [ -f "$HERE/bringup" ]; }

can_install() {
    [ -d "$INSTALL_DIR" ] || [ "$(id -u)" = 0 ] || return 1
    [ ! -d "$INSTALL_DIR" ] || [ -w "$INSTALL_DIR" ]
}

# --- building ---------------------------------------------------------------

# Sets BINARY to the program of this checkout, built if it is missing or older than its sources.
build() {
    case ${CARGO_TARGET_DIR:=$HERE/target} in
        /*) ;;
        *) CARGO_TARGET_DIR=$(pwd -P)/$CARGO_TARGET_DIR ;;
    esac
    export CARGO_TARGET_DIR
    for BINARY in "$CARGO_TARGET_DIR"/*/release/bringup; do
        ! is_fresh "$BINARY" || return 0
    done
    find_cargo
    command -v cc >/dev/null || die "a C compiler is needed to link the program, and there is none" \
        "apt-get install gcc libc6-dev"
    say "building bringup; this takes a few minutes, once"
    triple=$(as_builder rustc -vV | sed -n 's/^host: //p')
    [ -n "$triple" ] || die "rustc does not say for which machine it builds" "try: rustup default stable"
    # The target is named, so that the program is where we look for it whatever cargo's settings say.
    (cd "$HERE" && as_builder cargo build --release --locked --bin bringup --target "$triple") </dev/null ||
        die "the build failed; the lines above say why"
    BINARY=$CARGO_TARGET_DIR/$triple/release/bringup
    [ -x "$BINARY" ] || die "cargo built no $BINARY"
}

# The program exists, can run here, and nothing that it is made of is newer.
is_fresh() {
    [ -x "$1" ] || return 1
    newer=$(cd "$HERE" && find Cargo.toml Cargo.lock build.rs .cargo src assets screens -newer "$1" 2>/dev/null | head -n 1)
    [ -z "$newer" ] && "$1" --version >/dev/null 2>&1 </dev/null
}

# Sets BUILDER (the user who builds, empty for ourselves) and PATH so that cargo is found. With sudo the cargo is
# usually in the home of the invoking user; building as that user also keeps root's files out of the checkout.
find_cargo() {
    BUILDER=
    home=
    if [ "$(id -u)" = 0 ] && [ -n "${SUDO_USER:-}" ] && [ "$SUDO_USER" != root ]; then
        home=$(getent passwd "$SUDO_USER" | cut -d : -f 6)
        if as_user "$SUDO_USER" "$home" test -w "$HERE"; then
            BUILDER=$SUDO_USER
        fi
    fi
    PATH=$PATH:${HOME:-/root}/.cargo/bin
    if [ -n "$home" ] && [ -x "$home/.cargo/bin/cargo" ]; then
        PATH=$home/.cargo/bin:$PATH
        [ -n "$BUILDER" ] || { RUSTUP_HOME=${RUSTUP_HOME:-$home/.rustup}; export RUSTUP_HOME; }
    fi
    export PATH
    how="curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh"
    command -v cargo >/dev/null || die "there is no cargo to build bringup with" \
        "Get it with:  $how" "then run install.sh again. A release archive needs no cargo."
    need=$(sed -n 's/^rust-version = "1\.\([0-9]*\).*/\1/p' "$HERE/Cargo.toml")
    have=$(as_builder cargo --version </dev/null | sed -n 's/^cargo 1\.\([0-9]*\).*/\1/p')
    [ "${have:-0}" -ge "${need:-0}" ] || die "cargo 1.${have:-?} is too old; bringup needs 1.$need or newer" \
        "Get it with:  $how"
}

as_builder() {
    if [ -n "$BUILDER" ]; then
        as_user "$BUILDER" "$home" "$@"
    else
        "$@"
    fi
}

# as_user USER HOME COMMAND...
as_user() {
    user=$1
    user_home=$2
    shift 2
    runuser -u "$user" -- env HOME="$user_home" "$@"
}

# --- installing -------------------------------------------------------------

# Copies BINARY next to its place, checks and tries the copy, then moves it there: whoever starts bringup at any
# moment gets the old program or the new one, whole.
install_binary() {
    [ -d "$INSTALL_DIR" ] || mkdir -p "$INSTALL_DIR"
    new=$INSTALL_DIR/.bringup.$$.new
    trap 'rm -f "$new"' EXIT
    trap 'exit 129' HUP
    trap 'exit 130' INT
    trap 'exit 143' TERM
    if ! cp "$BINARY" "$new" || ! chmod 0755 "$new"; then
        die "cannot write to $INSTALL_DIR" "Is the disk full?"
    fi
    [ "$(id -u)" != 0 ] || chown 0:0 "$new"
    [ -z "${CHECKSUM:-}" ] || check_sum "$new"
    if ! version=$("$new" --version 2>&1 </dev/null); then
        die "the program does not run on this machine ($(uname -m)): $version"
    fi
    if cmp -s "$new" "$INSTALL_DIR/bringup"; then
        rm -f "$new"
    else
        mv -f "$new" "$INSTALL_DIR/bringup"
        say "$version is installed as $INSTALL_DIR/bringup"
    fi
    trap - EXIT HUP INT TERM
}

check_sum() {
    want=$(awk '$2 == "bringup" || $2 == "*bringup" { print $1 }' "$CHECKSUM")
    have=$(sha256sum <"$1" | cut -d ' ' -f 1)
    [ -n "$want" ] || die "$CHECKSUM holds no checksum of bringup" "Download the archive again."
    [ "$want" = "$have" ] || die "the SHA-256 of bringup is not what $CHECKSUM says; nothing was installed" \
        "expected $want" "found    $have" "Download the archive again, from where you trust it."
}

uninstall() {
    [ -e "$INSTALL_DIR/bringup" ] || { say "$INSTALL_DIR/bringup is not there"; return 0; }
    standing=$("$INSTALL_DIR/bringup" status --json </dev/null) ||
        die "bringup cannot say whether anything that it did stands on this host; nothing was removed"
    [ "$(printf %s "$standing" | tr -d '[:space:]')" = '[]' ] ||
        die "something that bringup did stands on this host; the program can take it back, so it stays" \
            "bringup status           shows it" "bringup rollback --all   takes it back"
    rm -f "$INSTALL_DIR/bringup"
    say "$INSTALL_DIR/bringup is removed; the records of past runs stay in /var/lib/bringup"
}

# --- handing over -----------------------------------------------------------

hand_over() {
    # When the shell reads this script from a pipe, its rest is not an answer to a question.
    if [ -n "$PIPED" ] && [ ! -t 0 ] && (: </dev/tty) 2>/dev/null; then
        exec "$INSTALL_DIR/bringup" "$@" </dev/tty
    fi
    exec "$INSTALL_DIR/bringup" "$@"
}

main() {
    umask 022
    INSTALL_DIR=${BRINGUP_INSTALL_DIR:-/usr/local/bin}
    CHECKSUM=
    run=yes
    remove=
    given=$*
    while [ $# -gt 0 ]; do
        case $1 in
            --no-run) run= ;;
            --uninstall) remove=yes ;;
            --help) usage; exit 0 ;;
            --) shift; break ;;
            *) break ;;
        esac
        shift
    done
    find_ourselves
    # Before a build of minutes, not after it.
    can_install || die "writing to $INSTALL_DIR needs root" "sudo ./install.sh${given:+ $given}"
    if [ -n "$remove" ]; then
        uninstall
        exit 0
    fi
    [ -n "$HERE" ] || die "this script comes from a pipe, and takes no program from the current directory" \
        "Unpack the release (or clone the repository) and run its ./install.sh, or name its directory:" \
        "BRINGUP_SOURCE=/path/to/bringup"
    if is_checkout; then
        build
    elif is_release; then
        BINARY=$HERE/bringup
        CHECKSUM=$HERE/bringup.sha256
        [ -f "$CHECKSUM" ] || die "there is no bringup.sha256 beside the program, so it cannot be checked" \
            "Download the whole archive again."
    else
        die "$HERE is neither a checkout of bringup nor an unpacked release" \
            "Run install.sh where it was unpacked, or name that directory in BRINGUP_SOURCE."
    fi
    install_binary
    [ -n "$run" ] || exit 0
    hand_over "$@"
}

main "$@"
