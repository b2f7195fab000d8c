/** A dashboard to begin with, for kubectl apply. */
export function firstDashboard(namespace: string): string {
  return `kubectl apply -n ${namespace} -f - <<'EOF'
apiVersion: perses.dev/v1alpha2
kind: PersesDatasource
metadata:
  name: prometheus
  annotations: {promgate.io/environment: production}
spec:
  config:
    default: true
    plugin: {kind: PrometheusDatasource, spec: {}}
---
apiVersion: perses.dev/v1alpha2
kind: PersesDashboard
metadata:
  name: first
spec:
  config:
    display: {name: My first dashboard}
    duration: 1h
    panels:
      up:
        kind: Panel
        spec:
          display: {name: Targets}
          plugin: {kind: TimeSeriesChart, spec: {}}
          queries:
            - kind: TimeSeriesQuery
              spec: {plugin: {kind: PrometheusTimeSeriesQuery, spec: {query: up}}}
    layouts:
      - kind: Grid
        spec:
          items:
            - {x: 0, "y": 0, width: 24, height: 8, content: {$ref: "#/spec/panels/up"}}
EOF
`;
}
