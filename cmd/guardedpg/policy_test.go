package main

import (
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/guardedpg/guardedpg/internal/pgtest"
)

// TestPolicyScripts runs testdata/policy. Each script has an empty database.
func TestPolicyScripts(t *testing.T) {
	server := pgtest.Start(t)
	testscript.Run(t, testscript.Params{
		Dir: "testdata/policy",
		Setup: func(e *testscript.Env) error {
			e.Setenv("DATABASE_URL", server.Database(t))
			return nil
		},
	})
}
