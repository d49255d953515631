{{- define "kuscia.errors.master" -}}
{{- $values := .Values -}}
{{- include "kuscia.check.node" . }}
{{- include "kuscia.check.datastore" (set (omit $values.datastore) "ctx" .) }}
{{- range $id, $domain := $values.domains }}
{{- include "kuscia.check.admission" (dict "ctx" $ "id" $id "domain" $domain) }}
{{- end }}
{{- include "kuscia.check.routes" $values }}
{{- include "kuscia.check.routeNames" $values }}
{{- range $name, $app := $values.appImages }}
{{- if $app }}
{{- include "kuscia.check.appImage" (dict "name" $name "app" $app) }}
{{- end }}
{{- end }}
{{- with $values.reconcile.schedule }}
{{- if not (regexMatch "^(@(hourly|daily|midnight|weekly|monthly|yearly|annually)|@every \\S+|[0-9a-zA-Z*/,?-]+( +[0-9a-zA-Z*/,?-]+){4})$" .) }}
{{- include "kuscia.error" (dict "id" "invalid-schedule" "path" "master.reconcile.schedule" "value" (toJson .)
  "rule" "must be a cron schedule with five fields" "example" "master.reconcile.schedule: \"0 * * * *\"") }}
{{- end }}
{{- end }}
{{- if $values.exampleJob.enabled }}
{{- include "kuscia.check.exampleJob" $values }}
{{- end }}
{{- end -}}

{{/* master.datastore. Takes the datastore, and the context of the master as `ctx`. */}}
{{- define "kuscia.check.datastore" -}}
{{- include "kuscia.check.oneOf" (dict
  "path" "master.datastore.type" "value" .type "allowed" (list "sqlite" "mysql" "postgres")
  "example" "master.datastore.type: mysql") }}
{{- if has .type (list "mysql" "postgres") }}
{{- include "kuscia.check.host" (dict
  "ctx" .ctx "port" "master.datastore.port" "path" "master.datastore.host" "value" .host "example" "master.datastore.host: mysql.db.svc.cluster.local") }}
{{- range $key, $example := dict "database" "kuscia" "user" "kuscia" "existingSecret" "my-database" }}
{{- include "kuscia.check.given" (dict
  "path" (printf "master.datastore.%s" $key) "value" (get $ $key)
  "rule" (printf "must be set for type %s%s" $.type (ternary ", to the Secret with the password" "" (eq $key "existingSecret")))
  "example" (printf "master.datastore.%s: %s" $key $example)) }}
{{- end }}
{{- if and .database (not (regexMatch "^[A-Za-z0-9_$-]+$" .database)) }}
{{- include "kuscia.error" (dict "id" "invalid-database-name" "path" "master.datastore.database" "value" (toJson .database)
  "rule" "must consist of letters, digits, '_', '-' and '$'" "example" "master.datastore.database: kuscia") }}
{{- end }}
{{- if and (eq .type "mysql") (contains ":" .user) }}
{{- include "kuscia.error" (dict "id" "colon-in-mysql-user" "path" "master.datastore.user" "value" (toJson .user)
  "rule" "must not contain ':', which the MySQL driver of Kuscia does not support" "example" "master.datastore.user: kuscia") }}
{{- end }}
{{- $tls := dict "mysql" (dict "param" "tls" "known" (list "true" "false" "skip-verify" "preferred"))
  "postgres" (dict "param" "sslmode" "known" (list "disable" "allow" "prefer" "require" "verify-ca" "verify-full")) }}
{{- $tls = get $tls .type }}
{{- $given := get (.params | default dict) $tls.param }}
{{- if not (has (toString $given) (concat (list "" "<nil>") $tls.known)) }}
{{- include "kuscia.error" (dict "id" "unsupported-driver-option" "path" (printf "master.datastore.params.%s" $tls.param) "value" (toJson $given)
  "rule" (printf "must be one of %s; the database driver of Kuscia supports no other value" (join ", " $tls.known))
  "example" (printf "master.datastore.params.%s: %s" $tls.param (last $tls.known))) }}
{{- end }}
{{- end }}
{{- end -}}

{{/* An entry of master.domains: {id, domain, ctx}. */}}
{{- define "kuscia.check.admission" -}}
{{- $path := printf "master.domains.%s" .id -}}
{{- $example := printf "master.domains.alice.endpoint: https://kuscia-lite-alice.lite-alice.svc.cluster.local:1080" -}}
{{- include "kuscia.check.domainId" (dict "path" $path "value" .id "example" $example) }}
{{- if eq .id (toString .ctx.Values.domainId) }}
{{- include "kuscia.error" (dict "id" "master-as-lite-domain" "path" $path "value" (toJson .id)
  "rule" "must be a lite domain, not the domain of the master" "example" $example) }}
{{- end }}
{{- if kindIs "invalid" .domain }}
{{- include "kuscia.error" (dict "id" "null-domain" "path" $path "value" "null"
  "rule" "must be a mapping, which may be empty ({}); to remove a domain, remove its entry"
  "example" $example) }}
{{- else }}
{{- if .domain.endpoint }}
{{- include "kuscia.check.endpoint" (dict "ctx" .ctx "path" (printf "%s.endpoint" $path) "value" .domain.endpoint "example" $example) }}
{{- include "kuscia.check.otherGateway" (dict "path" (printf "%s.endpoint" $path) "value" .domain.endpoint
  "own" (include "kuscia.host" .ctx) "rule" "must be the gateway of the lite, not of this master" "example" $example) }}
{{- end }}
{{- $cert := .domain.cert | default "" }}
{{- $certExample := printf "%s.cert: |\n                -----BEGIN CERTIFICATE-----" $path }}
{{- if contains "PRIVATE KEY" $cert }}
{{- include "kuscia.error" (dict "id" "private-key-as-certificate" "path" (printf "%s.cert" $path) "value" "(not shown: a private key)"
  "rule" "must be the public certificate; a private key must not leave its domain, so replace this one" "example" $certExample) }}
{{- else if and $cert (not (contains "-----BEGIN CERTIFICATE-----" $cert)) }}
{{- include "kuscia.error" (dict "id" "invalid-certificate" "path" (printf "%s.cert" $path) "value" (toJson ($cert | trunc 40))
  "rule" "must be a certificate in PEM format" "example" $certExample) }}
{{- end }}
{{- $reader := .domain.reader | default dict }}
{{- if $reader.serviceAccount }}
{{- include "kuscia.check.given" (dict "path" (printf "%s.reader.namespace" $path) "value" $reader.namespace
  "rule" "must be set when reader.serviceAccount is set" "example" (printf "%s.reader.namespace: lite-%s" $path .id)) }}
{{- end }}
{{- end }}
{{- end -}}

{{/* The value must be an ID in master.domains: {path, value, domains, example, hint}. */}}
{{- define "kuscia.check.knownDomain" -}}
{{- if not (hasKey .domains (toString .value)) }}
{{- include "kuscia.error" (dict "id" "unlisted-domain" "path" .path "value" (toJson .value)
  "rule" (printf "must be a domain in master.domains%s" (.hint | default "")) "example" .example) }}
{{- end }}
{{- end -}}

{{/* master.routes: `all` or a list. Takes the values of the master. */}}
{{- define "kuscia.check.routes" -}}
{{- $domains := .domains -}}
{{- $example := "master.routes: [{source: alice, destination: bob}]" -}}
{{- if not (or (kindIs "slice" .routes) (eq (toString .routes) "all")) }}
{{- include "kuscia.error" (dict "id" "invalid-routes" "path" "master.routes" "value" (toJson .routes)
  "rule" "must be 'all' or a list of routes" "example" $example) }}
{{- else if kindIs "slice" .routes }}
{{- $seen := dict }}
{{- range $i, $route := .routes }}
{{- $path := printf "master.routes[%d]" $i }}
{{- if not (kindIs "map" $route) }}
{{- include "kuscia.error" (dict "id" "invalid-route" "path" $path "value" (toJson $route)
  "rule" "must be a mapping with source and destination" "example" $example) }}
{{- else }}
{{- range $end := list "source" "destination" }}
{{- include "kuscia.check.knownDomain" (dict "path" (printf "%s.%s" $path $end) "value" (get $route $end)
  "domains" $domains "example" $example "hint" "; Kuscia creates the routes to and from the master itself") }}
{{- end }}
{{- include "kuscia.check.routeOptions" (dict "path" $path "route" $route "routes" $.routes "domains" $domains) }}
{{- $pair := printf "%v to %v" $route.source $route.destination }}
{{- if and $route.source (eq (toString $route.source) (toString $route.destination)) }}
{{- include "kuscia.error" (dict "id" "route-to-itself" "path" $path "value" (toJson $pair)
  "rule" "must have a destination other than its source" "example" $example) }}
{{- end }}
{{- if hasKey $seen $pair }}
{{- include "kuscia.error" (dict "id" "duplicate-route" "path" $path "value" (toJson $pair)
  "rule" (printf "must be unique; master.routes[%d] has the same source and destination" (get $seen $pair)) "example" $example) }}
{{- end }}
{{- $_ := set $seen $pair $i }}
{{- $target := get $domains (toString $route.destination) | default dict }}
{{- if and (hasKey $domains (toString $route.destination)) (not $target.endpoint) (not $route.transit) }}
{{- include "kuscia.error" (dict "id" "route-without-endpoint" "path" (printf "master.domains.%v.endpoint" $route.destination) "value" (toJson $target.endpoint)
  "rule" (printf "must be set because this domain is the destination of %s" $path)
  "example" (printf "master.domains.%v.endpoint: https://kuscia-lite-%v.lite-%v.svc.cluster.local:1080" $route.destination $route.destination $route.destination)) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{/*
Two routes with one name in Kuscia, `<source>-<destination>` (Kuscia facts 6.2). Kuscia itself creates the routes from the
lites to the master. Takes the values of the master.
*/}}
{{- define "kuscia.check.routeNames" -}}
{{- $master := toString .domainId -}}
{{- if kindIs "slice" .routes }}
{{- $names := dict -}}
{{- range $id, $_ := .domains }}
{{- $_ := set $names (printf "%s-%s" $id $master) (printf "%s to %s" $id $master) }}
{{- end }}
{{- range $i, $route := .routes }}
{{- if kindIs "map" $route }}
{{- $name := printf "%v-%v" $route.source $route.destination -}}
{{- $pair := printf "%v to %v" $route.source $route.destination -}}
{{- $other := get $names $name | default $pair -}}
{{- $_ := set $names $name $other -}}
{{- if ne $other $pair }}
{{- include "kuscia.check.routeName" (dict "path" (printf "master.routes[%d]" $i) "pair" $pair "name" $name "other" $other) }}
{{- end }}
{{- end }}
{{- end }}
{{- else }}
{{- /* Every domain leads to every target. Only a source whose ID begins with that of another domain can collide. */}}
{{- $targets := dict $master true -}}
{{- range $id, $domain := .domains }}
{{- if kindIs "map" $domain }}{{ if $domain.endpoint }}{{ $_ := set $targets $id true }}{{ end }}{{ end }}
{{- end }}
{{- range $source, $_ := .domains }}
{{- range $other, $_ := $.domains }}
{{- if hasPrefix (printf "%s-" $other) $source }}
{{- range $target, $_ := $targets }}
{{- $far := printf "%s-%s" (trimPrefix (printf "%s-" $other) $source) $target -}}
{{- if and (ne $source $target) (ne $other $far) (hasKey $targets $far) }}
{{- include "kuscia.check.routeName" (dict "path" "master.routes" "name" (printf "%s-%s" $source $target)
  "pair" (printf "%s to %s" $source $target) "other" (printf "%s to %s" $other $far)) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{/* The error for one route: {path, pair, name, other}. */}}
{{- define "kuscia.check.routeName" -}}
{{- include "kuscia.error" (dict "id" "colliding-route-names" "path" .path "value" (toJson .pair)
  "rule" (printf "must not have the name %s in Kuscia, which belongs to the route %s; list the routes without one of them, or use other domain IDs" .name .other)
  "example" "master.routes: [{source: alice, destination: bob}]") }}
{{- end -}}

{{/* The options of a route (Kuscia facts 6.1): {path, route, routes, domains}. */}}
{{- define "kuscia.check.routeOptions" -}}
{{- $path := .path -}}
{{- $route := .route -}}
{{- $transit := $route.transit -}}
{{- $example := "master.routes: [{source: alice, destination: bob, transit: carol}, {source: alice, destination: carol}, {source: carol, destination: bob}]" -}}
{{- if not (or (kindIs "invalid" $transit) (kindIs "string" $transit)) }}
{{- include "kuscia.check.domainId" (dict "path" (printf "%s.transit" $path) "value" $transit "example" $example) }}
{{- else if $transit }}
{{- if not (hasKey .domains $transit) }}
{{- include "kuscia.check.knownDomain" (dict "path" (printf "%s.transit" $path) "value" $transit "domains" .domains "example" $example) }}
{{- else if has $transit (list $route.source $route.destination) }}
{{- include "kuscia.error" (dict "id" "transit-through-route-end" "path" (printf "%s.transit" $path) "value" (toJson $transit)
  "rule" "must be a third domain, not the source or the destination" "example" $example) }}
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
{{- include "kuscia.error" (dict "id" "transit-leg-missing" "path" (printf "%s.transit" $path) "value" (toJson $transit)
  "rule" (printf "requires a route from %s without transit in master.routes" $leg) "example" $example) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- if not (kindIs "invalid" $route.bodyEncryption) }}
{{- include "kuscia.check.oneOf" (dict
  "path" (printf "%s.bodyEncryption" $path) "value" $route.bodyEncryption "allowed" (list "AES" "SM4")
  "example" (printf "%s.bodyEncryption: AES" $path)) }}
{{- end }}
{{- $token := $route.tokenConfig | default dict }}
{{- if not (kindIs "invalid" $token.tokenGenMethod) }}
{{- include "kuscia.check.oneOf" (dict
  "path" (printf "%s.tokenConfig.tokenGenMethod" $path) "value" $token.tokenGenMethod "allowed" (list "RSA-GEN" "UID-RSA-GEN")
  "example" (printf "%s.tokenConfig: {tokenGenMethod: RSA-GEN}" $path)) }}
{{- end }}
{{- $period := $token.rollingUpdatePeriod }}
{{- if not (or (kindIs "invalid" $period) (and (not (kindIs "string" $period)) (regexMatch "^[0-9]+$" (include "kuscia.number" $period)))) }}
{{- include "kuscia.error" (dict "id" "invalid-token-period" "path" (printf "%s.tokenConfig.rollingUpdatePeriod" $path) "value" (toJson $period)
  "rule" "must be a whole number of seconds, 300 or more, or 0 to disable token rotation"
  "example" (printf "%s.tokenConfig: {rollingUpdatePeriod: 86400}" $path)) }}
{{- end }}
{{- end -}}

{{/* An entry of master.appImages: {name, app}. */}}
{{- define "kuscia.check.appImage" -}}
{{- $path := printf "master.appImages.%s" .name -}}
{{- include "kuscia.check.name" (dict "path" $path "value" .name "example" "master.appImages.my-engine: {image: {name: …, tag: …}, …}") }}
{{- include "kuscia.check.given" (dict "path" (printf "%s.deployTemplates" $path) "value" .app.deployTemplates
  "rule" "must have at least one template" "example" "see master.appImages.secretflow-image in values.yaml of the chart") }}
{{- $image := .app.image | default dict }}
{{- if not (and $image.name $image.tag) }}
{{- include "kuscia.error" (dict "id" "incomplete-app-image" "path" (printf "%s.image" $path) "value" (toJson $image)
  "rule" "must have a name and a tag"
  "example" (printf "%s.image: {name: registry.example.com/engine, tag: \"1.0\"}" $path)) }}
{{- else if regexMatch "[:@]" (last (splitList "/" (toString $image.name))) }}
{{- include "kuscia.error" (dict "id" "tag-in-image-name" "path" (printf "%s.image.name" $path) "value" (toJson $image.name)
  "rule" "must not contain a tag or digest; put it in tag"
  "example" (printf "%s.image: {name: registry.example.com/engine, tag: \"1.0@sha256:…\"}" $path)) }}
{{- end }}
{{- include "kuscia.check.tag" (dict "path" (printf "%s.image" $path) "tag" $image.tag) }}
{{- $files := .app.configTemplates | default dict }}
{{- range $i, $template := .app.deployTemplates }}
{{- include "kuscia.check.deployTemplate" (dict "path" (printf "%s.deployTemplates[%d]" $path $i) "template" $template "files" $files) }}
{{- end }}
{{- end -}}

{{/*
A template of an AppImage: {path, template, files}; `files` are its configTemplates. KusciaAPI ignores unknown keys, and
Kuscia's own resources spell some keys differently (spec, workingDir, …).
*/}}
{{- define "kuscia.check.deployTemplate" -}}
{{- $path := .path -}}
{{- $files := .files -}}
{{- $template := ternary .template dict (kindIs "map" .template) -}}
{{- $example := "deployTemplates: [{name: psi, replicas: 1, restart_policy: Never, containers: [{name: psi, command: [psi], working_dir: /work}]}]" -}}
{{- $portExample := "ports: [{name: psi, protocol: HTTP, scope: Cluster}]" -}}
{{- include "kuscia.check.keys" (dict "path" $path "value" $template "example" $example
  "allowed" (list "name" "role" "replicas" "restart_policy" "containers")) }}
{{- include "kuscia.check.given" (dict "path" (printf "%s.name" $path) "value" $template.name "rule" "must be set" "example" $example) }}
{{- with $template.restart_policy }}
{{- include "kuscia.check.oneOf" (dict "path" (printf "%s.restart_policy" $path) "value" .
  "allowed" (list "Always" "OnFailure" "Never") "example" "restart_policy: Never") }}
{{- end }}
{{- include "kuscia.check.given" (dict "path" (printf "%s.containers" $path) "value" $template.containers
  "rule" "must have at least one container" "example" $example) }}
{{- include "kuscia.check.list" (dict "path" (printf "%s.containers" $path) "value" $template.containers "example" $example) }}
{{- if kindIs "slice" $template.containers }}
{{- $seen := dict }}
{{- range $i, $container := $template.containers }}
{{- $at := printf "%s.containers[%d]" $path $i }}
{{- $container := ternary $container dict (kindIs "map" $container) }}
{{- include "kuscia.check.keys" (dict "path" $at "value" $container "example" $example
  "allowed" (list "name" "command" "args" "working_dir" "config_volume_mounts" "ports" "env_from" "env" "resources" "liveness_probe" "readiness_probe" "startup_probe" "image_pull_policy")) }}
{{- include "kuscia.check.given" (dict "path" (printf "%s.name" $at) "value" $container.name "rule" "must be set" "example" $example) }}
{{- $lists := dict }}
{{- range $key := list "command" "args" "config_volume_mounts" "ports" }}
{{- $value := get $container $key }}
{{- include "kuscia.check.list" (dict "path" (printf "%s.%s" $at $key) "value" $value "example" $example) }}
{{- $_ := set $lists $key (ternary $value list (kindIs "slice" $value)) }}
{{- end }}
{{- range $mount := $lists.config_volume_mounts }}
{{- if not (hasKey $files (toString $mount.sub_path)) }}
{{- include "kuscia.error" (dict "id" "unknown-config-template" "path" (printf "%s.config_volume_mounts" $at) "value" (toJson $mount)
  "rule" (printf "must have a sub_path that is a key of configTemplates (%s)" (keys $files | sortAlpha | join ", " | default "none are defined"))
  "example" "config_volume_mounts: [{mount_path: /work/kuscia/task-config.conf, sub_path: task-config.conf}]") }}
{{- end }}
{{- end }}
{{- range $port := $lists.ports }}
{{- if hasKey $seen (toString $port.name) }}
{{- include "kuscia.error" (dict "id" "duplicate-port-name" "path" $path "value" (toJson $port.name)
  "rule" "must have unique port names across its containers" "example" $portExample) }}
{{- end }}
{{- $_ := set $seen (toString $port.name) true }}
{{- range $key, $allowed := dict "protocol" (list "HTTP" "GRPC") "scope" (list "Cluster" "Domain" "Local") }}
{{- with get $port $key }}
{{- include "kuscia.check.oneOf" (dict "path" (printf "%s.ports" $at) "value" . "allowed" $allowed
  "hint" (printf " (%s of port %v)" $key $port.name) "example" $portExample) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{/* A mapping must have no keys but the allowed ones: {path, value, allowed, example}. */}}
{{- define "kuscia.check.keys" -}}
{{- $unknown := keys (omit .value) | sortAlpha -}}
{{- range .allowed }}{{- $unknown = without $unknown . -}}{{ end -}}
{{- if $unknown }}
{{- include "kuscia.error" (dict "id" "unknown-key" "path" .path "value" (join ", " $unknown)
  "rule" (printf "must have no keys other than %s; Kuscia ignores unknown keys" (join ", " .allowed)) "example" .example) }}
{{- end }}
{{- end -}}

{{/* master.exampleJob. Takes the values of the master. */}}
{{- define "kuscia.check.exampleJob" -}}
{{- $job := .exampleJob -}}
{{- $domains := .domains -}}
{{- $example := "parties: [{domain: alice, table: alice-table, keys: [id1]}, …]" -}}
{{- if not (get .appImages (toString $job.appImage)) }}
{{- include "kuscia.error" (dict "id" "unknown-app-image" "path" "master.exampleJob.appImage" "value" (toJson $job.appImage)
  "rule" (printf "must be an AppImage in master.appImages (%s)" (keys .appImages | sortAlpha | join ", "))
  "example" "master.exampleJob.appImage: secretflow-image") }}
{{- end }}
{{- $parties := list }}
{{- range $i, $party := $job.parties }}
{{- $parties = append $parties $party.domain }}
{{- include "kuscia.check.knownDomain" (dict "path" (printf "master.exampleJob.parties[%d].domain" $i) "value" $party.domain
  "domains" $domains "example" $example) }}
{{- end }}
{{- if lt (len ($parties | uniq)) 2 }}
{{- include "kuscia.error" (dict "id" "too-few-parties" "path" "master.exampleJob.parties" "value" (toJson $parties)
  "rule" "must have at least two different domains" "example" $example) }}
{{- end }}
{{- if not (regexMatch "^[a-z0-9]([a-z0-9.-]{0,38}[a-z0-9])?$" (toString $job.output)) }}
{{- include "kuscia.error" (dict "id" "invalid-output-prefix" "path" "master.exampleJob.output" "value" (toJson $job.output)
  "rule" "must be 1 to 40 characters of a-z, 0-9, '.' or '-', starting and ending with a letter or digit; each run appends its own suffix"
  "example" "master.exampleJob.output: psi-output") }}
{{- end }}
{{- if not (has $job.initiator $parties) }}
{{- include "kuscia.error" (dict "id" "initiator-not-a-party" "path" "master.exampleJob.initiator" "value" (toJson $job.initiator)
  "rule" "must be the domain of one of the parties" "example" "master.exampleJob.initiator: alice") }}
{{- end }}
{{- end -}}
