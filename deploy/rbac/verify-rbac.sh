#!/usr/bin/env bash
# Asks the API server of the current context what the operator and the maker of keys may do, in every namespace, and fails
# if that is more than deploy/rbac grants: a delete, a write on a Secret, a step towards another identity.
set -euo pipefail

namespace=${1:-bindy-system}
operator=system:serviceaccount:$namespace:bindy
keys=system:serviceaccount:$namespace:bindy-keys
wrong=0

complain() {
  echo "error: $*" >&2
  wrong=1
}

# What somebody may do in a namespace: a line for each rule, with the resources, the names and the verbs.
rules() {
  kubectl auth can-i --list --no-headers --as="$1" --namespace="$2"
}

# Complains of each rule of somebody whose line matches.
never() {
  local who=$1 what=$2 pattern=$3 found
  found=$(grep -E "$pattern" <<<"$4") && complain "$who may $what in $5: $found" || true
}

mapfile -t namespaces < <(kubectl get namespaces -o name | cut -d/ -f2)
for one in "${namespaces[@]}"; do
  for who in "$operator" "$keys"; do
    granted=$(rules "$who" "$one")
    never "$who" 'do everything' '\[[^]]*\*[^]]*\]$' "$granted" "$one"
    never "$who" 'delete' '\[[^]]*delete[^]]*\]$' "$granted" "$one"
    never "$who" 'borrow another identity' '\[[^]]*(impersonate|bind|escalate)[^]]*\]$' "$granted" "$one"
    never "$who" 'borrow another identity' '^(serviceaccounts/token|pods/exec|pods/attach|pods/ephemeralcontainers) ' "$granted" "$one"
    never "$who" 'change what others may do' '^[a-z]*(roles|rolebindings|clusterroles|clusterrolebindings)\.rbac.*(create|update|patch)' "$granted" "$one"
    never "$who" 'make Pods' '^pods .*(create|update|patch)' "$granted" "$one"
  done
  never "$operator" 'write Secrets' '^secrets .*(create|update|patch)' "$(rules "$operator" "$one")" "$one"
  never "$keys" 'write what clients have written' '^dynamicrecords\..*(create|update|patch)' "$(rules "$keys" "$one")" "$one"
done

# The authorizer's own word, in case it has rules that cannot be listed.
for verb in create update patch delete deletecollection; do
  for one in "${namespaces[@]}"; do
    if kubectl auth can-i "$verb" secrets --as="$operator" --namespace="$one" --quiet; then
      complain "$operator may $verb secrets in $one"
    fi
  done
done

[ "$wrong" -eq 0 ] && echo "in ${#namespaces[@]} namespaces, neither has a delete verb, and $operator cannot write Secrets"
exit "$wrong"
