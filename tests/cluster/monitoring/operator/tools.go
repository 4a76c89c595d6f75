//go:build tools

// Package tools pins the Prometheus operator of the tests; tests/cluster/prometheus_operator.py builds it.
package tools

import (
	_ "github.com/prometheus-operator/prometheus-operator/cmd/operator"
	_ "github.com/prometheus-operator/prometheus-operator/cmd/prometheus-config-reloader"
)
