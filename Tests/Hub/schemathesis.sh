#!/bin/sh
# Tests a running hub against its own OpenAPI document with schemathesis (PyPI).
#
#   Tests/Hub/schemathesis.sh URL KEY_FILE [SECONDS [SEED]]
#
# Each run asks other things than the one before, but for the same seed and time.
# It makes and deletes resources: give it a hub of its own. Left out are
# - positive_data_acceptance: names follow rules that a JSON Schema cannot say (DNS labels, git references, scopes), and a
#   field may need another one, so a value that fits the schema may still be refused;
# - operations that would take away the key that the run itself uses.
set -eu

[ $# -ge 2 ] || { echo "usage: $0 URL KEY_FILE [SECONDS [SEED]]" >&2; exit 2; }
url=$1
key_file=$2
seconds=${3:-120}
seed=${4:-}

here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
if ! command -v schemathesis >/dev/null 2>&1; then
    python3 -m venv "$here/venv"
    "$here/venv/bin/pip" install --quiet schemathesis
    PATH="$here/venv/bin:$PATH"
fi

# The key goes through a configuration file: the list of processes is public. It is given in both ways, or schemathesis
# makes up a value for the other one.
umask 077
cat > "$here/schemathesis.toml" <<CONFIGURATION
[headers]
Authorization = "Bearer $(cat "$key_file")"
X-API-Key = "$(cat "$key_file")"

# A list that is too long may be a body that is too large before it is read.
[checks.negative_data_rejection]
expected-statuses = ["400", "401", "403", "404", "405", "406", "409", "413", "415", "422", "428", "429", "5xx"]
CONFIGURATION

checks=not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance
checks=$checks,response_schema_conformance,unsupported_method,allow_header_conformance,use_after_free
checks=$checks,ensure_resource_availability,ignored_auth,negative_data_rejection

run() {
    schemathesis --config-file "$here/schemathesis.toml" run "$url/docs/openapi.json" \
        --checks "$checks" --continue-on-failure --max-time "$seconds" --request-timeout 20 ${seed:+--seed "$seed"} \
        --exclude-operation-id delete-api-key --exclude-operation-id update-api-key \
        --exclude-operation-id patch-api-key --exclude-operation-id rotate-key-api-key "$@"
}

run

# Once more with ids of resources that are there, so that bodies reach the rules behind the 404. What would delete them
# is left out.
post() {
    curl -fsS -K - -H 'Content-Type: application/json' -d "$2" "$url/api/v1/$1" <<HEADER
header = "Authorization: Bearer $(cat "$key_file")"
HEADER
}
id_of() { python3 -c 'import json, sys; print(json.load(sys.stdin)["id"])'; }

stack=$(post stacks "{\"name\": \"schema-$$\"}" | id_of)
service=$(post "stacks/$stack/services" \
    '{"name": "web", "git_url": "http://127.0.0.1:1/web.git", "run_command": "run"}' | id_of)
deployment=$(post "services/$service/deploy" '{}' | id_of) || deployment=none
region=$(post regions "{\"name\": \"schema-$$\"}" | id_of)
cluster=$(post "regions/$region/clusters" '{"name": "schema-a"}' | id_of)
shard=$(post "clusters/$cluster/shards" '{"name": "web-1", "role": "web"}' | id_of)
node=$(post "clusters/$cluster/nodes" "{\"hostname\": \"web-1.example.org\", \"roles\": [\"web\"]}" | id_of)
lb=$(post "clusters/$cluster/lb-addresses" '{"address": "192.0.2.10"}' | id_of)
runtime=$(post "clusters/$cluster/runtimes" '{"runtime": "php", "version": "8.4"}' | id_of)
brand=$(post brands "{\"name\": \"schema-$$\", \"base_hostname\": \"example.org\", \"primary_ns\": \"ns1.example.org\",
    \"secondary_ns\": \"ns2.example.org\", \"hostmaster_email\": \"hostmaster@example.org\"}" | id_of)
tenant=$(post tenants "{\"brand_id\": \"$brand\", \"region_id\": \"$region\", \"cluster_id\": \"$cluster\",
    \"shard_id\": \"$shard\"}" | id_of)
zone=$(post zones "{\"name\": \"schema-$$.example.org\", \"tenant_id\": \"$tenant\"}" | id_of)
record=$(post "zones/$zone/records" '{"type": "A", "name": "www", "content": "192.0.2.1"}' | id_of)
fqdn=$(post "tenants/$tenant/fqdns" "{\"fqdn\": \"www.schema-$$.example.org\"}" | id_of)
user=$(post users "{\"email\": \"schema-$$@example.org\"}" | id_of)
for pair in "stacks $stack" "services $service" "deployments $deployment" "users $user" \
    "regions $region" "clusters $cluster" "shards $shard" "nodes $node" "lb-addresses $lb" "runtimes $runtime" \
    "brands $brand" "tenants $tenant" "zones $zone" "zone-records $record" "fqdns $fqdn"; do
    cat >> "$here/schemathesis.toml" <<CONFIGURATION

[[operations]]
include-path-regex = "^/api/v1/${pair% *}/"
parameters = { id = "${pair#* }" }
CONFIGURATION
done
run --phases examples,coverage,fuzzing --exclude-operation-id delete-stack --exclude-operation-id delete-service \
    --exclude-operation-id delete-user --exclude-operation-id delete-zone \
    --exclude-operation-id delete-zone-record --exclude-operation-id delete-fqdn --exclude-operation-id delete-tenant --exclude-operation-id delete-node \
    --exclude-operation-id delete-lb-address --exclude-operation-id delete-runtime \
    --exclude-operation-id delete-runtime-by-key --exclude-operation-id delete-shard
