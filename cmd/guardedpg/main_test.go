package main

import (
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// The test binary is also the program, for scripts.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"guardedpg": main})
}
