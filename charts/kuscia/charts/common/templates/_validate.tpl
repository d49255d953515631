{{/*
Validation. The types are checked by Helm (values.schema.json). The rules of single values are in _values.tpl, which is
generated; the rules here concern several values, or need the release.

`kuscia.errors` writes one JSON object per line for each error. Every template of a subchart includes `kuscia.valid`
first and renders nothing if there is an error, so no template has to handle invalid values. validate.yaml of the
umbrella chart then reports the errors of all components at once.

Each rule has an ID, a literal in the template or in values.schema.yaml: `"id" "missing-value"`. One rule that several
values share has one ID. IDs are stable: docs/errors.md and the tests refer to them (tests/chart/error_ids.py).
*/}}

{{/*
"true" if the values of the component have no error. The errors are found once per render: Helm passes the same map to
every template of a chart.
*/}}
{{- define "kuscia.valid" -}}
{{- if not (hasKey . "kusciaErrors") -}}
{{- $_ := set . "kusciaErrors" (include "kuscia.errors" . | trim) -}}
{{- end -}}
{{- if not .kusciaErrors -}}true{{- end -}}
{{- end -}}

{{/* The errors of a component. The rules for several values require values of the right type. */}}
{{- define "kuscia.errors" -}}
{{- if not (hasKey ((.Values.global).kuscia | default dict) "clusterDomain") }}
{{- include "kuscia.error" (dict "id" "default-values-missing" "path" "global.kuscia.clusterDomain" "value" "null"
  "rule" "must be set: the default values of the chart are missing; for a list of values files, as in Flux, list the values.yaml of the chart first"
  "example" "valuesFiles: [charts/kuscia/values.yaml, values/alice.yaml]") }}
{{- else if not (hasKey .Values "image") }}
{{- include "kuscia.error" (dict "id" "not-a-mapping" "path" .Chart.Name "value" "null"
  "rule" "must be a mapping; to deploy no such domain, set enabled to false" "example" (printf "%s.enabled: false" .Chart.Name)) }}
{{- else }}
{{- include "kuscia.setReleaseDefaults" . }}
{{- $rules := include "kuscia.valueRules" . | fromJson -}}
{{- $found := "" -}}
{{- range $path, $values := dict .Chart.Name .Values "global" .Values.global }}
{{- $table := ternary (include "kuscia.values.root" $) (include (printf "kuscia.values.%s" $.Chart.Name) $) (eq $path "global") | fromJson }}
{{- $found = printf "%s\n%s" $found (include "kuscia.validate.values" (dict "path" $path "place" $path "value" $values "table" $table "rules" $rules)) }}
{{- end }}
{{- $found }}
{{- if not (contains "\"id\":\"text-required\"" $found) }}
{{- include "kuscia.validate.component" . }}
{{- include (printf "kuscia.validate.%s" .Chart.Name) . }}
{{- end }}
{{- end }}
{{- end -}}

{{/* One error: {id, path, value, rule, example}. Line ends of the values become escapes. */}}
{{- define "kuscia.error" }}
{{- $error := dict "id" .id "rule" .rule }}
{{- range $key := list "path" "value" "example" }}
{{- $_ := set $error $key (get $ $key | replace "\n" "\\n") }}
{{- end }}
{{ toJson $error }}
{{- end -}}

{{/*
Checks a value and everything in it against _values.tpl: {path, place, value, table, rules}. `place` is the path in the
table, where `*` is any key of a mapping and `[]` any entry of a list. With `keysOnly`, only unknown keys are reported.
An entry of a mapping with free keys that is null is removed, as Helm does for a key that has a default.
*/}}
{{- define "kuscia.validate.values" -}}
{{- $checks := get .table .place -}}
{{- if kindIs "map" .value }}
{{- range $key, $item := .value }}
{{- $place := printf "%s.%s" $.place $key }}
{{- $path := printf "%s.%s" $.path $key }}
{{- if and (hasKey $.table $place) (ne $key "*") (not (contains "." $key)) }}
{{- else if hasKey $.table (printf "%s.*" $.place) }}
{{- $place = printf "%s.*" $.place }}
{{- if kindIs "invalid" $item }}
{{- $_ := unset $.value $key }}
{{- else if and $checks.names (not $.keysOnly) }}
{{- include "kuscia.validate.scalar" (dict "path" $path "value" $key "names" $checks.names "example" (printf "%s.%s" $.path $checks.example) "rules" $.rules) }}
{{- end }}
{{- else if $checks.closed }}
{{- $known := list }}
{{- range $other, $_ := $.table }}
{{- $name := trimPrefix (printf "%s." $.place) $other }}
{{- if not (or (eq $name $other) (contains "." $name) (contains "[" $name)) }}
{{- $known = append $known $name }}
{{- end }}
{{- end }}
{{- $similar := first $known }}
{{- range $known }}{{ if hasPrefix (trunc 3 $key) . }}{{ $similar = . }}{{ end }}{{ end }}
{{- include "kuscia.error" (dict "id" "unknown-key" "path" $path "value" $key
  "rule" (printf "must be one of the keys %s" (join ", " $known)) "example" (printf "%s%s" (trimSuffix $key $path) $similar)) }}
{{- end }}
{{- $unset := or (kindIs "invalid" $item) (and $checks.required (empty $item) (has $key $checks.required)) }}
{{- if and (hasKey $.table $place) (not $unset) (or (get $.table $place) (kindIs "map" $item) (kindIs "slice" $item)) }}
{{- include "kuscia.validate.values" (dict "path" $path "place" $place "value" $item "table" $.table "rules" $.rules "keysOnly" $.keysOnly) }}
{{- end }}
{{- end }}
{{- if not .keysOnly }}
{{- range $checks.required }}
{{- include "kuscia.validate.given" (dict "path" (printf "%s.%s" $.path .) "value" (index $.value .)
  "rule" "must be set" "example" (printf "%s.%s: %s" $.path . (dig (printf "%s.%s" $.place .) "example" "…" $.table))) }}
{{- end }}
{{- $given := list }}
{{- range $checks.atMostOne }}
{{- if not (has (index $.value .) (list nil "")) }}{{ $given = append $given . }}{{ end }}
{{- end }}
{{- range rest $given }}
{{- include "kuscia.error" (dict "id" "conflicting-values" "path" (printf "%s.%s" $.path .) "value" (toRawJson (index $.value .))
  "rule" (printf "must not be set together with %s.%s" $.path (first $given)) "example" (printf "%s.%s: null" $.path .)) }}
{{- end }}
{{- end }}
{{- else if kindIs "slice" .value }}
{{- if and $checks.nonEmpty (not .value) }}
{{- include "kuscia.validate.given" (dict "path" .path "value" .value "rule" "must have an entry" "example" (printf "%s: […]" .path)) }}
{{- end }}
{{- if hasKey .table (printf "%s[]" .place) }}
{{- range $i, $item := .value }}
{{- include "kuscia.validate.values" (dict "path" (printf "%s[%d]" $.path $i) "place" (printf "%s[]" $.place) "value" $item "table" $.table "rules" $.rules "keysOnly" $.keysOnly) }}
{{- end }}
{{- end }}
{{- else if and $checks.rules (not .keysOnly) (not (and $checks.empty (eq (toString .value) ""))) }}
{{- include "kuscia.validate.scalar" (dict "path" .path "value" .value "names" $checks.rules "example" (printf "%s: %s" .path $checks.example) "rules" .rules) }}
{{- end }}
{{- end -}}

{{/* The first rule that a value breaks: {path, value, names, example, rules}; `names` are the rules to check. */}}
{{- define "kuscia.validate.scalar" -}}
{{- $error := dict -}}
{{- range $name := .names }}
{{- $rule := get $.rules $name }}
{{- $text := kindIs "string" $.value }}
{{- if $error }}
{{- else if hasKey $rule "minimum" }}
{{- if or (lt (float64 $.value) (float64 $rule.minimum)) (gt (float64 $.value) (float64 ($rule.maximum | default $.value))) }}
{{- $error = $rule }}
{{- end }}
{{- else if not (or $text (and $rule.number (not (kindIs "bool" $.value)))) }}
{{- $error = dict "id" "text-required"
  "rule" "must be text; quote a value that YAML reads as a number, true, false or a date (1.10 becomes 1.1, 12e4 becomes 120000)" }}
{{- else }}
{{- $value := ternary $.value (include "kuscia.number" $.value) $text }}
{{- if or (and $rule.maxLength (gt (len $value) (int $rule.maxLength)))
  (and $rule.pattern (not (regexMatch $rule.pattern $value)))
  (and $rule.not (regexMatch $rule.not $value)) }}
{{- $error = $rule }}
{{- end }}
{{- end }}
{{- end }}
{{- with $error }}
{{- include "kuscia.error" (dict "id" .id "path" $.path "value" (ternary "(not shown)" (toRawJson $.value) (.hidden | default false))
  "rule" .rule "example" $.example) }}
{{- end }}
{{- end -}}

{{/* The value must not be empty: {path, value, rule, example}. */}}
{{- define "kuscia.validate.given" -}}
{{- if not .value }}
{{- include "kuscia.error" (dict "id" "missing-value" "path" .path "value" (toRawJson .value) "rule" .rule "example" .example) }}
{{- end }}
{{- end -}}

{{/*
Rules for every text in a block of values, keys included: {path, value}. A placeholder of the presets in values/ must be
replaced. A control character, or a line end that only Unicode knows, changes or empties the YAML that the chart writes.
*/}}
{{- define "kuscia.validate.texts" -}}
{{- $path := .path -}}
{{- $forbidden := "[\\x00-\\x08\\x0b\\x0c\\x0e-\\x1f\\x7f-\\x{9f}\\x{2028}\\x{2029}\\x{feff}]" -}}
{{- if kindIs "map" .value }}
{{- range $key, $value := .value }}
{{- include "kuscia.validate.texts" (dict "path" $path "value" $key) }}
{{- include "kuscia.validate.texts" (dict "path" (printf "%s.%s" $path $key) "value" $value) }}
{{- end }}
{{- else if kindIs "slice" .value }}
{{- range $i, $value := .value }}
{{- include "kuscia.validate.texts" (dict "path" (printf "%s[%d]" $path $i) "value" $value) }}
{{- end }}
{{- else if contains "replace-me.example" (toString .value) }}
{{- include "kuscia.error" (dict "id" "placeholder-left" "path" $path "value" (toRawJson .value)
  "rule" "must be your own host; replace-me.example is the placeholder of the presets"
  "example" (printf "%s: %s" $path (replace "replace-me.example" "example.com" (toString .value)))) }}
{{- else if regexMatch $forbidden (toString .value) }}
{{- include "kuscia.error" (dict "id" "control-character" "path" $path "value" (toRawJson .value)
  "rule" "must not contain control characters, other than tab and line end"
  "example" (regexReplaceAll $forbidden (toString .value) "" | toRawJson)) }}
{{- end }}
{{- end -}}

{{/*
Why Kuscia's own DNS cannot resolve a host name (Kuscia facts 0.1, 0.2): {id, rule} as JSON, empty if it can. Kuscia's
resolver has no search domains and answers names ending in `.svc` with the address of the pod itself. Takes {host, ctx}.

A host name of two labels is `<service>.<namespace>` if its second label cannot be a top-level domain, or is a namespace that
the values name. A top-level domain has letters only, except for `xn--…`; one with two letters is a country code. Common words
that are top-level domains too are accepted: `prepare` resolves the absolute name, and reports a short one.
*/}}
{{- define "kuscia.hostProblem" -}}
{{- $services := printf "svc.%s" .ctx.Values.global.kuscia.clusterDomain -}}
{{- $labels := splitList "." .host -}}
{{- $last := last $labels | lower -}}
{{- $short := "" -}}
{{- if eq (len $labels) 1 -}}
{{- $short = ".<namespace>" -}}
{{- end -}}
{{- $ofNamespace := false -}}
{{- if and (eq (len $labels) 2) (not (hasPrefix "xn--" $last)) -}}
{{- $country := "^(a[c-gilmoq-uwxz]|b[abd-jl-oq-tvwyz]|c[acdf-ik-oru-z]|d[ejkmoz]|e[ceghr-u]|f[i-kmor]|g[abd-il-np-uwy]|h[kmnrtu]|i[del-oq-t]|j[emop]|k[eg-imnprwyz]|l[a-cikr-vy]|m[ac-hk-z]|n[ace-gilopruz]|om|p[ae-hk-nr-twy]|qa|r[eosuw]|s[a-eg-or-vx-z]|t[cdf-hj-ortvwz]|u[agkmsyz]|v[aceginu]|w[fs]|y[et]|z[amw])$" -}}
{{- $words := splitList " " "app bank biz blog cloud com dev digital email fun global group health info int live media net network one online org plus pro prod shop site software solutions space store studio systems team tech tools top vip work world xyz zone" -}}
{{- $namespaces := list "default" .ctx.Release.Namespace (.ctx.Values.runk).namespace (.ctx.Values.master).namespace -}}
{{- range $id, $domain := .ctx.Values.domains -}}
{{- $namespaces = append $namespaces (($domain | default dict).reader).namespace -}}
{{- end -}}
{{- $named := and (has $last $namespaces) (not (or (has $last $words) (regexMatch $country $last))) -}}
{{- $ofNamespace = or $named (not (regexMatch "^[a-z]{2,}$" $last)) (and (eq (len $last) 2) (not (regexMatch $country $last))) -}}
{{- end -}}
{{- if or (contains ":" .host) (contains "[" .host) -}}
{{- dict "id" "ipv6-not-supported" "rule" "must be a host name or an IPv4 address; Kuscia does not support IPv6" | toJson -}}
{{- else if or (gt (len .host) 253) (not (regexMatch "^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?([.][A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*$" .host)) -}}
{{- dict "id" "invalid-host" "rule" "must be a valid host name: parts of 1 to 63 letters, digits or '-', separated by single dots" | toJson -}}
{{- else if hasSuffix ".svc" .host -}}
{{- dict "id" "host-ends-in-svc" "rule" (printf "must not end in '.svc', which Kuscia resolves to itself; append the cluster domain (%s.%s)" (trimSuffix ".svc" .host) $services) | toJson -}}
{{- else if or $short $ofNamespace -}}
{{- dict "id" "host-not-fully-qualified" "rule" (printf "must be a fully qualified host name; Kuscia cannot resolve short names (for a Service: %s%s.%s)" .host $short $services) | toJson -}}
{{- else if and (regexMatch "^[0-9]+$" $last) (not (regexMatch (include "kuscia.valueRules" . | fromJson).ipv4.pattern .host)) -}}
{{- dict "id" "invalid-ip" "rule" "must be an IPv4 address" | toJson -}}
{{- end -}}
{{- end -}}

{{/*
A URL such as http(s)://host[:port][/path], or of another `form`: {path, value, example, form?, own?, ownRule?, ctx}. It must
not be the gateway of the component itself, whose host is `own`, or of its load balancer.
*/}}
{{- define "kuscia.validate.endpoint" -}}
{{- $form := .form | default "http(s)://host[:port][/path]" -}}
{{- $invalid := dict "id" "invalid-endpoint"
  "rule" (printf "must have the form %s, without user, query, fragment or spaces" $form) -}}
{{- $problem := dict -}}
{{- if not (and .value (kindIs "string" .value)) -}}
{{- $problem = $invalid -}}
{{- else if not (regexMatch "^https?://" .value) -}}
{{- $problem = dict "id" "endpoint-without-scheme"
  "rule" "must start with http:// or https://, depending on the protocol of the server" -}}
{{- else -}}
{{- $rest := regexReplaceAll "^https?://" .value "" -}}
{{- $authority := first (splitList "/" $rest) -}}
{{- $path := trimPrefix $authority $rest -}}
{{- $ipv6 := or (contains "[" $authority) (gt (len (splitList ":" $authority)) 2) -}}
{{- $host := include "kuscia.hostProblem" (dict "ctx" .ctx "host" (ternary "[" (first (splitList ":" $authority)) $ipv6)) -}}
{{- $port := last (splitList ":" $authority) -}}
{{- $badPort := or (not (regexMatch "^[0-9]{1,5}$" $port)) (gt (int $port) 65535) (lt (int $port) 1) -}}
{{- if and (not $ipv6) (regexMatch "[@?#\\s]" $rest) -}}
{{- $problem = $invalid -}}
{{- else if $host -}}
{{- $problem = fromJson $host -}}
{{- else if and (contains ":" $authority) $badPort -}}
{{- $problem = dict "id" "invalid-port" "rule" "must have a port from 1 to 65535" -}}
{{- else if or (not (regexMatch "^[A-Za-z0-9._~/-]*$" $path)) (regexMatch "//|/\\.{1,2}(/|$)" $path) -}}
{{- $problem = dict "id" "invalid-endpoint-path"
  "rule" "must have a path of letters, digits and '-._~' between single '/'; omit the regular expression of an Ingress path" -}}
{{- end -}}
{{- end -}}
{{- with $problem }}
{{- include "kuscia.error" (merge . (dict "path" $.path "value" (toRawJson $.value) "example" $.example)) }}
{{- end }}
{{- if and .own (kindIs "string" .value) (regexMatch (printf "^https?://%s([:/].*)?$" (regexQuoteMeta .own)) (lower .value)) }}
{{- include "kuscia.error" (dict "id" "endpoint-of-own-gateway" "path" .path "value" (toRawJson .value) "rule" .ownRule "example" .example) }}
{{- end }}
{{- end -}}

{{/* The rules that both components have. Takes the context of the component. */}}
{{- define "kuscia.validate.component" -}}
{{- $values := .Values -}}
{{- $path := .Chart.Name -}}
{{- if not (or $values.image.tag $values.image.digest) }}
{{- include "kuscia.error" (dict "id" "image-tag-missing" "path" (printf "%s.image.tag" $path) "value" (toRawJson $values.image.tag)
  "rule" "must be set unless digest is set" "example" (printf "%s.image.tag: \"1.0\"" $path)) }}
{{- end }}
{{- include "kuscia.validate.blocks" . }}
{{- include "kuscia.validate.conflicts" . }}
{{- /* Labels and annotations that the chart or Kubernetes sets: with another value, Services, NetworkPolicies and `kubectl -l`
would no longer find the pod. */}}
{{- $labels := list "controller-uid" "job-name" "kuscia-chart/domain" "kuscia-chart/release" -}}
{{- range list "name" "instance" "component" "part-of" "managed-by" -}}
{{- $labels = append $labels (printf "app.kubernetes.io/%s" .) -}}
{{- end -}}
{{- /* Annotations that Kubernetes reads, and what their values must match. */}}
{{- $forms := dict
  "^container[.]apparmor[.]security[.]beta[.]kubernetes[.]io/" "^(runtime/default|unconfined|localhost/.+)?$"
  "^(container[.])?seccomp[.]security[.]alpha[.]kubernetes[.]io/" "^(runtime/default|docker/default|unconfined|localhost/[^/].*)$"
  "^controller[.]kubernetes[.]io/pod-deletion-cost$" "^(0|-?[1-9][0-9]{0,8})$" }}
{{- $blocks := dict .Chart.Name .Values (printf "%s.jobs" .Chart.Name) .Values.jobs "global.kuscia" .Values.global.kuscia }}
{{- range $block, $values := $blocks }}
{{- range $kind, $reserved := dict "podLabels" $labels "commonLabels" $labels "podAnnotations" (list "checksum/config" "kubernetes.io/config.mirror") }}
{{- range $key, $value := get $values $kind | default dict }}
{{- if or (has $key $reserved) (hasPrefix "batch.kubernetes.io/" $key) }}
{{- include "kuscia.error" (dict "id" "reserved-pod-key" "path" (printf "%s.%s.%s" $block $kind $key) "value" (toRawJson $value)
  "rule" "must not be set, because the chart or Kubernetes sets this key; use a different key"
  "example" (printf "%s.%s: {example.com/team: risk}" $block $kind)) }}
{{- end }}
{{- end }}
{{- end }}
{{- range $key, $value := $values.podAnnotations }}
{{- range $keys, $form := $forms }}
{{- if and (regexMatch $keys $key) (not (regexMatch $form (toString $value))) }}
{{- include "kuscia.error" (dict "id" "invalid-annotation-value" "path" (printf "%s.podAnnotations.%s" $block $key) "value" (toRawJson $value)
  "rule" (printf "must match %s, as Kubernetes requires" $form) "example" (printf "%s.podAnnotations.%s: null" $block $key)) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- /* The message about a key of extraConfig does not repeat secrets. */}}
{{- $path := printf "%s.extraConfig" .Chart.Name -}}
{{- $config := .Values.extraConfig | default dict -}}
{{- if not (kindIs "slice" ($config.kusciaAPISans | default list)) }}
{{- include "kuscia.error" (dict "id" "not-a-list" "path" (printf "%s.kusciaAPISans" $path) "value" (toRawJson $config.kusciaAPISans)
  "rule" "must be a list" "example" (printf "%s.kusciaAPISans: [kuscia.example.com]" $path)) }}
{{- else }}
{{- range $i, $name := $config.kusciaAPISans }}
{{- $valid := regexMatch "^(([*][.])?[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?([.][A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*)$" (toString $name) }}
{{- if not (and (kindIs "string" $name) $valid) }}
{{- include "kuscia.error" (dict "id" "invalid-host" "path" (printf "%s.kusciaAPISans[%d]" $path $i) "value" (toRawJson $name)
  "rule" "must be a host name or an IP address as text" "example" (printf "%s.kusciaAPISans: [kuscia.example.com, 10.0.0.7]" $path)) }}
{{- end }}
{{- end }}
{{- end }}
{{- /* A text or null would replace what the chart writes below this key. */}}
{{- if and (eq .Chart.Name "lite") (eq (toString $values.runtime) "runk") }}
{{- range $place := list "runk" "agent" "agent.provider" "agent.provider.k8s" }}
{{- $keys := splitList "." $place }}
{{- $block := $config }}
{{- range initial $keys }}{{ $block = get $block . | default dict }}{{ if not (kindIs "map" $block) }}{{ $block = dict }}{{ end }}{{ end }}
{{- if and (hasKey $block (last $keys)) (not (kindIs "map" (get $block (last $keys)))) }}
{{- include "kuscia.error" (dict "id" "not-a-mapping" "path" (printf "%s.%s" $path $place) "value" (get $block (last $keys) | toRawJson)
  "rule" "must be a mapping" "example" (printf "%s.%s: {}" $path $place)) }}
{{- end }}
{{- end }}
{{- end }}
{{- $refused := list }}
{{- range $entry := include "kuscia.refusedConfig" . | fromJsonArray }}
{{- $keys := splitList "." $entry.path }}
{{- $block := $config }}
{{- range initial $keys }}
{{- $next := get $block . }}
{{- $block = ternary $next dict (kindIs "map" $next) }}
{{- end }}
{{- if hasKey $block (last $keys) }}
{{- $refused = append $refused $entry.path }}
{{- $value := $entry.shown | default (get $block (last $keys) | toRawJson) }}
{{- include "kuscia.error" (merge (dict "path" (printf "%s.%s" $path $entry.path) "value" $value) $entry) }}
{{- end }}
{{- end }}
{{- range $found := include "kuscia.secretPaths" (dict "path" "" "value" $config) | splitList "\n" | compact }}
{{- if not (has (trimPrefix "." $found) $refused) }}
{{- include "kuscia.error" (dict "id" "secret-in-extra-config" "path" (printf "%s%s" $path $found) "value" "(not shown)"
  "rule" "must not contain secrets, since extraConfig is stored in a ConfigMap; put this key into a kuscia.yaml in a Secret"
  "example" (printf "%s.extraConfigSecret: my-config" $.Chart.Name)) }}
{{- end }}
{{- end }}
{{- /* An Ingress that is invalid or does not reach the gateway. */}}
{{- if $values.ingress.enabled }}
{{- $path := printf "%s.ingress" .Chart.Name }}
{{- $ingress := .Values.ingress }}
{{- $groups := sub (len (splitList "(" $ingress.path)) 1 }}
{{- if and (gt $groups 0) (ne $ingress.pathType "ImplementationSpecific") }}
{{- include "kuscia.error" (dict "id" "ingress-regex-path-type" "path" (printf "%s.pathType" $path) "value" (toRawJson $ingress.pathType)
  "rule" "must be ImplementationSpecific when the path is a regular expression"
  "example" (printf "%s.pathType: ImplementationSpecific" $path)) }}
{{- end }}
{{- if and (ne $ingress.pathType "ImplementationSpecific") (regexMatch "//|/[.]{1,2}(/|$)|%2[fF]|[?#]" $ingress.path) }}
{{- include "kuscia.error" (dict "id" "invalid-ingress-path" "path" (printf "%s.path" $path) "value" (toRawJson $ingress.path)
  "rule" "must not contain '//', '/./', '/../', '%2F', '?' or '#'" "example" (printf "%s.path: /kuscia" $path)) }}
{{- end }}
{{- $annotations := $ingress.annotations | default dict }}
{{- $target := get $annotations "nginx.ingress.kubernetes.io/rewrite-target" | default "" }}
{{- range $group := regexFindAll "\\$[0-9]" $target -1 }}
{{- if gt (atoi (trimPrefix "$" $group)) (int $groups) }}
{{- include "kuscia.error" (dict "id" "ingress-rewrite-group-missing" "path" (printf "%s.path" $path) "value" (toRawJson $ingress.path)
  "rule" (printf "must have at least %s groups: the annotation rewrite-target (%s) uses %s, the path has %d" (trimPrefix "$" $group) $target $group (int $groups))
  "example" (printf "%s.path: /kuscia(/|$)(.*)" $path)) }}
{{- end }}
{{- end }}
{{- $key := "nginx.ingress.kubernetes.io/backend-protocol" }}
{{- $protocol := get $annotations $key | default "" }}
{{- $scheme := include "kuscia.gatewayScheme" . | upper }}
{{- if and $protocol (ne (upper $protocol) $scheme) }}
{{- include "kuscia.error" (dict "id" "ingress-backend-protocol-mismatch" "path" (printf "%s.annotations[\"%s\"]" $path $key) "value" (toRawJson $protocol)
  "rule" (printf "must be %s, the scheme of the gateway (%s.protocol); the chart sets this annotation itself" $scheme .Chart.Name)
  "example" (printf "omit it, or set %s: %s" $key $scheme)) }}
{{- end }}
{{- end }}
{{- end -}}

{{/*
The keys of kuscia.yaml that neither extraConfig nor its Secret may set: {id, path, rule, example, shown} as a JSON
list. `path` is dotted; `shown` replaces a value that the message must not repeat.
*/}}
{{- define "kuscia.refusedConfig" -}}
{{- $component := .Chart.Name -}}
{{- $refused := list -}}
{{- range $path, $instead := (include (printf "%s.configKeys" $component) . | fromYaml).dedicated -}}
{{- $refused = append $refused (dict "id" "config-key-has-dedicated-value" "path" $path
  "rule" "must not be set here; use the dedicated value"
  "example" (printf "%s.%s" $component $instead)) -}}
{{- end -}}
{{- range $path, $instead := dict
  "domainKeyData" (printf "%s.key.existingSecret: my-domain-key" $component)
  "liteDeployToken" "lite.master.tokenSecret: my-deploy-token"
  "datastoreEndpoint" "master.datastore: {type: mysql, host: mysql.example.com, …, existingSecret: my-database}" -}}
{{- $refused = append $refused (dict "id" "config-key-has-dedicated-secret" "path" $path
  "rule" "must not be set here; store the value in its own Secret, which is read when the pod starts"
  "example" $instead "shown" "(not shown)") -}}
{{- end -}}
{{- $refused = append $refused (dict "id" "config-kuscia-api" "path" "kusciaAPI"
  "rule" "must not be set; a kusciaAPI block replaces the defaults, including TLS settings, and Kuscia crashes at start"
  "example" (printf "%s.extraConfig.kusciaAPISans: [kuscia.example.com], to add names to the certificate" $component)
  "shown" "(a block)") -}}
{{- if not (kindIs "invalid" .Values.protocol) -}}
{{- $refused = append $refused (dict "id" "config-external-tls-with-protocol" "path" "domainRoute.externalTLS"
  "rule" "requires protocol: null; with a protocol set, Kuscia ignores it and creates its own certificate"
  "example" (printf "%s.protocol: null" $component) "shown" "(a block)") -}}
{{- end -}}
{{- toJson $refused -}}
{{- end -}}

{{/* The paths of values that look like secrets, by name or by content, one per line: {path, value}. */}}
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
