{{/*
The effect of `protocol` on each listener (Kuscia facts 2.7). Without a protocol, KusciaAPI uses MTLS, and the gateway uses
https on a master and http on a lite.
*/}}

{{- define "kuscia.apiProtocol" -}}
{{- .Values.protocol | default "MTLS" | toString | upper -}}
{{- end -}}

{{- define "kuscia.apiScheme" -}}
{{- ternary "http" "https" (eq (include "kuscia.apiProtocol" .) "NOTLS") -}}
{{- end -}}

{{- define "kuscia.gatewayScheme" -}}
{{- if .Values.protocol -}}
{{- include "kuscia.apiScheme" . -}}
{{- else -}}
{{- ternary "https" "http" (eq .Chart.Name "master") -}}
{{- end -}}
{{- end -}}

{{/* The KusciaAPI of this component, for the configuration of the steps. */}}
{{- define "kuscia.api" -}}
endpoint: {{ printf "%s://%s:8082" (include "kuscia.apiScheme" .) (include "kuscia.host" .) }}
protocol: {{ include "kuscia.apiProtocol" . }}
{{- end -}}

{{- define "kuscia.gateway" -}}
{{- printf "%s://%s:1080" (include "kuscia.gatewayScheme" .) (include "kuscia.host" .) -}}
{{- end -}}

{{/* A probe: {ctx, probe}. Under MTLS it only checks the port, since the kubelet has no client certificate. */}}
{{- define "kuscia.probe" -}}
{{- if eq (include "kuscia.apiProtocol" .ctx) "MTLS" -}}
tcpSocket:
  port: kusciaapi
{{- else -}}
httpGet:
  path: /probe
  port: kusciaapi
  scheme: {{ include "kuscia.apiScheme" .ctx | upper }}
{{- end }}
{{ toYaml .probe }}
{{- end -}}
