//go:build tools

// Package tools pins h2spec, which asks an HTTP/2 server for everything that the RFCs demand.
package tools

import _ "github.com/summerwind/h2spec/cmd/h2spec"
