{{- define "kuscia.errors.lite" -}}
{{- $values := .Values -}}
{{- include "kuscia.check.node" . }}
{{- include "kuscia.check.endpoint" (dict
  "path" "lite.master.endpoint" "value" $values.master.endpoint
  "example" "lite.master.endpoint: https://kuscia-master.kuscia-master.svc.cluster.local:1080") }}
{{- include "kuscia.check.oneOf" (dict
  "path" "lite.runtime" "value" $values.runtime "allowed" (list "runk" "runp" "runc")
  "rule" "how engines run" "example" "lite.runtime: runk") }}
{{- include "kuscia.check.runtime" $values }}
{{- include "kuscia.check.capacity" $values }}
{{- if eq (toString $values.runtime) "runk" }}
{{- include "kuscia.check.enginePods" $values.runk }}
{{- end }}
{{- include "kuscia.check.data" $values }}
{{- end -}}

{{- define "kuscia.check.runtime" -}}
{{- if and (eq (toString .runtime) "runc") (not .runc.privileged) }}
{{- include "kuscia.error" (dict "path" "lite.runc.privileged" "value" (toJson .runc.privileged)
  "rule" "RunC works in a privileged container only, which has to be said; runk and runp need none"
  "example" "lite.runc.privileged: true") }}
{{- end }}
{{- if and (eq (toString .runtime) "runc") .rootless }}
{{- include "kuscia.error" (dict "path" "lite.rootless" "value" "true"
  "rule" "RunC makes containers inside the lite's own, as root; runk and runp work rootless"
  "example" "lite.runtime: runk") }}
{{- end }}
{{- if eq (toString .runtime) "runk" }}
{{- $extra := get (.extraConfig | default dict) "runk" | default dict }}
{{- if not (kindIs "map" $extra) }}
{{- include "kuscia.error" (dict "path" "lite.extraConfig.runk" "value" (toJson $extra)
  "rule" "runk is a block" "example" "lite.extraConfig.runk: {logMaxSize: 512Mi}") }}
{{- end }}
{{- end }}
{{- end -}}

{{/* What lite.runk adds to engine pods: a job would fail late, and not say why. */}}
{{- define "kuscia.check.enginePods" -}}
{{- $name := "^([A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)$" -}}
{{- $prefix := "^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$" -}}
{{- range $kind := list "podLabels" "podAnnotations" }}
{{- range $key, $value := get $ $kind }}
{{- $path := printf "lite.runk.%s.%s" $kind $key }}
{{- $parts := splitList "/" $key }}
{{- $example := printf "lite.runk.%s: {example.com/team: risk}" $kind }}
{{- if hasPrefix "kuscia.secretflow/" $key }}
{{- include "kuscia.error" (dict "path" $path "value" (toJson $value)
  "rule" "Kuscia finds its engine pods by what it keeps under kuscia.secretflow/" "example" $example) }}
{{- else if or (gt (len $parts) 2) (not (regexMatch $name (last $parts))) (not (or (eq (len $parts) 1) (regexMatch $prefix (first $parts)))) }}
{{- include "kuscia.error" (dict "path" $path "value" (toJson $value)
  "rule" "a key is [prefix/]name, the name with at most 63 letters, digits, '-', '_' and '.'" "example" $example) }}
{{- end }}
{{- if and (eq $kind "podLabels") (not (and (kindIs "string" $value) (or (not $value) (regexMatch $name (toString $value))))) }}
{{- include "kuscia.error" (dict "path" $path "value" (toJson $value)
  "rule" "a label is text of at most 63 letters, digits, '-', '_' and '.'; quote what looks like a number" "example" $example) }}
{{- end }}
{{- end }}
{{- end }}
{{- $example := "lite.runk.affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{matchExpressions: [{key: pool, operator: In, values: [engines]}]}]}}}" -}}
{{- if not (kindIs "map" (.affinity | default dict)) }}
{{- include "kuscia.error" (dict "path" "lite.runk.affinity" "value" (toJson .affinity) "rule" "a pod's affinity is a block" "example" $example) }}
{{- else }}
{{- range $key, $value := .affinity }}
{{- if not (and (has $key (list "nodeAffinity" "podAffinity" "podAntiAffinity")) (kindIs "map" $value)) }}
{{- include "kuscia.error" (dict "path" (printf "lite.runk.affinity.%s" $key) "value" (toJson $value)
  "rule" "an affinity has the blocks nodeAffinity, podAffinity and podAntiAffinity; Kuscia drops what it does not know" "example" $example) }}
{{- end }}
{{- end }}
{{- end }}
{{- if and .runtimeClassName (not (regexMatch $prefix .runtimeClassName)) }}
{{- include "kuscia.error" (dict "path" "lite.runk.runtimeClassName" "value" (toJson .runtimeClassName)
  "rule" "the name of a RuntimeClass of the cluster" "example" "lite.runk.runtimeClassName: kata") }}
{{- end }}
{{- end -}}

{{/* RunK has no machine of its own to measure (Kuscia facts 0.19). */}}
{{- define "kuscia.check.capacity" -}}
{{- $capacity := .capacity | default dict -}}
{{- range $key, $example := dict "cpu" "\"4\"" "memory" "8Gi" "storage" "100Gi" }}
{{- $value := get $capacity $key }}
{{- if and (eq (toString $.runtime) "runk") (or (kindIs "invalid" $value) (eq (toString $value) "")) }}
{{- include "kuscia.error" (dict "path" (printf "lite.capacity.%s" $key) "value" ($value | default nil | toJson)
  "rule" "RunK needs cpu, memory and storage: what engines may use" "example" (printf "lite.capacity.%s: %s" $key $example)) }}
{{- end }}
{{- end }}
{{- range $key, $value := $capacity }}
{{- if not (or (kindIs "invalid" $value) (regexMatch "^([0-9]+(\\.[0-9]+)?(m|k|Ki|M|Mi|G|Gi|T|Ti)?)?$" (include "kuscia.number" $value))) }}
{{- include "kuscia.error" (dict "path" (printf "lite.capacity.%s" $key) "value" (toJson $value)
  "rule" "an amount as Kubernetes writes it" "example" "lite.capacity: {cpu: \"4\", memory: 8Gi, storage: 100Gi, pods: \"500\"}") }}
{{- else if and (has $key (list "cpu" "memory" "storage")) (regexMatch "^[0.]+[A-Za-z]*$" (include "kuscia.number" $value)) }}
{{- include "kuscia.error" (dict "path" (printf "lite.capacity.%s" $key) "value" (toJson $value)
  "rule" "more than nothing, or no engine ever starts" "example" "lite.capacity: {cpu: \"4\", memory: 8Gi, storage: 100Gi, pods: \"500\"}") }}
{{- end }}
{{- end }}
{{- end -}}

{{/* lite.data; takes the lite's values. */}}
{{- define "kuscia.check.data" -}}
{{- $data := .data -}}
{{- $source := $data.source | default dict -}}
{{- $ids := list -}}
{{- $uris := list -}}
{{- range $i, $table := $data.tables }}
{{- $path := printf "lite.data.tables[%d]" $i }}
{{- if not (regexMatch "^[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?$" (toString $table.id)) }}
{{- include "kuscia.error" (dict "path" (printf "%s.id" $path) "value" (toJson $table.id)
  "rule" "an ID has 1 to 63 lower-case letters, digits, '.' and '-', and begins and ends with a letter or digit"
  "example" (printf "%s.id: alice-table" $path)) }}
{{- else if has $table.id $ids }}
{{- include "kuscia.error" (dict "path" (printf "%s.id" $path) "value" (toJson $table.id)
  "rule" "the ID of a table occurs once" "example" (printf "%s.id: alice-table-2" $path)) }}
{{- end }}
{{- $ids = append $ids $table.id }}
{{- if not $table.relativeUri }}
{{- include "kuscia.error" (dict "path" (printf "%s.relativeUri" $path) "value" (toJson $table.relativeUri)
  "rule" "where the table lies below the data source" "example" (printf "%s.relativeUri: alice.csv" $path)) }}
{{- else if has ".." (splitList "/" $table.relativeUri) }}
{{- include "kuscia.error" (dict "path" (printf "%s.relativeUri" $path) "value" (toJson $table.relativeUri)
  "rule" "a path below the data source, without '..'" "example" (printf "%s.relativeUri: tables/alice.csv" $path)) }}
{{- end }}
{{- include "kuscia.check.columns" (dict "path" $path "table" $table) }}
{{- include "kuscia.check.content" (dict "path" $path "table" $table) }}
{{- if include "kuscia.contentKeys" $table | fromJsonArray }}
{{- $uri := trimPrefix "/" (toString $table.relativeUri) }}
{{- if has $uri $uris }}
{{- include "kuscia.error" (dict "path" (printf "%s.relativeUri" $path) "value" (toJson $table.relativeUri)
  "rule" "another table's content is put there" "example" (printf "%s.relativeUri: %s.csv" $path $table.id)) }}
{{- end }}
{{- $uris = append $uris $uri }}
{{- end }}
{{- end }}
{{- range $i, $grant := $data.grants }}
{{- $path := printf "lite.data.grants[%d]" $i }}
{{- if not (has $grant.table $ids) }}
{{- include "kuscia.error" (dict "path" (printf "%s.table" $path) "value" (toJson $grant.table)
  "rule" "a grant is about one of lite.data.tables" "example" "lite.data.grants: [{table: alice-table, domain: bob}]") }}
{{- end }}
{{- include "kuscia.check.domainId" (dict "path" (printf "%s.domain" $path) "value" $grant.domain
  "example" "lite.data.grants: [{table: alice-table, domain: bob}]") }}
{{- if eq (toString $grant.domain) (toString $.domainId) }}
{{- include "kuscia.error" (dict "path" (printf "%s.domain" $path) "value" (toJson $grant.domain)
  "rule" "a grant is for another domain; this one may use its tables anyway" "example" "lite.data.grants: [{table: alice-table, domain: bob}]") }}
{{- end }}
{{- end }}
{{- if or $data.tables $data.prune }}
{{- include "kuscia.check.dataSource" (dict "source" $source "runtime" .runtime "mounts" .extraVolumeMounts "tables" $data.tables) }}
{{- end }}
{{- end -}}

{{/* Which keys of a table say where its content comes from, as JSON. */}}
{{- define "kuscia.contentKeys" -}}
{{- $given := list -}}
{{- range $key := list "example" "url" "claim" -}}
{{- if get $ $key -}}{{- $given = append $given $key -}}{{- end -}}
{{- end -}}
{{- toJson $given -}}
{{- end -}}

{{/* {path, table} */}}
{{- define "kuscia.check.columns" -}}
{{- $table := .table -}}
{{- $path := .path -}}
{{- $types := $table.columnTypes | default dict -}}
{{- if and $table.columns $types }}
{{- include "kuscia.error" (dict "path" (printf "%s.columnTypes" $path) "value" (toJson $types)
  "rule" "either the columns one by one, or the types for those of the file's header"
  "example" (printf "%s.columnTypes: {id1: str, \"*\": float}" $path)) }}
{{- else if not (or $table.columns $types) }}
{{- include "kuscia.error" (dict "path" (printf "%s.columns" $path) "value" (toJson $table.columns)
  "rule" "Kuscia has to be told the columns, or the types for those of the file's header"
  "example" (printf "%s.columns: [{name: id1, type: str}, {name: age, type: float}], or columnTypes: {id1: str, \"*\": float}" $path)) }}
{{- end }}
{{- range $name := list "true" "false" }}
{{- if hasKey $types $name }}
{{- include "kuscia.error" (dict "path" (printf "%s.columnTypes" $path) "value" (toJson $types)
  "rule" (printf "YAML takes names such as y, n, yes, no, on and off for true and false, as it did with %q here; quote them" $name)
  "example" (printf "%s.columnTypes: {id1: str, \"y\": int}" $path)) }}
{{- end }}
{{- end }}
{{- if and $types (not (hasSuffix ".csv" (lower (toString $table.relativeUri)))) }}
{{- include "kuscia.error" (dict "path" (printf "%s.columnTypes" $path) "value" (toJson $types)
  "rule" "only the header of a CSV file can be read, whose relativeUri ends in .csv; list the columns of others"
  "example" (printf "%s.columns: [{name: id1, type: str}]" $path)) }}
{{- end }}
{{- end -}}

{{/* Where a table's content comes from: {path, table}. What is secret in a URL is not repeated. */}}
{{- define "kuscia.check.content" -}}
{{- $table := .table -}}
{{- $path := .path -}}
{{- $given := include "kuscia.contentKeys" $table | fromJsonArray -}}
{{- if gt (len $given) 1 }}
{{- include "kuscia.error" (dict "path" $path "value" (toJson $given)
  "rule" "the content comes from one place, or is in the data source already"
  "example" (printf "%s.url: https://files.example.com/alice.csv" $path)) }}
{{- end }}
{{- with $table.url }}
{{- if not (regexMatch "^https?://[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:[0-9]{1,5})?(/[^\\s#]*)?$" .) }}
{{- include "kuscia.error" (dict "path" (printf "%s.url" $path) "value" "(not shown)"
  "rule" "a URL is http(s)://host[:port]/path; a user and a password go into the Secret that urlSecret names"
  "example" (printf "%s: {url: https://files.example.com/alice.csv, urlSecret: alice-files}" $path)) }}
{{- else if regexMatch "(?i)[?&](x-amz-signature|signature|sig|token|access_token|x-oss-signature|x-goog-signature)=" . }}
{{- include "kuscia.error" (dict "path" (printf "%s.url" $path) "value" "(not shown)"
  "rule" "a signed URL is a credential: what follows its question mark goes into the key `query` of the Secret that urlSecret names"
  "example" (printf "%s: {url: https://files.example.com/alice.csv, urlSecret: alice-files}" $path)) }}
{{- end }}
{{- end }}
{{- if and $table.urlSecret (not $table.url) }}
{{- include "kuscia.error" (dict "path" (printf "%s.urlSecret" $path) "value" (toJson $table.urlSecret)
  "rule" "it holds what the server of `url` asks for" "example" (printf "%s.url: https://files.example.com/alice.csv" $path)) }}
{{- end }}
{{- with $table.claim }}
{{- if not (and .name (regexMatch "^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$" (toString .name))) }}
{{- include "kuscia.error" (dict "path" (printf "%s.claim.name" $path) "value" (toJson .name)
  "rule" "a PersistentVolumeClaim of this namespace" "example" (printf "%s.claim: {name: alice-files, path: exports/alice.csv}" $path)) }}
{{- end }}
{{- if or (not .path) (hasPrefix "/" (toString .path)) (has ".." (splitList "/" (toString .path))) }}
{{- include "kuscia.error" (dict "path" (printf "%s.claim.path" $path) "value" (toJson .path)
  "rule" "where the file lies in the volume, without a leading slash and without '..'"
  "example" (printf "%s.claim: {name: alice-files, path: exports/alice.csv}" $path)) }}
{{- end }}
{{- end }}
{{- range $key := list "sha256" "size" }}
{{- $value := get $table $key }}
{{- if and $value (not (or $table.url $table.claim)) }}
{{- include "kuscia.error" (dict "path" (printf "%s.%s" $path $key) "value" (toJson $value)
  "rule" "checked of what a url or a claim brings" "example" (printf "%s.url: https://files.example.com/alice.csv" $path)) }}
{{- end }}
{{- end }}
{{- if and $table.sha256 (not (regexMatch "^[0-9a-f]{64}$" (toString $table.sha256))) }}
{{- include "kuscia.error" (dict "path" (printf "%s.sha256" $path) "value" (toJson $table.sha256)
  "rule" "64 lower-case hex digits, as sha256sum prints them; quoted"
  "example" (printf "%s.sha256: \"%s\"" $path (sha256sum "" ))) }}
{{- end }}
{{- end -}}

{{/* {source, runtime, mounts, tables} */}}
{{- define "kuscia.check.dataSource" -}}
{{- $source := .source -}}
{{- include "kuscia.check.given" (dict "path" "lite.data.source.id" "value" $source.id
  "rule" "tables lie in a data source, which has an ID" "example" "lite.data.source.id: default-data-source") }}
{{- if and $source.id (not (regexMatch "^[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?$" (toString $source.id))) }}
{{- include "kuscia.error" (dict "path" "lite.data.source.id" "value" (toJson $source.id)
  "rule" "an ID has 1 to 63 lower-case letters, digits, '.' and '-', and begins and ends with a letter or digit"
  "example" "lite.data.source.id: default-data-source") }}
{{- end }}
{{- include "kuscia.check.oneOf" (dict
  "path" "lite.data.source.type" "value" $source.type "allowed" (list "oss" "localfs")
  "rule" "the kind of data source" "example" "lite.data.source.type: oss") }}
{{- if eq (toString $source.type) "oss" }}
{{- include "kuscia.check.endpoint" (dict
  "path" "lite.data.source.endpoint" "value" $source.endpoint "form" "http(s)://host[:port]"
  "example" "lite.data.source.endpoint: https://oss.example.com") }}
{{- if regexMatch "^https?://[^/]+/+[^/]" (toString $source.endpoint) }}
{{- include "kuscia.error" (dict "path" "lite.data.source.endpoint" "value" (toJson $source.endpoint)
  "rule" "the endpoint of a store has no path: bucket and prefix are values of their own" "example" "lite.data.source.endpoint: https://oss.example.com") }}
{{- end }}
{{- include "kuscia.check.given" (dict "path" "lite.data.source.bucket" "value" $source.bucket
  "rule" "an OSS data source needs a bucket" "example" "lite.data.source.bucket: alice") }}
{{- include "kuscia.check.given" (dict
  "path" "lite.data.source.credentialsSecret.name" "value" (get ($source.credentialsSecret | default dict) "name")
  "rule" "the Secret of this namespace with the access key" "example" "lite.data.source.credentialsSecret: {name: alice-oss}") }}
{{- include "kuscia.check.otherSource" (dict "source" $source "keys" (list "path")) }}
{{- else if eq (toString $source.type) "localfs" }}
{{- include "kuscia.check.localPath" (dict "path" $source.path "mounts" .mounts) }}
{{- include "kuscia.check.otherSource" (dict "source" $source
  "keys" (list "endpoint" "bucket" "prefix" "virtualhost" "version" "storageType" "createBucket" "credentialsSecret")) }}
{{- range $i, $table := .tables }}
{{- if $table.urlSecret }}
{{- include "kuscia.error" (dict "path" (printf "lite.data.tables[%d].urlSecret" $i) "value" (toJson $table.urlSecret)
  "rule" "files of the lite's own are fetched by its init container, which reads no Secrets of yours"
  "example" (printf "lite.data.tables[%d].claim: {name: alice-files, path: alice.csv}" $i)) }}
{{- end }}
{{- end }}
{{- if eq (toString .runtime) "runk" }}
{{- include "kuscia.error" (dict "path" "lite.data.source.type" "value" (toJson $source.type)
  "rule" "RunK's engines run in pods of their own and cannot see files of the lite" "example" "lite.data.source.type: oss") }}
{{- end }}
{{- end }}
{{- end -}}

{{/* Keys of the other kind of data source, which a preset below may have left: {source, keys} */}}
{{- define "kuscia.check.otherSource" -}}
{{- $source := .source -}}
{{- range .keys }}
{{- if and (hasKey $source .) (not (kindIs "invalid" (get $source .))) }}
{{- include "kuscia.error" (dict "path" (printf "lite.data.source.%s" .) "value" (toJson (get $source .))
  "rule" (printf "a data source of type %s has none" $source.type) "example" (printf "lite.data.source.%s: null" .)) }}
{{- end }}
{{- end }}
{{- end -}}

{{/* {path, mounts} */}}
{{- define "kuscia.check.localPath" -}}
{{- $path := .path -}}
{{- $example := "lite.data.source.path: /home/kuscia/var/storage/data" -}}
{{- if not $path }}
{{- include "kuscia.check.given" (dict "path" "lite.data.source.path" "value" $path
  "rule" "a localfs data source needs a path in the lite's pod" "example" $example) }}
{{- else }}
{{- $volumes := list "/home/kuscia/var/storage" -}}
{{- range .mounts }}
{{- $volumes = append $volumes (trimSuffix "/" .mountPath) }}
{{- end }}
{{- $on := false -}}
{{- range $volumes }}
{{- $on = or $on (hasPrefix (printf "%s/" .) (printf "%s/" $path)) }}
{{- end }}
{{- if or (not $on) (has ".." (splitList "/" $path)) }}
{{- include "kuscia.error" (dict "path" "lite.data.source.path" "value" (toJson $path)
  "rule" (printf "files last on a volume only: a path below %s" (join " or " $volumes)) "example" $example) }}
{{- end }}
{{- end }}
{{- end -}}
