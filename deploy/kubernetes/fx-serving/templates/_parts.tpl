{{- define "fx-serving.selector" -}}
app.kubernetes.io/name: fx-serving
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "fx-serving.labels" -}}
{{ include "fx-serving.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- define "fx-serving.configuration" -}}
{{ toYaml .Values.serving }}
{{- end }}

{{- /* A probe's request for a path. By a name of loopback, which is known whatever access.allowed_hosts lists. */}}
{{- define "fx-serving.asked" -}}
path: {{ . }}
port: http
httpHeaders:
  - name: Host
    value: localhost
{{- end }}
