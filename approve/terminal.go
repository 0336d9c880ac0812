package approve

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/guardedpg/guardedpg/identity"
)

// TerminalConfig configures a Terminal.
type TerminalConfig struct {
	// As is the person at the terminal. Required. One from
	// [identity.Development] is recorded as unverified, and cannot decide for
	// groups what a verified identity asks.
	As identity.Identity
	// In is where answers come from. Default: the process's terminal. A reader
	// with a SetReadDeadline method (a file, a connection) is not read from
	// after a question is withdrawn; any other keeps one goroutine until it
	// yields a line, and that line counts for nothing.
	In io.Reader
	// Out is where questions go. Default: the process's terminal.
	Out io.Writer
}

// Terminal asks the person at a terminal, one question at a time. Only the
// whole word yes approves; what is unclear is asked again, and the end of the
// input rejects. It decides only while the
// asker waits: it rejects tickets, unless [Terminal.Attend] serves a [Queue].
// It is safe for concurrent use.
type Terminal struct {
	config TerminalConfig
	asking chan struct{} // holds one item while a question is open
	lines  *lineReader
	opened *os.File
}

// NewTerminal returns a Terminal. It opens the process's terminal where In or
// Out is nil, and fails if there is none.
func NewTerminal(c TerminalConfig) (*Terminal, error) {
	if c.As.IsZero() {
		return nil, errors.New("approve: TerminalConfig.As is missing: say who sits at the terminal")
	}
	t := &Terminal{asking: make(chan struct{}, 1)}
	if c.In == nil || c.Out == nil {
		tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
		if err != nil {
			return nil, fmt.Errorf("approve: there is no terminal to ask at: %w", err)
		}
		t.opened = tty
		if c.In == nil {
			c.In = tty
		}
		if c.Out == nil {
			c.Out = tty
		}
	}
	t.config, t.lines = c, newLineReader(c.In)
	return t, nil
}

// Close closes the process's terminal, if NewTerminal opened it.
func (t *Terminal) Close() error {
	if t == nil || t.opened == nil {
		return nil
	}
	return t.opened.Close()
}

// Approve implements Approver. A nil Terminal rejects.
func (t *Terminal) Approve(ctx context.Context, r Request) (Grant, error) {
	reject := func(reason string) (Grant, error) {
		return Grant{}, &RejectedError{Request: r.ID, Reason: reason}
	}
	if t == nil {
		return reject("there is no terminal")
	}
	if r.Ticket {
		return reject("the person at the terminal decides only while the asker waits")
	}
	if !r.Deadline.IsZero() {
		var end context.CancelFunc
		ctx, end = context.WithDeadline(ctx, r.Deadline)
		defer end()
	}
	d, err := t.ask(ctx, r)
	switch {
	case errors.Is(err, ErrMayNot), errors.Is(err, ErrInvalid):
		return reject(err.Error())
	case errors.Is(err, io.EOF):
		return reject("the terminal's input has ended")
	case err != nil && !r.Deadline.IsZero() && !time.Now().Before(r.Deadline):
		return reject("nobody decided in time")
	case err != nil:
		return Grant{}, err
	case d.Verdict == No:
		return Grant{}, &RejectedError{Request: r.ID, By: t.config.As, Reason: d.Reason}
	}
	g := Grant{
		Request: r.ID, Digest: r.Digest, By: []identity.Identity{t.config.As}, Reason: d.Reason,
		At: time.Now(), BreakGlass: d.Verdict == BreakGlass,
	}
	if err := g.Check(r, g.At); err != nil {
		return reject(err.Error())
	}
	return g, nil
}

// Attend asks the person at the terminal about every request that q holds or
// comes to hold and that they may decide, until ctx or the input ends, and
// returns ctx's error, io.EOF, or another that ended it. What is open then stays
// undecided. It prints, and passes over, a decision that q does not accept. While
// the store does not answer, it says so and tries again.
func (t *Terminal) Attend(ctx context.Context, q *Queue) error {
	wake, err := q.Watch(ctx)
	if err != nil {
		return err
	}
	done := make(map[string]bool)
	down := false
	for {
		cases, err := q.Cases(ctx, time.Now().Add(-q.config.TicketLife-time.Hour))
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if down != (err != nil) {
			down = err != nil
			text := "\n  The store answers again.\n"
			if down {
				text = "\n  The store does not answer, and is tried again: " + Printable(err.Error()) + "\n"
			}
			if err := t.say(text); err != nil {
				return err
			}
		}
		for _, c := range cases {
			if c.State != Pending || done[c.Request.ID] {
				continue
			}
			done[c.Request.ID] = true
			if slices.ContainsFunc(c.Decisions, func(d Decision) bool { return d.By.Same(t.config.As) }) {
				continue
			}
			stored, err := t.attend(ctx, q, c)
			if err != nil {
				return err
			}
			done[c.Request.ID] = stored
		}
		select {
		case <-wake:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// attend asks about c. It returns false when the answer may not be stored, and
// must be asked for again.
func (t *Terminal) attend(ctx context.Context, q *Queue, c Case) (bool, error) {
	asking, end := context.WithTimeout(ctx, time.Until(c.Ends))
	defer end()
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		if q.untilClosed(asking, c.Request.ID) == nil {
			end() // somebody else decided
		}
	}()
	d, err := t.ask(asking, c.Request)
	withdrawn := asking.Err() != nil
	end()
	<-gone
	switch {
	case ctx.Err() != nil:
		return true, ctx.Err()
	case errors.Is(err, ErrMayNot):
		return true, current(t.config.As, c.Request.ID) // not theirs to decide, or nothing is any more
	case errors.Is(err, ErrInvalid):
		return true, t.say("\n" + err.Error() + "\n")
	case err != nil && withdrawn:
		return true, nil
	case err != nil:
		return true, err
	}
	d.By = t.config.As
	c, err = q.Decide(ctx, c.Request.ID, d)
	var refused *Error
	switch {
	case errors.As(err, &refused):
		return true, t.say("  " + err.Error() + "\n\n")
	case ctx.Err() != nil:
		return true, ctx.Err()
	case err != nil:
		return false, t.say("  Perhaps not stored: " + Printable(err.Error()) + "\n")
	}
	return true, t.say("  " + Printable(c.Request.ID) + " is " + string(c.State) + "\n\n")
}

func (t *Terminal) say(text string) error {
	_, err := io.WriteString(t.config.Out, text)
	return err
}

// maxShown is how many bytes of statement and arguments a person can be
// expected to look through in a terminal.
const maxShown = 64 << 10

// ask asks one question. At the end of the input it returns io.EOF.
func (t *Terminal) ask(ctx context.Context, r Request) (Decision, error) {
	no := func(reason string) (Decision, error) { return Decision{Verdict: No, Reason: reason}, nil }
	if err := current(t.config.As, r.ID); err != nil {
		return Decision{}, err
	}
	ordinary := mayDecide(r, t.config.As, false)
	emergency := mayDecide(r, t.config.As, true) == nil
	if ordinary != nil && !emergency {
		return Decision{}, ordinary
	}
	if size := r.size(); size > maxShown {
		return Decision{}, &Error{Class: ErrInvalid, Request: r.ID, Detail: fmt.Sprintf("nobody could look through its %d bytes here", size)}
	}
	select {
	case t.asking <- struct{}{}:
		defer func() { <-t.asking }()
	case <-ctx.Done():
		return Decision{}, ctx.Err()
	}

	if err := t.say("\nA statement waits for your decision: " + Printable(r.ID) + "\n"); err != nil {
		return Decision{}, err
	}
	if err := Describe(t.config.Out, r); err != nil {
		return Decision{}, err
	}
	if !r.Deadline.IsZero() {
		if err := t.say("  waits until " + r.Deadline.Local().Format("15:04:05 on Monday, 2 January") + "\n"); err != nil {
			return Decision{}, err
		}
	}
	choices := "yes or no"
	switch {
	case emergency && ordinary == nil:
		choices = "yes, no or break-glass"
	case emergency:
		choices = "no or break-glass"
	}
	// What was typed before the question was there does not answer it.
	if f, ok := t.config.In.(*os.File); ok {
		discardTyped(f)
	}
	for {
		if err := t.say("  Let it run? " + choices + ", then a reason: "); err != nil {
			return Decision{}, err
		}
		line, stale, err := t.lines.read(ctx)
		switch {
		case ctx.Err() != nil:
			_ = t.say("\n  Withdrawn: " + Printable(r.ID) + " no longer waits.\n")
			return Decision{}, ctx.Err()
		case err != nil:
			return Decision{}, err
		case stale:
			if err := t.say("  That may have been meant for an earlier question. Again, please.\n"); err != nil {
				return Decision{}, err
			}
			continue
		}
		word, reason, _ := strings.Cut(strings.TrimSpace(line), " ")
		reason = strings.TrimSpace(reason)
		switch word := strings.ToLower(strings.TrimRight(word, ",:")); {
		case word == "yes" && ordinary == nil:
			return Decision{Verdict: Yes, Reason: reason}, nil
		case word == "break-glass" && emergency && reason != "":
			return Decision{Verdict: BreakGlass, Reason: reason}, nil
		case word == "no" || word == "n":
			return no(reason)
		}
		hint := "  Please write the whole word.\n"
		if emergency {
			hint = "  Please write the whole word; breaking the glass needs a reason.\n"
		}
		if err := t.say(hint); err != nil {
			return Decision{}, err
		}
	}
}

// lineReader reads lines, and gives up when a context ends.
type lineReader struct {
	from    *bufio.Reader
	raw     io.Reader
	pending chan line // the read under way, or nil
	stale   bool      // what comes next may answer a question that was withdrawn
}

type line struct {
	text string
	err  error
}

// maxLine bounds an answer.
const maxLine = 4 << 10

func newLineReader(r io.Reader) *lineReader {
	return &lineReader{from: bufio.NewReaderSize(r, maxLine), raw: r}
}

// read returns the next line. It is called by one goroutine at a time.
func (l *lineReader) read(ctx context.Context) (text string, stale bool, err error) {
	if err := ctx.Err(); err != nil {
		l.stale = true // the question was shown
		return "", false, err
	}
	deadline, interruptible := l.raw.(interface{ SetReadDeadline(time.Time) error })
	if interruptible {
		interruptible = deadline.SetReadDeadline(time.Time{}) == nil
	}
	if l.pending == nil {
		c := make(chan line, 1)
		l.pending = c
		go func() {
			text, err := l.from.ReadSlice('\n')
			if errors.Is(err, bufio.ErrBufferFull) {
				err = errors.New("approve: an answer of more than 4 KiB")
			}
			c <- line{string(text), err}
		}()
	}
	select {
	case got := <-l.pending:
		l.pending = nil
		stale, l.stale = l.stale, false
		if got.text != "" && errors.Is(got.err, io.EOF) {
			got.err = nil // a last line without its end
		}
		return got.text, stale && got.err == nil, got.err
	case <-ctx.Done():
		l.stale = true
		if interruptible {
			_ = deadline.SetReadDeadline(time.Unix(1, 0))
			<-l.pending
			l.pending = nil
		}
		return "", false, ctx.Err()
	}
}
