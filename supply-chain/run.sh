#!/usr/bin/env bash
# What is in the image, and whether any of what we build with is known to be weak:
#
#   supply-chain/run.sh sbom [FILE]    `make sbom`: CycloneDX as JSON, sbom.cdx.json; the same for the same lock
#   supply-chain/run.sh audit [ARG…]   `make audit`: 1 when OSV knows a vulnerability; ARGs are pip-audit's
#
# Without a way to OSV nothing is audited: that is said, and is no failure.
set -euo pipefail
cd "$(dirname "$0")/.."

TOOLS=${TOOLS:-$PWD/.cache/supply-chain}

main() {
  local what=${1:-}
  [[ $what == sbom || $what == audit ]] || fail "sbom or audit?"
  shift
  python_tools
  "$what" "$@"
}

python_tools() {
  if [[ ! -f $TOOLS/venv/.installed || supply-chain/tools.lock -nt $TOOLS/venv/.installed ]]; then
    "${PYTHON:-python3}" -m venv "$TOOLS/venv"
    "$TOOLS/venv/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes \
      -r supply-chain/tools.lock
    touch "$TOOLS/venv/.installed"
  fi
}

# Of an environment made as the image's is: the lock alone says neither licences nor what needs what.
sbom() {
  local file=${1:-sbom.cdx.json} runtime=$TOOLS/runtime
  local pip=("$TOOLS/venv/bin/python" -m pip --quiet --disable-pip-version-check --python "$runtime/bin/python")
  rm -rf "$runtime"
  "$TOOLS/venv/bin/python" -m venv --without-pip "$runtime"
  "${pip[@]}" install --require-hashes --only-binary :all: -r requirements-image.lock
  "${pip[@]}" uninstall --yes setuptools
  "$TOOLS/venv/bin/cyclonedx-py" environment --pyproject pyproject.toml --short-PURLs --output-reproducible \
    --output-format JSON --output-file "$file" "$runtime/bin/python"
  echo "sbom: $(grep -c '"purl"' "$file") packages in $file"
}

audit() {
  local report=$TOOLS/found.txt said=$TOOLS/said.txt
  rm -f "$report"
  if "$TOOLS/venv/bin/pip-audit" --requirement requirements.lock --require-hashes --disable-pip \
    --vulnerability-service osv --progress-spinner off --format columns --output "$report" "$@" 2>"$said"; then
    echo "audit: OSV knows no vulnerability of what requirements.lock has for this Python"
  elif [[ -s $report ]]; then
    cat "$said" "$report" >&2
    fail "OSV knows vulnerabilities: raise the versions in pyproject.toml, then make lock"
  elif grep -qE 'ConnectionError|ConnectTimeout|ReadTimeout|ProxyError|ServiceError' "$said"; then
    echo "audit: OSV cannot be reached from here: NOTHING WAS AUDITED ($(tail -n 1 "$said" | cut -c 1-200))"
  else
    cat "$said" >&2
    fail "pip-audit failed"
  fi
}

fail() {
  echo "supply-chain/run.sh: $1" >&2
  exit 1
}

main "$@"
