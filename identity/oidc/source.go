package oidc

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// A TokenSource gives the token that stands for this process. Token is called
// for every statement: a source keeps what it fetched, and returns the same
// string until it has another. Its errors match ErrNoToken or ErrSource.
// Implementations are safe for concurrent use and prove themselves with
// oidctest.TestTokenSource.
type TokenSource interface {
	Token(ctx context.Context) (string, error)
}

// Static always gives token.
func Static(token string) TokenSource { return static(token) }

type static string

func (s static) Token(context.Context) (string, error) {
	if s == "" {
		return "", &Error{Class: ErrNoToken}
	}
	return string(s), nil
}

// Env gives the value of the environment variable name, without surrounding
// white space.
func Env(name string) TokenSource { return env(name) }

type env string

func (e env) Token(context.Context) (string, error) {
	token := strings.TrimSpace(os.Getenv(string(e)))
	if token == "" {
		return "", &Error{Class: ErrNoToken, Detail: "environment variable " + string(e) + " is not set"}
	}
	return token, nil
}

// File gives the content of a file, without surrounding white space. It is
// read again when a second has passed, so that a token that something else
// renews there is seen within a second.
func File(path string) TokenSource { return &file{path: path} }

type file struct {
	path string
	mu   sync.Mutex // held by whoever reads the file
	last atomic.Pointer[fetched]
}

// fetched is a token and the moment to look for another.
type fetched struct {
	token string
	until time.Time
}

const fileAge = time.Second

func (f *file) Token(context.Context) (string, error) {
	if l := f.last.Load(); l != nil && time.Now().Before(l.until) {
		return l.token, nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	old := f.last.Load()
	if old != nil && time.Now().Before(old.until) {
		return old.token, nil
	}
	token, err := readToken(f.path)
	if err != nil {
		return "", err
	}
	if old != nil && old.token == token {
		token = old.token // the same string, which compares at once
	}
	f.last.Store(&fetched{token, time.Now().Add(fileAge)})
	return token, nil
}

func readToken(path string) (string, error) {
	r, err := os.Open(path)
	if err != nil {
		if errors.Is(err, os.ErrNotExist) {
			return "", &Error{Class: ErrNoToken, Err: err}
		}
		return "", &Error{Class: ErrSource, Err: err}
	}
	defer r.Close()
	b, err := io.ReadAll(io.LimitReader(r, maxToken+1))
	if err != nil {
		return "", &Error{Class: ErrSource, Err: err}
	}
	return tokenIn(b, "file "+path)
}

// tokenIn checks what a file or a program gave.
func tokenIn(b []byte, from string) (string, error) {
	if len(b) > maxToken {
		return "", &Error{Class: ErrSource, Detail: from + " gave more than 64 KiB"}
	}
	token := string(bytes.TrimSpace(b))
	if token == "" {
		return "", &Error{Class: ErrNoToken, Detail: from + " gave nothing"}
	}
	return token, nil
}

// CommandConfig says how to run a program that prints a token.
type CommandConfig struct {
	// Args is the program and its arguments; no shell is involved. Required.
	Args []string
	// Timeout is how long it may run. Default: 10 seconds.
	Timeout time.Duration
}

// Command gives what a program prints to its standard output, without
// surrounding white space and at most 64 KiB. It runs again a minute before
// the token expires, or at half of a shorter life; where that cannot be read
// from the token, a minute later.
func Command(c CommandConfig) TokenSource {
	if c.Timeout <= 0 {
		c.Timeout = 10 * time.Second
	}
	return &command{config: c, running: make(chan struct{}, 1)}
}

type command struct {
	config  CommandConfig
	running chan struct{} // holds one item while the program runs
	last    atomic.Pointer[fetched]
}

func (c *command) Token(ctx context.Context) (string, error) {
	if l := c.last.Load(); l != nil && time.Now().Before(l.until) {
		return l.token, nil
	}
	select {
	case c.running <- struct{}{}:
		defer func() { <-c.running }()
	case <-ctx.Done():
		return "", &Error{Class: ErrSource, Err: ctx.Err()}
	}
	if l := c.last.Load(); l != nil && time.Now().Before(l.until) {
		return l.token, nil
	}
	token, err := c.run(ctx)
	if err != nil {
		return "", err
	}
	c.last.Store(&fetched{token, renewal(token, time.Now())})
	return token, nil
}

func (c *command) run(ctx context.Context) (string, error) {
	if len(c.config.Args) == 0 {
		return "", &Error{Class: ErrSource, Detail: "CommandConfig.Args is empty"}
	}
	ctx, cancel := context.WithTimeout(ctx, c.config.Timeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, c.config.Args[0], c.config.Args[1:]...)
	cmd.WaitDelay = time.Second // a child of its own may hold the pipe open
	out := &limited{stop: cancel}
	cmd.Stdout = out
	err := cmd.Run()
	// What it printed, to either place, may be a secret: it is in no error.
	switch {
	case out.full:
		return "", &Error{Class: ErrSource, Detail: "program " + c.config.Args[0] + " gave more than 64 KiB"}
	case ctx.Err() != nil:
		return "", &Error{Class: ErrSource, Detail: "program " + c.config.Args[0], Err: ctx.Err()}
	case err != nil:
		return "", &Error{Class: ErrSource, Detail: "program " + c.config.Args[0], Err: err}
	}
	return tokenIn(out.buffer.Bytes(), "program "+c.config.Args[0])
}

// limited ends a program that prints too much. The buffer is not embedded: its
// ReadFrom would go around Write.
type limited struct {
	buffer bytes.Buffer
	full   bool
	stop   func()
}

func (l *limited) Write(b []byte) (int, error) {
	if l.buffer.Len()+len(b) > maxToken {
		l.full = true
		l.stop()
		return 0, io.ErrShortWrite
	}
	return l.buffer.Write(b)
}

// renewal says when to fetch a token's successor. It believes the token's exp
// without checking a signature: a wrong one costs a call, and no more.
func renewal(token string, now time.Time) time.Time {
	var claims struct {
		Expires float64 `json:"exp"`
	}
	parts := strings.Split(token, ".")
	if len(parts) != 3 || !decode(parts[1], &claims) || claims.Expires == 0 {
		return now.Add(time.Minute)
	}
	life := time.Unix(int64(claims.Expires), 0).Sub(now)
	return now.Add(max(life-time.Minute, life/2, 0))
}
