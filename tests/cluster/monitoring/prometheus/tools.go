//go:build tools

// Package tools pins a Prometheus of the tests; tests/cluster/prometheus_operator.py builds it.
package tools

import _ "github.com/prometheus/prometheus/cmd/prometheus"
