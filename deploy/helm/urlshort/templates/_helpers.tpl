{{/* The name that everything of a release begins with. */}}
{{- define "urlshort.fullname" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name | trunc 50 | trimSuffix "-" }}
{{- else }}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 50 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{/* What tells the pods of a role: (dict "root" $ "role" "serve"). */}}
{{- define "urlshort.selector" -}}
app.kubernetes.io/name: {{ .root.Chart.Name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .role }}
{{- end }}

{{- define "urlshort.labels" -}}
{{ include "urlshort.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end }}

{{- define "urlshort.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{/* The roles that run, separated by spaces: without Kafka there is nothing for analytics to do. */}}
{{- define "urlshort.roles" -}}
serve{{ if .Values.kafka.bootstrapServers }} analytics{{ end }}{{ if .Values.classify.enabled }} classify{{ end }}
{{- end }}

{{/* What a schema cannot say: values that contradict each other. */}}
{{- define "urlshort.check" -}}
{{- if not (or .Values.shards.existingSecret .Values.shards.urls) }}
{{- fail "shards: give shards.existingSecret (keys shard-0.url …) or shards.urls" }}
{{- end }}
{{- if and .Values.ingress.enabled (not .Values.ingress.host) }}
{{- fail "ingress.host: name the host of short URLs" }}
{{- end }}
{{- if and .Values.ingress.enabled .Values.publicUrl }}
{{- $public := (urlParse .Values.publicUrl).hostname }}
{{- if ne $public .Values.ingress.host }}
{{- fail (printf "publicUrl: its host %s is not ingress.host %s, and every other host gets a 421" $public .Values.ingress.host) }}
{{- end }}
{{- end }}
{{- range $role := splitList " " (include "urlshort.roles" .) }}
{{- $scale := (index $.Values $role).autoscaling }}
{{- if and $scale.enabled (gt (int $scale.minReplicas) (int $scale.maxReplicas)) }}
{{- fail (printf "%s.autoscaling: minReplicas %v is above maxReplicas %v" $role $scale.minReplicas $scale.maxReplicas) }}
{{- end }}
{{- end }}
{{- $ship := index .Values.config "stop.ship_seconds" | default 10 }}
{{- $worst := add .Values.serve.preStopSeconds .Values.serve.stopDelaySeconds $ship 45 }}
{{- if le (int .Values.serve.terminationGracePeriodSeconds) (int $worst) }}
{{- fail (printf "serve.terminationGracePeriodSeconds: %v is not more than the %d s that a stop may take: clicks would be cut off" .Values.serve.terminationGracePeriodSeconds $worst) }}
{{- end }}
{{- end }}

{{/* The secret with the URLs of the shards. */}}
{{- define "urlshort.shardSecret" -}}
{{ .Values.shards.existingSecret | default (printf "%s-shards" (include "urlshort.fullname" .)) }}
{{- end }}

{{- define "urlshort.shardCount" -}}
{{- if .Values.shards.existingSecret }}{{ .Values.shards.count }}{{ else }}{{ len .Values.shards.urls }}{{ end }}
{{- end }}

{{/* The variables of every role. */}}
{{- define "urlshort.environment" -}}
- { name: URLSHORT__DATA_DIR, value: /data }
- { name: URLSHORT__ADMIN__LISTEN, value: "0.0.0.0:8001" }
- { name: URLSHORT__LOG__FORMAT, value: json }
{{- range $shard := until (int (include "urlshort.shardCount" .)) }}
- { name: DB_SHARD_{{ $shard }}_URL_FILE, value: /run/secrets/shards/shard-{{ $shard }}.url }
{{- end }}
{{- with .Values.kafka.bootstrapServers }}
- { name: KAFKA_BOOTSTRAP_SERVERS, value: {{ . | quote }} }
{{- end }}
{{- if .Values.redis.existingSecret }}
- name: URLSHORT__CACHE__REDIS_URL
  valueFrom: { secretKeyRef: { name: {{ .Values.redis.existingSecret }}, key: url } }
{{- else if .Values.redis.url }}
- { name: URLSHORT__CACHE__REDIS_URL, value: {{ .Values.redis.url | quote }} }
{{- end }}
{{- with .Values.publicUrl }}
- { name: URLSHORT__HTTP__PUBLIC_URL, value: {{ . | quote }} }
{{- end }}
{{- range $key, $value := .Values.config }}
- name: URLSHORT__{{ $key | replace "." "__" | upper }}
  {{- /* A large whole number of a file is a float: 2.68435456e+08. */}}
  {{- $whole := and (kindIs "float64" $value) (eq (floor $value) $value) }}
  value: {{ ($whole | ternary (int64 $value) $value) | toString | quote }}
{{- end }}
{{- end }}

{{/* What a pod of ours may not do. */}}
{{- define "urlshort.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
fsGroupChangePolicy: OnRootMismatch
seccompProfile: { type: RuntimeDefault }
{{- end }}

{{- define "urlshort.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: { drop: [ALL] }
{{- end }}

{{/* Alive is the process alone; ready is also what `/readyz` says. A start waits for a shard as long as
it takes: to kill it meanwhile would only make it come later. */}}
{{- define "urlshort.probes" -}}
startupProbe:
  httpGet: { path: /livez, port: admin }
  periodSeconds: 2
  failureThreshold: 60
livenessProbe:
  httpGet: { path: /livez, port: admin }
  periodSeconds: 10
  timeoutSeconds: 3
readinessProbe:
  httpGet: { path: /readyz, port: admin }
  periodSeconds: 2
  timeoutSeconds: 2
  failureThreshold: 2
{{- end }}

{{/* The mounts and volumes of every role but the spool's. */}}
{{- define "urlshort.mounts" -}}
- { name: shards, mountPath: /run/secrets/shards, readOnly: true }
- { name: tmp, mountPath: /tmp }
{{- end }}

{{- define "urlshort.volumes" -}}
- name: shards
  secret: { secretName: {{ include "urlshort.shardSecret" . }}, defaultMode: 0440 }
- { name: tmp, emptyDir: {} }
{{- end }}

{{/* Where the pods of a role go: (dict "root" $ "role" … "values" …). */}}
{{- define "urlshort.placement" -}}
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: topology.kubernetes.io/zone
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels: {{ include "urlshort.selector" . | nindent 8 }}
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels: {{ include "urlshort.selector" . | nindent 8 }}
{{- with .values.nodeSelector }}
nodeSelector: {{ toYaml . | nindent 2 }}
{{- end }}
{{- with .values.tolerations }}
tolerations: {{ toYaml . | nindent 2 }}
{{- end }}
{{- with .values.affinity }}
affinity: {{ toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets: {{ toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* Of a pod. When the addresses of the shards change here, pods are replaced. */}}
{{- define "urlshort.annotations" -}}
urlshort/shards: {{ .root.Values.shards | toJson | sha256sum | trunc 16 | quote }}
{{- with .values.podAnnotations }}
{{ toYaml . }}
{{- end }}
{{- end }}
