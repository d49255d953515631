{{/* The rules of the master. Takes its context. */}}
{{- define "kuscia.validate.master" -}}
{{- $values := .Values -}}
{{- /* The database. */}}
{{- with $values.datastore }}
{{- $store := . }}
{{- if has .type (list "mysql" "postgres") }}
{{- $example := "master.datastore.host: mysql.db.svc.cluster.local" }}
{{- $host := dict "path" "master.datastore.host" "value" (toRawJson .host) "example" $example }}
{{- if not (and .host (kindIs "string" .host)) }}
{{- include "kuscia.error" (merge (dict "id" "missing-value" "rule" "must be set to a host name") $host) }}
{{- else if regexMatch "[@/()?=\\s]" .host }}
{{- include "kuscia.error" (merge (dict "id" "host-is-an-address" "value" "(not shown)"
  "rule" "must be a host name only, not a URL or DSN; the port is master.datastore.port, and user, password and database have separate values") $host) }}
{{- else if regexMatch "^[^:]*:[0-9]*$" .host }}
{{- include "kuscia.error" (merge (dict "id" "host-with-port" "rule" "must be a host name without a port; the port is master.datastore.port") $host) }}
{{- else }}
{{- with include "kuscia.hostProblem" (dict "host" .host "ctx" $) }}
{{- include "kuscia.error" (merge (fromJson .) $host) }}
{{- end }}
{{- end }}
{{- range $key, $example := dict "database" "kuscia" "user" "kuscia" "existingSecret" "my-database" }}
{{- include "kuscia.validate.given" (dict
  "path" (printf "master.datastore.%s" $key) "value" (get $store $key)
  "rule" (printf "must be set for type %s%s" $store.type (ternary ", to the Secret with the password" "" (eq $key "existingSecret")))
  "example" (printf "master.datastore.%s: %s" $key $example)) }}
{{- end }}
{{- range $key, $value := .params }}
{{- if and $value (regexMatch "(?i)(password|passwd|pwd|token|secret)$" $key) }}
{{- include "kuscia.error" (dict "id" "secret-in-datastore-params" "path" (printf "master.datastore.params.%s" $key) "value" "(not shown)"
  "rule" "must not contain a secret, since it is stored in a ConfigMap; the password of the user is in the Secret master.datastore.existingSecret"
  "example" "master.datastore.existingSecret: my-database") }}
{{- end }}
{{- end }}
{{- if and (eq .type "mysql") (contains ":" .user) }}
{{- include "kuscia.error" (dict "id" "colon-in-mysql-user" "path" "master.datastore.user" "value" (toRawJson .user)
  "rule" "must not contain ':', which the MySQL driver of Kuscia does not support" "example" "master.datastore.user: kuscia") }}
{{- end }}
{{- $tls := dict "mysql" (dict "param" "tls" "known" (list "true" "false" "skip-verify" "preferred"))
  "postgres" (dict "param" "sslmode" "known" (list "disable" "allow" "prefer" "require" "verify-ca" "verify-full")) }}
{{- $tls = get $tls .type }}
{{- $given := get (.params | default dict) $tls.param }}
{{- if not (has (toString $given) (concat (list "" "<nil>") $tls.known)) }}
{{- include "kuscia.error" (dict "id" "unsupported-driver-option" "path" (printf "master.datastore.params.%s" $tls.param) "value" (toRawJson $given)
  "rule" (printf "must be one of %s; the database driver of Kuscia supports no other value" (join ", " $tls.known))
  "example" (printf "master.datastore.params.%s: %s" $tls.param (last $tls.known))) }}
{{- end }}
{{- end }}
{{- end }}
{{- if eq (toString $values.datastore.type) "sqlite" }}
{{- range $key := list "host" "port" "database" "user" "existingSecret" "params" }}
{{- with get $values.datastore $key }}
{{- include "kuscia.error" (dict "id" "unused-datastore-key" "path" (printf "master.datastore.%s" $key) "value" "(not shown)"
  "rule" "must not be set for type sqlite, which uses no server; for a server, set master.datastore.type to mysql or postgres"
  "example" "master.datastore.type: mysql") }}
{{- end }}
{{- end }}
{{- end }}
{{- /* The domains. */}}
{{- range $id, $domain := $values.domains }}
{{- $path := printf "master.domains.%s" $id }}
{{- $example := printf "master.domains.alice.endpoint: https://kuscia-lite-alice.lite-alice.svc.cluster.local:1080" }}
{{- if eq $id (toString $values.domainId) }}
{{- include "kuscia.error" (dict "id" "master-as-lite-domain" "path" $path "value" (toRawJson $id)
  "rule" "must be a lite domain, not the domain of the master" "example" $example) }}
{{- end }}
{{- if $domain.endpoint }}
{{- include "kuscia.validate.endpoint" (dict "ctx" $ "path" (printf "%s.endpoint" $path) "value" $domain.endpoint
  "own" (include "kuscia.host" $) "ownRule" "must be the gateway of the lite, not of this master" "example" $example) }}
{{- end }}
{{- $reader := $domain.reader | default dict }}
{{- if $reader.serviceAccount }}
{{- include "kuscia.validate.given" (dict "path" (printf "%s.reader.namespace" $path) "value" $reader.namespace
  "rule" "must be set when reader.serviceAccount is set" "example" (printf "%s.reader.namespace: lite-%s" $path $id)) }}
{{- end }}
{{- end }}
{{- include "kuscia.validate.routes" $values }}
{{- /* The templates of AppImages. */}}
{{- range $name, $app := $values.appImages }}
{{- $files := $app.configTemplates | default dict }}
{{- range $i, $template := $app.deployTemplates }}
{{- $path := printf "master.appImages.%s.deployTemplates[%d]" $name $i }}
{{- $seen := dict }}
{{- range $n, $container := $template.containers }}
{{- include "kuscia.validate.limits" (dict "path" (printf "%s.containers[%d].resources" $path $n) "resources" $container.resources) }}
{{- range $mount := $container.config_volume_mounts }}
{{- if not (hasKey $files (toString $mount.sub_path)) }}
{{- include "kuscia.error" (dict "id" "unknown-config-template" "path" (printf "%s.containers[%d].config_volume_mounts" $path $n) "value" (toRawJson $mount)
  "rule" (printf "must have a sub_path that is a key of configTemplates (%s)" (keys $files | sortAlpha | join ", " | default "none are defined"))
  "example" "config_volume_mounts: [{mount_path: /work/kuscia/task-config.conf, sub_path: task-config.conf}]") }}
{{- end }}
{{- end }}
{{- range $port := $container.ports }}
{{- if hasKey $seen (toString $port.name) }}
{{- include "kuscia.error" (dict "id" "duplicate-port-name" "path" $path "value" (toRawJson $port.name)
  "rule" "must have unique port names across its containers" "example" "ports: [{name: psi, protocol: HTTP, scope: Cluster}]") }}
{{- end }}
{{- $_ := set $seen (toString $port.name) true }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- /* The job of `helm test`. */}}
{{- if $values.exampleJob.enabled }}
{{- $job := $values.exampleJob }}
{{- $example := "parties: [{domain: alice, table: alice-table, keys: [id1]}, …]" }}
{{- if not (get $values.appImages (toString $job.appImage)) }}
{{- include "kuscia.error" (dict "id" "unknown-app-image" "path" "master.exampleJob.appImage" "value" (toRawJson $job.appImage)
  "rule" (printf "must be an AppImage in master.appImages (%s)" (keys $values.appImages | sortAlpha | join ", "))
  "example" "master.exampleJob.appImage: secretflow-image") }}
{{- end }}
{{- $parties := list }}
{{- range $i, $party := $job.parties }}
{{- $parties = append $parties $party.domain }}
{{- if not (hasKey $values.domains (toString $party.domain)) }}
{{- include "kuscia.error" (dict "id" "unlisted-domain" "path" (printf "master.exampleJob.parties[%d].domain" $i) "value" (toRawJson $party.domain)
  "rule" "must be a domain in master.domains" "example" $example) }}
{{- end }}
{{- end }}
{{- if lt (len ($parties | uniq)) 2 }}
{{- include "kuscia.error" (dict "id" "too-few-parties" "path" "master.exampleJob.parties" "value" (toRawJson $parties)
  "rule" "must have at least two different domains" "example" $example) }}
{{- end }}
{{- range $i, $party := $job.parties }}
{{- $first := (first $job.parties).keys | default list }}
{{- if and $party.keys $first (ne (len $party.keys) (len $first)) }}
{{- include "kuscia.error" (dict "id" "different-number-of-keys" "path" (printf "master.exampleJob.parties[%d].keys" $i) "value" (toRawJson $party.keys)
  "rule" (printf "must have as many columns as the keys of the other domain (%d), since PSI compares them in pairs" (len $first)) "example" $example) }}
{{- end }}
{{- end }}
{{- if gt (len $parties) 2 }}
{{- include "kuscia.error" (dict "id" "too-many-parties" "path" "master.exampleJob.parties" "value" (toRawJson $parties)
  "rule" "must have two domains, as the PSI job has a sender and a receiver" "example" $example) }}
{{- end }}
{{- if not (has $job.initiator $parties) }}
{{- include "kuscia.error" (dict "id" "initiator-not-a-party" "path" "master.exampleJob.initiator" "value" (toRawJson $job.initiator)
  "rule" "must be the domain of one of the parties" "example" "master.exampleJob.initiator: alice") }}
{{- end }}
{{- end }}
{{- end -}}

{{/* master.routes: `all` or a list, with transit domains (Kuscia facts 6.1). Takes the values of the master. */}}
{{- define "kuscia.validate.routes" -}}
{{- $domains := .domains -}}
{{- $example := "master.routes: [{source: alice, destination: bob}]" -}}
{{- if kindIs "slice" .routes }}
{{- $seen := dict }}
{{- $direct := dict }}
{{- range .routes }}
{{- if not .transit }}{{ $_ := set $direct (printf "%v to %v" .source .destination) true }}{{ end }}
{{- end }}
{{- range $i, $route := .routes }}
{{- $path := printf "master.routes[%d]" $i }}
{{- range $end := list "source" "destination" }}
{{- if not (hasKey $domains (toString (get $route $end))) }}
{{- include "kuscia.error" (dict "id" "unlisted-domain" "path" (printf "%s.%s" $path $end) "value" (get $route $end | toRawJson)
  "rule" "must be a domain in master.domains; Kuscia creates the routes to and from the master itself" "example" $example) }}
{{- end }}
{{- end }}
{{- if $route.transit }}
{{- $place := printf "%s.transit" $path }}
{{- $through := "master.routes: [{source: alice, destination: bob, transit: carol}, {source: alice, destination: carol}, {source: carol, destination: bob}]" }}
{{- if not (hasKey $domains $route.transit) }}
{{- include "kuscia.error" (dict "id" "unlisted-domain" "path" $place "value" (toRawJson $route.transit)
  "rule" "must be a domain in master.domains" "example" $through) }}
{{- else if has $route.transit (list $route.source $route.destination) }}
{{- include "kuscia.error" (dict "id" "transit-through-route-end" "path" $place "value" (toRawJson $route.transit)
  "rule" "must be a third domain, not the source or the destination" "example" $through) }}
{{- else }}
{{- range $leg := list (printf "%v to %v" $route.source $route.transit) (printf "%v to %v" $route.transit $route.destination) }}
{{- if not (hasKey $direct $leg) }}
{{- include "kuscia.error" (dict "id" "transit-leg-missing" "path" $place "value" (toRawJson $route.transit)
  "rule" (printf "requires a route from %s without transit in master.routes" $leg) "example" $through) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- $pair := printf "%v to %v" $route.source $route.destination }}
{{- if and $route.source (eq (toString $route.source) (toString $route.destination)) }}
{{- include "kuscia.error" (dict "id" "route-to-itself" "path" $path "value" (toRawJson $pair)
  "rule" "must have a destination other than its source" "example" $example) }}
{{- end }}
{{- if hasKey $seen $pair }}
{{- include "kuscia.error" (dict "id" "duplicate-route" "path" $path "value" (toRawJson $pair)
  "rule" (printf "must be unique; master.routes[%d] has the same source and destination" (get $seen $pair)) "example" $example) }}
{{- end }}
{{- $_ := set $seen $pair $i }}
{{- $target := get $domains (toString $route.destination) | default dict }}
{{- if and (hasKey $domains (toString $route.destination)) (not $target.endpoint) (not $route.transit) }}
{{- include "kuscia.error" (dict "id" "route-without-endpoint" "path" (printf "master.domains.%v.endpoint" $route.destination) "value" (toRawJson $target.endpoint)
  "rule" (printf "must be set because this domain is the destination of %s" $path)
  "example" (printf "master.domains.%v.endpoint: https://kuscia-lite-%v.lite-%v.svc.cluster.local:1080" $route.destination $route.destination $route.destination)) }}
{{- end }}
{{- end }}
{{- else if ne (toString .routes) "all" }}
{{- include "kuscia.error" (dict "id" "invalid-routes" "path" "master.routes" "value" (toRawJson .routes)
  "rule" "must be 'all' or a list of routes" "example" $example) }}
{{- end }}
{{- /* Two routes with one name in Kuscia, `<source>-<destination>` (Kuscia facts 6.2). Kuscia itself creates the routes from the
lites to the master. */}}
{{- $master := .domainId }}
{{- $collisions := list }}
{{- if kindIs "slice" .routes }}
{{- $names := dict -}}
{{- range $id, $_ := $domains }}
{{- $_ := set $names (printf "%s-%s" $id $master) (printf "%s to %s" $id $master) }}
{{- end }}
{{- range $i, $route := .routes }}
{{- $name := printf "%v-%v" $route.source $route.destination -}}
{{- $pair := printf "%v to %v" $route.source $route.destination -}}
{{- $other := get $names $name | default $pair -}}
{{- $_ := set $names $name $other -}}
{{- if ne $other $pair }}
{{- $collisions = append $collisions (dict "path" (printf "master.routes[%d]" $i) "pair" $pair "name" $name "other" $other) }}
{{- end }}
{{- end }}
{{- else }}
{{- /* Every domain leads to every target. Only a source whose ID is that of another domain, '-' and more can collide. */}}
{{- $targets := dict $master true -}}
{{- range $id, $domain := $domains }}
{{- if $domain.endpoint }}{{ $_ := set $targets $id true }}{{ end }}
{{- end }}
{{- range $source, $_ := $domains }}
{{- $parts := splitList "-" $source }}
{{- range $n, $_ := rest $parts }}
{{- $other := slice $parts 0 (add1 $n) | join "-" }}
{{- if hasKey $domains $other }}
{{- range $target, $_ := $targets }}
{{- $far := printf "%s-%s" (trimPrefix (printf "%s-" $other) $source) $target -}}
{{- if and (ne $source $target) (ne $other $far) (hasKey $targets $far) }}
{{- $collisions = append $collisions (dict "path" "master.routes" "name" (printf "%s-%s" $source $target)
  "pair" (printf "%s to %s" $source $target) "other" (printf "%s to %s" $other $far)) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- range $collisions }}
{{- include "kuscia.error" (dict "id" "colliding-route-names" "path" .path "value" (toRawJson .pair)
  "rule" (printf "must not have the name %s in Kuscia, which belongs to the route %s; list the routes without one of them, or use other domain IDs" .name .other)
  "example" "master.routes: [{source: alice, destination: bob}]") }}
{{- end }}
{{- end -}}
