//go:build tools

// Package tools pins what the operator is measured beside; bench/operator_build.py builds it.
package tools

import _ "github.com/open-telemetry/opentelemetry-operator"
