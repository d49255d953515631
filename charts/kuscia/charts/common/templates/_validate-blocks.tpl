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
  "/home/kuscia/var/tmp" "/home/kuscia/var/tmp/resolv.conf" "/run/kuscia" "/tables" "/tmp" "/var/run/secrets/kubernetes.io/serviceaccount" -}}
{{- range $i, $_ := (.Values.data | default dict).tables }}{{ $volumes = append $volumes (printf "tables-%d" $i) }}{{ end }}
{{- range $path, $block := dict $component .Values (printf "%s.jobs" $component) .Values.jobs }}
{{- include "kuscia.validate.unique" (dict "path" (printf "%s.extraVolumes" $path) "items" $block.extraVolumes "keys" (list "name") "taken" $volumes) }}
{{- include "kuscia.validate.unique" (dict "path" (printf "%s.extraVolumeMounts" $path) "items" $block.extraVolumeMounts "keys" (list "mountPath") "taken" $paths) }}
{{- include "kuscia.validate.unique" (dict "path" (printf "%s.topologySpreadConstraints" $path) "items" $block.topologySpreadConstraints
  "keys" (list "topologyKey" "whenUnsatisfiable") "taken" list) }}
{{- include "kuscia.validate.unique" (dict "path" (printf "%s.podSecurityContext.sysctls" $path)
  "items" ($block.podSecurityContext | default dict).sysctls "keys" (list "name") "taken" list) }}
{{- $known := $volumes }}
{{- range $block.extraVolumes }}{{ $known = append $known .name }}{{ end }}
{{- $mounts := dict (printf "%s.extraVolumeMounts" $path) $block.extraVolumeMounts }}
{{- range $kind := list "extraInitContainers" "extraContainers" }}
{{- range $i, $container := index $block $kind }}
{{- $place := printf "%s.%s[%d]" $path $kind $i }}
{{- range $key := list "volumeMounts" "volumeDevices" }}
{{- $_ := set $mounts (printf "%s.%s" $place $key) (index $container $key) }}
{{- end }}
{{- include "kuscia.validate.limits" (dict "path" (printf "%s.resources" $place) "resources" $container.resources) }}
{{- range $key, $name := dict "volumeMounts" "mountPath" "ports" "name" "resizePolicy" "resourceName" }}
{{- include "kuscia.validate.unique" (dict "path" (printf "%s.%s" $place $key) "items" (index $container $key) "keys" (list $name) "taken" list) }}
{{- end }}
{{- if and (eq $kind "extraInitContainers") (ne (toString $container.restartPolicy) "Always") }}
{{- range $key := list "lifecycle" "livenessProbe" "readinessProbe" "startupProbe" }}
{{- if kindIs "map" (get $container $key) }}
{{- include "kuscia.error" (dict "id" "conflicting-values" "path" (printf "%s.%s" $place $key) "value" (get $container $key | toRawJson)
  "rule" "must not be set for an init container, unless its restartPolicy is Always" "example" (printf "%s.restartPolicy: Always" $place)) }}
{{- end }}
{{- end }}
{{- end }}
{{- range $event, $handler := $container.lifecycle }}
{{- if kindIs "map" $handler }}
{{- $seconds := ($handler.sleep | default dict).seconds | default 0 | int }}
{{- if gt $seconds (int $.Values.terminationGracePeriodSeconds) }}
{{- include "kuscia.error" (dict "id" "conflicting-values" "path" (printf "%s.lifecycle.%s.sleep.seconds" $place $event) "value" (toString $seconds)
  "rule" (printf "must not be greater than %s.terminationGracePeriodSeconds (%d)" $component (int $.Values.terminationGracePeriodSeconds))
  "example" (printf "%s.terminationGracePeriodSeconds: %d" $component $seconds)) }}
{{- end }}
{{- end }}
{{- end }}
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
{{- $probes := dict }}
{{- range $name, $probe := pick .Values.probes "startup" "readiness" "liveness" }}
{{- $_ := set $probes (printf "%s.probes.%s" $component $name) (dict "readiness" (eq $name "readiness") "probe" $probe) }}
{{- end }}
{{- range $kind := list "extraInitContainers" "extraContainers" }}
{{- range $i, $container := index $.Values $kind }}
{{- range $name := list "startupProbe" "readinessProbe" "livenessProbe" }}
{{- with get $container $name }}
{{- $_ := set $probes (printf "%s.%s[%d].%s" $component $kind $i $name) (dict "readiness" (eq $name "readinessProbe") "probe" .) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- range $path, $entry := $probes }}
{{- $key := ternary "terminationGracePeriodSeconds" "successThreshold" $entry.readiness }}
{{- $value := get $entry.probe $key | default 0 | int }}
{{- if gt $value (ternary 0 1 $entry.readiness) }}
{{- include "kuscia.error" (dict "id" "invalid-probe" "path" (printf "%s.%s" $path $key) "value" (toRawJson $value)
  "rule" (ternary "must not be set for a readiness probe" "must be 1, except for a readiness probe" $entry.readiness)
  "example" (printf "%s.%s: null" $path $key)) }}
{{- end }}
{{- end }}
{{- /* The kubelet does not start a container that must not run as root, and does. */}}
{{- $jobs := .Values.jobs }}
{{- $ofSteps := list (dict "runAsUser" 1000 "runAsNonRoot" true) ($jobs.podSecurityContext | default dict) (dict "runAsUser" 1000 "runAsNonRoot" true) ($jobs.securityContext | default dict) }}
{{- $ofKuscia := list (dict "runAsUser" 0) (.Values.podSecurityContext | default dict)
  (ternary (dict "runAsUser" 1000 "runAsNonRoot" true) dict .Values.rootless) (.Values.securityContext | default dict) }}
{{- range $path, $contexts := dict $component $ofKuscia (printf "%s.jobs" $component) $ofSteps }}
{{- $merged := dict }}
{{- range $context := $contexts }}
{{- range $key := list "runAsUser" "runAsNonRoot" }}
{{- if hasKey $context $key }}{{ $_ := set $merged $key (get $context $key) }}{{ end }}
{{- end }}
{{- end }}
{{- if and $merged.runAsNonRoot (not (kindIs "invalid" $merged.runAsUser)) (eq (int $merged.runAsUser) 0) }}
{{- include "kuscia.error" (dict "id" "root-with-run-as-non-root" "path" (printf "%s.securityContext.runAsNonRoot" $path) "value" "true"
  "rule" (printf "must be false for user 0%s" (ternary ", as which Kuscia runs unless rootless is true" "" (eq $path $component)))
  "example" (ternary (printf "%s.rootless: true" $component) (printf "%s.securityContext: {runAsUser: 0, runAsNonRoot: false}" $path) (eq $path $component))) }}
{{- end }}
{{- end }}
{{- range $path, $context := dict $component (.Values.securityContext | default dict) (printf "%s.jobs" $component) ($jobs.securityContext | default dict) }}
{{- $ofKuscia := eq $path $component }}
{{- $privileged := or $context.privileged (and $ofKuscia (eq (toString $.Values.runtime) "runc")) }}
{{- $denied := eq (dig "allowPrivilegeEscalation" $ofKuscia $context | toString) "false" }}
{{- if and $denied (or $privileged (has "CAP_SYS_ADMIN" (($context.capabilities | default dict).add | default list))) }}
{{- include "kuscia.error" (dict "id" "privileged-without-escalation" "path" (printf "%s.securityContext.allowPrivilegeEscalation" $path) "value" "false"
  "rule" "must be true for a container that is privileged or has CAP_SYS_ADMIN" "example" (printf "%s.securityContext.allowPrivilegeEscalation: true" $path)) }}
{{- end }}
{{- range $i, $mount := (ternary $.Values $jobs $ofKuscia).extraVolumeMounts }}
{{- if and (eq (toString $mount.mountPropagation) "Bidirectional") (not $privileged) }}
{{- include "kuscia.error" (dict "id" "conflicting-values" "path" (printf "%s.extraVolumeMounts[%d].mountPropagation" $path $i) "value" (toRawJson $mount.mountPropagation)
  "rule" "must not be Bidirectional for a container that is not privileged" "example" (printf "%s.extraVolumeMounts[%d].mountPropagation: HostToContainer" $path $i)) }}
{{- end }}
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
{{- $name := join ", " $parts | trimSuffix "/" }}
{{- if has (first $parts) (list "" "<nil>") }}
{{- else if has $name $seen }}
{{- include "kuscia.error" (dict "id" "repeated-entry" "path" (printf "%s[%d]" $.path $i) "value" (toRawJson $name)
  "rule" (printf "must have a %s that neither the chart nor an earlier entry uses" (join " and " $.keys))
  "example" (printf "%s[%d].%s: %s-2" $.path $i (first $.keys) (first $parts))) }}
{{- end }}
{{- $seen = append $seen $name }}
{{- end }}
{{- end -}}

{{/*
A request must not exceed its limit. Devices and huge pages are whole, and their request must be equal to the limit:
{path, resources, places?}. With `places`, the requests are those of the containers of an engine pod, a list for each resource;
the limits are the capacity of the lite, which all of them together must not exceed, or no job ever starts. `places` has the
path of each resource.
*/}}
{{- define "kuscia.validate.limits" -}}
{{- $resources := .resources | default dict -}}
{{- $factors := dict "" 1.0 "n" 1e-9 "u" 1e-6 "m" 1e-3 "k" 1e3 "M" 1e6 "G" 1e9 "T" 1e12 "P" 1e15 "E" 1e18
  "Ki" 1024.0 "Mi" 1048576.0 "Gi" 1073741824.0 "Ti" 1099511627776.0 "Pi" 1125899906842624.0 "Ei" 1152921504606846976.0 -}}
{{- $requests := $resources.requests | default dict }}
{{- $limits := $resources.limits | default dict }}
{{- $names := concat (keys $requests) (keys $limits) | uniq | sortAlpha }}
{{- if and (not .places) (regexMatch "(^|,)hugepages-" (join "," $names)) }}
{{- include "kuscia.validate.given" (dict "path" (printf "%s.limits.memory" .path) "value" (or (has "cpu" $names) (has "memory" $names))
  "rule" "must be set, or cpu, as Kubernetes requires for huge pages" "example" (printf "%s.limits.memory: 1Gi" .path)) }}
{{- end }}
{{- range $name := $names }}
{{- $request := get $requests $name }}
{{- $unit := ternary (trimPrefix "hugepages-" $name) "1" (hasPrefix "hugepages-" $name) }}
{{- $texts := list }}
{{- range concat (ternary $request (list $request) (kindIs "slice" $request)) (list (get $limits $name) $unit) }}
{{- $texts = append $texts (include "kuscia.number" .) }}
{{- end }}
{{- $numbers := list }}
{{- range $texts }}
{{- $suffix := regexFind "([numkMGTPE]|[KMGTPE]i)$" . }}
{{- $numbers = append $numbers (mulf (trimSuffix $suffix . | float64) (get $factors $suffix)) }}
{{- end }}
{{- $size := last $numbers }}
{{- $numbers = initial $numbers }}
{{- $texts = initial $texts }}
{{- $limit := last $texts }}
{{- $sum := 0.0 }}
{{- range initial $numbers }}{{ $sum = addf $sum . }}{{ end }}
{{- $limited := not (has $limit (list "" "<nil>")) }}
{{- $above := and $limited (gt $sum (last $numbers)) }}
{{- $error := dict "path" (printf "%s.requests.%s" $.path $name) "value" (toRawJson $request)
  "example" (printf "%s.limits.%s: %s" $.path $name (first $texts)) }}
{{- if $.places }}
{{- if $above }}
{{- $single := eq (len $texts) 2 }}
{{- include "kuscia.error" (dict "id" "request-above-capacity" "path" (get $.places $name) "value" (initial $texts | join " + ")
  "rule" (printf "must not be greater than lite.capacity.%s (%s) for all containers of the pod together" $name $limit)
  "example" (printf "lite.capacity.%s: %s" $name (ternary (first $texts) (ceil $sum | printf "%.0f") $single))) }}
{{- end }}
{{- else if regexMatch "/|^hugepages-" $name }}
{{- range $i, $kind := list "requests" "limits" }}
{{- $parts := divf (index $numbers $i) (ternary $size 1.0 (gt $size 0.0)) }}
{{- if ne $parts (floor $parts) }}
{{- include "kuscia.error" (dict "id" "not-a-whole-number" "path" (printf "%s.%s.%s" $.path $kind $name) "value" (get (index (list $requests $limits) $i) $name | toRawJson)
  "rule" (ternary "must be a whole number" (printf "must be a multiple of the page size %s" $unit) (eq $unit "1"))
  "example" (printf "%s.%s.%s: %s" $.path $kind $name (include "kuscia.number" (mulf (ceil $parts) $size)))) }}
{{- end }}
{{- end }}
{{- if and (hasKey $requests $name) (not (and $limited (eq $sum (last $numbers)))) }}
{{- include "kuscia.error" (merge (dict "id" "request-differs-from-limit" "rule" "must be equal to the limit, as Kubernetes requires for devices and huge pages") $error) }}
{{- end }}
{{- else if $above }}
{{- include "kuscia.error" (merge (dict "id" "request-above-limit" "rule" (printf "must not be greater than the limit %s" $limit)) $error) }}
{{- end }}
{{- end }}
{{- end -}}
