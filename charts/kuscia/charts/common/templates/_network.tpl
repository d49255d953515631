{{/* The Service of a component: {ctx, ports}; `ports` is YAML text. */}}
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

{{/* The Service for partners outside the cluster. It exposes only the gateway. */}}
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
The annotations of the Ingress. If any of them is for ingress-nginx, backend-protocol is added with the scheme of the
gateway.
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

{{/* The Ingress of the gateway. */}}
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
The NetworkPolicies of a component: {ctx, engineFrom}; `engineFrom` is the peer for engine pods as YAML text, empty if
engines run inside the pod of the lite. Kubernetes always allows the probes of the kubelet.
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
    # The gateway authenticates its clients, which may be anywhere. If gatewayFrom limits them, the pods of this release
    # are always allowed: its steps use its gateways, and a lite uses the gateway of a master in the same release.
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
    # KusciaAPI: the steps of this release, and networkPolicy.apiFrom.
    - from:
        - podSelector:
            matchExpressions:
              - key: app.kubernetes.io/component
                operator: In
                values: [register, routes, reconcile, data, check, doctor, status, logs, invite]
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
# The pods of the steps accept no connections. The `ingress` key is omitted, since the API server drops an empty one and
# every upgrade would then change the object.
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
