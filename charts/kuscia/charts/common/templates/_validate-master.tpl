{{- define "kuscia.errors.master" -}}
{{- $values := .Values -}}
{{- include "kuscia.check.node" . }}
{{- include "kuscia.check.datastore" $values.datastore }}
{{- range $id, $domain := $values.domains }}
{{- include "kuscia.check.admission" (dict "id" $id "domain" $domain "master" $values.domainId) }}
{{- end }}
{{- include "kuscia.check.routes" $values }}
{{- range $name, $app := $values.appImages }}
{{- if $app }}
{{- include "kuscia.check.appImage" (dict "name" $name "app" $app) }}
{{- end }}
{{- end }}
{{- if $values.exampleJob.enabled }}
{{- include "kuscia.check.exampleJob" $values }}
{{- end }}
{{- end -}}

{{- define "kuscia.check.datastore" -}}
{{- include "kuscia.check.oneOf" (dict
  "path" "master.datastore.type" "value" .type "allowed" (list "sqlite" "mysql" "postgres")
  "rule" "where the master keeps its state" "example" "master.datastore.type: mysql") }}
{{- if has .type (list "mysql" "postgres") }}
{{- include "kuscia.check.host" (dict
  "path" "master.datastore.host" "value" .host "example" "master.datastore.host: mysql.db.svc.cluster.local") }}
{{- range $key, $example := dict "database" "kuscia" "user" "kuscia" "existingSecret" "my-database" }}
{{- include "kuscia.check.given" (dict
  "path" (printf "master.datastore.%s" $key) "value" (get $ $key)
  "rule" (printf "%s needs it%s" $.type (ternary ": the Secret with the password" "" (eq $key "existingSecret")))
  "example" (printf "master.datastore.%s: %s" $key $example)) }}
{{- end }}
{{- if and .database (not (regexMatch "^[A-Za-z0-9_$-]+$" .database)) }}
{{- include "kuscia.error" (dict "path" "master.datastore.database" "value" (toJson .database)
  "rule" "the name of a database has letters, digits, '_', '-' and '$'" "example" "master.datastore.database: kuscia") }}
{{- end }}
{{- if and (eq .type "mysql") (contains ":" .user) }}
{{- include "kuscia.error" (dict "path" "master.datastore.user" "value" (toJson .user)
  "rule" "Kuscia's MySQL driver cannot take a ':' in a user's name" "example" "master.datastore.user: kuscia") }}
{{- end }}
{{- $tls := dict "mysql" (dict "param" "tls" "known" (list "true" "false" "skip-verify" "preferred"))
  "postgres" (dict "param" "sslmode" "known" (list "disable" "allow" "prefer" "require" "verify-ca" "verify-full")) }}
{{- $tls = get $tls .type }}
{{- $given := get (.params | default dict) $tls.param }}
{{- if not (has (toString $given) (concat (list "" "<nil>") $tls.known)) }}
{{- include "kuscia.error" (dict "path" (printf "master.datastore.params.%s" $tls.param) "value" (toJson $given)
  "rule" (printf "what Kuscia's driver knows, written as one of %s" (join ", " $tls.known))
  "example" (printf "master.datastore.params.%s: %s" $tls.param (last $tls.known))) }}
{{- end }}
{{- end }}
{{- end -}}

{{/* An entry of master.domains: {id, domain, master}. */}}
{{- define "kuscia.check.admission" -}}
{{- $path := printf "master.domains.%s" .id -}}
{{- $example := printf "master.domains.alice.endpoint: https://kuscia-lite-alice.lite-alice.svc.cluster.local:1080" -}}
{{- include "kuscia.check.domainId" (dict "path" $path "value" .id "example" $example) }}
{{- if eq .id (toString .master) }}
{{- include "kuscia.error" (dict "path" $path "value" (toJson .id)
  "rule" "the master's own domain is no lite domain" "example" $example) }}
{{- end }}
{{- if kindIs "invalid" .domain }}
{{- include "kuscia.error" (dict "path" $path "value" "null"
  "rule" "an entry is a block, which may be empty: {}; to take a domain away, take its whole entry away"
  "example" $example) }}
{{- else }}
{{- if .domain.endpoint }}
{{- include "kuscia.check.endpoint" (dict "path" (printf "%s.endpoint" $path) "value" .domain.endpoint "example" $example) }}
{{- end }}
{{- $cert := .domain.cert | default "" }}
{{- if contains "PRIVATE KEY" $cert }}
{{- include "kuscia.error" (dict "path" (printf "%s.cert" $path) "value" "(not shown: a private key)"
  "rule" "the certificate is public; a private key has to stay with its domain, and this one should be replaced"
  "example" (printf "%s.cert: |\n                -----BEGIN CERTIFICATE-----" $path)) }}
{{- else if and $cert (not (contains "-----BEGIN CERTIFICATE-----" $cert)) }}
{{- include "kuscia.error" (dict "path" (printf "%s.cert" $path) "value" (toJson ($cert | trunc 40))
  "rule" "a certificate is PEM text"
  "example" (printf "%s.cert: |\n                -----BEGIN CERTIFICATE-----" $path)) }}
{{- end }}
{{- $reader := .domain.reader | default dict }}
{{- if and $reader.serviceAccount (not $reader.namespace) }}
{{- include "kuscia.error" (dict "path" (printf "%s.reader.namespace" $path) "value" (toJson $reader.namespace)
  "rule" "a ServiceAccount is found by its namespace" "example" (printf "%s.reader.namespace: lite-%s" $path .id)) }}
{{- end }}
{{- end }}
{{- end -}}

{{/* master.routes: `all` or a list. Takes the master's values. */}}
{{- define "kuscia.check.routes" -}}
{{- $domains := .domains -}}
{{- $example := "master.routes: [{source: alice, destination: bob}]" -}}
{{- if not (or (kindIs "slice" .routes) (eq (toString .routes) "all")) }}
{{- include "kuscia.error" (dict "path" "master.routes" "value" (toJson .routes)
  "rule" "'all', or a list of routes" "example" $example) }}
{{- else if kindIs "slice" .routes }}
{{- $seen := dict }}
{{- range $i, $route := .routes }}
{{- $path := printf "master.routes[%d]" $i }}
{{- if not (kindIs "map" $route) }}
{{- include "kuscia.error" (dict "path" $path "value" (toJson $route) "rule" "a route has a source and a destination" "example" $example) }}
{{- else }}
{{- range $end := list "source" "destination" }}
{{- $id := get $route $end }}
{{- if not (hasKey $domains (toString $id)) }}
{{- include "kuscia.error" (dict "path" (printf "%s.%s" $path $end) "value" (toJson $id)
  "rule" "a route joins two domains of master.domains; those to the master Kuscia makes itself" "example" $example) }}
{{- end }}
{{- end }}
{{- include "kuscia.check.routeOptions" (dict "path" $path "route" $route "routes" $.routes "domains" $domains) }}
{{- $pair := printf "%v to %v" $route.source $route.destination }}
{{- if and $route.source (eq (toString $route.source) (toString $route.destination)) }}
{{- include "kuscia.error" (dict "path" $path "value" (toJson $pair) "rule" "a route leads to another domain" "example" $example) }}
{{- end }}
{{- if hasKey $seen $pair }}
{{- include "kuscia.error" (dict "path" $path "value" (toJson $pair)
  "rule" (printf "there is one route for each direction, and master.routes[%d] is the same" (get $seen $pair)) "example" $example) }}
{{- end }}
{{- $_ := set $seen $pair $i }}
{{- $target := get $domains (toString $route.destination) | default dict }}
{{- if and (hasKey $domains (toString $route.destination)) (not $target.endpoint) (not $route.transit) }}
{{- include "kuscia.error" (dict "path" (printf "master.domains.%v.endpoint" $route.destination) "value" (toJson $target.endpoint)
  "rule" (printf "%s leads there" $path)
  "example" (printf "master.domains.%v.endpoint: https://kuscia-lite-%v.lite-%v.svc.cluster.local:1080" $route.destination $route.destination $route.destination)) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{/* How a route is to work (Kuscia facts 6.1): {path, route, routes, domains}. */}}
{{- define "kuscia.check.routeOptions" -}}
{{- $path := .path -}}
{{- $route := .route -}}
{{- $transit := $route.transit -}}
{{- $example := "master.routes: [{source: alice, destination: bob, transit: carol}, {source: alice, destination: carol}, {source: carol, destination: bob}]" -}}
{{- if not (or (kindIs "invalid" $transit) (kindIs "string" $transit)) }}
{{- include "kuscia.error" (dict "path" (printf "%s.transit" $path) "value" (toJson $transit)
  "rule" "the ID of the domain that passes the traffic on" "example" $example) }}
{{- else if $transit }}
{{- if not (hasKey .domains $transit) }}
{{- include "kuscia.error" (dict "path" (printf "%s.transit" $path) "value" (toJson $transit)
  "rule" "traffic can pass through a domain of master.domains" "example" $example) }}
{{- else if has $transit (list $route.source $route.destination) }}
{{- include "kuscia.error" (dict "path" (printf "%s.transit" $path) "value" (toJson $transit)
  "rule" "traffic passes through a third domain, not one of the two ends" "example" $example) }}
{{- else }}
{{- $direct := list }}
{{- range .routes }}
{{- if kindIs "map" . }}
{{- if not .transit }}
{{- $direct = append $direct (printf "%v to %v" .source .destination) }}
{{- end }}
{{- end }}
{{- end }}
{{- range $leg := list (printf "%v to %v" $route.source $transit) (printf "%v to %v" $transit $route.destination) }}
{{- if not (has $leg $direct) }}
{{- include "kuscia.error" (dict "path" (printf "%s.transit" $path) "value" (toJson $transit)
  "rule" (printf "the way over another domain takes two routes without transit; %s is not in master.routes" $leg) "example" $example) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- if not (kindIs "invalid" $route.bodyEncryption) }}
{{- include "kuscia.check.oneOf" (dict
  "path" (printf "%s.bodyEncryption" $path) "value" $route.bodyEncryption "allowed" (list "AES" "SM4")
  "rule" "how the gateways of both ends encrypt bodies" "example" (printf "%s.bodyEncryption: AES" $path)) }}
{{- end }}
{{- $token := $route.tokenConfig | default dict }}
{{- if not (kindIs "invalid" $token.tokenGenMethod) }}
{{- include "kuscia.check.oneOf" (dict
  "path" (printf "%s.tokenConfig.tokenGenMethod" $path) "value" $token.tokenGenMethod "allowed" (list "RSA-GEN" "UID-RSA-GEN")
  "rule" "how the gateways agree on a token" "example" (printf "%s.tokenConfig: {tokenGenMethod: RSA-GEN}" $path)) }}
{{- end }}
{{- $period := $token.rollingUpdatePeriod }}
{{- if not (or (kindIs "invalid" $period) (and (not (kindIs "string" $period)) (regexMatch "^[0-9]+$" (include "kuscia.number" $period)))) }}
{{- include "kuscia.error" (dict "path" (printf "%s.tokenConfig.rollingUpdatePeriod" $path) "value" (toJson $period)
  "rule" "seconds after which a token is replaced, 300 or more; 0 keeps it for ever"
  "example" (printf "%s.tokenConfig: {rollingUpdatePeriod: 86400}" $path)) }}
{{- end }}
{{- end -}}

{{/* {name, app} */}}
{{- define "kuscia.check.appImage" -}}
{{- $path := printf "master.appImages.%s" .name -}}
{{- if not (regexMatch "^[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?$" .name) }}
{{- include "kuscia.error" (dict "path" $path "value" (toJson .name)
  "rule" "a name has 1 to 63 lower-case letters, digits, '.' and '-', and begins and ends with a letter or digit"
  "example" "master.appImages.my-engine: {image: {name: …, tag: …}, …}") }}
{{- end }}
{{- if not .app.deployTemplates }}
{{- include "kuscia.error" (dict "path" (printf "%s.deployTemplates" $path) "value" (toJson .app.deployTemplates)
  "rule" "an AppImage needs at least one template" "example" "see master.appImages.secretflow-image of the chart's values.yaml") }}
{{- end }}
{{- $image := .app.image | default dict }}
{{- if not (and $image.name $image.tag) }}
{{- include "kuscia.error" (dict "path" (printf "%s.image" $path) "value" (toJson $image)
  "rule" "an AppImage needs the name and the tag of its image"
  "example" (printf "%s.image: {name: registry.example.com/engine, tag: \"1.0\"}" $path)) }}
{{- else if regexMatch "[:@]" (last (splitList "/" (toString $image.name))) }}
{{- include "kuscia.error" (dict "path" (printf "%s.image.name" $path) "value" (toJson $image.name)
  "rule" "the name goes without tag and digest, which belong into the tag"
  "example" (printf "%s.image: {name: registry.example.com/engine, tag: \"1.0@sha256:…\"}" $path)) }}
{{- end }}
{{- include "kuscia.check.tag" (dict "path" (printf "%s.image" $path) "tag" $image.tag) }}
{{- $files := .app.configTemplates | default dict }}
{{- range $i, $template := .app.deployTemplates }}
{{- include "kuscia.check.deployTemplate" (dict "path" (printf "%s.deployTemplates[%d]" $path $i) "template" $template "files" $files) }}
{{- end }}
{{- end -}}

{{/*
{path, template, files}: one of an AppImage's templates; `files` are its configTemplates. KusciaAPI ignores keys that it
does not know, and Kuscia's own objects write them in another way (spec, workingDir, …).
*/}}
{{- define "kuscia.check.deployTemplate" -}}
{{- $path := .path -}}
{{- $files := .files -}}
{{- $template := ternary .template dict (kindIs "map" .template) -}}
{{- $example := "deployTemplates: [{name: psi, replicas: 1, restart_policy: Never, containers: [{name: psi, command: [psi], working_dir: /work}]}]" -}}
{{- include "kuscia.check.keys" (dict "path" $path "value" $template "example" $example
  "allowed" (list "name" "role" "replicas" "restart_policy" "containers")) }}
{{- include "kuscia.check.given" (dict "path" (printf "%s.name" $path) "value" $template.name "rule" "a template has a name" "example" $example) }}
{{- with $template.restart_policy }}
{{- include "kuscia.check.oneOf" (dict "path" (printf "%s.restart_policy" $path) "value" . "rule" "when an engine is started again"
  "allowed" (list "Always" "OnFailure" "Never") "example" "restart_policy: Never") }}
{{- end }}
{{- if not $template.containers }}
{{- include "kuscia.error" (dict "path" (printf "%s.containers" $path) "value" (toJson $template.containers)
  "rule" "a template has at least one container" "example" $example) }}
{{- else if not (kindIs "slice" $template.containers) }}
{{- include "kuscia.error" (dict "path" (printf "%s.containers" $path) "value" (toJson $template.containers)
  "rule" "containers are a list" "example" $example) }}
{{- else }}
{{- $seen := dict }}
{{- range $i, $container := $template.containers }}
{{- $at := printf "%s.containers[%d]" $path $i }}
{{- $container := ternary $container dict (kindIs "map" $container) }}
{{- include "kuscia.check.keys" (dict "path" $at "value" $container "example" $example
  "allowed" (list "name" "command" "args" "working_dir" "config_volume_mounts" "ports" "env_from" "env" "resources" "liveness_probe" "readiness_probe" "startup_probe" "image_pull_policy")) }}
{{- include "kuscia.check.given" (dict "path" (printf "%s.name" $at) "value" $container.name "rule" "a container has a name" "example" $example) }}
{{- $lists := dict }}
{{- range $key := list "command" "args" "config_volume_mounts" "ports" }}
{{- $value := get $container $key | default list }}
{{- if kindIs "slice" $value }}
{{- $_ := set $lists $key $value }}
{{- else }}
{{- include "kuscia.error" (dict "path" (printf "%s.%s" $at $key) "value" (toJson $value) "rule" "this is a list" "example" $example) }}
{{- end }}
{{- end }}
{{- range $mount := $lists.config_volume_mounts }}
{{- if not (hasKey $files (toString $mount.sub_path)) }}
{{- include "kuscia.error" (dict "path" (printf "%s.config_volume_mounts" $at) "value" (toJson $mount)
  "rule" (printf "sub_path is one of configTemplates: %s" (keys $files | sortAlpha | join ", " | default "there are none"))
  "example" "config_volume_mounts: [{mount_path: /work/kuscia/task-config.conf, sub_path: task-config.conf}]") }}
{{- end }}
{{- end }}
{{- range $port := $lists.ports }}
{{- if hasKey $seen (toString $port.name) }}
{{- include "kuscia.error" (dict "path" $path "value" (toJson $port.name)
  "rule" "a port name occurs once in a template" "example" "ports: [{name: psi, protocol: HTTP, scope: Cluster}]") }}
{{- end }}
{{- $_ := set $seen (toString $port.name) true }}
{{- range $key, $allowed := dict "protocol" (list "HTTP" "GRPC") "scope" (list "Cluster" "Domain" "Local") }}
{{- with get $port $key }}
{{- include "kuscia.check.oneOf" (dict "path" (printf "%s.ports" $at) "value" . "allowed" $allowed
  "rule" (printf "the %s of port %v" $key $port.name) "example" "ports: [{name: psi, protocol: HTTP, scope: Cluster}]") }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{/* {path, value, allowed, example}: a block with keys that are known. */}}
{{- define "kuscia.check.keys" -}}
{{- $unknown := keys (omit .value) | sortAlpha -}}
{{- range .allowed }}{{- $unknown = without $unknown . -}}{{ end -}}
{{- if $unknown }}
{{- include "kuscia.error" (dict "path" .path "value" (join ", " $unknown)
  "rule" (printf "Kuscia would ignore keys other than %s" (join ", " .allowed)) "example" .example) }}
{{- end }}
{{- end -}}

{{/* Takes the master's values. */}}
{{- define "kuscia.check.exampleJob" -}}
{{- $job := .exampleJob -}}
{{- $domains := .domains -}}
{{- if not (get .appImages (toString $job.appImage)) }}
{{- include "kuscia.error" (dict "path" "master.exampleJob.appImage" "value" (toJson $job.appImage)
  "rule" (printf "one of master.appImages: %s" (keys .appImages | sortAlpha | join ", "))
  "example" "master.exampleJob.appImage: secretflow-image") }}
{{- end }}
{{- $parties := list }}
{{- range $i, $party := $job.parties }}
{{- $parties = append $parties $party.domain }}
{{- if not (hasKey $domains (toString $party.domain)) }}
{{- include "kuscia.error" (dict "path" (printf "master.exampleJob.parties[%d].domain" $i) "value" (toJson $party.domain)
  "rule" "a party is a domain of master.domains" "example" "parties: [{domain: alice, table: alice-table, keys: [id1]}, …]") }}
{{- end }}
{{- end }}
{{- if lt (len ($parties | uniq)) 2 }}
{{- include "kuscia.error" (dict "path" "master.exampleJob.parties" "value" (toJson $parties)
  "rule" "the job takes two different domains" "example" "parties: [{domain: alice, table: alice-table, keys: [id1]}, …]") }}
{{- end }}
{{- if not (regexMatch "^[a-z0-9]([a-z0-9.-]{0,38}[a-z0-9])?$" (toString $job.output)) }}
{{- include "kuscia.error" (dict "path" "master.exampleJob.output" "value" (toJson $job.output)
  "rule" "the beginning of an ID, to which each run adds its own: 1 to 40 lower-case letters, digits, '.' and '-', with a letter or digit at the ends"
  "example" "master.exampleJob.output: psi-output") }}
{{- end }}
{{- if not (has $job.initiator $parties) }}
{{- include "kuscia.error" (dict "path" "master.exampleJob.initiator" "value" (toJson $job.initiator)
  "rule" "the initiator is one of the parties" "example" "master.exampleJob.initiator: alice") }}
{{- end }}
{{- end -}}
