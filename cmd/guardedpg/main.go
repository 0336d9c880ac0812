// Command guardedpg works with guardedpg's evidence, policies and approvals.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

// Exit codes. Commands document what else they return.
const (
	exitOK    = 0
	exitFound = 1 // what was looked for is wrong: tampering, a failed check
	exitUsage = 2 // wrong arguments, or something could not be read
	exitOpen  = 3 // nothing is wrong, and something cannot be known
)

// env is where a command reads and writes.
type env struct {
	stdin          io.Reader
	stdout, stderr io.Writer
}

// A command is one subcommand.
type command struct {
	name string
	line string // what it does, in one line
	run  func(ctx context.Context, args []string, e env) int
}

// commands are the subcommands, in the order in which help lists them. Each
// lives in a file of its own.
var commands = []command{
	{"verify", "check that a trail is whole and unaltered", verify},
	{"query", "find records of a trail", query},
	{"show", "tell the whole story of one statement", show},
	{"tail", "print records as they are written", tail},
	{"prove", "take one record out of a trail, with the proof that it was there", prove},
	{"prune", "delete old trails by the rules of retention", prune},
	{"shred", "delete old keys, so that what they seal stays closed", shred},
	{"approve", "decide about statements that wait", approveCommand},
	{"policy", "check, test and explain a policy, show built-in packs", policyCommand},
	{"explain", "say what a statement would do", explain},
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], env{os.Stdin, os.Stdout, os.Stderr})
	stop()
	os.Exit(code)
}

func run(ctx context.Context, args []string, e env) int {
	if len(args) == 0 {
		usage(e.stderr)
		return exitUsage
	}
	switch args[0] {
	case "help", "-h", "-help", "--help":
		usage(e.stdout)
		return exitOK
	}
	for _, c := range commands {
		if c.name == args[0] {
			return c.run(ctx, args[1:], e)
		}
	}
	fmt.Fprintf(e.stderr, "guardedpg: there is no command %q\n\n", args[0])
	usage(e.stderr)
	return exitUsage
}

// wrong says in a sentence what is wrong with a command's arguments.
func wrong(e env, command, format string, args ...any) int {
	fmt.Fprintf(e.stderr, "guardedpg %s: %s; \"guardedpg %[1]s -h\" says more\n", command, fmt.Sprintf(format, args...))
	return exitUsage
}

func usage(w io.Writer) {
	var b strings.Builder
	b.WriteString("usage: guardedpg COMMAND [ARGUMENTS]\n\nCommands:\n")
	for _, c := range commands {
		fmt.Fprintf(&b, "  %-10s %s\n", c.name, c.line)
	}
	b.WriteString("\nguardedpg COMMAND -h says more about one.\n")
	io.WriteString(w, b.String())
}
