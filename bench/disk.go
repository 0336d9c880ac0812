package main

import (
	"os"
	"time"
)

// probeDisk returns how long it takes to append a record of half a kilobyte to
// a file and have it on the disk, in nanoseconds. An evidence that is durable
// before its statement runs cannot cost less.
func probeDisk(times int) (quartiles, error) {
	f, err := os.CreateTemp("", "guardedpg-bench-")
	if err != nil {
		return quartiles{}, err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	record := make([]byte, 512)
	took := make([]float64, times)
	for i := range took {
		begun := time.Now()
		if _, err := f.Write(record); err != nil {
			return quartiles{}, err
		}
		if err := fdatasync(f); err != nil {
			return quartiles{}, err
		}
		took[i] = float64(time.Since(begun))
	}
	return quartilesOf(took), nil
}
