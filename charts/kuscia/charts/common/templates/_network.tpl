{{/* The Service of a node: {ctx, ports}, ports as YAML text. */}}
{{- define "kuscia.service" -}}
{{- $ctx := .ctx -}}
apiVersion: v1
kind: Service
metadata:
  name: {{ include "kuscia.fullname" $ctx }}
  namespace: {{ $ctx.Release.Namespace }}
  labels:
    {{- include "kuscia.labels" (dict "ctx" $ctx) | nindent 4 }}
  {{- with $ctx.Values.service.annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  type: ClusterIP
  {{- with $ctx.Values.service.clusterIP }}
  clusterIP: {{ . }}
  {{- end }}
  selector:
    {{- include "kuscia.selectorLabels" $ctx | nindent 4 }}
  ports:
    {{- .ports | nindent 4 }}
{{- end -}}

{{/* The gateway, and nothing else of the node, for partners outside the cluster. */}}
{{- define "kuscia.externalService" -}}
{{- $external := .Values.service.external -}}
{{- if $external.enabled -}}
apiVersion: v1
kind: Service
metadata:
  name: {{ include "kuscia.fullname" . }}-external
  namespace: {{ .Release.Namespace }}
  labels:
    {{- include "kuscia.labels" (dict "ctx" .) | nindent 4 }}
  {{- with $external.annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  type: {{ $external.type }}
  {{- with $external.loadBalancerClass }}
  loadBalancerClass: {{ . }}
  {{- end }}
  {{- with $external.loadBalancerSourceRanges }}
  loadBalancerSourceRanges:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $external.externalTrafficPolicy }}
  externalTrafficPolicy: {{ . }}
  {{- end }}
  selector:
    {{- include "kuscia.selectorLabels" . | nindent 4 }}
  ports:
    - name: envoy
      port: {{ int $external.port }}
      protocol: TCP
      targetPort: envoy
      {{- with $external.nodePort }}
      nodePort: {{ int . }}
      {{- end }}
{{- end -}}
{{- end -}}

{{/*
The annotations of the Ingress. Whether the gateway speaks http or https is the chart's to know: ingress-nginx is told,
where its annotations are used.
*/}}
{{- define "kuscia.ingressAnnotations" -}}
{{- $annotations := deepCopy (.Values.ingress.annotations | default dict) -}}
{{- if include "kuscia.usesIngressNginx" . -}}
{{- $_ := set $annotations (include "kuscia.backendProtocolKey" .) (include "kuscia.gatewayScheme" . | upper) -}}
{{- end -}}
{{- toYaml $annotations -}}
{{- end -}}

{{- define "kuscia.backendProtocolKey" -}}nginx.ingress.kubernetes.io/backend-protocol{{- end -}}

{{- define "kuscia.usesIngressNginx" -}}
{{- if contains "nginx.ingress.kubernetes.io/" (keys (.Values.ingress.annotations | default dict) | join " ") -}}true{{- end -}}
{{- end -}}

{{/* The gateway's URL behind the Ingress. The path is what comes before the regular expression that takes it away. */}}
{{- define "kuscia.ingressEndpoint" -}}
{{- $ingress := .Values.ingress -}}
{{- ternary "https" "http" (not (empty $ingress.tls)) }}://{{ $ingress.host | default "<host of the Ingress controller>" }}{{ regexReplaceAll "\\(.*$" $ingress.path "" | trimSuffix "/" }}
{{- end -}}

{{/* The gateway's addresses for the world outside, one a line; empty when there is none. */}}
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

{{/* An Ingress to the gateway. */}}
{{- define "kuscia.ingress" -}}
{{- $ingress := .Values.ingress -}}
{{- if $ingress.enabled -}}
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: {{ include "kuscia.fullname" . }}
  namespace: {{ .Release.Namespace }}
  labels:
    {{- include "kuscia.labels" (dict "ctx" .) | nindent 4 }}
  {{- if $ingress.annotations }}
  annotations:
    {{- include "kuscia.ingressAnnotations" . | nindent 4 }}
  {{- end }}
spec:
  {{- with $ingress.className }}
  ingressClassName: {{ . }}
  {{- end }}
  {{- with $ingress.tls }}
  tls:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  rules:
    - host: {{ $ingress.host | quote }}
      http:
        paths:
          - path: {{ $ingress.path }}
            pathType: {{ $ingress.pathType }}
            backend:
              service:
                name: {{ include "kuscia.fullname" . }}
                port:
                  name: envoy
{{- end -}}
{{- end -}}

{{/*
What may reach a node: {ctx, engineFrom}; `engineFrom` is the peer of engine pods as YAML text, empty where engines run
inside the node's own pod. The kubelet's probes are let through by Kubernetes itself.
*/}}
{{- define "kuscia.networkPolicy" -}}
{{- $ctx := .ctx -}}
{{- $policy := $ctx.Values.networkPolicy -}}
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: {{ include "kuscia.fullname" $ctx }}
  namespace: {{ $ctx.Release.Namespace }}
  labels:
    {{- include "kuscia.labels" (dict "ctx" $ctx) | nindent 4 }}
spec:
  podSelector:
    matchLabels:
      {{- include "kuscia.selectorLabels" $ctx | nindent 6 }}
  policyTypes: [Ingress]
  ingress:
    # The gateway checks who speaks; partners may be anywhere. Where the values say who, the release's own pods are never
    # shut out: its steps ask its gateways, and a lite of the same release its master's.
    - ports:
        - port: 1080
          protocol: TCP
      {{- with $policy.gatewayFrom }}
      from:
        {{- toYaml . | nindent 8 }}
        - podSelector:
            matchLabels:
              app.kubernetes.io/name: kuscia
              app.kubernetes.io/instance: {{ $ctx.Release.Name }}
      {{- end }}
    # KusciaAPI: this release's own steps, and what the values add.
    - from:
        - podSelector:
            matchExpressions:
              - key: app.kubernetes.io/component
                operator: In
                values: [register, routes, data, check, doctor, status, logs, invite]
            matchLabels:
              app.kubernetes.io/name: kuscia
              app.kubernetes.io/instance: {{ $ctx.Release.Name }}
        {{- with $policy.apiFrom }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      ports:
        - port: 8082
          protocol: TCP
    {{- with .engineFrom }}
    # Engine pods: application traffic, DNS, DataMesh.
    - from:
        {{- . | nindent 8 }}
      ports:
        - port: 80
          protocol: TCP
        - port: 53
          protocol: UDP
        - port: 53
          protocol: TCP
        - port: 8070
          protocol: TCP
        - port: 8071
          protocol: TCP
    {{- end }}
    {{- with $policy.metricsFrom }}
    - from:
        {{- toYaml . | nindent 8 }}
      ports:
        - port: 9091
          protocol: TCP
    {{- end }}
    {{- with $policy.extraIngress }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
---
# Nothing has to reach the steps' pods. (No `ingress` key: an empty one is dropped by the API server, and every upgrade
# would change the object.)
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: {{ include "kuscia.fullname" $ctx }}-steps
  namespace: {{ $ctx.Release.Namespace }}
  labels:
    {{- include "kuscia.labels" (dict "ctx" $ctx) | nindent 4 }}
spec:
  podSelector:
    matchLabels:
      app.kubernetes.io/name: kuscia
      app.kubernetes.io/instance: {{ $ctx.Release.Name }}
      kuscia-chart/domain: {{ $ctx.Values.domainId | quote }}
    matchExpressions:
      - key: app.kubernetes.io/component
        operator: NotIn
        values: [master, lite]
  policyTypes: [Ingress]
{{- end -}}
