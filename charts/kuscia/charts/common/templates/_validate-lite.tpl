{{/* The rules of the lite. Takes its context. */}}
{{- define "kuscia.validate.lite" -}}
{{- $values := .Values -}}
{{- include "kuscia.validate.endpoint" (dict
  "ctx" . "path" "lite.master.endpoint" "value" $values.master.endpoint
  "own" (include "kuscia.host" .) "ownRule" "must be the gateway of the master, not of this lite"
  "example" "lite.master.endpoint: https://kuscia-master.kuscia-master.svc.cluster.local:1080") }}
{{- if eq $values.runtime "runc" }}
{{- if not $values.runc.privileged }}
{{- include "kuscia.error" (dict "id" "runc-requires-privileged" "path" "lite.runc.privileged" "value" (toRawJson $values.runc.privileged)
  "rule" "must be true for runtime runc, which requires a privileged container; runk and runp do not"
  "example" "lite.runc.privileged: true") }}
{{- end }}
{{- if $values.rootless }}
{{- include "kuscia.error" (dict "id" "runc-requires-root" "path" "lite.rootless" "value" "true"
  "rule" "must be false for runtime runc, which starts containers as root; runk and runp can run rootless"
  "example" "lite.runtime: runk") }}
{{- end }}
{{- else if eq $values.runtime "runk" }}
{{- /* RunK cannot measure a capacity itself (Kuscia facts 0.19), and would drop an invalid value late, without a reason. */}}
{{- range $key, $amount := dict "cpu" "\"4\"" "memory" "8Gi" "storage" "100Gi" }}
{{- $value := get ($values.capacity | default dict) $key }}
{{- if or (kindIs "invalid" $value) (eq (toString $value) "") }}
{{- include "kuscia.error" (dict "id" "runk-requires-capacity" "path" (printf "lite.capacity.%s" $key) "value" ($value | default nil | toRawJson)
  "rule" "must be set for runtime runk, which requires cpu, memory and storage"
  "example" (printf "lite.capacity.%s: %s" $key $amount)) }}
{{- end }}
{{- end }}
{{- range $kind := list "podLabels" "podAnnotations" }}
{{- range $key, $value := get $values.runk $kind }}
{{- if hasPrefix "kuscia.secretflow/" $key }}
{{- include "kuscia.error" (dict "id" "reserved-engine-pod-key" "path" (printf "lite.runk.%s.%s" $kind $key) "value" (toRawJson $value)
  "rule" "must not start with kuscia.secretflow/, the prefix of the keys that Kuscia sets on engine pods"
  "example" (printf "lite.runk.%s: {example.com/team: risk}" $kind)) }}
{{- end }}
{{- end }}
{{- end }}
{{- range $key, $value := $values.runk.affinity }}
{{- if not (and (has $key (list "nodeAffinity" "podAffinity" "podAntiAffinity")) (kindIs "map" $value)) }}
{{- include "kuscia.error" (dict "id" "invalid-affinity" "path" (printf "lite.runk.affinity.%s" $key) "value" (toRawJson $value)
  "rule" "must be a mapping named nodeAffinity, podAffinity or podAntiAffinity; Kuscia drops everything else"
  "example" "lite.runk.affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{matchExpressions: [{key: pool, operator: In, values: [engines]}]}]}}}") }}
{{- end }}
{{- end }}
{{- end }}
{{- include "kuscia.validate.data" . }}
{{- end -}}

{{/* The tables, grants and source of lite.data. Takes the context of the lite. */}}
{{- define "kuscia.validate.data" -}}
{{- $data := .Values.data -}}
{{- $ids := list -}}
{{- $uris := list -}}
{{- range $i, $table := $data.tables }}
{{- $path := printf "lite.data.tables[%d]" $i }}
{{- if and $table.id (has $table.id $ids) }}
{{- include "kuscia.error" (dict "id" "duplicate-table-id" "path" (printf "%s.id" $path) "value" (toRawJson $table.id)
  "rule" "must be unique among the tables" "example" (printf "%s.id: alice-table-2" $path)) }}
{{- end }}
{{- $ids = append $ids $table.id }}
{{- $given := list }}
{{- range $key := list "example" "url" "claim" }}
{{- if get $table $key }}{{ $given = append $given $key }}{{ end }}
{{- end }}
{{- $uri := toString $table.relativeUri }}
{{- if or (has ".." (splitList "/" $uri)) (and $given $table.relativeUri (regexMatch "(^|/)[.]?$" $uri)) }}
{{- include "kuscia.error" (dict "id" "invalid-relative-uri" "path" (printf "%s.relativeUri" $path) "value" (toRawJson $table.relativeUri)
  "rule" "must be a path in the data source without '..', and of a file if the table has content" "example" (printf "%s.relativeUri: tables/alice.csv" $path)) }}
{{- end }}
{{- include "kuscia.validate.table" (dict "path" $path "table" $table "given" $given) }}
{{- if and $given $table.relativeUri }}
{{- $uri := clean (printf "/%v" $table.relativeUri) }}
{{- if has $uri $uris }}
{{- include "kuscia.error" (dict "id" "duplicate-relative-uri" "path" (printf "%s.relativeUri" $path) "value" (toRawJson $table.relativeUri)
  "rule" "must be unique among the tables with content; another table would overwrite the file" "example" (printf "%s.relativeUri: %v.csv" $path ($table.id | default "alice-table"))) }}
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
{{- include "kuscia.error" (dict "id" "ambiguous-grants" "path" $path "value" (toRawJson $grant)
  "rule" (printf "must not have the same ID %s as the grant of %s" $id $other) "example" "rename one of the tables") }}
{{- end }}
{{- $_ := set $granted $id $pair }}
{{- if not (has $grant.table $ids) }}
{{- include "kuscia.error" (dict "id" "unknown-table" "path" (printf "%s.table" $path) "value" (toRawJson $grant.table)
  "rule" "must be the ID of a table in lite.data.tables" "example" $example) }}
{{- end }}
{{- if eq (toString $grant.domain) (toString $.Values.domainId) }}
{{- include "kuscia.error" (dict "id" "grant-to-own-domain" "path" (printf "%s.domain" $path) "value" (toRawJson $grant.domain)
  "rule" "must be a different domain; this domain can use its own tables without a grant" "example" $example) }}
{{- end }}
{{- end }}
{{- /* The data source. */}}
{{- if or .Values.data.tables .Values.data.prune }}
{{- $source := .Values.data.source | default dict -}}
{{- $unused := list -}}
{{- include "kuscia.validate.given" (dict "path" "lite.data.source.id" "value" $source.id
  "rule" "must be set when there are tables" "example" "lite.data.source.id: default-data-source") }}
{{- include "kuscia.validate.given" (dict "path" "lite.data.source.type" "value" $source.type
  "rule" "must be oss or localfs when there are tables" "example" "lite.data.source.type: oss") }}
{{- if eq (toString $source.type) "oss" }}
{{- $unused = list "path" }}
{{- with $source }}
{{- $example := "lite.data.source.endpoint: https://oss.example.com" }}
{{- include "kuscia.validate.endpoint" (dict
  "ctx" $ "path" "lite.data.source.endpoint" "value" .endpoint "form" "http(s)://host[:port]" "example" $example) }}
{{- if regexMatch "^https?://[^/]+/+[^/]" (toString .endpoint) }}
{{- include "kuscia.error" (dict "id" "store-endpoint-with-path" "path" "lite.data.source.endpoint" "value" (toRawJson .endpoint)
  "rule" "must not have a path; set bucket and prefix instead" "example" $example) }}
{{- end }}
{{- /* Whether the bucket is part of the host name or of the path; the steps and the engines must use the same style. These
providers reject the path style: Alibaba Cloud, Tencent Cloud, Huawei Cloud, Volcengine. */}}
{{- $host := regexReplaceAll "^https?://" (toString .endpoint) "" | splitList "/" | first | splitList ":" | first | lower }}
{{- $providers := "(^|\\.)(aliyuncs\\.com|myqcloud\\.com|myhuaweicloud\\.(com|eu)|volces\\.com)$" }}
{{- if and (not .virtualhost) (regexMatch $providers $host) }}
{{- include "kuscia.error" (dict "id" "store-requires-virtualhost" "path" "lite.data.source.virtualhost" "value" "false"
  "rule" (printf "must be true for %s, which rejects requests with the bucket in the path" $host) "example" "lite.data.source.virtualhost: true") }}
{{- else if and .virtualhost (or (regexMatch "^[0-9.]+$" $host) (contains "." (toString .bucket))) }}
{{- include "kuscia.error" (dict "id" "virtualhost-not-possible" "path" "lite.data.source.virtualhost" "value" "true"
  "rule" "must be false for an IP address and for a bucket with dots in its name, since no host name or certificate fits"
  "example" "lite.data.source.virtualhost: false") }}
{{- end }}
{{- include "kuscia.validate.given" (dict "path" "lite.data.source.bucket" "value" .bucket
  "rule" "must be set for an oss data source" "example" "lite.data.source.bucket: alice") }}
{{- include "kuscia.validate.given" (dict
  "path" "lite.data.source.credentialsSecret.name" "value" (get (.credentialsSecret | default dict) "name")
  "rule" "must be set to a Secret of this namespace with the access key" "example" "lite.data.source.credentialsSecret: {name: alice-oss}") }}
{{- end }}
{{- else if eq (toString $source.type) "localfs" }}
{{- $path := $source.path }}
{{- $example := "lite.data.source.path: /home/kuscia/var/storage/data" }}
{{- include "kuscia.validate.given" (dict "path" "lite.data.source.path" "value" $path
  "rule" "must be set for a localfs data source" "example" $example) }}
{{- if $path }}
{{- $volumes := list "/home/kuscia/var/storage" }}
{{- range .Values.extraVolumeMounts }}
{{- $volumes = append $volumes (trimSuffix "/" .mountPath) }}
{{- end }}
{{- $on := false }}
{{- range $volumes }}
{{- $on = or $on (hasPrefix (printf "%s/" .) (printf "%s/" $path)) }}
{{- end }}
{{- if or (not $on) (has ".." (splitList "/" $path)) }}
{{- include "kuscia.error" (dict "id" "path-not-on-volume" "path" "lite.data.source.path" "value" (toRawJson $path)
  "rule" (printf "must be under a mounted volume (%s)" (join " or " $volumes)) "example" $example) }}
{{- end }}
{{- end }}
{{- $unused = list "endpoint" "bucket" "prefix" "virtualhost" "version" "storageType" "createBucket" "credentialsSecret" }}
{{- range $i, $table := .Values.data.tables }}
{{- if $table.urlSecret }}
{{- include "kuscia.error" (dict "id" "url-secret-with-localfs" "path" (printf "lite.data.tables[%d].urlSecret" $i) "value" (toRawJson $table.urlSecret)
  "rule" "must not be set for a localfs data source; the init container that downloads the files cannot read this Secret"
  "example" (printf "lite.data.tables[%d].claim: {name: alice-files, path: alice.csv}" $i)) }}
{{- end }}
{{- end }}
{{- if eq (toString .Values.runtime) "runk" }}
{{- include "kuscia.error" (dict "id" "localfs-with-runk" "path" "lite.data.source.type" "value" (toRawJson $source.type)
  "rule" "must be oss for runtime runk; engine pods cannot read the files of the lite" "example" "lite.data.source.type: oss") }}
{{- end }}
{{- end }}
{{- /* Keys of the other type of data source, which an earlier values file may have set. */}}
{{- range $unused }}
{{- if and (hasKey $source .) (not (kindIs "invalid" (get $source .))) }}
{{- include "kuscia.error" (dict "id" "unused-data-source-key" "path" (printf "lite.data.source.%s" .) "value" (toRawJson (get $source .))
  "rule" (printf "must not be set for a data source of type %s" $source.type) "example" (printf "lite.data.source.%s: null" .)) }}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{/*
The columns of a table, and where its content comes from: {path, table, given}; `given` are the keys that name the content. The
message does not repeat the secrets in a URL.
*/}}
{{- define "kuscia.validate.table" -}}
{{- $table := .table -}}
{{- $path := .path -}}
{{- $types := $table.columnTypes | default dict -}}
{{- if and $table.columns $types }}
{{- include "kuscia.error" (dict "id" "columns-and-column-types" "path" (printf "%s.columnTypes" $path) "value" (toRawJson $types)
  "rule" "must not be set together with columns"
  "example" (printf "%s.columnTypes: {id1: str, \"*\": float}" $path)) }}
{{- else if not (or $table.columns $types) }}
{{- include "kuscia.error" (dict "id" "columns-missing" "path" (printf "%s.columns" $path) "value" (toRawJson $table.columns)
  "rule" "must be set unless columnTypes is set; Kuscia requires the columns of each table"
  "example" (printf "%s.columns: [{name: id1, type: str}, {name: age, type: float}], or columnTypes: {id1: str, \"*\": float}" $path)) }}
{{- end }}
{{- range $name := list "true" "false" }}
{{- if hasKey $types $name }}
{{- include "kuscia.error" (dict "id" "column-name-not-text" "path" (printf "%s.columnTypes" $path) "value" (toRawJson $types)
  "rule" (printf "must have column names as text; quote y, n, yes, no, on and off, which YAML reads as true or false (here %s)" $name)
  "example" (printf "%s.columnTypes: {id1: str, \"y\": int}" $path)) }}
{{- end }}
{{- end }}
{{- if and $types (not (hasSuffix ".csv" (lower (toString $table.relativeUri)))) }}
{{- include "kuscia.error" (dict "id" "column-types-require-csv" "path" (printf "%s.columnTypes" $path) "value" (toRawJson $types)
  "rule" "must not be set unless relativeUri ends in .csv, since only a CSV file has a header; use columns"
  "example" (printf "%s.columns: [{name: id1, type: str}]" $path)) }}
{{- end }}
{{- if gt (len .given) 1 }}
{{- include "kuscia.error" (dict "id" "several-content-sources" "path" $path "value" (toRawJson .given)
  "rule" "must have at most one of example, url and claim"
  "example" (printf "%s.url: https://files.example.com/alice.csv" $path)) }}
{{- end }}
{{- $withSecret := printf "%s: {url: https://files.example.com/alice.csv, urlSecret: alice-files}" $path }}
{{- with $table.url }}
{{- if regexMatch "^[A-Za-z]*:?//[^/?#]*@" . }}
{{- include "kuscia.error" (dict "id" "url-with-credentials" "path" (printf "%s.url" $path) "value" "(not shown)"
  "rule" "must not have a user or password; put them into the keys `username` and `password` of the Secret urlSecret"
  "example" $withSecret) }}
{{- else if not (regexMatch "^https?://[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]))?(/[^\\s#]*)?$" .) }}
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
{{- include "kuscia.error" (dict "id" "url-secret-without-url" "path" (printf "%s.urlSecret" $path) "value" (toRawJson $table.urlSecret)
  "rule" "must not be set without url" "example" $withSecret) }}
{{- end }}
{{- with $table.claim }}
{{- if or (not .path) (hasPrefix "/" (toString .path)) (has ".." (splitList "/" (toString .path))) }}
{{- include "kuscia.error" (dict "id" "invalid-claim-path" "path" (printf "%s.claim.path" $path) "value" (toRawJson .path)
  "rule" "must be the path of the file in the volume, without a leading '/' and without '..'"
  "example" (printf "%s.claim: {name: alice-files, path: exports/alice.csv}" $path)) }}
{{- end }}
{{- end }}
{{- range $key := list "sha256" "size" }}
{{- $value := get $table $key }}
{{- if and $value (not (or $table.url $table.claim)) }}
{{- include "kuscia.error" (dict "id" "nothing-to-verify" "path" (printf "%s.%s" $path $key) "value" (toRawJson $value)
  "rule" "must not be set without url or claim" "example" (printf "%s.url: https://files.example.com/alice.csv" $path)) }}
{{- end }}
{{- end }}
{{- end -}}
