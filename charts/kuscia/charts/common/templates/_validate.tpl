{{/*
Validation. The schema holds types and key names; rules that deserve words of our own are here.

`kuscia.errors.<component>` writes one JSON object a line for each error: {path, value, rule, example}. Every template of
a subchart asks `kuscia.valid` first and renders nothing otherwise, so that bad values reach no template that would
stumble over them; then the umbrella's validate.yaml reports all errors of all components at once.
*/}}

{{/* "true" when the component's values have no error. */}}
{{- define "kuscia.valid" -}}
{{- if not (include (printf "kuscia.errors.%s" .Chart.Name) . | trim) -}}true{{- end -}}
{{- end -}}

{{/* One error: {path, value, rule, example}. */}}
{{- define "kuscia.error" }}
{{ toJson . }}
{{- end -}}

{{/* All errors as the text a user reads; takes the lines of JSON. */}}
{{- define "kuscia.errorText" -}}
{{- $lines := splitList "\n" . | compact -}}
{{- printf "%d %s in the values:" (len $lines) (ternary "error" "errors" (eq (len $lines) 1)) }}
{{- range $i, $line := $lines }}
{{- $error := fromJson $line }}

{{ printf "%3d. %s" (add1 $i) $error.path }}
     value:   {{ $error.value }}
     rule:    {{ $error.rule }}
     example: {{ $error.example }}
{{- end }}
{{- end -}}

{{/* {path, value, allowed, example, rule}: one of the allowed texts, in any case where `anyCase` is true. */}}
{{- define "kuscia.check.oneOf" -}}
{{- $value := ternary (toString .value | upper) (toString .value) (.anyCase | default false) -}}
{{- if not (and (kindIs "string" .value) (has $value .allowed)) }}
{{- include "kuscia.error" (dict "path" .path "value" (toJson .value)
  "rule" (printf "%s: one of %s" .rule (join ", " .allowed)) "example" .example) }}
{{- end }}
{{- end -}}

{{/* {path, value, example, rule}: may not be empty. */}}
{{- define "kuscia.check.given" -}}
{{- if not .value }}
{{- include "kuscia.error" (dict "path" .path "value" (toJson .value) "rule" .rule "example" .example) }}
{{- end }}
{{- end -}}

{{/* A domain ID (Kuscia facts 2.5): {path, value}. It becomes the name of a namespace inside Kuscia. */}}
{{- define "kuscia.check.domainId" -}}
{{- $reserved := list "default" "kube-system" "kube-public" "kube-node-lease" "master" "cross-domain" -}}
{{- $rule := "" -}}
{{- if not (kindIs "string" .value) -}}
{{- $rule = "a domain ID is text; quote it when it looks like a number" -}}
{{- else if not (regexMatch "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$" .value) -}}
{{- $rule = "a domain ID has 1 to 63 lower-case letters, digits and '-', and begins and ends with a letter or digit" -}}
{{- else if has .value $reserved -}}
{{- $rule = printf "a domain ID may not be one that Kuscia keeps for itself (%s)" (join ", " $reserved) -}}
{{- end -}}
{{- if $rule }}
{{- include "kuscia.error" (dict "path" .path "value" (toJson .value) "rule" $rule "example" .example) }}
{{- end }}
{{- end -}}

{{/*
What is wrong with a host name that Kuscia's own DNS has to resolve (Kuscia facts 0.1, 0.2); empty when it is right.
Search domains do not exist in a Kuscia pod, and names ending in `.svc` are answered with the pod's own address.
*/}}
{{- define "kuscia.hostProblem" -}}
{{- if or (contains ":" .) (contains "[" .) -}}
IPv6 addresses do not work with Kuscia; use a name or an IPv4 address
{{- else if contains "_" . -}}
host names have no underscore
{{- else if not (regexMatch "^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$" .) -}}
this is no host name
{{- else if hasSuffix ".svc" . -}}
Kuscia answers names that end in '.svc' with its own address; write the full name with the cluster's domain
{{- else if not (contains "." .) -}}
short names do not resolve inside Kuscia; write the full name
{{- end -}}
{{- end -}}

{{/* {path, value, example}: a bare host name. */}}
{{- define "kuscia.check.host" -}}
{{- $problem := "a host name is needed" -}}
{{- if and .value (kindIs "string" .value) -}}
{{- $problem = include "kuscia.hostProblem" .value -}}
{{- end -}}
{{- if $problem }}
{{- include "kuscia.error" (dict "path" .path "value" (toJson .value) "rule" $problem "example" .example) }}
{{- end }}
{{- end -}}

{{/* {path, value, example, form}: http(s)://host[:port][/path], or what `form` says. */}}
{{- define "kuscia.check.endpoint" -}}
{{- $rule := "" -}}
{{- $form := .form | default "http(s)://host[:port][/path]" -}}
{{- if not (and .value (kindIs "string" .value)) -}}
{{- $rule = printf "an endpoint is needed, as %s" $form -}}
{{- else if not (regexMatch "^https?://" .value) -}}
{{- $rule = "an endpoint begins with http:// or https://, as the protocol of the node that it leads to says" -}}
{{- else -}}
{{- $rest := regexReplaceAll "^https?://" .value "" -}}
{{- $authority := first (splitList "/" $rest) -}}
{{- if or (contains "[" $authority) (gt (len (splitList ":" $authority)) 2) -}}
{{- $rule = include "kuscia.hostProblem" "[" -}}
{{- else if regexMatch "[@?#\\s]" $rest -}}
{{- $rule = printf "an endpoint is %s, without user, query, fragment or blanks" $form -}}
{{- else -}}
{{- $rule = include "kuscia.hostProblem" (first (splitList ":" $authority)) -}}
{{- if and (not $rule) (contains ":" $authority) -}}
{{- $port := last (splitList ":" $authority) -}}
{{- if or (not (regexMatch "^[0-9]{1,5}$" $port)) (gt (int $port) 65535) (lt (int $port) 1) -}}
{{- $rule = "a port is a number from 1 to 65535" -}}
{{- end -}}
{{- end -}}
{{- $path := trimPrefix $authority $rest -}}
{{- if and (not $rule) (or (not (regexMatch "^[A-Za-z0-9._~/-]*$" $path)) (regexMatch "//|/\\.{1,2}(/|$)" $path)) -}}
{{- $rule = "a path is put before that of each request as it is: letters, digits and '-._~' between single '/'; of an Ingress only what comes before its regular expression" -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if $rule }}
{{- include "kuscia.error" (dict "path" .path "value" (toJson .value) "rule" $rule "example" .example) }}
{{- end }}
{{- end -}}

{{/* {path, image}: a tag or a digest. */}}
{{- define "kuscia.check.image" -}}
{{- if not (or .image.tag .image.digest) }}
{{- include "kuscia.error" (dict "path" (printf "%s.tag" .path) "value" (toJson .image.tag)
  "rule" "an image needs a tag or a digest" "example" (printf "%s.tag: \"1.0\"" .path)) }}
{{- end }}
{{- include "kuscia.check.tag" (dict "path" .path "tag" .image.tag) }}
{{- end -}}

{{/* {path, tag}: text. What YAML has taken for a number cannot be had back: 1.10 is 1.1, and 12e4 is 120000. */}}
{{- define "kuscia.check.tag" -}}
{{- if not (or (kindIs "string" .tag) (kindIs "invalid" .tag)) }}
{{- include "kuscia.error" (dict "path" (printf "%s.tag" .path) "value" (toJson .tag)
  "rule" "a tag is text; YAML took it for a number (1.10 is 1.1, 12e4 is 120000), so quote it"
  "example" (printf "%s.tag: \"1.10\", or helm's --set-string" .path)) }}
{{- end }}
{{- end -}}

{{/* The rules that hold for both components; takes the component's context. */}}
{{- define "kuscia.check.node" -}}
{{- $path := .Chart.Name -}}
{{- $values := .Values -}}
{{- include "kuscia.check.domainId" (dict
  "path" (printf "%s.domainId" $path) "value" $values.domainId
  "example" (printf "%s.domainId: %s" $path (ternary "kuscia-system" "alice" (eq $path "master")))) }}
{{- include "kuscia.check.image" (dict "path" (printf "%s.image" $path) "image" $values.image) }}
{{- include "kuscia.check.image" (dict "path" "global.kuscia.hooksImage" "image" $values.global.kuscia.hooksImage) }}
{{- if not (kindIs "invalid" $values.protocol) }}
{{- include "kuscia.check.oneOf" (dict
  "path" (printf "%s.protocol" $path) "value" $values.protocol "allowed" (list "TLS" "NOTLS" "MTLS") "anyCase" true
  "rule" "the protocol of KusciaAPI and the gateway, or null for Kuscia's own default"
  "example" (printf "%s.protocol: TLS" $path)) }}
{{- end }}
{{- include "kuscia.check.extraConfig" (dict "ctx" . "config" $values.extraConfig) }}
{{- include "kuscia.check.ownKeys" . }}
{{- include "kuscia.check.externalService" . }}
{{- if $values.ingress.enabled }}
{{- include "kuscia.check.ingress" . }}
{{- end }}
{{- end -}}

{{/*
Labels and annotations of pods that are the chart's own: a second one makes the key occur twice, and Services, policies
and `kubectl -l` lose the pod. Takes the component's context.
*/}}
{{- define "kuscia.check.ownKeys" -}}
{{- $own := dict
  "podLabels" (include "kuscia.podLabels" (dict "ctx" .) | fromYaml)
  "podAnnotations" (dict "checksum/config" "") -}}
{{- range $block, $values := dict .Chart.Name .Values (printf "%s.jobs" .Chart.Name) .Values.jobs }}
{{- range $kind, $known := $own }}
{{- range $key, $value := get $values $kind }}
{{- if hasKey $known $key }}
{{- include "kuscia.error" (dict "path" (printf "%s.%s.%s" $block $kind $key) "value" (toJson $value)
  "rule" "the chart sets this one itself; choose a key of your own"
  "example" (printf "%s.%s: {example.com/team: risk}" $block $kind)) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{/* What the API server refuses for a NodePort. Takes the component's context. */}}
{{- define "kuscia.check.externalService" -}}
{{- $path := printf "%s.service.external" .Chart.Name -}}
{{- $external := .Values.service.external -}}
{{- range $key := list "loadBalancerClass" "loadBalancerSourceRanges" }}
{{- if and $external.enabled (eq $external.type "NodePort") (get $external $key) }}
{{- include "kuscia.error" (dict "path" (printf "%s.%s" $path $key) "value" (toJson (get $external $key))
  "rule" "only a load balancer has it; who may reach a NodePort is for the firewall, or networkPolicy.gatewayFrom with externalTrafficPolicy: Local"
  "example" (printf "%s.type: LoadBalancer" $path)) }}
{{- end }}
{{- end }}
{{- end -}}

{{/* An Ingress that would be refused, or lead nowhere. Takes the component's context. */}}
{{- define "kuscia.check.ingress" -}}
{{- $path := printf "%s.ingress" .Chart.Name -}}
{{- $ingress := .Values.ingress -}}
{{- if not (regexMatch "^([a-z0-9*]([a-z0-9-]*[a-z0-9])?(\\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*)?$" $ingress.host) }}
{{- include "kuscia.error" (dict "path" (printf "%s.host" $path) "value" (toJson $ingress.host)
  "rule" "a host name alone, in lower case, without scheme, port or path; empty for any host"
  "example" (printf "%s.host: kuscia.example.com" $path)) }}
{{- end }}
{{- $groups := sub (len (splitList "(" $ingress.path)) 1 }}
{{- if and (gt $groups 0) (ne $ingress.pathType "ImplementationSpecific") }}
{{- include "kuscia.error" (dict "path" (printf "%s.pathType" $path) "value" (toJson $ingress.pathType)
  "rule" "a path that is a regular expression is for the controller to understand"
  "example" (printf "%s.pathType: ImplementationSpecific" $path)) }}
{{- end }}
{{- $annotations := $ingress.annotations | default dict }}
{{- $target := get $annotations "nginx.ingress.kubernetes.io/rewrite-target" | default "" }}
{{- range $group := regexFindAll "\\$[0-9]" $target -1 }}
{{- if gt (atoi (trimPrefix "$" $group)) (int $groups) }}
{{- include "kuscia.error" (dict "path" (printf "%s.path" $path) "value" (toJson $ingress.path)
  "rule" (printf "rewrite-target %s takes group %s of the path, which has %d" $target $group (int $groups))
  "example" (printf "%s.path: /kuscia(/|$)(.*)" $path)) }}
{{- end }}
{{- end }}
{{- $key := include "kuscia.backendProtocolKey" . }}
{{- $protocol := get $annotations $key | default "" }}
{{- if and $protocol (ne (upper $protocol) (include "kuscia.gatewayScheme" . | upper)) }}
{{- include "kuscia.error" (dict "path" (printf "%s.annotations[\"%s\"]" $path $key) "value" (toJson $protocol)
  "rule" (printf "the gateway speaks %s, as %s.protocol says; the chart sets this annotation by itself" (include "kuscia.gatewayScheme" .) .Chart.Name)
  "example" (printf "leave it out, or %s: %s" $key (include "kuscia.gatewayScheme" . | upper))) }}
{{- end }}
{{- end -}}

{{/*
Keys of kuscia.yaml that neither extraConfig nor its Secret may set, as a YAML list of {path, rule, example, shown}:
the key with dots, and what stands for its value in the message where that is not repeated.
*/}}
{{- define "kuscia.refusedConfig" -}}
{{- $component := .Chart.Name -}}
{{- $owned := include (printf "%s.ownedConfig" $component) . | fromYaml -}}
{{- range $path, $instead := $owned }}
- path: {{ $path }}
  rule: other objects depend on it, so it has a value of its own
  example: {{ printf "%s.%s" $component $instead | quote }}
{{- end }}
{{- range $path, $instead := dict
  "domainKeyData" (printf "%s.key.existingSecret: my-domain-key" $component)
  "liteDeployToken" "lite.master.tokenSecret: my-deploy-token"
  "datastoreEndpoint" "master.datastore: {type: mysql, host: mysql.example.com, …, existingSecret: my-database}" }}
- path: {{ $path }}
  rule: secrets stay in Secrets; this one is written into kuscia.yaml when the pod starts
  example: {{ $instead | quote }}
  shown: (not shown)
{{- end }}
- path: kusciaAPI
  rule: a kusciaAPI block replaces Kuscia's own one and leaves it without TLS settings, so that Kuscia crashes at start
  example: {{ printf "%s.extraConfig.kusciaAPISans: [kuscia.example.com], for further names in the certificate" $component | quote }}
  shown: (a block)
{{- if not (kindIs "invalid" .Values.protocol) }}
- path: domainRoute.externalTLS
  rule: with a protocol set, Kuscia takes a certificate that it makes itself; one of your own needs the protocol left out
  example: {{ printf "%s.protocol: null" $component | quote }}
  shown: (a block)
{{- end }}
{{- end -}}

{{/* What may not be in extraConfig: {ctx, config}. Values of secrets are not repeated. */}}
{{- define "kuscia.check.extraConfig" -}}
{{- $path := printf "%s.extraConfig" .ctx.Chart.Name -}}
{{- $config := .config | default dict -}}
{{- if not (kindIs "slice" ($config.kusciaAPISans | default list)) }}
{{- include "kuscia.error" (dict
  "path" (printf "%s.kusciaAPISans" $path) "value" (toJson $config.kusciaAPISans)
  "rule" "a list of names for the certificate of KusciaAPI"
  "example" (printf "%s.kusciaAPISans: [kuscia.example.com]" $path)) }}
{{- end }}
{{- $refused := list }}
{{- range $entry := include "kuscia.refusedConfig" .ctx | fromYamlArray }}
{{- $keys := splitList "." $entry.path }}
{{- $block := $config }}
{{- range initial $keys }}
{{- $next := get $block . }}
{{- $block = ternary $next dict (kindIs "map" $next) }}
{{- end }}
{{- if hasKey $block (last $keys) }}
{{- $refused = append $refused $entry.path }}
{{- $value := $entry.shown | default (get $block (last $keys) | toJson) }}
{{- include "kuscia.error" (dict
  "path" (printf "%s.%s" $path $entry.path) "value" $value "rule" $entry.rule "example" $entry.example) }}
{{- end }}
{{- end }}
{{- range $found := include "kuscia.secretPaths" (dict "path" "" "value" $config) | splitList "\n" | compact }}
{{- if not (has (trimPrefix "." $found) $refused) }}
{{- include "kuscia.error" (dict
  "path" (printf "%s%s" $path $found) "value" "(not shown)"
  "rule" "this looks like a secret, and extraConfig is kept in a ConfigMap; put it into a kuscia.yaml in a Secret of this namespace"
  "example" (printf "%s.extraConfigSecret: my-config" $.ctx.Chart.Name)) }}
{{- end }}
{{- end }}
{{- end -}}

{{/* The paths of texts that look like secrets, by name or by content, one a line: {path, value}. */}}
{{- define "kuscia.secretPaths" -}}
{{- $path := .path -}}
{{- if kindIs "map" .value }}
{{- range $key, $value := .value }}
{{- include "kuscia.secretPaths" (dict "path" (printf "%s.%s" $path $key) "value" $value) }}
{{- end }}
{{- else if kindIs "slice" .value }}
{{- range $i, $value := .value }}
{{- include "kuscia.secretPaths" (dict "path" (printf "%s[%d]" $path $i) "value" $value) }}
{{- end }}
{{- else if .value }}
{{- $named := regexMatch "(?i)(password|passwd|token|secret|secretkey|keydata)(\\[[0-9]+\\])*$" $path }}
{{- if or $named (regexMatch "PRIVATE KEY|://[^/@\\s]+:[^/@\\s]+@" (toString .value)) }}
{{ $path }}
{{- end }}
{{- end }}
{{- end -}}
