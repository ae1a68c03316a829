# shellcheck shell=bash
# What the scripts in launch/ share: the libraries, the build, and an environment in which mpirun works.
# Source it; it changes into the project's folder.

project=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cd "$project"

say() { printf '==> %s\n' "$*" >&2; }
die() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

# mpirun refuses root, which is who one is in most containers; it is told that this is meant.
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
# More ranks than cores are allowed; they are slow, but they work.
export OMPI_MCA_rmaps_base_oversubscribe=1

packages=(libopenmpi-dev openmpi-bin libopenblas-dev libhdf5-dev libdnnl-dev libjpeg-dev libpng-dev libwebp-dev
  libarchive-dev libxxhash-dev pkg-config)

# The packages above that are not installed, on Debian and Ubuntu.
missing_packages() {
  local installed package
  # A package may be there under another's name that provides it, as pkgconf does pkg-config.
  installed=$(dpkg-query -W -f '${db:Status-Status} ${Package}, ${Provides}\n' | sed -n 's/^installed/,/p')
  for package in "${packages[@]}"; do
    grep -Eq "[ ,]$package( |,|\$)" <<<"$installed" || printf '%s\n' "$package"
  done
}

# Installs the libraries that are missing; nothing where all are there.
ensure_dependencies() {
  if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    command -v mpicc >/dev/null && command -v pkg-config >/dev/null && return
    die "Open MPI or pkg-config is missing, and this is neither Debian nor Ubuntu, where this script could install them.
Install them, and OpenBLAS, HDF5, oneDNN, libjpeg-turbo, libpng, libwebp, libarchive and xxHash, with your system's package
manager:
  Fedora  dnf install openmpi-devel openblas-devel hdf5-devel oneapi-dnnl-devel libjpeg-turbo-devel libpng-devel \\
          libwebp-devel libarchive-devel xxhash-devel pkgconf
          and then: module load mpi
  Arch    pacman -S openmpi openblas hdf5 onednn libjpeg-turbo libpng libwebp libarchive xxhash pkgconf
  macOS   brew install open-mpi openblas hdf5 onednn jpeg-turbo libpng webp libarchive xxhash pkgconf"
  fi
  local missing
  mapfile -t missing < <(missing_packages)
  ((${#missing[@]})) || return 0

  local as_root=()
  if ((EUID != 0)); then
    command -v sudo >/dev/null || die "not installed, and there is no sudo to install it with: ${missing[*]}
Ask an administrator for: apt-get install ${missing[*]}"
    as_root=(sudo)
  fi
  say "installing ${missing[*]}"
  local log
  log=$(mktemp)
  if ! { "${as_root[@]}" apt-get update &&
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}"; } \
    >"$log" 2>&1; then
    cat "$log" >&2
    rm -f "$log"
    die "could not install ${missing[*]}"
  fi
  rm -f "$log"
}

# Ends with advice unless there is a Swift that can build this package.
ensure_swift() {
  command -v swift >/dev/null ||
    die "swift is not on the PATH; PeCo needs Swift 6.0 or newer, see https://www.swift.org/install"
  local version
  version=$(swift --version 2>/dev/null | sed -n 's/.*Swift version \([0-9]*\.[0-9]*\).*/\1/p' | head -n 1)
  if [[ -n $version ]] && ((${version%%.*} < 6)); then
    die "this is Swift $version; PeCo needs Swift 6.0 or newer, see https://www.swift.org/install"
  fi
}

# Builds with the arguments of `swift build`, quietly unless it fails.
build() {
  local log=.build/launch.log
  # A module that uses another without declaring it builds or not as the order of the build happens to be.
  local options=(-c release --explicit-target-dependency-import-check error)
  mkdir -p .build
  swift build "${options[@]}" "$@" >"$log" 2>&1 && return
  # A checkout that was moved or copied brings modules that only its old place can use.
  if grep -q 'module cache path' "$log"; then
    rm -rf .build/*/release/ModuleCache
    swift build "${options[@]}" "$@" >"$log" 2>&1 && return
  fi
  grep -E -A 6 'error:' "$log" >&2 || tail -n 60 "$log" >&2
  die "the build failed; all it said is in $log"
}

# Makes .build/release/peco; a second run finds nothing to do.
build_release() {
  ensure_swift
  [[ -x .build/release/peco ]] || say "building peco (the first time takes a few minutes)"
  build --product peco
}
