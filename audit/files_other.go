//go:build !linux

package audit

import "os"

func preallocate(f *os.File, size int64) error { return f.Truncate(size) }

func (o osFile) sync() error { return o.f.Sync() }

func lastData(_ *os.File, size int64) int64 { return size }
