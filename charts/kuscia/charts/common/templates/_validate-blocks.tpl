{{/*
Rules for blocks that are passed on to Kubernetes, as far as they concern several entries. Single entries are checked by Helm
(schema/kubernetes.yaml).
*/}}

{{/* Takes the context of the component. */}}
{{- define "kuscia.validate.blocks" -}}
{{- $component := .Chart.Name -}}
{{- $volumes := list "api-token" "ca-bundle" "config" "containerd" "data" "run" "state" "tmp" "var-tmp" -}}
{{- $paths := list "/etc/kuscia-ca" "/etc/kuscia-hooks" "/etc/kuscia-runk/kubeconfig" "/etc/resolv.conf" "/home/kuscia/containerd"
  "/home/kuscia/etc/conf/kuscia.yaml" "/home/kuscia/var/k3s" "/home/kuscia/var/storage"
  "/home/kuscia/var/tmp" "/home/kuscia/var/tmp/resolv.conf" "/run/kuscia" "/tmp" "/var/run/secrets/kubernetes.io/serviceaccount" -}}
{{- range $path, $block := dict $component .Values (printf "%s.jobs" $component) .Values.jobs }}
{{- include "kuscia.validate.unique" (dict "path" (printf "%s.extraVolumes" $path) "items" $block.extraVolumes "keys" (list "name") "taken" $volumes) }}
{{- include "kuscia.validate.unique" (dict "path" (printf "%s.extraVolumeMounts" $path) "items" $block.extraVolumeMounts "keys" (list "mountPath") "taken" $paths) }}
{{- include "kuscia.validate.unique" (dict "path" (printf "%s.topologySpreadConstraints" $path) "items" $block.topologySpreadConstraints
  "keys" (list "topologyKey" "whenUnsatisfiable") "taken" list) }}
{{- $known := $volumes }}
{{- range $block.extraVolumes }}{{ $known = append $known .name }}{{ end }}
{{- $mounts := dict (printf "%s.extraVolumeMounts" $path) $block.extraVolumeMounts }}
{{- range $kind := list "extraInitContainers" "extraContainers" }}
{{- range $i, $container := index $block $kind }}
{{- $_ := set $mounts (printf "%s.%s[%d].volumeMounts" $path $kind $i) $container.volumeMounts }}
{{- include "kuscia.validate.limits" (dict "path" (printf "%s.%s[%d].resources" $path $kind $i) "resources" $container.resources) }}
{{- end }}
{{- end }}
{{- range $place, $items := $mounts }}
{{- range $i, $mount := $items }}
{{- if not (has $mount.name $known) }}
{{- include "kuscia.error" (dict "id" "unknown-volume" "path" (printf "%s[%d].name" $place $i) "value" (toRawJson $mount.name)
  "rule" "must be the name of a volume in extraVolumes" "example" (printf "extraVolumes: [{name: %s, emptyDir: {}}]" $mount.name)) }}
{{- end }}
{{- end }}
{{- end }}
{{- include "kuscia.validate.limits" (dict "path" (printf "%s.resources" $path) "resources" $block.resources) }}
{{- range $step, $own := $block }}
{{- if and (eq $path (printf "%s.jobs" $component)) (kindIs "map" $own) (hasKey $own "resources") }}
{{- include "kuscia.validate.limits" (dict "path" (printf "%s.%s.resources" $path $step) "resources" $own.resources) }}
{{- end }}
{{- end }}
{{- end }}
{{- $privileged := or (eq (toString .Values.runtime) "runc") (dig "privileged" false (.Values.securityContext | default dict)) }}
{{- $steps := .Values.jobs.securityContext | default dict }}
{{- range $path, $denied := dict
  $component (and $privileged (eq (dig "allowPrivilegeEscalation" true (.Values.securityContext | default dict)) false))
  (printf "%s.jobs" $component) (and $steps.privileged (not (hasKey $steps "allowPrivilegeEscalation"))) }}
{{- if $denied }}
{{- include "kuscia.error" (dict "id" "privileged-without-escalation" "path" (printf "%s.securityContext.allowPrivilegeEscalation" $path) "value" "false"
  "rule" "must be true for a privileged container" "example" (printf "%s.securityContext.allowPrivilegeEscalation: true" $path)) }}
{{- end }}
{{- end }}
{{- $own := list $component "prepare" "seed" }}
{{- range $kind := list "extraInitContainers" "extraContainers" }}
{{- include "kuscia.validate.unique" (dict "path" (printf "%s.%s" $component $kind) "items" (index $.Values $kind) "keys" (list "name") "taken" $own) }}
{{- range index $.Values $kind }}{{ $own = append $own .name }}{{ end }}
{{- end }}
{{- end -}}

{{/* Entries of a list must differ in some keys, from each other and from what the chart has: {path, items, keys, taken}. */}}
{{- define "kuscia.validate.unique" -}}
{{- $seen := .taken -}}
{{- range $i, $item := .items }}
{{- $parts := list }}
{{- range $.keys }}{{ $parts = append $parts (get $item . | toString) }}{{ end }}
{{- $name := join ", " $parts }}
{{- if has $name $seen }}
{{- include "kuscia.error" (dict "id" "repeated-entry" "path" (printf "%s[%d]" $.path $i) "value" (toRawJson $name)
  "rule" (printf "must have a %s that neither the chart nor an earlier entry uses" (join " and " $.keys))
  "example" (printf "%s[%d].%s: %s-2" $.path $i (first $.keys) (first $parts))) }}
{{- end }}
{{- $seen = append $seen $name }}
{{- end }}
{{- end -}}

{{/*
A request must not exceed its limit: {path, resources, capacity?}. With `capacity`, the requests of an engine must not exceed
that of the lite, or no job ever starts. A request that is not set is the limit.
*/}}
{{- define "kuscia.validate.limits" -}}
{{- $resources := .resources | default dict -}}
{{- $capacity := .capacity -}}
{{- $requests := $resources.requests | default dict -}}
{{- $limits := $resources.limits | default dict -}}
{{- if $capacity -}}
{{- $requests = merge (dict) $requests $limits -}}
{{- $limits = $capacity -}}
{{- end -}}
{{- $factors := dict "" 1.0 "n" 1e-9 "u" 1e-6 "m" 1e-3 "k" 1e3 "M" 1e6 "G" 1e9 "T" 1e12 "P" 1e15 "E" 1e18
  "Ki" 1024.0 "Mi" 1048576.0 "Gi" 1073741824.0 "Ti" 1099511627776.0 "Pi" 1125899906842624.0 "Ei" 1152921504606846976.0 -}}
{{- range $name, $request := $requests }}
{{- $texts := list (include "kuscia.number" $request) (include "kuscia.number" (get $limits $name)) }}
{{- $numbers := list }}
{{- range $texts }}
{{- $suffix := regexFind "([numkMGTPE]|[KMGTPE]i)$" . }}
{{- $numbers = append $numbers (mulf (trimSuffix $suffix . | float64) (get $factors $suffix)) }}
{{- end }}
{{- $limited := not (or (kindIs "invalid" (get $limits $name)) (eq (last $texts) "")) }}
{{- if and $limited (gt (first $numbers) (last $numbers)) }}
{{- $error := dict "id" "request-above-limit" "rule" (printf "must not be greater than the limit %s" (last $texts))
  "example" (printf "%s.limits.%s: %s" $.path $name (first $texts)) }}
{{- if $capacity }}
{{- $error = dict "id" "request-above-capacity" "rule" (printf "must not be greater than lite.capacity.%s (%s)" $name (last $texts))
  "example" (printf "lite.capacity.%s: %s" $name (first $texts)) }}
{{- end }}
{{- $kind := ternary "requests" "limits" (hasKey ($resources.requests | default dict) $name) }}
{{- include "kuscia.error" (merge (dict "path" (printf "%s.%s.%s" $.path $kind $name) "value" (toRawJson $request)) $error) }}
{{- end }}
{{- end }}
{{- end -}}
