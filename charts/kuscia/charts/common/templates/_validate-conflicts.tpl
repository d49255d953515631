{{/*
Single values are valid here, but exclude each other: in the Service, the NetworkPolicy, the volume and the monitors. Takes the
context of the component.
*/}}
{{- define "kuscia.validate.conflicts" -}}
{{- $values := .Values -}}
{{- $path := .Chart.Name -}}
{{- $external := $values.service.external }}
{{- range $key := list "loadBalancerClass" "loadBalancerSourceRanges" }}
{{- if and $external.enabled (eq $external.type "NodePort") (get $external $key) }}
{{- include "kuscia.error" (dict "id" "load-balancer-only" "path" (printf "%s.service.external.%s" $path $key) "value" (toRawJson (get $external $key))
  "rule" "must not be set for type NodePort; restrict access with a firewall, or with networkPolicy.gatewayFrom and externalTrafficPolicy: Local"
  "example" (printf "%s.service.external.type: LoadBalancer" $path)) }}
{{- end }}
{{- end }}
{{- $service := $values.service }}
{{- $families := $service.ipFamilies | default list -}}
{{- $both := list "PreferDualStack" "RequireDualStack" -}}
{{- if and (eq (len $families) 2) (eq (first $families) (last $families)) }}
{{- include "kuscia.error" (dict "id" "repeated-entry" "path" (printf "%s.service.ipFamilies[1]" $path) "value" (last $families | toRawJson)
  "rule" "must differ from the first family" "example" (printf "%s.service.ipFamilies: [IPv4, IPv6]" $path)) }}
{{- else if and (eq (len $families) 2) (not (has $service.ipFamilyPolicy $both)) }}
{{- include "kuscia.error" (dict "id" "conflicting-values" "path" (printf "%s.service.ipFamilyPolicy" $path) "value" (toRawJson $service.ipFamilyPolicy)
  "rule" (printf "must be %s for two families" (join " or " $both)) "example" (printf "%s.service.ipFamilyPolicy: PreferDualStack" $path)) }}
{{- end }}
{{- $family := ternary "IPv6" "IPv4" (contains ":" (toString $service.clusterIP)) }}
{{- if and $service.clusterIP $families (ne (first $families) $family) }}
{{- include "kuscia.error" (dict "id" "conflicting-values" "path" (printf "%s.service.ipFamilies[0]" $path) "value" (first $families | toRawJson)
  "rule" (printf "must be the family of %s.service.clusterIP, %s" $path $family) "example" (printf "%s.service.ipFamilies: [%s]" $path $family)) }}
{{- end }}
{{- $ranges := dict }}
{{- range $i, $range := $external.loadBalancerSourceRanges }}
{{- $_ := set $ranges (printf "%s.service.external.loadBalancerSourceRanges[%d]" $path $i) (list $range "") }}
{{- end }}
{{- $peers := dict }}
{{- range $key := list "gatewayFrom" "apiFrom" "metricsFrom" }}
{{- $_ := set $peers (printf "%s.networkPolicy.%s" $path $key) (get $values.networkPolicy $key) }}
{{- end }}
{{- range $i, $rule := $values.networkPolicy.extraIngress }}
{{- $place := printf "%s.networkPolicy.extraIngress[%d]" $path $i }}
{{- $_ := set $peers (printf "%s.from" $place) $rule.from }}
{{- range $j, $port := $rule.ports }}
{{- if and $port.endPort (not (kindIs "string" $port.port)) (lt (float64 $port.endPort) (float64 $port.port)) }}
{{- $place := printf "%s.ports[%d]" $place $j }}
{{- include "kuscia.error" (dict "id" "conflicting-values" "path" (printf "%s.endPort" $place) "value" (toRawJson $port.endPort)
  "rule" (printf "must not be less than %s.port" $place) "example" (printf "%s: {port: 8000, endPort: 8010}" $place)) }}
{{- end }}
{{- end }}
{{- end }}
{{- range $place, $list := $peers }}
{{- range $i, $peer := $list }}
{{- with $peer.ipBlock }}
{{- $block := . }}
{{- $place := printf "%s[%d].ipBlock" $place $i }}
{{- $_ := set $ranges (printf "%s.cidr" $place) (list .cidr "") }}
{{- range $j, $range := .except }}
{{- $_ := set $ranges (printf "%s.except[%d]" $place $j) (list $range $block.cidr) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- /* A range, and the one that it must be a part of, as binary digits. */}}
{{- $pattern := "" }}
{{- if $ranges }}{{ $pattern = (include "kuscia.valueRules" . | fromJson).cidr.pattern }}{{ end }}
{{- range $place, $both := $ranges }}
{{- $addresses := list }}
{{- $networks := list }}
{{- range $range := $both }}
{{- $bits := "" }}
{{- $address := first (splitList "/" (toString $range)) }}
{{- if not (regexMatch $pattern (toString $range)) }}
{{- else if contains ":" $address }}
{{- $missing := sub 8 (len (regexFindAll "[0-9A-Fa-f]+" $address -1)) | max 0 | int }}
{{- range regexFindAll "[0-9A-Fa-f]+" (replace "::" (printf ":%s" (repeat $missing "0:")) $address) -1 }}
{{- $bits = printf "%s%016b" $bits (int (printf "0x%s" .)) }}
{{- end }}
{{- else }}
{{- range splitList "." $address }}{{ $bits = printf "%s%08b" $bits (atoi .) }}{{ end }}
{{- end }}
{{- $addresses = append $addresses $bits }}
{{- $networks = append $networks (trunc (last (splitList "/" (toString $range)) | atoi) $bits) }}
{{- end }}
{{- $own := first $networks }}
{{- $outer := last $networks }}
{{- $error := dict "path" $place "value" (first $both | toRawJson) }}
{{- if contains "1" (trimPrefix $own (first $addresses)) }}
{{- include "kuscia.error" (merge $error (dict "id" "invalid-cidr" "rule" "must not have bits set beyond the prefix length" "example" "10.0.0.0/8")) }}
{{- else if and (last $both) (or (not (hasPrefix $outer $own)) (eq $own $outer) (ne (len (first $addresses)) (len (last $addresses)))) }}
{{- include "kuscia.error" (merge $error (dict "id" "conflicting-values" "rule" (printf "must be a part of the range %s, and not all of it" (last $both))
  "example" "ipBlock: {cidr: 10.0.0.0/8, except: [10.1.0.0/16]}")) }}
{{- end }}
{{- end }}
{{- $modes := $values.persistence.accessModes }}
{{- if and (has "ReadWriteOncePod" $modes) (gt (len (uniq $modes)) 1) }}
{{- include "kuscia.error" (dict "id" "conflicting-values" "path" (printf "%s.persistence.accessModes" $path) "value" (toRawJson $modes)
  "rule" "must have no other mode next to ReadWriteOncePod" "example" (printf "%s.persistence.accessModes: [ReadWriteOncePod]" $path)) }}
{{- end }}
{{- if and $values.metrics.podMonitor.enabled $values.metrics.serviceMonitor.enabled }}
{{- include "kuscia.error" (dict "id" "conflicting-values" "path" (printf "%s.metrics.serviceMonitor.enabled" $path) "value" "true"
  "rule" (printf "must be false if %s.metrics.podMonitor.enabled is true, because Prometheus would store every sample twice" $path)
  "example" (printf "%s.metrics.serviceMonitor.enabled: false" $path)) }}
{{- end }}
{{- end -}}
