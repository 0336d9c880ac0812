//go:build !linux

package audit

import "os"

func preallocate(f *os.File, size int64) (reserved bool, err error) { return false, f.Truncate(size) }

func (o osFile) sync() error { return o.f.Sync() }

func lastData(_ *os.File, size int64) int64 { return size }

func (o osFile) uncache(int64, int64) {}
