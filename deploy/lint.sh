#!/usr/bin/env bash
# Lints what is below deploy/, each kind by the tool for it: `make lint-deploy`. Nothing is skipped silently: a tool
# that cannot be had ends this with 1. Only helm may be missing (it takes minutes to build): what it renders is kept in
# tests/golden/helm, and a unit test ties that to the chart. `deploy/lint.sh --helm` builds it with go and renders anew.
set -euo pipefail
cd "$(dirname "$0")/.."

TOOLS=$PWD/.cache/deploy-tools
CHART=deploy/helm/eventproc
GOLDEN=tests/golden/helm
HELM_VERSION=v3.19.5
KUBERNETES=1.31.0
mkdir -p "$TOOLS"

main() {
  python_tools
  hadolint
  promtool
  systemd
  helm "${1:-}"
  kubernetes
  echo "deploy: all lints passed"
}

python_tools() {
  if [[ ! -f $TOOLS/venv/.installed || deploy/lint.lock -nt $TOOLS/venv/.installed ]]; then
    "${PYTHON:-python3}" -m venv "$TOOLS/venv"
    "$TOOLS/venv/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes -r deploy/lint.lock
    touch "$TOOLS/venv/.installed"
  fi
}

hadolint() {
  "$TOOLS/venv/bin/hadolint" Dockerfile
  echo "hadolint: ok"
}

# Debian's package of Prometheus, unpacked but not installed, unless promtool is there.
promtool() {
  local tool
  if ! tool=$(type -P promtool); then
    tool=$TOOLS/prometheus/usr/bin/promtool
    [[ -x $tool ]] || unpack_prometheus || { apt-get update -qq && unpack_prometheus; } \
      || fail "promtool is not here: install Prometheus"
  fi
  "$tool" check rules deploy/prometheus/alerts.yaml
  "$tool" test rules deploy/prometheus/alerts_test.yaml
  "$tool" check config --syntax-only deploy/prometheus/prometheus.yaml
}

unpack_prometheus() {
  (cd "$TOOLS" && rm -rf prometheus* && apt-get download -qq prometheus 2>/dev/null \
    && dpkg-deb -x prometheus_*.deb prometheus && rm prometheus_*.deb)
}

systemd() {
  type -P systemd-analyze >/dev/null || fail "systemd-analyze is not here: install systemd"
  local copy
  copy=$(mktemp -d)
  # It wants the program to exist.
  sed 's#^ExecStart=[^ ]*#ExecStart=/bin/true#' deploy/systemd/eventproc@.service >"$copy/eventproc@1.service"
  systemd-analyze verify --man=no "$copy/eventproc@1.service" 2>&1 | tee "$copy/said"
  [[ ! -s $copy/said ]] || fail "systemd-analyze verify has complaints"
  # 2.0 of 10: what is left is that it needs the network.
  systemd-analyze security --no-pager --offline=true --threshold=20 "$copy/eventproc@1.service" | tail -n 1
  rm -r "$copy"
}

# $1: --helm, to build it where it is missing.
helm() {
  local tool
  if ! tool=$(type -P helm); then
    tool=$TOOLS/helm
    if [[ ! -x $tool && $1 == --helm ]]; then
      GOBIN=$TOOLS go install "helm.sh/helm/v3/cmd/helm@$HELM_VERSION"
    fi
  fi
  if [[ ! -x $tool ]]; then
    echo "helm: not here; $GOLDEN has what it rendered"
    return
  fi
  for name in small everything watching; do
    local values=$CHART/ci/$name-values.yaml
    # Quiet about the two links to alerts and dashboard.
    "$tool" lint --strict --kube-version "$KUBERNETES" "$CHART" -f "$values" 2>"$TOOLS/said" >"$TOOLS/lint" \
      || { cat "$TOOLS/lint" "$TOOLS/said"; fail "helm lint with $values"; }
    {
      echo "# Made by deploy/lint.sh --helm from a chart with the checksum $(checksum)"
      "$tool" template eventproc "$CHART" --namespace anchor --kube-version "$KUBERNETES" -f "$values" 2>"$TOOLS/said"
    } >"$TOOLS/$name.yaml" || { cat "$TOOLS/said"; fail "helm template with $values"; }
    # What it holds of alerts and dashboard changes with them: not kept.
    [[ $name != watching ]] || continue
    [[ ${1:-} != --helm ]] || cp "$TOOLS/$name.yaml" "$GOLDEN/$name.yaml"
    diff -u "$GOLDEN/$name.yaml" "$TOOLS/$name.yaml" || fail "$GOLDEN/$name.yaml is old: deploy/lint.sh --helm"
  done
  echo "helm: ok"
}

# As tests/unit/deploy/test_chart.py computes it.
checksum() {
  (cd "$CHART" && find . -type f | LC_ALL=C sort | while read -r file; do
    printf '%s\n' "$file"
    cat "$file"
  done) | sha256sum | cut -d ' ' -f 1
}

# Against the schemas of two releases; they hold no kinds of operators (PodMonitor, PrometheusRule, ScaledObject).
kubernetes() {
  local version manifests=("$GOLDEN"/*.yaml)
  [[ ! -f $TOOLS/watching.yaml ]] || manifests+=("$TOOLS/watching.yaml")
  for version in 1.29 1.34; do
    "$TOOLS/venv/bin/kubernetes-validate" --kubernetes-version "$version" --strict "${manifests[@]}" \
      | { grep -v '^INFO' || true; }
  done
  echo "kubernetes-validate: ok"
}

fail() {
  echo "deploy/lint.sh: $1" >&2
  exit 1
}

main "$@"
