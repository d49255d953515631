{{/* The addresses of the gateway outside the cluster. The templates take the context of the component. */}}

{{- define "kuscia.usesIngressNginx" -}}
{{- if contains "nginx.ingress.kubernetes.io/" (keys (.Values.ingress.annotations | default dict) | join " ") -}}true{{- end -}}
{{- end -}}

{{/* The URL of the gateway behind the Ingress. The path ends where the regular expression that strips it starts. */}}
{{- define "kuscia.ingressEndpoint" -}}
{{- $ingress := .Values.ingress -}}
{{- ternary "https" "http" (not (empty $ingress.tls)) }}://{{ $ingress.host | default "<host of the Ingress controller>" }}{{ regexReplaceAll "\\(.*$" $ingress.path "" | trimSuffix "/" }}
{{- end -}}

{{/* The external addresses of the gateway, one per line, or empty. */}}
{{- define "kuscia.publicEndpoints" -}}
{{- $ingress := .Values.ingress -}}
{{- $external := .Values.service.external -}}
{{- if $ingress.enabled }}
{{ include "kuscia.ingressEndpoint" . }}
{{- end }}
{{- if $external.enabled }}
{{ include "kuscia.gatewayScheme" . }}://
{{- if eq $external.type "NodePort" -}}
<address of a node>:{{ $external.nodePort | default "<its nodePort>" }}
{{- else -}}
<its EXTERNAL-IP>:{{ int $external.port }}
{{- end }}
{{- end }}
{{- end -}}
