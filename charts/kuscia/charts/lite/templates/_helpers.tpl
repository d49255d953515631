{{/* "true" if the tables are files in the pod of the lite. */}}
{{- define "lite.hasLocalTables" -}}
{{- if and .Values.data.tables (eq (toString .Values.data.source.type) "localfs") -}}true{{- end -}}
{{- end -}}

{{/* The namespace in which RunK creates engine pods. */}}
{{- define "lite.engineNamespace" -}}
{{- .Values.runk.namespace | default .Release.Namespace -}}
{{- end -}}

{{- define "lite.hasKubeconfig" -}}
{{- if and (eq .Values.runtime "runk") .Values.runk.kubeconfigSecret -}}true{{- end -}}
{{- end -}}

{{/* The names of the pull secrets for engine pods, as JSON. */}}
{{- define "lite.enginePullSecrets" -}}
{{- $secrets := include "kuscia.pullSecrets" . | fromYamlArray -}}
{{- if not (kindIs "invalid" .Values.runk.imagePullSecrets) -}}
{{- $secrets = .Values.runk.imagePullSecrets -}}
{{- end -}}
{{- $names := list -}}
{{- range $secrets -}}
{{- $names = append $names (ternary (get (ternary . dict (kindIs "map" .)) "name") . (kindIs "map" .)) -}}
{{- end -}}
{{- toJson $names -}}
{{- end -}}

{{/* The names of the claims that contain tables, as JSON. */}}
{{- define "lite.tableVolumes" -}}
{{- $names := list }}
{{- range .Values.data.tables }}
{{- with .claim }}{{- $names = append $names .name }}{{- end }}
{{- end }}
{{- range $i, $name := uniq $names | sortAlpha }}
- name: {{ printf "tables-%d" $i | quote }}
  persistentVolumeClaim:
    claimName: {{ $name | quote }}
    readOnly: true
{{- end }}
{{- end -}}

{{- define "lite.tableMounts" -}}
{{- range include "lite.tableVolumes" . | fromYamlArray }}
- name: {{ .name | quote }}
  mountPath: {{ printf "/tables/%s" .persistentVolumeClaim.claimName | quote }}
  readOnly: true
{{- end }}
{{- end -}}

{{/* Permission to read these CA certificates. */}}
{{- define "lite.rule.caBundle" -}}
{{- $bundle := .Values.master.caBundle | default dict -}}
{{- include "kuscia.rule.readSecrets" (list $bundle.secret) }}
{{- include "kuscia.rule.named" (dict "resources" (list "configmaps") "names" (list (ternary "" $bundle.configMap (not (empty $bundle.secret)))) "allow" (list "get")) }}
{{- end -}}
