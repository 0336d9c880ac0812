package oidc_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/guardedpg/guardedpg/identity/oidc"
	"github.com/guardedpg/guardedpg/identity/oidc/oidctest"
)

// The test binary is also the program that a command source runs.
func TestMain(m *testing.M) {
	switch os.Getenv("OIDC_TEST_PROGRAM") {
	case "print":
		if counter := os.Getenv("OIDC_TEST_COUNTER"); counter != "" {
			f, err := os.OpenFile(counter, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
			if err == nil {
				_, err = f.WriteString("x")
			}
			if err != nil {
				panic(err)
			}
		}
		fmt.Println(" " + os.Getenv("OIDC_TEST_TOKEN"))
		os.Exit(0)
	case "fail":
		fmt.Println("hunter2")
		fmt.Fprintln(os.Stderr, "hunter2")
		os.Exit(3)
	case "flood":
		for {
			fmt.Println(strings.Repeat("hunter2", 1000))
		}
	case "hang":
		select {}
	}
	os.Exit(m.Run())
}

func program(t *testing.T, does, token string) oidc.TokenSource {
	t.Setenv("OIDC_TEST_PROGRAM", does)
	t.Setenv("OIDC_TEST_TOKEN", token)
	return oidc.Command(oidc.CommandConfig{Args: []string{os.Args[0]}})
}

func TestSources(t *testing.T) {
	t.Run("static", func(t *testing.T) {
		oidctest.TestTokenSource(t, func(t *testing.T, token string) oidc.TokenSource { return oidc.Static(token) })
	})
	t.Run("env", func(t *testing.T) {
		oidctest.TestTokenSource(t, func(t *testing.T, token string) oidc.TokenSource {
			t.Setenv("AGENT_TOKEN", token+"\n")
			return oidc.Env("AGENT_TOKEN")
		})
	})
	t.Run("file", func(t *testing.T) {
		oidctest.TestTokenSource(t, func(t *testing.T, token string) oidc.TokenSource {
			path := filepath.Join(t.TempDir(), "token")
			require.NoError(t, os.WriteFile(path, []byte(token+"\n"), 0o600))
			return oidc.File(path)
		})
	})
	t.Run("command", func(t *testing.T) {
		oidctest.TestTokenSource(t, func(t *testing.T, token string) oidc.TokenSource { return program(t, "print", token) })
	})
}

func TestFileIsReadAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token")
	s := oidc.File(path)
	_, err := s.Token(t.Context())
	require.ErrorIs(t, err, oidc.ErrNoToken)
	require.NoError(t, os.WriteFile(path, []byte("one"), 0o600))
	token, err := s.Token(t.Context())
	require.NoError(t, err, "a failure is not kept")
	require.Equal(t, "one", token)
	require.NoError(t, os.WriteFile(path, []byte("two"), 0o600))
	require.Eventually(t, func() bool {
		token, err := s.Token(t.Context())
		return err == nil && token == "two"
	}, time.Minute, 10*time.Millisecond)
}

func TestFileTooLong(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(path, []byte(strings.Repeat("a", 65<<10)), 0o600))
	_, err := oidc.File(path).Token(t.Context())
	require.ErrorIs(t, err, oidc.ErrSource)
}

func TestCommandKeepsItsToken(t *testing.T) {
	issuer := start(t)
	counter := filepath.Join(t.TempDir(), "runs")
	t.Setenv("OIDC_TEST_COUNTER", counter)
	runs := func() int {
		b, err := os.ReadFile(counter)
		require.NoError(t, err)
		return len(b)
	}
	s := program(t, "print", issuer.Sign(nil))
	for range 3 {
		_, err := s.Token(t.Context())
		require.NoError(t, err)
	}
	require.Equal(t, 1, runs())

	s = program(t, "print", issuer.Sign(map[string]any{"exp": time.Now().Unix() - 1}))
	for range 2 {
		_, err := s.Token(t.Context())
		require.NoError(t, err)
	}
	require.Equal(t, 3, runs(), "an expired token is not kept")
}

func TestCommandFails(t *testing.T) {
	for _, does := range []string{"fail", "flood"} {
		_, err := program(t, does, "").Token(t.Context())
		require.ErrorIs(t, err, oidc.ErrSource, does)
		require.NotContains(t, err.Error(), "hunter2")
		if does == "flood" {
			require.ErrorContains(t, err, "64 KiB")
		}
	}
	_, err := oidc.Command(oidc.CommandConfig{}).Token(t.Context())
	require.ErrorIs(t, err, oidc.ErrSource)
	_, err = oidc.Command(oidc.CommandConfig{Args: []string{"/nowhere/program"}}).Token(t.Context())
	require.ErrorIs(t, err, oidc.ErrSource)
}

func TestCommandTimeout(t *testing.T) {
	t.Setenv("OIDC_TEST_PROGRAM", "hang")
	s := oidc.Command(oidc.CommandConfig{Args: []string{os.Args[0]}, Timeout: 50 * time.Millisecond})
	_, err := s.Token(t.Context())
	require.ErrorIs(t, err, oidc.ErrSource)
	require.ErrorIs(t, err, context.DeadlineExceeded)
}
