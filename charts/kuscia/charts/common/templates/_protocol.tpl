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

{{- define "kuscia.gateway" -}}
{{- printf "%s://%s:1080" (include "kuscia.gatewayScheme" .) (include "kuscia.host" .) -}}
{{- end -}}

{{/* The address of the gateway at the Ingress, with a placeholder if the values do not say which host. */}}
{{- define "kuscia.ingressUrl" -}}
{{- $host := .Values.ingress.host | default "<host of the Ingress controller>" -}}
{{- if hasPrefix "*." $host -}}
{{- $host = printf "<a host of %s>" $host -}}
{{- end -}}
{{- /* The path ends where the regular expression that strips it starts. */ -}}
{{- $path := regexReplaceAll "(\\(|\\[|\\{|\\\\|\\.[*+?]|[*+?|^$]).*$" .Values.ingress.path "" | trimSuffix "/" -}}
{{- printf "%s://%s%s" (ternary "https" "http" (not (empty .Values.ingress.tls))) $host $path -}}
{{- end -}}

{{/*
A probe: {ctx, probe}. Under MTLS it only checks the port, since the kubelet has no client certificate. A probe that has
httpGet, tcpSocket, exec or grpc itself keeps it.
*/}}
{{- define "kuscia.probe" -}}
{{- include "kuscia.args" (list "kuscia.probe" "ctx probe" .) -}}
{{- $handler := dict "httpGet" (dict "path" "/probe" "port" "kusciaapi" "scheme" (include "kuscia.apiScheme" .ctx | upper)) -}}
{{- if eq (include "kuscia.apiProtocol" .ctx) "MTLS" -}}
{{- $handler = dict "tcpSocket" (dict "port" "kusciaapi") -}}
{{- end -}}
{{- range $name := list "httpGet" "tcpSocket" "exec" "grpc" -}}
{{- with get $.probe $name -}}
{{- $handler = dict $name . -}}
{{- end -}}
{{- end -}}
{{- toYaml (merge (omit .probe "httpGet" "tcpSocket" "exec" "grpc") $handler) -}}
{{- end -}}
