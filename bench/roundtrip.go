package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/url"
	"sync"
)

// relay stands between client and server and counts round trips: how often the
// client sent something after the server had answered.
type relay struct {
	listener net.Listener
	server   string
	wg       sync.WaitGroup

	mu     sync.Mutex
	trips  int
	answer bool // the server spoke last
}

func newRelay(server string) (*relay, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	r := &relay{listener: l, server: server, answer: true}
	r.wg.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			r.wg.Go(func() { r.carry(client) })
		}
	})
	return r, nil
}

// carry serves one connection, until either side closes it.
func (r *relay) carry(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", r.server)
	if err != nil {
		return
	}
	defer server.Close()
	var wg sync.WaitGroup
	wg.Go(func() {
		defer client.Close()
		io.Copy(writer{client, func() { r.spoke(true) }}, server)
	})
	io.Copy(writer{server, func() { r.spoke(false) }}, client)
	server.Close()
	wg.Wait()
}

// spoke is called before bytes go on to the other side.
func (r *relay) spoke(server bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !server && r.answer {
		r.trips++
	}
	r.answer = server
}

// taken returns the round trips since the last call.
func (r *relay) taken() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := r.trips
	r.trips = 0
	return n
}

func (r *relay) close() {
	r.listener.Close()
	r.wg.Wait()
}

// writer calls a function before each write.
type writer struct {
	w      io.Writer
	before func()
}

func (w writer) Write(p []byte) (int, error) {
	w.before()
	return w.w.Write(p)
}

// roundTrips returns how many round trips a contestant's operation takes, on
// one connection that is open and has done one already.
func roundTrips(ctx context.Context, c contestant, w workload, dsn string) (float64, error) {
	u, err := url.Parse(dsn)
	if err != nil {
		return 0, err
	}
	r, err := newRelay(u.Host)
	if err != nil {
		return 0, err
	}
	defer r.close()
	u.Host = r.listener.Addr().String()

	e := &entrant{contestant: c, dsn: u.String(), p: w.protection}
	defer e.stop()
	one := w
	one.atOnce = 1
	if err := e.start(ctx, one); err != nil {
		return 0, err
	}
	const operations = 50
	for serial := range int64(operations + 1) {
		if serial == 1 {
			r.taken()
		}
		if err := e.op(ctx, serial); err != nil {
			return 0, fmt.Errorf("%s: %w", c.name, err)
		}
	}
	return float64(r.taken()) / operations, nil
}
