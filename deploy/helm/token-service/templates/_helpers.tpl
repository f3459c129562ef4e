{{- define "token-service.name" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name }}{{ else }}{{ .Release.Name }}-{{ .Chart.Name }}{{ end }}
{{- end }}

{{- define "token-service.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "token-service.labels" -}}
{{ include "token-service.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- define "token-service.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}
{{- end }}

{{- define "token-service.isSet" -}}
{{- $root := index . 0 }}{{ $name := index . 1 -}}
{{- if or (hasKey $root.Values.settings $name) (hasKey $root.Values.secretSettings $name) }}yes{{ end }}
{{- end }}

{{- /* What would go wrong only later: two pods with a data directory each are two services of one issuer. */ -}}
{{- define "token-service.check" -}}
{{- $database := include "token-service.isSet" (list . "DATABASE_URL") }}
{{- $shared := or $database (include "token-service.isSet" (list . "SUPABASE_URL")) }}
{{- $kms := include "token-service.isSet" (list . "KMS_KEY_ID") }}
{{- if and (gt (int .Values.replicas) 1) (not (and $shared $kms)) }}
{{- fail "replicas: more than one needs a shared store (DATABASE_URL, SUPABASE_URL) and keys in KMS (KMS_KEY_ID)" }}
{{- end }}
{{- if and (not .Values.persistence.enabled) (not (and $shared $kms)) }}
{{- fail "persistence.enabled: false loses keys and records, unless they are in a shared store and in KMS" }}
{{- end }}
{{- if and .Values.ingress.enabled (not .Values.ingress.host) }}
{{- fail "ingress.host: the ingress needs one" }}
{{- end }}
{{- end }}
