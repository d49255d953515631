{{- define "kuscia.errors.lite" -}}
{{- $values := .Values -}}
{{- include "kuscia.check.node" . }}
{{- include "kuscia.check.endpoint" (dict
  "ctx" . "path" "lite.master.endpoint" "value" $values.master.endpoint
  "example" "lite.master.endpoint: https://kuscia-master.kuscia-master.svc.cluster.local:1080") }}
{{- include "kuscia.check.otherGateway" (dict "path" "lite.master.endpoint" "value" $values.master.endpoint
  "own" (include "kuscia.host" .) "rule" "must be the gateway of the master, not of this lite"
  "example" "lite.master.endpoint: https://kuscia-master.kuscia-master.svc.cluster.local:1080") }}
{{- include "kuscia.check.oneOf" (dict
  "path" "lite.runtime" "value" $values.runtime "allowed" (list "runk" "runp" "runc")
  "example" "lite.runtime: runk") }}
{{- include "kuscia.check.runtime" $values }}
{{- include "kuscia.check.capacity" $values }}
{{- if eq (toString $values.runtime) "runk" }}
{{- include "kuscia.check.enginePods" $values.runk }}
{{- end }}
{{- include "kuscia.check.data" (set (omit $values) "ctx" .) }}
{{- end -}}

{{- define "kuscia.check.runtime" -}}
{{- if and (eq (toString .runtime) "runc") (not .runc.privileged) }}
{{- include "kuscia.error" (dict "id" "runc-requires-privileged" "path" "lite.runc.privileged" "value" (toJson .runc.privileged)
  "rule" "must be true for runtime runc, which requires a privileged container; runk and runp do not"
  "example" "lite.runc.privileged: true") }}
{{- end }}
{{- if and (eq (toString .runtime) "runc") .rootless }}
{{- include "kuscia.error" (dict "id" "runc-requires-root" "path" "lite.rootless" "value" "true"
  "rule" "must be false for runtime runc, which starts containers as root; runk and runp can run rootless"
  "example" "lite.runtime: runk") }}
{{- end }}
{{- if eq (toString .runtime) "runk" }}
{{- include "kuscia.check.mapping" (dict "path" "lite.extraConfig.runk" "value" (get (.extraConfig | default dict) "runk")
  "example" "lite.extraConfig.runk: {logMaxSize: 512Mi}") }}
{{- end }}
{{- end -}}

{{/* What lite.runk adds to engine pods. Kuscia would reject or drop an invalid value late, without a reason. */}}
{{- define "kuscia.check.enginePods" -}}
{{- $name := "^([A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)$" -}}
{{- $prefix := "^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$" -}}
{{- range $kind := list "podLabels" "podAnnotations" }}
{{- range $key, $value := get $ $kind }}
{{- $path := printf "lite.runk.%s.%s" $kind $key }}
{{- $parts := splitList "/" $key }}
{{- $example := printf "lite.runk.%s: {example.com/team: risk}" $kind }}
{{- if hasPrefix "kuscia.secretflow/" $key }}
{{- include "kuscia.error" (dict "id" "reserved-engine-pod-key" "path" $path "value" (toJson $value)
  "rule" "must not start with kuscia.secretflow/, the prefix of the keys that Kuscia sets on engine pods" "example" $example) }}
{{- else if or (gt (len $parts) 2) (not (regexMatch $name (last $parts))) (not (or (eq (len $parts) 1) (regexMatch $prefix (first $parts)))) }}
{{- include "kuscia.error" (dict "id" "invalid-metadata-key" "path" $path "value" (toJson $value)
  "rule" "must have a key of the form [prefix/]name, the name with at most 63 letters, digits, '-', '_' or '.'" "example" $example) }}
{{- end }}
{{- if and (eq $kind "podLabels") (not (and (kindIs "string" $value) (or (not $value) (regexMatch $name (toString $value))))) }}
{{- include "kuscia.error" (dict "id" "invalid-label-value" "path" $path "value" (toJson $value)
  "rule" "must be text of at most 63 letters, digits, '-', '_' or '.'; quote a value that looks like a number" "example" $example) }}
{{- end }}
{{- end }}
{{- end }}
{{- $example := "lite.runk.affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{matchExpressions: [{key: pool, operator: In, values: [engines]}]}]}}}" -}}
{{- include "kuscia.check.mapping" (dict "path" "lite.runk.affinity" "value" .affinity "example" $example) }}
{{- if kindIs "map" .affinity }}
{{- range $key, $value := .affinity }}
{{- if not (and (has $key (list "nodeAffinity" "podAffinity" "podAntiAffinity")) (kindIs "map" $value)) }}
{{- include "kuscia.error" (dict "id" "invalid-affinity" "path" (printf "lite.runk.affinity.%s" $key) "value" (toJson $value)
  "rule" "must be a mapping named nodeAffinity, podAffinity or podAntiAffinity; Kuscia drops everything else" "example" $example) }}
{{- end }}
{{- end }}
{{- end }}
{{- if and .runtimeClassName (not (regexMatch $prefix .runtimeClassName)) }}
{{- include "kuscia.error" (dict "id" "invalid-runtime-class" "path" "lite.runk.runtimeClassName" "value" (toJson .runtimeClassName)
  "rule" "must be the name of a RuntimeClass" "example" "lite.runk.runtimeClassName: kata") }}
{{- end }}
{{- end -}}

{{/* RunK cannot measure a capacity itself, so it has to be set (Kuscia facts 0.19). */}}
{{- define "kuscia.check.capacity" -}}
{{- $capacity := .capacity | default dict -}}
{{- $example := "lite.capacity: {cpu: \"4\", memory: 8Gi, storage: 100Gi, pods: \"500\"}" -}}
{{- range $key, $amount := dict "cpu" "\"4\"" "memory" "8Gi" "storage" "100Gi" }}
{{- $value := get $capacity $key }}
{{- if and (eq (toString $.runtime) "runk") (or (kindIs "invalid" $value) (eq (toString $value) "")) }}
{{- include "kuscia.error" (dict "id" "runk-requires-capacity" "path" (printf "lite.capacity.%s" $key) "value" ($value | default nil | toJson)
  "rule" "must be set for runtime runk, which requires cpu, memory and storage"
  "example" (printf "lite.capacity.%s: %s" $key $amount)) }}
{{- end }}
{{- end }}
{{- range $key, $value := $capacity }}
{{- if not (or (kindIs "invalid" $value) (regexMatch "^([0-9]+(\\.[0-9]+)?(m|k|Ki|M|Mi|G|Gi|T|Ti)?)?$" (include "kuscia.number" $value))) }}
{{- include "kuscia.error" (dict "id" "invalid-quantity" "path" (printf "lite.capacity.%s" $key) "value" (toJson $value)
  "rule" "must be a Kubernetes quantity" "example" $example) }}
{{- else if and (has $key (list "cpu" "memory" "storage")) (regexMatch "^[0.]+[A-Za-z]*$" (include "kuscia.number" $value)) }}
{{- include "kuscia.error" (dict "id" "zero-capacity" "path" (printf "lite.capacity.%s" $key) "value" (toJson $value)
  "rule" "must be greater than zero" "example" $example) }}
{{- end }}
{{- end }}
{{- end -}}

{{/* lite.data. Takes the values of the lite, and its context as `ctx`. */}}
{{- define "kuscia.check.data" -}}
{{- $data := .data -}}
{{- $source := $data.source | default dict -}}
{{- $ids := list -}}
{{- $uris := list -}}
{{- range $i, $table := $data.tables }}
{{- $path := printf "lite.data.tables[%d]" $i }}
{{- include "kuscia.check.name" (dict "path" (printf "%s.id" $path) "value" $table.id "example" (printf "%s.id: alice-table" $path)) }}
{{- if and $table.id (has $table.id $ids) }}
{{- include "kuscia.error" (dict "id" "duplicate-table-id" "path" (printf "%s.id" $path) "value" (toJson $table.id)
  "rule" "must be unique among the tables" "example" (printf "%s.id: alice-table-2" $path)) }}
{{- end }}
{{- $ids = append $ids $table.id }}
{{- include "kuscia.check.given" (dict "path" (printf "%s.relativeUri" $path) "value" $table.relativeUri
  "rule" "must be set to the path of the table in the data source" "example" (printf "%s.relativeUri: alice.csv" $path)) }}
{{- if has ".." (splitList "/" (toString $table.relativeUri)) }}
{{- include "kuscia.error" (dict "id" "invalid-relative-uri" "path" (printf "%s.relativeUri" $path) "value" (toJson $table.relativeUri)
  "rule" "must be a path in the data source without '..'" "example" (printf "%s.relativeUri: tables/alice.csv" $path)) }}
{{- end }}
{{- include "kuscia.check.columns" (dict "path" $path "table" $table) }}
{{- include "kuscia.check.content" (dict "path" $path "table" $table) }}
{{- if include "kuscia.contentKeys" $table | fromJsonArray }}
{{- $uri := clean (printf "/%v" $table.relativeUri) }}
{{- if has $uri $uris }}
{{- include "kuscia.error" (dict "id" "duplicate-relative-uri" "path" (printf "%s.relativeUri" $path) "value" (toJson $table.relativeUri)
  "rule" "must be unique among the tables with content; another table would overwrite the file" "example" (printf "%s.relativeUri: %s.csv" $path $table.id)) }}
{{- end }}
{{- $uris = append $uris $uri }}
{{- end }}
{{- end }}
{{- $example := "lite.data.grants: [{table: alice-table, domain: bob}]" }}
{{- $granted := dict }}
{{- range $i, $grant := $data.grants }}
{{- $path := printf "lite.data.grants[%d]" $i }}
{{- /* The ID of a grant in Kuscia: two grants with one ID would replace each other. */}}
{{- $id := printf "%v-%v" $grant.table $grant.domain }}
{{- $pair := printf "%v to %v" $grant.table $grant.domain }}
{{- $other := get $granted $id | default $pair }}
{{- if ne $other $pair }}
{{- include "kuscia.error" (dict "id" "ambiguous-grants" "path" $path "value" (toJson $grant)
  "rule" (printf "must not have the same ID %s as the grant of %s" $id $other) "example" "rename one of the tables") }}
{{- end }}
{{- $_ := set $granted $id $pair }}
{{- if not (has $grant.table $ids) }}
{{- include "kuscia.error" (dict "id" "unknown-table" "path" (printf "%s.table" $path) "value" (toJson $grant.table)
  "rule" "must be the ID of a table in lite.data.tables" "example" $example) }}
{{- end }}
{{- include "kuscia.check.domainId" (dict "path" (printf "%s.domain" $path) "value" $grant.domain "example" $example) }}
{{- if eq (toString $grant.domain) (toString $.domainId) }}
{{- include "kuscia.error" (dict "id" "grant-to-own-domain" "path" (printf "%s.domain" $path) "value" (toJson $grant.domain)
  "rule" "must be a different domain; this domain can use its own tables without a grant" "example" $example) }}
{{- end }}
{{- end }}
{{- if or $data.tables $data.prune }}
{{- include "kuscia.check.dataSource" (dict "ctx" .ctx "source" $source "runtime" .runtime "mounts" .extraVolumeMounts "tables" $data.tables) }}
{{- end }}
{{- end -}}

{{/* The keys of a table that say where its content comes from, as JSON. */}}
{{- define "kuscia.contentKeys" -}}
{{- $given := list -}}
{{- range $key := list "example" "url" "claim" -}}
{{- if get $ $key -}}{{- $given = append $given $key -}}{{- end -}}
{{- end -}}
{{- toJson $given -}}
{{- end -}}

{{/* The columns of a table: {path, table}. */}}
{{- define "kuscia.check.columns" -}}
{{- $table := .table -}}
{{- $path := .path -}}
{{- $types := $table.columnTypes | default dict -}}
{{- if and $table.columns $types }}
{{- include "kuscia.error" (dict "id" "columns-and-column-types" "path" (printf "%s.columnTypes" $path) "value" (toJson $types)
  "rule" "must not be set together with columns"
  "example" (printf "%s.columnTypes: {id1: str, \"*\": float}" $path)) }}
{{- else if not (or $table.columns $types) }}
{{- include "kuscia.error" (dict "id" "columns-missing" "path" (printf "%s.columns" $path) "value" (toJson $table.columns)
  "rule" "must be set unless columnTypes is set; Kuscia requires the columns of each table"
  "example" (printf "%s.columns: [{name: id1, type: str}, {name: age, type: float}], or columnTypes: {id1: str, \"*\": float}" $path)) }}
{{- end }}
{{- range $name := list "true" "false" }}
{{- if hasKey $types $name }}
{{- include "kuscia.error" (dict "id" "column-name-not-text" "path" (printf "%s.columnTypes" $path) "value" (toJson $types)
  "rule" (printf "must have column names as text; quote y, n, yes, no, on and off, which YAML reads as true or false (here %s)" $name)
  "example" (printf "%s.columnTypes: {id1: str, \"y\": int}" $path)) }}
{{- end }}
{{- end }}
{{- if and $types (not (hasSuffix ".csv" (lower (toString $table.relativeUri)))) }}
{{- include "kuscia.error" (dict "id" "column-types-require-csv" "path" (printf "%s.columnTypes" $path) "value" (toJson $types)
  "rule" "must not be set unless relativeUri ends in .csv, since only a CSV file has a header; use columns"
  "example" (printf "%s.columns: [{name: id1, type: str}]" $path)) }}
{{- end }}
{{- end -}}

{{/* Where the content of a table comes from: {path, table}. The message does not repeat the secrets in a URL. */}}
{{- define "kuscia.check.content" -}}
{{- $table := .table -}}
{{- $path := .path -}}
{{- $given := include "kuscia.contentKeys" $table | fromJsonArray -}}
{{- if gt (len $given) 1 }}
{{- include "kuscia.error" (dict "id" "several-content-sources" "path" $path "value" (toJson $given)
  "rule" "must have at most one of example, url and claim"
  "example" (printf "%s.url: https://files.example.com/alice.csv" $path)) }}
{{- end }}
{{- $withSecret := printf "%s: {url: https://files.example.com/alice.csv, urlSecret: alice-files}" $path }}
{{- with $table.url }}
{{- if regexMatch "^[A-Za-z]*:?//[^/?#]*@" . }}
{{- include "kuscia.error" (dict "id" "url-with-credentials" "path" (printf "%s.url" $path) "value" "(not shown)"
  "rule" "must not have a user or password; put them into the keys `username` and `password` of the Secret urlSecret"
  "example" $withSecret) }}
{{- else if not (regexMatch "^https?://[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:[0-9]{1,5})?(/[^\\s#]*)?$" .) }}
{{- include "kuscia.error" (dict "id" "invalid-url" "path" (printf "%s.url" $path) "value" "(not shown)"
  "rule" "must have the form http(s)://host[:port]/path"
  "example" $withSecret) }}
{{- else if regexMatch "(?i)[?&](x-amz-(signature|credential|security-token)|x-(oss|goog|obs|cos)-signature|q-signature|signature|sig|(access_?|auth_?|private_?|id_?|security-)?token|api_?-?key|password|passwd|pwd|secret)=" . }}
{{- include "kuscia.error" (dict "id" "signed-url" "path" (printf "%s.url" $path) "value" "(not shown)"
  "rule" "must not be signed, since a signature is a credential; put the part after '?' into the key `query` of the Secret urlSecret"
  "example" $withSecret) }}
{{- end }}
{{- end }}
{{- if and $table.urlSecret (not $table.url) }}
{{- include "kuscia.error" (dict "id" "url-secret-without-url" "path" (printf "%s.urlSecret" $path) "value" (toJson $table.urlSecret)
  "rule" "must not be set without url" "example" $withSecret) }}
{{- end }}
{{- with $table.claim }}
{{- $example := printf "%s.claim: {name: alice-files, path: exports/alice.csv}" $path }}
{{- if not (and .name (regexMatch "^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$" (toString .name))) }}
{{- include "kuscia.error" (dict "id" "invalid-claim-name" "path" (printf "%s.claim.name" $path) "value" (toJson .name)
  "rule" "must be the name of a PersistentVolumeClaim in this namespace" "example" $example) }}
{{- end }}
{{- if or (not .path) (hasPrefix "/" (toString .path)) (has ".." (splitList "/" (toString .path))) }}
{{- include "kuscia.error" (dict "id" "invalid-claim-path" "path" (printf "%s.claim.path" $path) "value" (toJson .path)
  "rule" "must be the path of the file in the volume, without a leading '/' and without '..'" "example" $example) }}
{{- end }}
{{- end }}
{{- range $key := list "sha256" "size" }}
{{- $value := get $table $key }}
{{- if and $value (not (or $table.url $table.claim)) }}
{{- include "kuscia.error" (dict "id" "nothing-to-verify" "path" (printf "%s.%s" $path $key) "value" (toJson $value)
  "rule" "must not be set without url or claim" "example" (printf "%s.url: https://files.example.com/alice.csv" $path)) }}
{{- end }}
{{- end }}
{{- if and $table.sha256 (not (regexMatch "^[0-9a-f]{64}$" (toString $table.sha256))) }}
{{- include "kuscia.error" (dict "id" "invalid-sha256" "path" (printf "%s.sha256" $path) "value" (toJson $table.sha256)
  "rule" "must be 64 lower-case hexadecimal digits in quotes, as printed by sha256sum"
  "example" (printf "%s.sha256: \"%s\"" $path (sha256sum ""))) }}
{{- end }}
{{- end -}}

{{/* lite.data.source: {source, runtime, mounts, tables, ctx}. */}}
{{- define "kuscia.check.dataSource" -}}
{{- $source := .source -}}
{{- include "kuscia.check.given" (dict "path" "lite.data.source.id" "value" $source.id
  "rule" "must be set when there are tables" "example" "lite.data.source.id: default-data-source") }}
{{- with $source.id }}
{{- include "kuscia.check.name" (dict "path" "lite.data.source.id" "value" . "example" "lite.data.source.id: default-data-source") }}
{{- end }}
{{- include "kuscia.check.oneOf" (dict
  "path" "lite.data.source.type" "value" $source.type "allowed" (list "oss" "localfs")
  "example" "lite.data.source.type: oss") }}
{{- if eq (toString $source.type) "oss" }}
{{- include "kuscia.check.bucket" (set (omit $source) "ctx" .ctx) }}
{{- else if eq (toString $source.type) "localfs" }}
{{- include "kuscia.check.localPath" (dict "path" $source.path "mounts" .mounts) }}
{{- include "kuscia.check.unusedKeys" (dict "source" $source
  "keys" (list "endpoint" "bucket" "prefix" "virtualhost" "version" "storageType" "createBucket" "credentialsSecret")) }}
{{- range $i, $table := .tables }}
{{- if $table.urlSecret }}
{{- include "kuscia.error" (dict "id" "url-secret-with-localfs" "path" (printf "lite.data.tables[%d].urlSecret" $i) "value" (toJson $table.urlSecret)
  "rule" "must not be set for a localfs data source; the init container that downloads the files cannot read this Secret"
  "example" (printf "lite.data.tables[%d].claim: {name: alice-files, path: alice.csv}" $i)) }}
{{- end }}
{{- end }}
{{- if eq (toString .runtime) "runk" }}
{{- include "kuscia.error" (dict "id" "localfs-with-runk" "path" "lite.data.source.type" "value" (toJson $source.type)
  "rule" "must be oss for runtime runk; engine pods cannot read the files of the lite" "example" "lite.data.source.type: oss") }}
{{- end }}
{{- end }}
{{- end -}}

{{/* A data source of type oss. Takes the data source, and the context of the lite as `ctx`. */}}
{{- define "kuscia.check.bucket" -}}
{{- $example := "lite.data.source.endpoint: https://oss.example.com" -}}
{{- include "kuscia.check.endpoint" (dict
  "ctx" .ctx "path" "lite.data.source.endpoint" "value" .endpoint "form" "http(s)://host[:port]" "example" $example) }}
{{- if regexMatch "^https?://[^/]+/+[^/]" (toString .endpoint) }}
{{- include "kuscia.error" (dict "id" "store-endpoint-with-path" "path" "lite.data.source.endpoint" "value" (toJson .endpoint)
  "rule" "must not have a path; set bucket and prefix instead" "example" $example) }}
{{- end }}
{{- include "kuscia.check.addressing" (dict "endpoint" (toString .endpoint) "bucket" (toString .bucket) "virtualhost" (.virtualhost | default false)) }}
{{- include "kuscia.check.given" (dict "path" "lite.data.source.bucket" "value" .bucket
  "rule" "must be set for an oss data source" "example" "lite.data.source.bucket: alice") }}
{{- include "kuscia.check.given" (dict
  "path" "lite.data.source.credentialsSecret.name" "value" (get (.credentialsSecret | default dict) "name")
  "rule" "must be set to a Secret of this namespace with the access key" "example" "lite.data.source.credentialsSecret: {name: alice-oss}") }}
{{- include "kuscia.check.unusedKeys" (dict "source" . "keys" (list "path")) }}
{{- end -}}

{{/*
Whether the bucket is part of the host name or of the path; the steps and the engines must use the same style: {endpoint,
bucket, virtualhost}. These providers reject the path style: Alibaba Cloud, Tencent Cloud, Huawei Cloud, Volcengine.
*/}}
{{- define "kuscia.check.addressing" -}}
{{- $host := regexReplaceAll "^https?://" .endpoint "" | splitList "/" | first | splitList ":" | first | lower -}}
{{- $providers := "(^|\\.)(aliyuncs\\.com|myqcloud\\.com|myhuaweicloud\\.(com|eu)|volces\\.com)$" -}}
{{- if and (not .virtualhost) (regexMatch $providers $host) }}
{{- include "kuscia.error" (dict "id" "store-requires-virtualhost" "path" "lite.data.source.virtualhost" "value" "false"
  "rule" (printf "must be true for %s, which rejects requests with the bucket in the path" $host) "example" "lite.data.source.virtualhost: true") }}
{{- else if and .virtualhost (or (regexMatch "^[0-9.]+$" $host) (contains "." .bucket)) }}
{{- include "kuscia.error" (dict "id" "virtualhost-not-possible" "path" "lite.data.source.virtualhost" "value" "true"
  "rule" "must be false for an IP address and for a bucket with dots in its name, since no host name or certificate fits"
  "example" "lite.data.source.virtualhost: false") }}
{{- end }}
{{- end -}}

{{/* Keys of the other type of data source, which an earlier values file may have set: {source, keys}. */}}
{{- define "kuscia.check.unusedKeys" -}}
{{- $source := .source -}}
{{- range .keys }}
{{- if and (hasKey $source .) (not (kindIs "invalid" (get $source .))) }}
{{- include "kuscia.error" (dict "id" "unused-data-source-key" "path" (printf "lite.data.source.%s" .) "value" (toJson (get $source .))
  "rule" (printf "must not be set for a data source of type %s" $source.type) "example" (printf "lite.data.source.%s: null" .)) }}
{{- end }}
{{- end }}
{{- end -}}

{{/* The path of a localfs data source: {path, mounts}. */}}
{{- define "kuscia.check.localPath" -}}
{{- $path := .path -}}
{{- $example := "lite.data.source.path: /home/kuscia/var/storage/data" -}}
{{- include "kuscia.check.given" (dict "path" "lite.data.source.path" "value" $path
  "rule" "must be set for a localfs data source" "example" $example) }}
{{- if $path }}
{{- $volumes := list "/home/kuscia/var/storage" -}}
{{- range .mounts }}
{{- $volumes = append $volumes (trimSuffix "/" .mountPath) }}
{{- end }}
{{- $on := false -}}
{{- range $volumes }}
{{- $on = or $on (hasPrefix (printf "%s/" .) (printf "%s/" $path)) }}
{{- end }}
{{- if or (not $on) (has ".." (splitList "/" $path)) }}
{{- include "kuscia.error" (dict "id" "path-not-on-volume" "path" "lite.data.source.path" "value" (toJson $path)
  "rule" (printf "must be under a mounted volume (%s)" (join " or " $volumes)) "example" $example) }}
{{- end }}
{{- end }}
{{- end -}}
