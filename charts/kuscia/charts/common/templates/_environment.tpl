{{/*
The volume with the CA bundle of global.kuscia.caBundle, empty without one. The path of the file names the ConfigMap or Secret,
for messages. The volume is optional, so that a step reports what is missing, instead of a pod that does not start; a step reads
the file again at each attempt.
*/}}
{{- define "kuscia.caVolume" -}}
{{- with .Values.global.kuscia.caBundle -}}
{{- if or .secret .configMap -}}
- name: ca-bundle
  {{- if .secret }}
  secret:
    secretName: {{ .secret | quote }}
  {{- else }}
  configMap:
    name: {{ .configMap | quote }}
  {{- end }}
    optional: true
    items:
      - key: {{ .key | quote }}
        path: {{ printf "%s/%s" (.secret | default .configMap) .key | quote }}
{{- end -}}
{{- end -}}
{{- end -}}

{{/*
The key `env` of a container, empty without variables: {ctx, step, proxy?}. A step has the CA bundle, and with `proxy` the proxies;
Kuscia has the CA bundle only. Go, its language, reads the CA certificates in the directories of SSL_CERT_DIR in addition to the
file of its image (Kuscia facts 3). Variables of extraEnv and jobs.extraEnv replace those of the chart.
*/}}
{{- define "kuscia.env" -}}
{{- include "kuscia.args" (list "kuscia.env" "ctx step proxy?" .) -}}
{{- $shared := .ctx.Values.global.kuscia -}}
{{- $proxy := ternary ($shared.proxy | default dict) dict (and .step (.proxy | default false)) -}}
{{- $env := list -}}
{{- with ($shared.caBundle).secret | default ($shared.caBundle).configMap -}}
{{- $directory := printf "/etc/kuscia-ca/%s" . -}}
{{- $env = append $env (ternary
  (dict "name" "KUSCIA_HOOKS_CA_BUNDLE" "value" (printf "%s/%s" $directory $shared.caBundle.key))
  (dict "name" "SSL_CERT_DIR" "value" (printf "/etc/ssl/certs:/etc/pki/tls/certs:%s" $directory)) $.step) -}}
{{- end -}}
{{- range $name, $key := dict "HTTP_PROXY" "httpProxy" "HTTPS_PROXY" "httpsProxy" -}}
{{- if $proxy.existingSecret -}}
{{- $env = append $env (dict "name" $name "valueFrom" (dict "secretKeyRef" (dict "name" $proxy.existingSecret "key" $key))) -}}
{{- else if get $proxy $key -}}
{{- $env = append $env (dict "name" $name "value" (get $proxy $key)) -}}
{{- end -}}
{{- end -}}
{{- with $proxy.noProxy -}}
{{- $env = append $env (dict "name" "NO_PROXY" "value" .) -}}
{{- end -}}
{{- $found := ternary .ctx.Values.jobs.extraEnv .ctx.Values.extraEnv .step | default list -}}
{{- $names := list -}}
{{- range $found -}}
{{- $names = append $names .name -}}
{{- end -}}
{{- range reverse $env -}}
{{- if not (has .name $names) -}}
{{- $found = prepend $found . -}}
{{- end -}}
{{- end -}}
{{- with $found -}}
env:
  {{- toYaml . | nindent 2 }}
{{- end -}}
{{- end -}}
