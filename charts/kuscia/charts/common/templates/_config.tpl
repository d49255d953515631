{{/*
The configuration files of Kuscia and of the steps. Each is built as a dict and printed with toYaml, so that every text
stays text. A fragment of several files is JSON, which its users parse.
*/}}

{{/*
The base of kuscia.yaml without secrets: {ctx, own}; `own` holds the keys of the component as a dict. The
`prepare` init container adds the secrets. extraConfig overrides everything except the keys that validation rejects:
mappings are merged, lists and other values are replaced.
*/}}
{{- define "kuscia.baseConfig" -}}
{{- $ctx := .ctx -}}
{{- $extra := deepCopy ($ctx.Values.extraConfig | default dict) -}}
{{- $name := include "kuscia.fullname" $ctx -}}
{{- $ns := $ctx.Release.Namespace -}}
{{- $sans := list $name (printf "%s.%s" $name $ns) (printf "%s.%s.svc" $name $ns) (include "kuscia.host" $ctx) -}}
{{- $sans = concat $sans ($extra.kusciaAPISans | default list) | uniq -}}
{{- $config := dict
  "mode" $ctx.Chart.Name
  "domainID" $ctx.Values.domainId
  "logLevel" "INFO"
  -}}
{{- with $ctx.Values.protocol -}}
{{- $_ := set $config "protocol" (. | toString | upper) -}}
{{- end -}}
{{- $config = mergeOverwrite $config (deepCopy .own) $extra (dict "kusciaAPISans" $sans) -}}
{{- toYaml $config -}}
{{- end -}}

{{/* The members of a dict that are neither null nor empty text, as JSON. An optional value is left out, not empty. */}}
{{- define "kuscia.given" -}}
{{- $given := dict -}}
{{- range $key, $value := . -}}
{{- if not (or (kindIs "invalid" $value) (eq (toString $value) "")) -}}
{{- $_ := set $given $key $value -}}
{{- end -}}
{{- end -}}
{{- toJson $given -}}
{{- end -}}

{{/* A number or text as text. Helm parses every number in a values file as a float. */}}
{{- define "kuscia.number" -}}
{{- if and (kindIs "float64" .) (eq . (floor .)) -}}{{ printf "%.0f" . }}{{- else -}}{{ toString . }}{{- end -}}
{{- end -}}

{{/* The keys that the configuration of every step has, as JSON. */}}
{{- define "kuscia.stepConfig" -}}
{{- dict
  "domainId" .Values.domainId
  "namespace" .Release.Namespace
  "keySecret" (dict
    "name" (include "kuscia.keySecretName" .)
    "key" (ternary .Values.key.existingSecretKey "domain.key" (not (empty .Values.key.existingSecret))))
  | toJson -}}
{{- end -}}

{{/* The keys that the configuration of every step has that uses KusciaAPI, as JSON. */}}
{{- define "kuscia.apiStepConfig" -}}
{{- dict
  "api" (dict
    "endpoint" (printf "%s://%s:8082" (include "kuscia.apiScheme" .) (include "kuscia.host" .))
    "protocol" (include "kuscia.apiProtocol" .))
  "ledger" (include "kuscia.ledgerName" .)
  | merge (include "kuscia.stepConfig" . | fromJson) | toJson -}}
{{- end -}}

{{/* The keys of prepare.yaml in both components, as JSON. */}}
{{- define "kuscia.prepareConfig" -}}
{{- $config := include "kuscia.stepConfig" . | fromJson -}}
{{- $_ := set $config "mode" .Chart.Name -}}
{{- $_ := set $config "rootless" .Values.rootless -}}
{{- if .Values.extraConfigSecret -}}
{{- $refused := dict "kusciaAPISans" (printf "must not be set here: add names to %s.extraConfig, which keeps those of the Service" .Chart.Name) -}}
{{- range include "kuscia.refusedConfig" . | fromJsonArray -}}
{{- $_ := set $refused .path (printf "%s; example: %s" .rule .example) -}}
{{- end -}}
{{- $_ := set $config "extraConfigRefused" $refused -}}
{{- $_ := set $config "extraConfigSecret" (dict "name" .Values.extraConfigSecret "key" .Values.extraConfigSecretKey) -}}
{{- end -}}
{{- toJson $config -}}
{{- end -}}

{{/* The keys of doctor.yaml in both components, as JSON. `status`, `logs` and `invite` use the file as well. */}}
{{- define "kuscia.doctorConfig" -}}
{{- $config := include "kuscia.apiStepConfig" . | fromJson -}}
{{- $_ := set $config "mode" .Chart.Name -}}
{{- $_ := set $config "release" .Release.Name -}}
{{- $_ := set $config "fullname" (include "kuscia.fullname" .) -}}
{{- $_ := set $config "gateway" (include "kuscia.gateway" .) -}}
{{- with .Values.extraConfigSecret -}}
{{- $_ := set $config "extraConfigSecret" (dict "name" . "key" $.Values.extraConfigSecretKey) -}}
{{- end -}}
{{- toJson $config -}}
{{- end -}}
