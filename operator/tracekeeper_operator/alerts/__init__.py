"""The rules and routes of TracingConfigs, brought to Prometheus and Alertmanager."""
