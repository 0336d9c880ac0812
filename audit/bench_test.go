//go:build linux

package audit

import (
	"bytes"
	"context"
	"database/sql/driver"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func benchRecords() (*Record, *Record) {
	who := &Principal{Issuer: "https://idp.example.com", Subject: "agent-7", Groups: []string{"agents", "ci"}, Attributes: map[string]string{"run": "4711", "repo": "shop/api"}, Verified: true}
	who.Prepare()
	db := &Database{SystemID: "7301234567890123456", Name: "shop", User: "agent", BackendPID: 12345}
	db.Prepare()
	sql := &SQL{Text: "select id, name, email from public.customers where id = $1", Fingerprint: "a0ead580058af585",
		Args: []Arg{{Type: "int64", Value: "4711"}}, Classes: []string{"select"},
		Facts: &Facts{Reads: []string{"public.customers.id", "public.customers.name", "public.customers.email"}}}
	sql.Prepare()
	return &Record{Kind: KindIntent, Session: "c1", Statement: "c1-000001", Who: who, Database: db, SQL: sql,
			Verdict: &Verdict{Verdict: "allow", Rule: "reads", Policy: "sha256:9c56cc51b374c3ba"}},
		&Record{Kind: KindOutcome, Session: "c1", Statement: "c1-000001", Who: who, Database: db,
			Outcome: &Outcome{OK: true, Tag: "SELECT 1", Rows: 1, Bytes: 64, Duration: 123456},
			Masks:   []Mask{{Column: "email", Index: 2, Sources: []string{"public.customers.email"}, Masker: "email", Values: 1}}}
}

func cpu() time.Duration {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// callerCPU is the processor time of the goroutine that calls it, which has to be
// locked to its thread: what a statement's own path costs, on a busy machine too.
func callerCPU() time.Duration {
	var u unix.Rusage
	unix.Getrusage(unix.RUSAGE_THREAD, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkStatement is an intent, waited for, and an outcome.
func BenchmarkStatement(b *testing.B) {
	for _, d := range []Durability{Written, Synced} {
		for _, writers := range []int{1, 64} {
			b.Run(fmt.Sprintf("%v/%d", []string{"written", "synced"}[d], writers), func(b *testing.B) {
				tr, err := Open(TrailConfig{Dir: b.TempDir()})
				require.NoError(b, err)
				defer tr.Close()
				intent, outcome := benchRecords()
				ctx, cancel := context.WithCancel(context.Background())
				defer cancel()
				b.ReportAllocs()
				var n atomic.Int64
				var wg sync.WaitGroup
				before := cpu()
				b.ResetTimer()
				for range writers {
					wg.Go(func() {
						for n.Add(1) <= int64(b.N) {
							seq, err := tr.Append(intent)
							if err == nil {
								err = tr.Wait(ctx, seq, d)
							}
							if err == nil {
								seq, err = tr.Append(outcome)
							}
							if err == nil && d == Synced {
								err = tr.Wait(ctx, seq, d)
							}
							if err != nil {
								b.Error(err)
								return
							}
						}
					})
				}
				wg.Wait()
				b.ReportMetric(float64(cpu()-before)/float64(b.N), "cpu-ns/op")
				b.ReportMetric(2*float64(b.N)/b.Elapsed().Seconds(), "records/s")
			})
		}
	}
}

// BenchmarkSyncedBesideAProbe alternates a statement of one writer, intent and
// outcome each waited for until synced, with two raw appends and fdatasyncs of
// as many bytes. over-us is the median of what the first takes more.
func BenchmarkSyncedBesideAProbe(b *testing.B) {
	dir := b.TempDir()
	tr, err := Open(TrailConfig{Dir: dir})
	require.NoError(b, err)
	defer tr.Close()
	probe, err := osFiles{}.create(filepath.Join(dir, "probe"), 64<<20)
	require.NoError(b, err)
	defer probe.Close()
	line := bytes.Repeat([]byte("x"), 1200) // a record and a seal
	intent, outcome := benchRecords()
	ctx := context.Background()
	var raw, statement []time.Duration
	off := int64(0)
	for b.Loop() {
		began := time.Now()
		for range 2 {
			probe.WriteAt(line, off)
			probe.sync()
			off = (off + int64(len(line))) % (60 << 20)
		}
		raw = append(raw, time.Since(began))
		began = time.Now()
		for _, r := range []*Record{intent, outcome} {
			seq, err := tr.Append(r)
			if err == nil {
				err = tr.Wait(ctx, seq, Synced)
			}
			if err != nil {
				b.Fatal(err)
			}
		}
		statement = append(statement, time.Since(began))
	}
	slices.Sort(raw)
	slices.Sort(statement)
	f, s := raw[len(raw)/2], statement[len(statement)/2]
	b.ReportMetric(float64(f.Microseconds()), "2F-us")
	b.ReportMetric(float64((s - f).Microseconds()), "over-us")
}

func BenchmarkEncode(b *testing.B) {
	intent, outcome := benchRecords()
	var e encoder
	var buf []byte
	now := time.Now()
	var h hasher
	b.Run("encode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			buf = e.line(buf[:0], intent, 1, Hash{}, now, "20261123T024713Z-1f2e3d4c")
			buf = e.line(buf[:0], outcome, 1, Hash{}, now, "20261123T024713Z-1f2e3d4c")
		}
		b.ReportMetric(float64(len(buf)), "outcome-bytes")
	})
	b.Run("hash", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			h.line(buf)
		}
	})
	b.Run("tree", func(b *testing.B) {
		var t tree
		b.ReportAllocs()
		for b.Loop() {
			t.add(Hash{1})
		}
	})
}

func BenchmarkPayloadRow(b *testing.B) {
	row := []driver.Value{int64(4711), "Jane Doe", "j***@x.test", 12.5, true, nil, time.Now(), "Main Street 1"}
	cols := []string{"a", "b", "c", "d", "e", "f", "g", "h"}
	for _, mode := range []PayloadMode{PayloadDigest, PayloadFull} {
		b.Run([]string{"", "digest", "full"}[mode], func(b *testing.B) {
			tr, err := Open(TrailConfig{Dir: b.TempDir(), PayloadLimit: 1 << 30})
			require.NoError(b, err)
			defer tr.Close()
			p := tr.Payload("s", mode, cols)
			b.ReportAllocs()
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			before := callerCPU()
			for b.Loop() {
				if err := p.Row(row); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(callerCPU()-before)/float64(b.N), "caller-ns/op")
			_, err = p.Close()
			require.NoError(b, err)
		})
	}
}

func BenchmarkSealValue(b *testing.B) {
	id, err := age.GenerateX25519Identity()
	require.NoError(b, err)
	tr, err := Open(TrailConfig{Dir: b.TempDir(), Recipients: []string{id.Recipient().String()}})
	require.NoError(b, err)
	defer tr.Close()
	w := tr.Sealer().Originals("s", "")
	v := []byte("jane.doe@example.com")
	b.ReportAllocs()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before := callerCPU()
	for b.Loop() {
		if err := w.Value(1, 2, v); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(callerCPU()-before)/float64(b.N), "caller-ns/op")
	_, err = w.Close()
	require.NoError(b, err)
}

func BenchmarkVerify(b *testing.B) {
	dir := b.TempDir()
	tr, err := Open(TrailConfig{Dir: dir})
	require.NoError(b, err)
	intent, outcome := benchRecords()
	for i := range 50_000 {
		intent.Statement, outcome.Statement = fmt.Sprint(i), fmt.Sprint(i)
		_, err := tr.Append(intent)
		require.NoError(b, err)
		_, err = tr.Append(outcome)
		require.NoError(b, err)
	}
	require.NoError(b, tr.Close())
	for _, workers := range []int{1, 2} {
		b.Run(fmt.Sprint(workers), func(b *testing.B) {
			var n uint64
			before := cpu()
			for b.Loop() {
				rep, err := Verify(context.Background(), []string{dir}, VerifyOptions{Workers: workers})
				require.NoError(b, err)
				require.True(b, rep.OK())
				n += rep.Trails[0].Records
			}
			b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "records/s")
			b.ReportMetric(float64(n)/(cpu()-before).Seconds(), "records/cpu-s")
		})
	}
}
