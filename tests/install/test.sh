#!/bin/sh
# Tests of install.sh under each shell that is here (dash, busybox sh, bash), with stand-ins for cargo and for
# bringup. Needs root, as install.sh does; touches nothing outside a temporary directory.
#
#   tests/install/test.sh [SHELL...]      last line: "N passed, N failed"
set -eu

here=$(dirname "$(readlink -f "$0")")
script=$(readlink -f "$here/../../install.sh")
[ "$(id -u)" = 0 ] || { echo "test.sh: needs root" >&2; exit 2; }

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
chmod 755 "$tmp"
passed=0
failed=0

# --- stand-ins --------------------------------------------------------------

# All that install.sh may use; cargo, rustc and cc come from elsewhere.
mkdir "$tmp/tools"
for tool in sh cat cp mv rm mkdir chmod chown id uname awk cut tr grep sed find head readlink dirname sha256sum cmp \
    getent env test touch runuser bash dash busybox; do
    path=$(command -v "$tool") || continue
    case $path in
        /*) ln -s "$path" "$tmp/tools/$tool" ;;
        *) ln -s "/usr/bin/$tool" "$tmp/tools/$tool" ;;
    esac
done

mkdir "$tmp/rust"
cat >"$tmp/rust/cargo" <<'STUB'
#!/bin/sh
[ "$1" != --version ] || { echo "cargo ${FAKE_CARGO:-1.95.0} (stand-in)"; exit 0; }
echo "uid=$(id -u) home=$HOME dir=$(pwd) $*" >>"$CALLS"
cat >/dev/null
[ "${FAKE_BUILD:-}" != fails ] || { echo "error: no luck" >&2; exit 101; }
mkdir -p "$CARGO_TARGET_DIR/here-unknown-linux/release"
cp "$PROGRAM" "$CARGO_TARGET_DIR/here-unknown-linux/release/bringup"
STUB
printf '#!/bin/sh\necho "host: here-unknown-linux"\n' >"$tmp/rust/rustc"
printf '#!/bin/sh\n' >"$tmp/rust/cc"

# Stands in for bringup: tells how it was started.
cat >"$tmp/program" <<'STUB'
#!/bin/sh
case $1 in
    --version) echo "bringup 9.9"; exit "${FAKE_VERSION:-0}" ;;
    status) echo "${FAKE_STATUS-[]}"; [ -n "${FAKE_STATUS-[]}" ]; exit ;;
    terminal) if [ -t 0 ]; then echo "a terminal"; else echo "no terminal"; fi; exit 0 ;;
esac
echo "ran:"
for argument; do echo "<$argument>"; done
exit "${FAKE_EXIT:-0}"
STUB
chmod 755 "$tmp/rust"/* "$tmp/program"

# --- what tests say ---------------------------------------------------------

# it NAME: a fresh world for a test.
it() {
    name=$1
    rm -rf "$tmp/world"
    mkdir -p "$tmp/world/bin" "$tmp/world/home"
    world=$tmp/world
    bin=$world/bin
    calls=$world/calls
    : >"$calls"
    chmod 666 "$calls"
}

checkout() {
    mkdir -p "$world/checkout/src" "$world/checkout/assets" "$world/checkout/screens" "$world/checkout/.cargo"
    printf '[package]\nname = "bringup"\nrust-version = "1.88"\n' >"$world/checkout/Cargo.toml"
    touch "$world/checkout/Cargo.lock" "$world/checkout/src/main.rs" "$world/checkout/assets/a.conf"
    cp "$script" "$world/checkout/install.sh"
    at=$world/checkout
}

release() {
    mkdir -p "$world/release"
    cp "$tmp/program" "$world/release/bringup"
    (cd "$world/release" && sha256sum bringup >bringup.sha256)
    cp "$script" "$world/release/install.sh"
    at=$world/release
}

# run [NAME=VALUE...] [-- ARGUMENT...]: install.sh of $at; sets status, and output holds all that was said.
run() {
    variables=
    while [ $# -gt 0 ] && [ "$1" != -- ]; do
        variables="$variables $1"
        shift
    done
    [ $# = 0 ] || shift
    status=0
    # shellcheck disable=SC2086
    env -i PATH="${path:-$tmp/rust:$tmp/tools}" HOME="$world/home" CALLS="$calls" PROGRAM="$tmp/program" \
        BRINGUP_INSTALL_DIR="$bin" $variables ${as:-} $shell "$at/install.sh" "$@" >"$world/output" 2>&1 </dev/null ||
        status=$?
}

# check WHAT COMMAND...
check() {
    what=$1
    shift
    if "$@"; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAILED [$shell] $name: $what"
        sed 's/^/    | /' "$world/output"
    fi
}

says() { grep -qF -e "$1" "$world/output"; }
is() { [ "$1" = "$2" ]; }
not() { ! "$@"; }
installed() { [ -x "$bin/bringup" ] && [ "$(stat -c %a "$bin/bringup")" = 755 ]; }
clean() { [ -z "$(find "$bin" -name '.bringup*')" ]; }
built() { [ "$(wc -l <"$calls")" = "$1" ]; }

# --- the tests --------------------------------------------------------------

tests() {
    it "a checkout is built, installed and run with the arguments as they are"
    checkout
    run FAKE_EXIT=3 -- --answers "a file.yaml" ''
    check "exit code" is $status 3
    check "installed" installed
    check "arguments" says '<a file.yaml>'
    check "empty argument" says '<>'
    check "without the hook of tests" sh -c '! grep -q -e --features -e kill-hook "$1"' sh "$calls"
    check "locked release build" grep -q 'build --release --locked --bin bringup --target here-unknown-linux' "$calls"
    check "no leftovers" clean

    run
    check "an up-to-date program is not built again" built 1
    touch -d '+1 hour' "$at/assets/a.conf"
    run
    check "a newer asset makes it build again" built 2

    it "the options of install.sh come first and are not handed over"
    checkout
    run -- --no-run --answers x
    check "not run" not says 'ran:'
    check "installed" installed
    run -- -- --help
    check "after -- all is for bringup" says '<--help>'
    run -- --help
    check "help" says 'BRINGUP_INSTALL_DIR'
    check "help is no error" is $status 0

    it "the target directory of the environment is honoured"
    checkout
    run CARGO_TARGET_DIR="$world/elsewhere" -- --no-run
    check "absolute" test -x "$world/elsewhere/here-unknown-linux/release/bringup"
    check "not in the checkout" not test -e "$at/target"

    it "without cargo it says how to get it"
    checkout
    path=$tmp/tools run -- --no-run
    check "exit code" is $status 1
    check "how" says 'https://sh.rustup.rs'
    check "nothing installed" not test -e "$bin/bringup"

    it "cargo in the home directory is found"
    checkout
    mkdir -p "$world/home/.cargo/bin"
    cp "$tmp/rust"/* "$world/home/.cargo/bin"
    path=$tmp/tools run -- --no-run
    check "installed" installed

    it "a cargo that is too old is refused by its number"
    checkout
    run FAKE_CARGO=1.63.0 -- --no-run
    check "exit code" is $status 1
    check "number" says 'cargo 1.63 is too old; bringup needs 1.88'

    it "without a C compiler it says how to get it"
    checkout
    mkdir "$world/rust"
    cp "$tmp/rust/cargo" "$tmp/rust/rustc" "$world/rust"
    path=$world/rust:$tmp/tools run -- --no-run
    check "exit code" is $status 1
    check "how" says 'apt-get install gcc libc6-dev'

    it "a build that fails leaves what was installed"
    checkout
    echo old >"$bin/bringup"
    run FAKE_BUILD=fails
    check "exit code" is $status 1
    check "why" says 'error: no luck'
    check "old program" is "$(cat "$bin/bringup")" old

    it "with sudo the invoking user builds, with that user's cargo"
    checkout
    chown -R nobody "$at"
    user_home=$(getent passwd nobody | cut -d : -f 6)
    run SUDO_USER=nobody -- --no-run
    check "as the user" grep -q "^uid=$(id -u nobody) home=$user_home dir=$at build" "$calls"
    check "target is not root's" is "$(stat -c %U "$at/target/here-unknown-linux/release/bringup")" nobody
    check "the installed program is root's" is "$(stat -c %U "$bin/bringup")" root

    it "with sudo in a checkout that the user cannot write, root builds"
    checkout
    run SUDO_USER=nobody -- --no-run
    check "as root" grep -q '^uid=0 ' "$calls"

    it "without root it stops before it builds"
    checkout
    as="runuser -u nobody --" run -- --answers x
    check "exit code" is $status 1
    check "what to do" says 'sudo ./install.sh --answers x'
    check "not built" built 0

    it "a released program is checked, installed and run"
    release
    run FAKE_EXIT=130 -- status-of-nothing
    check "exit code" is $status 130
    check "installed" installed
    check "no cargo" built 0

    it "a released program with another checksum is refused"
    release
    echo old >"$bin/bringup"
    echo '# tampered with' >>"$at/bringup"
    run
    check "exit code" is $status 1
    check "why" says 'SHA-256'
    check "old program" is "$(cat "$bin/bringup")" old
    check "not run" not says 'ran:'
    check "no leftovers" clean

    it "a checksum of something else is not a checksum"
    release
    sed -i 's/ bringup/ other/' "$at/bringup.sha256"
    run
    check "exit code" is $status 1
    check "why" says 'holds no checksum of bringup'
    rm "$at/bringup.sha256"
    run
    check "nor is none" says 'cannot be checked'
    check "exit code without one" is $status 1
    check "nothing installed" not test -e "$bin/bringup"

    it "a program that does not run here is not installed"
    release
    echo old >"$bin/bringup"
    run FAKE_VERSION=1
    check "exit code" is $status 1
    check "why" says 'does not run on this machine'
    check "old program" is "$(cat "$bin/bringup")" old
    check "no leftovers" clean

    it "elsewhere it says where to run it"
    mkdir "$world/empty"
    at=$world/empty
    cp "$script" "$at"
    run
    check "exit code" is $status 1
    check "why" says 'neither a checkout'

    it "uninstalling removes the program only when nothing stands"
    release
    run -- --no-run
    run FAKE_STATUS='[{"run":"x"}]' -- --uninstall
    check "refused" is $status 1
    check "way out" says 'bringup rollback --all'
    check "stays" installed
    run FAKE_STATUS= -- --uninstall
    check "refused when it cannot tell" is $status 1
    check "stays then too" installed
    run -- --uninstall
    check "done" is $status 0
    check "gone" not test -e "$bin/bringup"
    run -- --uninstall
    check "twice is no error" is $status 0

    it "from a pipe it hands over with the terminal, and none of the pipe is lost on it"
    release
    cat >"$world/piped" <<PIPED
cd / && cat "$at/install.sh" | BRINGUP_SOURCE="$at" BRINGUP_INSTALL_DIR="$bin" $shell -s -- terminal
PIPED
    script -qec "sh $world/piped" /dev/null >"$world/output" 2>&1 </dev/null
    check "a terminal" says 'a terminal'
    setsid -w sh "$world/piped" >"$world/output" 2>&1
    check "none where there is none" says 'no terminal'

    it "from a pipe it takes no program from the current directory"
    for kind in release checkout; do
        $kind
        echo old >"$bin/bringup"
        cat >"$world/piped" <<PIPED
cd "$at" && cat install.sh | PATH="$tmp/rust:$tmp/tools" CALLS="$calls" BRINGUP_INSTALL_DIR="$bin" $shell -s -- terminal
PIPED
        status=0
        sh "$world/piped" >"$world/output" 2>&1 </dev/null || status=$?
        check "$kind: exit code" is $status 1
        check "$kind: why" says 'takes no program from the current directory'
        check "$kind: what to do" says 'BRINGUP_SOURCE=/path/to/bringup'
        check "$kind: nothing installed" is "$(cat "$bin/bringup")" old
        check "$kind: nothing built" built 0
    done
    run BRINGUP_SOURCE=release
    check "a relative directory is the current one again" says 'not an absolute path'

    it "a script that was cut off does nothing"
    release
    lines=$(wc -l <"$script")
    cut=10
    while [ $cut -lt "$lines" ]; do
        head -n $cut "$script" >"$at/install.sh"
        run
        cut=$((cut + 10))
    done
    head -n $((lines - 1)) "$script" >"$at/install.sh"
    run
    check "nothing installed" not test -e "$bin/bringup"
}

if [ $# = 0 ]; then
    set -- dash "bash --posix"
    ! command -v busybox >/dev/null || set -- "$@" "busybox sh"
fi
for shell; do
    as=
    path=
    tests
done
echo "$passed passed, $failed failed"
[ $failed = 0 ]
